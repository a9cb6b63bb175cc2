//! Words the contract tests share.

// A test may fail loudly, wherever it fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its words too")]

mod blocking;
pub mod child;
pub mod fake_librdkafka;
pub mod foreign;
pub mod kafka;
mod log_lines;
pub mod native;
mod process;
pub mod receivers;
pub mod sample_spans;
mod span_portrait;
mod trace_tree;
mod traced;
mod traced_cluster;

pub use blocking::block_on;
pub use child::{child, is_child};
pub use log_lines::LogLines;
pub use process::{open_files, reserved_bytes, resident_bytes, threads};
pub use span_portrait::portrait;
pub use trace_tree::{draw_traces, draw_traces_with};
pub use traced::{Traced, counters, resolver_to};
pub use traced_cluster::{TracedCluster, send};
