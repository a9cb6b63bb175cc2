//! `Kafka`: the backend.

#![forbid(unsafe_code)]

use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Signal, Stats, export_plugin};
use tracer_plugin_kit::Counters;

use crate::sender::Sender;
use crate::settings::{SCHEMA, Settings};

/// Topics of a Kafka cluster.
pub struct Kafka {
    sender: Sender,
    counters: Counters,
}

impl Backend for Kafka {
    const TYPE_NAME: &'static str = "kafka";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = SCHEMA;
    const SIGNALS: &'static [Signal] = &[Signal::Traces, Signal::Metrics];

    fn validate(config_json: &str) -> Result<(), BackendError> {
        Settings::parse(config_json)?.check_properties()
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let settings = Settings::parse(args.config_json)?;
        Ok(Kafka { sender: Sender::new(settings, args.host.clone())?, counters: Counters::default() })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || self.sender.send(batch, timeout, &self.counters))
    }

    fn shutdown(&self, timeout: Duration) -> Result<(), BackendError> {
        self.sender.end(timeout)
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

export_plugin!(Kafka);
