//! Backend plugin `otlp`: OTLP/HTTP with protobuf bodies, to any collector.
//!
//! The bytes of a batch pass through undecoded, unless they are too many for the collector.

#![forbid(unsafe_code)]

mod settings;

use std::sync::Arc;
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Stats, export_plugin};
use tracer_plugin_http::{HttpClient, OtlpSender};
use tracer_plugin_kit::Counters;

use crate::settings::{SCHEMA, Settings};

/// An OTLP collector.
pub struct Otlp {
    sender: OtlpSender,
    counters: Arc<Counters>,
}

impl Backend for Otlp {
    const TYPE_NAME: &'static str = "otlp";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = SCHEMA;
    const CONCURRENT_EXPORT: bool = true;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        Settings::parse(config_json).map(|_| ())
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let settings = Settings::parse(args.config_json)?;
        let counters = Arc::new(Counters::default());
        let client = HttpClient::new(settings.http, USER_AGENT, args.max_concurrency, Arc::clone(&counters))?;
        Ok(Otlp { sender: OtlpSender::new(client, args.host.clone(), "otlp"), counters })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || self.sender.send(batch, timeout))
    }

    fn stats(&self) -> Stats {
        self.counters.stats()
    }
}

const USER_AGENT: &str = concat!("tracer-resolver-otlp/", env!("CARGO_PKG_VERSION"));

export_plugin!(Otlp);
