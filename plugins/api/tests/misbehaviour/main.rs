//! What `export_plugin!` promises when a backend or a host misbehaves: nothing gets through the boundary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod broken_hosts;
mod life;
mod moody;
mod panics_and_errors;
