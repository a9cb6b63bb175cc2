//! One span as Zipkin's JSON v2 has it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use tracer_plugin_kit::spans::otlp::{Event, InstrumentationScope, KeyValue, Resource, Span};
use tracer_plugin_kit::spans::{hex, is_set, span_notes, value_json, value_text};

use crate::kind::Kind;
use crate::remote::ZipkinEndpoint;

/// A Zipkin span; what is empty is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZipkinSpan<'a> {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Microseconds since 1970. Zipkin takes 0 for unknown.
    #[serde(skip_serializing_if = "is_zero")]
    timestamp: u64,
    /// Microseconds, at least 1: Zipkin takes 0 for a span that has not ended.
    duration: u64,
    local_endpoint: ZipkinEndpoint<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_endpoint: Option<ZipkinEndpoint<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Debug, Serialize)]
struct Annotation<'a> {
    timestamp: u64,
    value: Cow<'a, str>,
}

impl<'a> ZipkinSpan<'a> {
    /// Maps by OpenTelemetry's "OpenTelemetry to Zipkin Transformation". `resource` is given if its attributes are to
    /// become tags.
    pub(crate) fn new(
        service_name: &'a str,
        resource: Option<&'a Resource>,
        scope: Option<&'a InstrumentationScope>,
        span: &'a Span,
    ) -> Self {
        let kind = Kind::of(span);
        ZipkinSpan {
            trace_id: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent_id: is_set(&span.parent_span_id).then(|| hex(&span.parent_span_id)),
            name: &span.name,
            kind,
            timestamp: span.start_time_unix_nano / 1_000,
            duration: (span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1_000).max(1),
            local_endpoint: ZipkinEndpoint::local(service_name),
            remote_endpoint: ZipkinEndpoint::remote(kind, span),
            annotations: span.events.iter().map(annotation).collect(),
            tags: tags(resource, scope, span),
        }
    }
}

/// The name alone, or, as the specification writes it, `"name": {"key": "value"}`.
fn annotation(event: &Event) -> Annotation<'_> {
    let value = if event.attributes.is_empty() {
        Cow::Borrowed(event.name.as_str())
    } else {
        let name = serde_json::Value::from(event.name.as_str());
        let attributes = serde_json::Value::from(value_json(&event.attributes));
        Cow::Owned(format!("{name}: {attributes}"))
    };
    Annotation { timestamp: event.time_unix_nano / 1_000, value }
}

/// Later ones win: the span's own attributes over its resource's, the status over an attribute called `error`.
fn tags<'a>(
    resource: Option<&'a Resource>,
    scope: Option<&'a InstrumentationScope>,
    span: &'a Span,
) -> BTreeMap<Cow<'a, str>, Cow<'a, str>> {
    let mut tags = BTreeMap::new();
    let resource = resource.map(|resource| resource.attributes.as_slice()).unwrap_or_default();
    tags.extend(resource.iter().filter(|attribute| attribute.key != "service.name").map(tag));
    for (i, link) in span.links.iter().enumerate() {
        // The form of the OpenTelemetry Collector, which turns it into links again.
        let attributes = serde_json::Value::from(value_json(&link.attributes));
        let (trace, id, state, dropped) =
            (hex(&link.trace_id), hex(&link.span_id), &link.trace_state, link.dropped_attributes_count);
        let link = format!("{trace}|{id}|{state}|{attributes}|{dropped}");
        tags.insert(Cow::Owned(format!("otlp.link.{i}")), Cow::Owned(link));
    }
    tags.extend(span.attributes.iter().map(tag));
    let notes = span_notes(scope, span);
    tags.extend(notes.texts.iter().map(|(name, text)| (Cow::Borrowed(*name), Cow::Borrowed(*text))));
    tags.extend(notes.numbers.iter().map(|(name, number)| (Cow::Borrowed(*name), Cow::Owned(number.to_string()))));
    match notes.error {
        Some(description) => drop(tags.insert(Cow::Borrowed("error"), Cow::Borrowed(description))),
        // To Zipkin a span with this tag has failed, whatever its value.
        None => drop(tags.remove("error")),
    }
    tags
}

fn tag(attribute: &KeyValue) -> (Cow<'_, str>, Cow<'_, str>) {
    (Cow::Borrowed(&attribute.key), value_text(attribute.value.as_ref()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use tracer_plugin_kit::spans::otlp::{AnyValue, Link, SpanKind, Status, StatusCode, Value};

    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    }

    fn text(key: &str, value: &str) -> KeyValue {
        attribute(key, Value::StringValue(value.to_owned()))
    }

    fn json(span: &Span) -> serde_json::Value {
        serde_json::to_value(ZipkinSpan::new("payments", None, None, span)).unwrap()
    }

    fn messaging(kind: SpanKind, attributes: &[(&str, &str)]) -> serde_json::Value {
        let attributes = attributes.iter().map(|(key, value)| text(key, value)).collect();
        json(&Span { kind: kind.into(), attributes, ..Default::default() })
    }

    #[test]
    fn a_span_has_the_form_of_the_v2_api() {
        let span = Span {
            trace_id: vec![0xab; 16],
            span_id: vec![1; 8],
            parent_span_id: vec![2; 8],
            name: "send orders".into(),
            kind: SpanKind::Producer.into(),
            start_time_unix_nano: 1_700_000_000_000_001_999,
            end_time_unix_nano: 1_700_000_000_000_004_999,
            attributes: vec![
                text("messaging.system", "kafka"),
                attribute("messaging.kafka.offset", Value::IntValue(7)),
            ],
            events: vec![Event {
                time_unix_nano: 1_700_000_000_000_002_500,
                name: "acked".into(),
                attributes: vec![attribute("ok", Value::BoolValue(true))],
                ..Default::default()
            }],
            ..Default::default()
        };
        let expected = serde_json::json!({
            "traceId": "abababababababababababababababab", "id": "0101010101010101", "parentId": "0202020202020202",
            "name": "send orders", "kind": "PRODUCER", "timestamp": 1_700_000_000_000_001_u64, "duration": 3,
            "localEndpoint": {"serviceName": "payments"}, "remoteEndpoint": {"serviceName": "kafka"},
            "annotations": [{"timestamp": 1_700_000_000_000_002_u64, "value": "\"acked\": {\"ok\":true}"}],
            "tags": {"messaging.system": "kafka", "messaging.kafka.offset": "7"},
        });
        assert_eq!(json(&span), expected);
    }

    #[test]
    fn what_is_empty_is_left_out_and_a_span_lasts_at_least_a_microsecond() {
        let span =
            Span { trace_id: vec![1; 16], span_id: vec![1; 8], kind: SpanKind::Internal.into(), ..Default::default() };
        let expected = serde_json::json!({
            "traceId": "01010101010101010101010101010101", "id": "0101010101010101", "duration": 1,
            "localEndpoint": {"serviceName": "payments"},
        });
        assert_eq!(json(&span), expected);
    }

    #[test]
    fn both_sides_of_a_topic_name_the_same_broker() {
        let producer = messaging(SpanKind::Producer, &[("server.address", "broker-1"), ("messaging.system", "kafka")]);
        let consumer = messaging(SpanKind::Consumer, &[("server.address", "broker-2"), ("messaging.system", "kafka")]);
        assert_eq!(producer["remoteEndpoint"], serde_json::json!({"serviceName": "kafka"}));
        assert_eq!(producer["remoteEndpoint"], consumer["remoteEndpoint"]);
    }

    #[test]
    fn peer_service_wins_and_an_address_is_the_last_resort() {
        let named = messaging(SpanKind::Producer, &[("messaging.system", "kafka"), ("peer.service", "kafka-eu")]);
        assert_eq!(named["remoteEndpoint"]["serviceName"], "kafka-eu");
        let address = messaging(SpanKind::Producer, &[("server.address", "10.0.0.1")]);
        assert_eq!(address["remoteEndpoint"], serde_json::json!({"serviceName": "10.0.0.1", "ipv4": "10.0.0.1"}));
    }

    #[test]
    fn a_receiving_client_is_a_consumer_and_a_sending_one_a_producer() {
        let kind = |operation: &str| {
            let span =
                messaging(SpanKind::Client, &[("messaging.operation.type", operation), ("messaging.system", "kafka")]);
            span["kind"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            (kind("receive").as_str(), kind("send").as_str(), kind("settle").as_str()),
            ("CONSUMER", "PRODUCER", "CLIENT")
        );
    }

    #[test]
    fn a_server_span_has_no_remote_end() {
        assert!(messaging(SpanKind::Server, &[("peer.service", "x")]).get("remoteEndpoint").is_none());
    }

    #[test]
    fn only_a_failed_span_has_the_error_tag() {
        let with = |code: StatusCode, message: &str| {
            let status = Some(Status { code: code.into(), message: message.to_owned() });
            let span =
                Span { status, attributes: vec![attribute("error", Value::BoolValue(false))], ..Default::default() };
            json(&span).get("tags").cloned().unwrap_or_default()
        };
        assert_eq!(
            with(StatusCode::Error, "no leader"),
            serde_json::json!({"error": "no leader", "otel.status_code": "ERROR"})
        );
        assert_eq!(with(StatusCode::Error, ""), serde_json::json!({"error": "", "otel.status_code": "ERROR"}));
        assert_eq!(with(StatusCode::Ok, ""), serde_json::json!({"otel.status_code": "OK"}));
        assert_eq!(with(StatusCode::Unset, ""), serde_json::Value::Null);
    }

    #[test]
    fn links_resource_scope_and_trace_state_are_tags_and_the_span_wins() {
        let resource = Resource {
            attributes: vec![text("service.name", "x"), text("host.name", "h"), text("zone", "a")],
            ..Default::default()
        };
        let scope = InstrumentationScope { name: "lib".into(), version: "2".into(), ..Default::default() };
        let link = Link { trace_id: vec![3; 16], span_id: vec![4; 8], trace_state: "a=1".into(), ..Default::default() };
        let span = Span {
            links: vec![link],
            trace_state: "b=2".into(),
            attributes: vec![text("zone", "b")],
            ..Default::default()
        };
        let json = serde_json::to_value(ZipkinSpan::new("x", Some(&resource), Some(&scope), &span)).unwrap();
        let expected = serde_json::json!({
            "host.name": "h", "zone": "b", "otel.scope.name": "lib", "otel.scope.version": "2", "w3c.tracestate": "b=2",
            "otlp.link.0": "03030303030303030303030303030303|0404040404040404|a=1|{}|0",
        });
        assert_eq!(json["tags"], expected);
    }
}
