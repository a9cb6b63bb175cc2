//! A span as a backend has understood it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What every backend knows of a span, in one form. What a backend's format cannot say is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedSpan {
    /// `service.name`, or what the format has for it.
    pub service: String,
    /// The name of the instrumentation scope.
    pub scope: String,
    /// The name of the span.
    pub name: String,
    /// `internal`, `client`, `server`, `producer` or `consumer`; empty if it was not said.
    pub kind: String,
    /// 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// 16 lower-case hexadecimal digits.
    pub span_id: String,
    /// 16 lower-case hexadecimal digits; empty for a root.
    pub parent_span_id: String,
    /// The spans this one refers to, the parent not among them.
    pub links: Vec<ReceivedLink>,
    /// Attributes or tags; Zipkin's are all text. Tags that the format uses for other fields are left in.
    pub attributes: BTreeMap<String, Value>,
    /// The attributes of the resource, or of Jaeger's process.
    pub resource: BTreeMap<String, Value>,
    /// Names and times of events, in nanoseconds since 1970.
    pub events: Vec<(String, u64)>,
    /// Nanoseconds since 1970; whole microseconds from Zipkin and Thrift.
    pub start_unix_nano: u64,
    /// Nanoseconds since 1970.
    pub end_unix_nano: u64,
    /// `unset`, `ok` or `error`.
    pub status_code: String,
    /// The description of an error.
    pub status_message: String,
    /// W3C `tracestate`.
    pub trace_state: String,
    /// W3C trace flags and, above them, OTLP's.
    pub flags: u32,
    /// Zipkin's name for the other end.
    pub remote_service: String,
}

/// What a link points to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedLink {
    /// 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// 16 lower-case hexadecimal digits.
    pub span_id: String,
}

impl ReceivedSpan {
    /// An attribute as text, whatever its type was.
    pub fn attribute(&self, key: &str) -> Option<String> {
        self.attributes.get(key).map(text)
    }

    /// How long the span was, in nanoseconds.
    pub fn duration_nano(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano)
    }

    /// Whether what it stands for went wrong.
    pub fn has_failed(&self) -> bool {
        self.status_code == "error"
    }

    /// Of which type its error was, as far as that is said.
    pub fn error_type(&self) -> String {
        self.attribute("error.type").unwrap_or_else(|| "error".to_owned())
    }

    /// The type of its error and the reason, as far as they are said.
    pub fn error(&self) -> String {
        let kind = self.error_type();
        if self.status_message.is_empty() { kind } else { format!("{kind}: {}", self.status_message) }
    }

    /// The topic, or what else a message was sent to; empty for a span that is of no message.
    pub fn topic(&self) -> &str {
        self.attributes.get("messaging.destination.name").and_then(Value::as_str).unwrap_or_default()
    }

    /// About how much memory it takes, in bytes, with its places in the tables of whoever keeps it.
    pub fn size(&self) -> usize {
        let texts = [&self.service, &self.scope, &self.name, &self.status_message, &self.trace_state];
        let pairs = self.attributes.iter().chain(&self.resource);
        let events: usize = self.events.iter().map(|(name, _)| name.len() + 32).sum();
        A_SPAN
            + texts.iter().map(|text| text.len()).sum::<usize>()
            + pairs.map(|(key, value)| key.len() + of_value(value)).sum::<usize>()
            + self.links.len() * 128
            + events
    }
}

/// A value as text: texts as they are, anything else as JSON.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn of_value(value: &Value) -> usize {
    64 + match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(of_value).sum(),
        Value::Object(pairs) => pairs.iter().map(|(key, value)| key.len() + of_value(value)).sum(),
        _ => 0,
    }
}

/// The structure itself, its ids, and its places in tables.
const A_SPAN: usize = 900;
