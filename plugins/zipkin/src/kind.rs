//! The kind of a span in Zipkin's sense.

use serde::Serialize;
use tracer_plugin_kit::spans::otlp::{Span, SpanKind, Value};

/// Which side of a call or of a message a span is. Internal spans have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    Client,
    Server,
    Producer,
    Consumer,
}

impl Kind {
    /// OpenTelemetry's kind, but for messaging spans of kind CLIENT.
    ///
    /// The conventions give that kind to `receive`, and to a `send` that has a span for each message beside it. Taken as
    /// it stands, Zipkin would draw a receiving service as a caller of the broker: the arrow the wrong way round.
    pub(crate) fn of(span: &Span) -> Option<Self> {
        match span.kind() {
            SpanKind::Unspecified | SpanKind::Internal => None,
            SpanKind::Server => Some(Kind::Server),
            SpanKind::Producer => Some(Kind::Producer),
            SpanKind::Consumer => Some(Kind::Consumer),
            SpanKind::Client => Some(match text(span, "messaging.operation.type") {
                Some("receive" | "process") => Kind::Consumer,
                Some("send" | "create" | "publish") => Kind::Producer,
                _ => Kind::Client,
            }),
        }
    }
}

/// An attribute that is text and not empty.
pub(crate) fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match &attribute.value.as_ref()?.value {
        Some(Value::StringValue(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}
