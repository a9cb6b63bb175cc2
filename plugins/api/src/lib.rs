//! The contract between tracer-resolver and its backend plugins.
//!
//! A plugin takes finished batches of spans, or of metrics, as OTLP bytes, and ships them somewhere. `include/tracer_plugin.h` is the
//! specification, and enough to write one in C or C++. In Rust, implement [`Backend`] and write
//! [`export_plugin!`]`(MyBackend);` in a `cdylib`: the macro owns everything unsafe.
//!
//! ```text
//!   host ══ C ABI ══▶ export_plugin   ──▶ panic_guard   ──▶ Backend
//!                     one symbol,         panics stop       yours: safe Rust
//!                     one static table    here
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`abi`] | the header, item by item: for hosts |
//! | `backend` | [`Backend`], [`CreateArgs`], [`Batch`], [`Signal`], [`Stats`]: for authors |
//! | `service_names` | [`ServiceNames`]: whose items a batch has, without decoding it |
//! | `backend_error` | [`BackendError`]: what went wrong and whether a retry helps |
//! | `host` | [`Host`]: the way back, for log lines; [`Extension`]: what one side offers beyond the contract |
//! | `export_plugin` | [`export_plugin!`], [`plugin_table`]: from a `Backend` to the C table |
//! | `panic_guard`, `foreign` | panics contained; structs of the other side read and written by their `struct_size` |
//! | `testing` | sample batches and one life by the contract, for tests (feature `testing`) |
//! | `adapter` | any OpenTelemetry `SpanExporter` as a `Backend` (feature `adapter`) |
//!
//! Without features this crate depends on nothing but the standard library.

pub mod abi;
#[cfg(feature = "adapter")]
pub mod adapter;
mod backend;
mod backend_error;
mod export_plugin;
mod foreign;
mod host;
mod panic_guard;
mod service_names;
#[cfg(feature = "testing")]
pub mod testing;

pub use backend::{Backend, Batch, CreateArgs, Signal, Stats};
pub use backend_error::{BackendError, ErrorKind};
pub use export_plugin::plugin_table;
pub use host::{Extension, Host, LogLevel};
pub use service_names::ServiceNames;

/// The README's examples, compiled and run as tests.
#[cfg(all(doctest, feature = "adapter"))]
#[doc = include_str!("../README.md")]
struct Readme;
