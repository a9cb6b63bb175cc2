//! Backend plugin `kafka`: batches as OTLP protobuf into a Kafka topic, for a Collector's `kafkareceiver` or Jaeger's ingester.
//!
//! The client is a librdkafka of its own, linked in and hidden: nothing outside reaches it, and it is never traced.
//! One batch is under way at a time (RATIONALE: "Why does the Kafka backend send one batch at a time?").

mod acknowledged;
mod client;
#[cfg(feature = "tls")]
mod handshake;
mod kafka;
#[cfg(feature = "tls")]
mod openssl_start;
mod parts;
mod property;
mod reports;
mod sasl;
mod sender;
mod settings;
mod tls;
mod trouble;
mod verdict;

pub use kafka::Kafka;
