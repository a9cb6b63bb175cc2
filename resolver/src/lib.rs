//! The engine of tracer-resolver.

pub mod config;
