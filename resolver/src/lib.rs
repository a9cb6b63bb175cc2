//! The engine of tracer-resolver.

pub mod config;

#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the resolver, which starts one queue per backend, is not built yet")
)]
mod export;
mod quiet_thread;
