//! The contract between tracer-resolver and its backend plugins.
//!
//! `include/tracer_plugin.h` is the specification; [`abi`] is the same in Rust.

pub mod abi;
