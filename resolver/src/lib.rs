//! The engine of tracer-resolver.

pub mod config;

#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the resolver, which starts one queue per backend, is not built yet")
)]
mod export;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the resolver, which loads plugins, is not built yet")
)]
mod plugin;
mod quiet_thread;
