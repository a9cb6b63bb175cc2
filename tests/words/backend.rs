//! A backend plugin by itself, as its host calls it.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::Value;
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Signal};

use crate::{LIMIT, sample_spans};

/// The backend of this `config` table.
///
/// # Errors
///
/// The backend's.
pub fn create<B: Backend>(config: &Value) -> Result<B, BackendError> {
    B::create(&CreateArgs::detached("tested", &config.to_string()))
}

/// Exports a batch.
///
/// # Errors
///
/// The backend's.
pub fn export(backend: &impl Backend, batch: &ExportTraceServiceRequest) -> Result<(), BackendError> {
    export_bytes(backend, &sample_spans::bytes(batch), sample_spans::count(batch), LIMIT)
}

/// Exports a batch of metrics.
///
/// # Errors
///
/// The backend's.
pub fn export_metrics(backend: &impl Backend, body: &[u8], item_count: u32) -> Result<(), BackendError> {
    backend.export(&Batch::first_try(Signal::Metrics, body, item_count, 1), LIMIT)
}

/// Exports what may be no batch, or is said to have other spans than it has.
///
/// # Errors
///
/// The backend's.
pub fn export_bytes(backend: &impl Backend, body: &[u8], item_count: u32, limit: Duration) -> Result<(), BackendError> {
    backend.export(&Batch::first_try(Signal::Traces, body, item_count, 1), limit)
}
