//! Words the contract tests share.

// A test may fail loudly, wherever it fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its words too")]

pub mod kafka;
pub mod receivers;
pub mod sample_spans;
pub mod schema;
mod trace_tree;

pub use trace_tree::draw_traces;
