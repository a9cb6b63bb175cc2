//! Attributes as Jaeger's typed tags.

use std::borrow::Cow;

use tracer_plugin_kit::spans::otlp::{InstrumentationScope, KeyValue, Span, SpanKind, Value};
use tracer_plugin_kit::spans::{span_notes, value_text};

/// A key with a value of one of Jaeger's five types.
#[derive(Debug, PartialEq)]
pub(crate) struct Tag<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: TagValue<'a>,
}

/// The value of a tag.
#[derive(Debug, PartialEq)]
pub(crate) enum TagValue<'a> {
    Text(Cow<'a, str>),
    Double(f64),
    Bool(bool),
    Long(i64),
    Binary(&'a [u8]),
}

impl<'a> Tag<'a> {
    pub(crate) fn text(key: &'a str, text: &'a str) -> Self {
        Tag { key, value: TagValue::Text(Cow::Borrowed(text)) }
    }

    /// Arrays and maps become JSON text: Jaeger has no type for them.
    pub(crate) fn of(attribute: &'a KeyValue) -> Self {
        let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::BoolValue(truth)) => TagValue::Bool(*truth),
            Some(Value::IntValue(number)) => TagValue::Long(*number),
            Some(Value::DoubleValue(number)) => TagValue::Double(*number),
            Some(Value::BytesValue(bytes)) => TagValue::Binary(bytes),
            _ => TagValue::Text(value_text(attribute.value.as_ref())),
        };
        Tag { key: &attribute.key, value }
    }
}

/// The tags of a span: its attributes, and what else Jaeger has no field for. Ours replace attributes of the same key,
/// but for `span.kind`, which an application may set to say what OpenTelemetry has no kind for.
pub(crate) fn span_tags<'a>(scope: Option<&'a InstrumentationScope>, span: &'a Span) -> Vec<Tag<'a>> {
    let notes = span_notes(scope, span);
    let mut ours: Vec<Tag<'a>> = notes.texts.iter().map(|(key, text)| Tag::text(key, text)).collect();
    ours.extend(notes.numbers.iter().map(|(key, number)| Tag { key, value: TagValue::Long(*number) }));
    if let Some(description) = notes.error {
        ours.push(Tag { key: "error", value: TagValue::Bool(true) });
        if !description.is_empty() {
            ours.push(Tag::text("otel.status_description", description));
        }
    }
    let kind = kind_tag(span).filter(|_| span.attributes.iter().all(|attribute| attribute.key != "span.kind"));
    ours.extend(kind);
    let theirs = span.attributes.iter().filter(|attribute| ours.iter().all(|tag| tag.key != attribute.key));
    let mut tags: Vec<Tag<'a>> = theirs.map(Tag::of).collect();
    tags.append(&mut ours);
    tags
}

fn kind_tag(span: &Span) -> Option<Tag<'static>> {
    let kind = match span.kind() {
        SpanKind::Unspecified | SpanKind::Internal => return None,
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    };
    Some(Tag::text("span.kind", kind))
}

#[cfg(test)]
mod tests {
    use tracer_plugin_kit::spans::otlp::{AnyValue, ArrayValue, Status, StatusCode};

    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    }

    #[test]
    fn every_type_keeps_its_type_and_the_rest_is_json() {
        let array = ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(1)) }] };
        let value = |value| format!("{:?}", Tag::of(&attribute("k", value)).value);
        assert_eq!(value(Value::StringValue("x".into())), r#"Text("x")"#);
        assert_eq!(value(Value::IntValue(-1)), "Long(-1)");
        assert_eq!(value(Value::DoubleValue(0.5)), "Double(0.5)");
        assert_eq!(value(Value::BoolValue(true)), "Bool(true)");
        assert_eq!(value(Value::BytesValue(vec![1])), "Binary([1])");
        assert_eq!(value(Value::ArrayValue(array)), r#"Text("[1]")"#);
    }

    #[test]
    fn a_failed_span_is_marked_and_an_attribute_does_not_deny_it() {
        let status = Some(Status { code: StatusCode::Error.into(), message: "no leader".into() });
        let span = Span { status, attributes: vec![attribute("error", Value::BoolValue(false))], ..Default::default() };
        let expected = [
            Tag::text("otel.status_code", "ERROR"),
            Tag { key: "error", value: TagValue::Bool(true) },
            Tag::text("otel.status_description", "no leader"),
        ];
        assert_eq!(span_tags(None, &span), expected);
    }

    #[test]
    fn the_kind_is_a_tag_unless_it_is_internal_or_the_application_says_otherwise() {
        let producer = Span { kind: SpanKind::Producer.into(), ..Default::default() };
        assert_eq!(span_tags(None, &producer), [Tag::text("span.kind", "producer")]);
        let internal = Span { kind: SpanKind::Internal.into(), ..Default::default() };
        assert_eq!(span_tags(None, &internal), []);
        let own = attribute("span.kind", Value::StringValue("relay".into()));
        let relay = Span { attributes: vec![own], ..producer };
        assert_eq!(span_tags(None, &relay), [Tag::text("span.kind", "relay")]);
    }
}
