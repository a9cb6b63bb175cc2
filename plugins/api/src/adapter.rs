//! A [`SpanExporter`](opentelemetry_sdk::trace::SpanExporter) of the OpenTelemetry SDK as a backend (feature
//! `adapter`).
//!
//! Which ones: those that are written for the version of `opentelemetry_sdk` that this crate depends on (another version's
//! trait is another trait), get spans and nothing else, may be made several times in a process, and need no asynchronous
//! runtime but one that they bring along ([`ExporterBackend`] says how). They see each span whole, but for what the SDK's
//! types cannot hold, which is below.
//!
//! Implement [`ExporterBackend`] and export [`Adapted`] of it; the README shows one whole.
//!
//! ```text
//!  OTLP bytes ──▶ decode ──▶ one group per resource ──▶ the exporter that was told this resource ──▶ its own wire
//!                 SpanData                              (made on demand, at most MAX_RESOURCES)
//! ```
//!
//! An exporter of the SDK knows one resource, told once; a batch of the host's may hold several services. So there is
//! one exporter for each distinct resource. Which groups of a batch went through is given to the host with its error, and comes
//! back with the retry, which sends the rest.
//!
//! What the SDK's types cannot hold is turned into what the OpenTelemetry specification says for such cases: bytes into
//! Base64 text, maps and arrays of mixed types into JSON text. The type of an empty array is not on the wire; it becomes
//! one of strings. An attribute without a value is dropped and counted as such.

#![forbid(unsafe_code)]

mod adapted;
mod attributes;
mod block_on;
mod exporter_backend;
mod exporters;
mod resource_batch;

pub use adapted::Adapted;
pub use exporter_backend::{ExporterArgs, ExporterBackend};
