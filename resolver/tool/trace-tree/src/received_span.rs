//! A span as a backend has understood it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

/// What every backend knows of a span, in one form. What a backend's format cannot say is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedSpan {
    /// `service.name`, or what the format has for it.
    pub service: SharedText,
    /// The name of the instrumentation scope.
    pub scope: SharedText,
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
    pub resource: Resource,
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

/// A text that a batch has once for many spans: theirs is the same memory, however long it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedText(Arc<str>);

/// The attributes of a resource, which a batch has once for many spans: theirs is the same memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    attributes: Arc<BTreeMap<String, Value>>,
    /// As [`ReceivedSpan::size`] counts it: asked often, of a map that may be large.
    size: usize,
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

    /// About how much memory it takes, in bytes, with its places in the tables of whoever keeps it. What it shares with others
    /// counts as its own: it is the last that keeps it, once the others are gone, and is shown for each of them.
    pub fn size(&self) -> usize {
        let texts: [&str; 5] = [&self.service, &self.scope, &self.name, &self.status_message, &self.trace_state];
        let events: usize = self.events.iter().map(|(name, _)| name.len() + 32).sum();
        A_SPAN
            + texts.iter().map(|text| text.len()).sum::<usize>()
            + of_pairs(&self.attributes)
            + self.resource.size
            + self.links.len() * 128
            + events
    }
}

impl SharedText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SharedText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl From<String> for SharedText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for SharedText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq<&str> for SharedText {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for SharedText {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl Deref for Resource {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.attributes
    }
}

impl From<BTreeMap<String, Value>> for Resource {
    fn from(attributes: BTreeMap<String, Value>) -> Self {
        Self { size: of_pairs(&attributes), attributes: Arc::new(attributes) }
    }
}

/// A value as text: texts as they are, anything else as JSON.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn of_pairs(pairs: &BTreeMap<String, Value>) -> usize {
    pairs.iter().map(|(key, value)| key.len() + of_value(value)).sum()
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
