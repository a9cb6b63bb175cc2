//! tracer-resolver for programs in Rust: one line traces the clients of the [`rdkafka`] crate.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rdkafka::ClientConfig;
//! use rdkafka::producer::BaseProducer;
//!
//! let mut config = ClientConfig::new();
//! config.set("bootstrap.servers", "localhost:9092");
//! tracer_resolver_rdkafka::instrument(&mut config)?;
//! let producer: BaseProducer = config.create()?; // The client types stay rdkafka's own.
//! # Ok(()) }
//! ```
//!
//! What is traced, and where spans go, is said by the file that `INTERCEPTORS_CONFIG_FILE` names. A consumer that wants
//! its spans to have the length of its work opens a [`Processing`] guard, or wraps a future in [`process`].

mod instrument;
mod kafka_api;
mod plugin_stub;
mod processing;

pub use instrument::{InstrumentError, Instrumentation, instrument};
pub use processing::{Processing, process};
pub use tracer_resolver::{self as resolver, Resolver};

/// The examples of the README and of its page for Rust, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../docs/rust.md")]
struct Pages;
