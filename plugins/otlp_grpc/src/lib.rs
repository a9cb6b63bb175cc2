//! Backend plugin `otlp_grpc`: OTLP over gRPC, to any collector.
//!
//! ```text
//!   export ──▶ OtlpSender ──▶ GrpcClient ──▶ Connection ──▶ Wire ──▶ socket
//!              (plugins/http) a connection   HTTP/2 (`h2`)  TLS, and what was
//!              halves what    for each call  and one call   said is kept for
//!              is too large   that is on     at a time      the messages
//! ```
//!
//! All of it runs on the export thread that has the batch, by `drive`: there is no runtime and no thread of its own.
//! (RATIONALE: "How does gRPC come without a runtime?") The bytes of a batch pass through undecoded.

#![forbid(unsafe_code)]

mod address;
mod call;
mod client;
mod connection;
mod drive;
mod failure;
mod message;
mod service;
mod settings;
mod status;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Signal, Stats, export_plugin};
use tracer_plugin_http::OtlpSender;
use tracer_plugin_kit::Counters;

use crate::client::GrpcClient;
use crate::service::Service;
use crate::settings::{SCHEMA, Settings};

/// A collector that takes OTLP over gRPC.
pub struct OtlpGrpc {
    traces: OtlpSender,
    metrics: OtlpSender,
    counters: Arc<Counters>,
}

impl Backend for OtlpGrpc {
    const TYPE_NAME: &'static str = "otlp_grpc";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = SCHEMA;
    const SIGNALS: &'static [Signal] = &[Signal::Traces, Signal::Metrics];
    const CONCURRENT_EXPORT: bool = true;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        Settings::parse(config_json).map(|_| ())
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let settings = Settings::parse(args.config_json)?;
        let counters = Arc::new(Counters::default());
        let traces = GrpcClient::new(&settings, args.max_concurrency, Arc::clone(&counters))?;
        let metrics = traces.to(settings.metrics.as_ref(), Service::Metrics);
        let sender = |client| OtlpSender::over(Box::new(client), args.host.clone(), "otlp_grpc");
        Ok(OtlpGrpc { traces: sender(traces), metrics: sender(metrics), counters })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || match batch.signal {
            Signal::Traces => self.traces.send(batch, timeout),
            Signal::Metrics => self.metrics.send(batch, timeout),
            other => Err(BackendError::unsupported(format!("{other:?} are not sent"))),
        })
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

export_plugin!(OtlpGrpc);
