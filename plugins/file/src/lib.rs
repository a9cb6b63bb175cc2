//! Backend plugin `file`: OTLP/JSON lines, the format of OpenTelemetry's file exporter, or lines for people.
//!
//! ```text
//!   OTLP bytes ──▶ decode ─┬▶ otlp_json: one line per batch ─┬▶ output: stdout, stderr, or a rotated file
//!                          └▶ readable:  one line per span ──┘
//! ```

#![forbid(unsafe_code)]

mod otlp_json;
mod output;
mod readable;
mod rotated_file;
mod settings;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, LogLevel, Stats, export_plugin};
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
            let request = spans::decode(batch.body)?;
            let lines = match &self.format {
                Format::OtlpJson => otlp_json::line(&request)?,
                Format::Text { attributes } => readable::lines(&request, attributes),
            };
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_lines(&lines, timeout, &self.counters)?;
            self.counters.bytes_sent(lines.len());
            Ok(())
        })
    }

    fn flush(&self, _timeout: Duration) -> Result<(), BackendError> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    fn shutdown(&self, timeout: Duration) -> Result<(), BackendError> {
        self.flush(timeout)
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

export_plugin!(File);
