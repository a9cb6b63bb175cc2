//! Words the contract tests share.

// A test may fail loudly, wherever it fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its words too")]

pub mod child;
pub mod kafka;
pub mod native;
mod process;
pub mod receivers;
pub mod sample_spans;
mod trace_tree;
mod traced;

pub use process::{open_files, resident_bytes, threads};
pub use trace_tree::draw_traces;
pub use traced::{Traced, counters, resolver_to};
