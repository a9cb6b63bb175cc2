//! Finished spans on their way to the backends: fixed-size records from Kafka's threads, encoded once, in batches.
//!
//! ```text
//!   any thread                      the batch thread                                      export threads
//!   FinishedSpan ─▶ segment ─▶ … ─▶ template ─▶ bytes per (backend set, service) ─▶ FinishedBatch ─▶ BackendQueue
//! ```
//!
//! One set of segments and one batch thread serve the whole process, however many resolvers, services and backends
//! it has. A *backend set* is one distinct list of backends; a batch is encoded once for its backend set.

mod backend_set;
mod batch_thread;
mod leaving;
mod outgoing;
mod pipeline;
mod process_pipeline;
mod received_spans;
mod record;
mod segments;
mod service_counters;
mod span_fields;
mod span_links;
mod span_origin;
mod span_starts;
mod span_writer;
mod template;
mod thread_segment;
mod thread_spans;
mod topic_counters;
mod trace_state_field;

pub(crate) use backend_set::{BackendSet, BatchedService, BatchedServices, Destinations};
pub(crate) use leaving::{Leave, Patience};
pub(crate) use outgoing::Outgoing;
#[cfg(feature = "application-spans")]
pub(crate) use pipeline::ApplicationSpans;
pub(crate) use pipeline::{EndReporter, Pipeline};
pub(crate) use process_pipeline::END_BUDGET;
pub(crate) use received_spans::{CLAIM_WINDOW, Claimed, Place, WaitingPlace, Whose};
pub(crate) use record::{EndedBy, FinishedSpan, Outcome, SpanFlags, SpanKind, TimeInQueue};
pub(crate) use service_counters::ServiceCounters;
pub(crate) use span_fields::SpanFields;
pub(crate) use span_links::{LinkedSpan, write_links};
pub(crate) use span_origin::SpanOrigin;
pub(crate) use span_writer::{Field, SpanWriter};
pub(crate) use template::{ClientFacts, ServiceResource, SpanFacts, own_scope};
pub(crate) use topic_counters::{TopicCounters, TopicCounts};
pub(crate) use trace_state_field::TraceStateField;
