//! Finished batches on their way out: one bounded queue, a few threads, one circuit breaker and one watchdog per backend.
//!
//! ```text
//!  batch thread ── offer() ──▶ BackendQueue ── worker threads ──▶ Exporter (a plugin instance)
//!       └───────── tick() ───▶ (watchdog)
//! ```
//!
//! Nothing here knows what a plugin is: it talks to the [`Exporter`] trait. What may happen when is decided in
//! [`queue_state`], which has no threads and no clock of its own; `backend_queue` gives it both.

#![forbid(unsafe_code)]

mod backend_queue;
mod circuit;
mod drop_reason;
mod exporter;
mod finished_batch;
mod memory;
mod operations;
mod pressure;
mod queue_bound;
mod queue_state;
mod signal_queue;
mod span_counts;
mod spool;
mod timing;
mod worker;
mod worker_states;

#[cfg(test)]
mod pressure_tests;
#[cfg(test)]
mod queue_state_tests;
#[cfg(test)]
pub(crate) mod test_words;
#[cfg(test)]
mod tests;

pub(crate) use backend_queue::BackendQueue;
pub use drop_reason::DropReason;
pub use exporter::PluginCounts;
pub(crate) use exporter::{Exporter, Outcome, Try, Watch};
pub(crate) use finished_batch::{BatchFacts, FinishedBatch, Signal};
pub(crate) use operations::{DURATION_BOUNDS, Operations};
pub(crate) use pressure::{Halvings, Wish};
pub use span_counts::BackendState;
pub(crate) use span_counts::{BackendCounters, EarlyLosses, ServiceCounters};
pub use spool::SpoolStats;
pub(crate) use spool::left_to_others;
pub(crate) use timing::Timing;
