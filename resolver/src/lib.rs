//! The engine of tracer-resolver: one file says which services live in a process, which topics and clients are theirs,
//! and which backends receive their spans; every librdkafka client of the process is then traced accordingly.
//!
//! ```text
//!    built once, at start-up                        every message                    every flush
//!
//!  config ──▶ services ──▶ tracer ──────────▶ interceptor ──────────▶ batch ──────────▶ plugin ══▶ jaeger
//!  what the   which        decides: keep?     carries a span from     collects,         speaks     zipkin
//!  file says  service is   which parent?      on_send to its ack,     drops when full,  the        otlp
//!             this?        which ids?         or from on_consume      never blocks      C ABI      yours
//!  setup      setup        pure, no I/O       Kafka's threads         batch thread      export threads
//! ```
//!
//! Programs on the `rdkafka` crate use the crate `tracer-resolver-rdkafka`, which leads their clients here.
//!
//! # Code map
//!
//! `ARCHITECTURE.md`, at the top of the repository, has the rooms, a message's way through the files, and the words.
//!
//! - [`config`]: what the file, the environment or the original JSON says, checked. Only here are serde and files known.
//! - [`services`]: whose a message is. [`tracer`]: whether it is kept, and its ids. [`propagation`]: record headers.
//! - [`interceptor`]: librdkafka's callbacks. Only here is Kafka known. Links no librdkafka: it works over a table.
//! - `batch`: finished spans from any thread to encoded batches. `export`: a queue per backend. `plugin`: the backends'
//!   shared objects. Only there is `dlopen` known.
//! - [`Resolver`]: all of it, built from one configuration. `bridge`: the application's own spans, the same way out.
//!   `application_meter`: the other way round, what the library measures for the application's own provider.
//! - [`inspect`]: what the command `tracer-interceptors` asks of backends and plugins.
//! - `ends`: what is in hand leaves before the process ends. `status`: what is told. `diagnostics`: to whom.
//!
//! # Invariants
//!
//! - Nothing on Kafka's threads blocks, allocates per message, formats, logs per message, or panics out of a callback.
//! - Memory is bounded everywhere, and whatever is dropped is counted by reason: see [`Stats`].
//! - Data flows from left to right; a module uses only what lies to its left (`tests/tidy.rs` has the table).

#![cfg_attr(
    not(feature = "application-spans"),
    expect(dead_code, reason = "the bridge has spans of every kind, and a Kafka message is of few")
)]

#[cfg(feature = "application-metrics")]
mod application_meter;
mod batch;
#[cfg(feature = "application-spans")]
mod bridge;
mod cancellation;
mod clock;
pub mod config;
mod control_page;
mod counted;
mod diagnostics;
mod ends;
mod error;
mod export;
mod host;
pub mod inspect;
pub mod interceptor;
mod loaded_modules;
mod metric_readers;
mod metrics;
mod own_descriptor;
mod per_process;
mod plugin;
mod process_lock;
pub mod propagation;
mod quiet_thread;
mod resolver;
pub mod services;
mod stack_room;
mod status;
mod swap;
pub mod tracer;
mod trusted_path;
mod zeroed;

#[cfg(feature = "application-spans")]
pub use bridge::UnknownService;
pub use cancellation::uncancelled;
pub use counted::counted;
pub use diagnostics::write_to_stderr;
pub use ends::{EXIT_DEADLINE, before_exit, export_in_hand};
pub use error::ResolverError;
pub use export::{BackendState, DropReason, PluginCounts, SpoolStats};
pub use interceptor::{MessagePlace, Processing};
pub use loaded_modules::{LoadedModule, find_loaded_module};
pub use metrics::{MeasuredIn, Measurement};
pub use plugin::{is_code_of_a_plugin, is_in_plugin};
pub use resolver::{BackendTrial, Drained, Reloaded, Resolver, TrialOutcome, TrialSpan};
pub use stack_room::{Lent, with_room};
pub use status::{
    BackendServiceStats, BackendStats, ClientStats, DataPointStats, ReloadStats, ServiceStats, Stats, TopicStats,
};
