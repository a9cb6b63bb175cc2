//! The engine of tracer-resolver.

pub mod config;
pub mod propagation;
pub mod services;
pub mod tracer;
