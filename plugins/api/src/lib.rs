//! The contract between tracer-resolver and its backend plugins.
