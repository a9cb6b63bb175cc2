//! A backend plugin as anybody would write one: `lines` prints every span as one line to stderr.
//!
//! ```toml
//! [backends.terminal]
//! plugin = "lines"
//! config = { attributes = ["messaging.kafka.offset"] }
//! ```
//!
//! Queueing, batching, retry and the watchdog are the host's; what is left is `validate`, `create` and `export`.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde::Deserialize;
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, export_plugin};

/// One line per span, to stderr.
pub struct Lines {
    settings: Settings,
}

/// The `config` of a backend.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Attributes to show, where a span has them.
    attributes: Vec<String>,
}

impl Backend for Lines {
    const TYPE_NAME: &'static str = "lines";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = r#"{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "attributes": {
                "description": "Attributes to show, where a span has them.",
                "type": "array",
                "items": { "type": "string" }
            }
        }
    }"#;
    const NETWORK: bool = false;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        let settings = Settings::parse(config_json)?;
        // What a schema cannot say well; the host shows the line of the file that the pointer means.
        match settings.attributes.iter().position(|key| key.trim().is_empty()) {
            Some(index) => Err(BackendError::config(format!("/attributes/{index}"), "an attribute has a name")),
            None => Ok(()),
        }
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        Ok(Self { settings: Settings::parse(args.config_json)? })
    }

    fn export(&self, batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
        let request = ExportTraceServiceRequest::decode(batch.body)
            .map_err(|error| BackendError::permanent(format!("not an OTLP batch: {error}")))?;
        let lines = self.lines(&request);
        // One write, so that lines of several threads do not mix. A full disk may have room later: worth another try.
        std::io::stderr().lock().write_all(lines.as_bytes()).map_err(|error| BackendError::retryable(error.to_string()))
    }
}

impl Lines {
    fn lines(&self, request: &ExportTraceServiceRequest) -> String {
        let mut lines = String::new();
        for resource_spans in &request.resource_spans {
            let attributes = resource_spans.resource.iter().flat_map(|resource| &resource.attributes);
            let service = attributes.filter(|attribute| attribute.key == "service.name").map(text).next();
            let service = service.unwrap_or_else(|| "unknown_service".to_owned());
            for span in resource_spans.scope_spans.iter().flat_map(|scope_spans| &scope_spans.spans) {
                self.line(&mut lines, &service, span);
            }
        }
        lines
    }

    fn line(&self, lines: &mut String, service: &str, span: &Span) {
        let trace: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let micros = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1_000;
        let failed = span.status.as_ref().filter(|status| status.code() == StatusCode::Error);
        // Writing into a `String` cannot fail.
        let _ = write!(lines, "{trace} {service:<12} {:<28} {micros:>8} us", span.name);
        if let Some(status) = failed {
            let _ = write!(lines, " failed: {}", status.message);
        }
        for attribute in span.attributes.iter().filter(|attribute| self.settings.attributes.contains(&attribute.key)) {
            let _ = write!(lines, " {}={}", attribute.key, text(attribute));
        }
        lines.push('\n');
    }
}

impl Settings {
    fn parse(config_json: &str) -> Result<Self, BackendError> {
        serde_json::from_str(config_json).map_err(|error| BackendError::config("", error.to_string()))
    }
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref() {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        Some(AnyValue { value: Some(Value::BoolValue(truth)) }) => truth.to_string(),
        Some(AnyValue { value: Some(Value::DoubleValue(number)) }) => number.to_string(),
        other => format!("{other:?}"),
    }
}

export_plugin!(Lines);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_attribute_is_refused_with_its_place() {
        let error = Lines::validate(r#"{"attributes": ["a", " "]}"#).unwrap_err();
        assert_eq!(error.pointer(), "/attributes/1");
    }

    #[test]
    fn a_batch_that_is_not_otlp_is_refused_for_ever() {
        let lines = Lines::create(&CreateArgs::detached("terminal", "{}")).unwrap();
        let batch = Batch::first_try(tracer_plugin_api::Signal::Traces, b"\xff\xff\xff", 1, 1);
        let error = lines.export(&batch, Duration::from_secs(1)).unwrap_err();
        assert!(error.message().starts_with("not an OTLP batch"), "{error}");
    }
}
