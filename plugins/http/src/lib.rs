//! What the HTTP backends of tracer-resolver share.
