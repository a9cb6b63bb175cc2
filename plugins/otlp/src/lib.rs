//! Backend plugin `otlp`: OTLP/HTTP with protobuf bodies, to any collector.
//!
//! The bytes of a batch pass through undecoded, unless they are too many for the collector.

#![forbid(unsafe_code)]

mod settings;

use std::sync::Arc;
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Signal, Stats, export_plugin};
use tracer_plugin_http::{HttpClient, OtlpSender};
use tracer_plugin_kit::Counters;

use crate::settings::{SCHEMA, Settings};

/// An OTLP collector.
pub struct Otlp {
    traces: OtlpSender,
    /// `None`: the settings have no address for metrics.
    metrics: Option<OtlpSender>,
    counters: Arc<Counters>,
}

impl Backend for Otlp {
    const TYPE_NAME: &'static str = "otlp";
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
        let client = HttpClient::new(settings.traces, USER_AGENT, args.max_concurrency, Arc::clone(&counters))?;
        let sender = |client| OtlpSender::new(client, args.host.clone(), "otlp");
        let metrics = settings.metrics.map(|endpoint| sender(client.to(endpoint)));
        Ok(Otlp { traces: sender(client), metrics, counters })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || match (batch.signal, &self.metrics) {
            (Signal::Traces, _) => self.traces.send(batch, timeout),
            (Signal::Metrics, Some(metrics)) => metrics.send(batch, timeout),
            (Signal::Metrics, None) => Err(BackendError::unsupported(NO_ADDRESS)),
            (other, _) => Err(BackendError::unsupported(format!("{other:?} are not sent"))),
        })
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

const NO_ADDRESS: &str =
    "there is no address for metrics: `traces_endpoint` does not end in /v1/traces; say `metrics_endpoint` too";
const USER_AGENT: &str = concat!("tracer-resolver-otlp/", env!("CARGO_PKG_VERSION"));

export_plugin!(Otlp);
