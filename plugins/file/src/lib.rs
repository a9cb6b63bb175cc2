//! Backend plugin `file`: OTLP/JSON lines, the format of OpenTelemetry's file exporter, or lines for people.
//!
//! ```text
//!   OTLP bytes ──▶ decode ─┬▶ otlp_json: one line per batch ───────────────┬▶ output: stdout, stderr, or a rotated file
//!                          └▶ readable:  one line per span or data point ──┘
//!
//! Metrics are lines of the same file, as they are in that of OpenTelemetry's exporter.
//! ```

#![forbid(unsafe_code)]

mod metrics;
mod metrics_json;
mod otlp_json;
mod output;
mod readable;
mod readable_metrics;
mod rotated_file;
mod settings;
mod stream;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, LogLevel, Signal, Stats, export_plugin};
use tracer_plugin_kit::{Counters, spans};

use crate::output::Output;
use crate::settings::{Format, SCHEMA, Settings};

/// A file, or one of the standard streams.
pub struct File {
    output: Mutex<Output>,
    format: Format,
    counters: Counters,
}

impl Backend for File {
    const TYPE_NAME: &'static str = "file";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = SCHEMA;
    const SIGNALS: &'static [Signal] = &[Signal::Traces, Signal::Metrics];
    const NETWORK: bool = false;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        Settings::parse(config_json).map(|_| ())
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let settings = Settings::parse(args.config_json)?;
        let mut output = Output::new(&settings)?;
        let counters = Counters::default();
        if let Err(error) = output.open(&counters) {
            // The disk may be mounted, or the permission given, later: like a server that is not up yet.
            args.host.log(LogLevel::Warn, "file", &format!("{}: {error}", args.backend_name));
        }
        Ok(File { output: Mutex::new(output), format: settings.format, counters })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || {
            let lines = self.lines(batch)?;
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_lines(&lines, batch, timeout, &self.counters)?;
            self.counters.bytes_sent(lines.len());
            Ok(())
        })
    }

    fn flush(&self, timeout: Duration) -> Result<(), BackendError> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).flush(timeout)
    }

    fn shutdown(&self, timeout: Duration) -> Result<(), BackendError> {
        self.flush(timeout)
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

impl File {
    fn lines(&self, batch: &Batch<'_>) -> Result<Vec<u8>, BackendError> {
        match (batch.signal, &self.format) {
            (Signal::Traces, Format::OtlpJson) => otlp_json::line(&spans::decode(batch.body)?),
            (Signal::Traces, Format::Text { attributes }) => {
                Ok(readable::lines(&spans::decode(batch.body)?, attributes))
            }
            (Signal::Metrics, Format::OtlpJson) => metrics_json::line(&metrics::decode(batch.body)?),
            (Signal::Metrics, Format::Text { .. }) => Ok(readable_metrics::lines(&metrics::decode(batch.body)?)),
            (other, _) => Err(BackendError::unsupported(format!("{other:?} are not written"))),
        }
    }
}

export_plugin!(File);
