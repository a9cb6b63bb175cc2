//! The only place that knows Kafka: callbacks that librdkafka calls, and what they do with a message.
//!
//! A callback contains every panic, turns raw pointers into two safe values, and makes one safe call. The logic behind
//! it works over [`KafkaApi`], a table of functions, and is tested without Kafka.
//!
//! ```text
//!   conf_init ─▶ handle          per configuration: which resolver, which service is bound
//!   on_new    ─▶ Client          per client: its identity, its routes
//!   on_send / on_acknowledgement ─▶ producer.rs      on_consume ─▶ consumer.rs
//! ```

mod application_context;
mod batches;
mod binding;
mod call_span;
mod callbacks;
mod captured;
mod client;
mod client_handles;
mod client_routes;
mod clientless_routes;
mod commit_spans;
mod commits;
mod consumer;
mod contain_panic;
mod current_message;
pub mod declared;
mod declared_parents;
mod ended_causes;
mod event_loops;
mod header_refusals;
mod headers;
mod incoming;
mod injecting;
mod kafka_api;
mod late_messages;
mod message;
mod parent_table;
mod poll_counts;
mod polls;
mod processing;
mod producer;
mod refusals;
mod refused_sends;
mod refused_spans;
mod route;
mod route_cache;
mod sent_spans;
mod settled;
mod single_use;
mod size_limit;
mod thread_habits;
mod transactions;

pub use binding::Integration;
pub use callbacks::conf_init;
pub use event_loops::event_loop_made;
pub use kafka_api::*;
pub use message::{latest_sender, sends_seen};
pub use polls::{Hands, calling_back, closing, polling, seen_polling, waiting_for_anything, waits_are_counted};
pub use processing::{MessagePlace, Processing};
pub use refused_sends::{RefusedSend, client_of_topic, has_producers, refused, refused_by, topic_made};
pub use single_use::single_use;
pub use transactions::sending_offsets;
