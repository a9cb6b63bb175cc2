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
//!
//! # Platforms
//!
//! Clients are traced on Linux with glibc on x86_64 and aarch64. Elsewhere, as on a Mac or with musl, the same program compiles and
//! runs, untraced: a configuration stays as it is, and one WARN of the process says so.
//!
//! # Logging
//!
//! What there is to say goes to the [`log`](https://docs.rs/log) crate, with the target `tracer_resolver` or one that begins
//! with it, and `tracer_plugin` for what plugins say. ERROR: something is not traced because of a mistake. WARN: spans are
//! being lost, or something deserves a look. INFO: what was set up, whose each topic is, and the sums at the end. Your logger
//! decides what is shown; with `env_logger` that is `RUST_LOG=tracer_resolver=info`, and with `tracing`, its bridge
//! `tracing-log`. A program without a logger gets errors and warnings on stderr. `OTEL_LOG_LEVEL` is for programs in other
//! languages, which have no logger for this library, and is not read here.

#[cfg(any(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu")),
    test
))]
#[doc(hidden)]
pub mod elsewhere;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
mod instrument;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
mod kafka_api;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
mod plugin_stub;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
mod processing;
mod record;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
mod refused;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
mod transaction;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu")))]
pub use elsewhere::*;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
pub use instrument::{InstrumentError, Instrumentation, instrument};
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
pub use processing::{Processing, process};
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
pub use record::Record;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
pub use refused::tell_if_refused;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
pub use tracer_resolver::{self as resolver, Resolver};
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu"))]
pub use transaction::send_offsets_to_transaction;

/// The examples of the README and of its page for Rust, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../docs/rust.md")]
struct Pages;
