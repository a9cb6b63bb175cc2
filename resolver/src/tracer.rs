//! What a tracer decides before there is a span: whether to keep it, and under which ids.
//!
//! Pure and without I/O: everything here runs per message on Kafka's threads, takes no lock and allocates nothing. Why it
//! is the way it is: `RATIONALE.md`.

#![forbid(unsafe_code)]

pub mod ids;
mod rate_limit;
pub mod sampler;
pub(crate) mod shedding;
mod span_context;
pub mod threshold;
mod verdict;

pub use span_context::SpanContext;
pub use verdict::Verdict;
