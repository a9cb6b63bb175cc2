//! No file named: one service for every topic, as the `OTEL_*` variables say.

#![forbid(unsafe_code)]

mod exporters;
mod metrics;
mod percent_encoding;
pub(super) mod service;
mod settings;
pub(super) mod switches;
