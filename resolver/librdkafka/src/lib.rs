//! The integration of tracer-resolver for any language: `libtracer_interceptors.so`. There are two ways in: any librdkafka
//! client loads it by the property `plugin.library.paths`, a dynamically linked one also by `LD_PRELOAD`.
//!
//! ```text
//!   plugin.library.paths ─▶ conf_init ───────┐                  ┌─▶ the engine, which traces the client
//!                           property         ├─▶ librdkafka ────┤
//!   LD_PRELOAD ─▶ rd_kafka_new, polls, … ────┘   which one?     └─▶ its own functions, which do the work
//!                 preload                        its functions
//! ```
//!
//! Nothing of librdkafka is linked here, and nothing is looked up by name in the whole process, where there may be
//! several: `caller` finds the module that called, `symbols` its functions.

mod c_api;
mod caller;
mod contained;
mod errstr;
mod librdkafka;
mod module;
mod node_api;
mod preload;
mod property;
mod python;
mod static_program;
mod stderr_log;
mod symbols;
mod tracing;
mod unmet_program;
#[cfg(all(target_env = "musl", not(test)))]
mod unwinding;

pub use c_api::{Api, tracer_interceptors_api};
pub use node_api::napi_register_module_v1;
pub use preload::*;
pub use property::conf_init;
pub use python::tracer_interceptors_python;
