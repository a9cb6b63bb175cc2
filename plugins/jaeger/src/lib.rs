//! Backend plugin `jaeger`: OTLP to Jaeger 1.35 and later, Thrift for older installations.
//!
//! ```text
//!   OTLP bytes ─┬─ otlp_http ───────────────────────────────────────────▶ POST :4318/v1/traces
//!               └─ decode ─▶ jaeger_batch ─┬─ thrift::Binary ─▶ collector ▶ POST :14268/api/traces
//!                                          └─ thrift::Compact ▶ agent ────▶ UDP  :6831, at the pace of `pace`
//! ```

#![forbid(unsafe_code)]

mod agent;
mod collector;
mod jaeger_batch;
mod pace;
mod settings;
mod tags;
mod thrift;

use std::sync::Arc;
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Stats, export_plugin};
use tracer_plugin_http::{HttpClient, OtlpSender};
use tracer_plugin_kit::Counters;

use crate::agent::Agent;
use crate::collector::Collector;
use crate::settings::{SCHEMA, Settings, Transport};

/// A Jaeger installation.
pub struct Jaeger {
    sender: Sender,
    counters: Arc<Counters>,
}

enum Sender {
    Otlp(OtlpSender),
    Collector(Collector),
    Agent(Agent),
}

impl Backend for Jaeger {
    const TYPE_NAME: &'static str = "jaeger";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = SCHEMA;
    const CONCURRENT_EXPORT: bool = true;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        Settings::parse(config_json).map(|_| ())
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let counters = Arc::new(Counters::default());
        let client = |http| HttpClient::new(http, USER_AGENT, args.max_concurrency, Arc::clone(&counters));
        let sender = match Settings::parse(args.config_json)?.transport {
            Transport::OtlpHttp(http) => Sender::Otlp(OtlpSender::new(client(http)?, args.host.clone(), "jaeger")),
            Transport::ThriftHttp(http) => Sender::Collector(Collector::new(client(http)?)),
            Transport::ThriftUdp(agent) => Sender::Agent(Agent::new(agent, Arc::clone(&counters))),
        };
        Ok(Jaeger { sender, counters })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || match &self.sender {
            Sender::Otlp(otlp) => otlp.send(batch, timeout),
            Sender::Collector(collector) => collector.send(batch.body, timeout),
            Sender::Agent(agent) => agent.send(batch.body, timeout),
        })
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

const USER_AGENT: &str = concat!("tracer-resolver-jaeger/", env!("CARGO_PKG_VERSION"));

export_plugin!(Jaeger);
