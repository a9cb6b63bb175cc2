//! A collector: OTLP/HTTP with protobuf bodies.

use std::collections::BTreeMap;
use std::io;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::Value;
use tracer_trace_tree::{Resource, SharedText};

use super::otlp_faults::faults_of;
use super::received_span::hex;
use super::{Protocol, ReceivedLink, ReceivedSpan, Receiver, Reply, Request, Shelf};

/// Takes `POST /v1/traces`, and `/v1/metrics`. A batch is taken as it comes and read when spans are asked for, so that this collector is as fast
/// as a real one, also where it is built without optimization. What is no batch fails the test then.
pub type OtlpReceiver = Receiver<Otlp>;

/// See [`OtlpReceiver`].
pub struct Otlp;

impl Protocol for Otlp {
    const PATH: &'static str = "";

    fn start(_: &Shelf) -> io::Result<Self> {
        Ok(Self)
    }

    fn answer(request: &Request, shelf: &Shelf) -> Reply {
        // Taken, and left to whoever looks at the requests.
        if request.path == "/v1/metrics" {
            return Reply::status(200).header("content-type", "application/x-protobuf");
        }
        if request.path != "/v1/traces" {
            return Reply::status(404);
        }
        if request.header("content-type") != Some("application/x-protobuf") {
            return Reply::status(415);
        }
        let body = request.body.clone();
        shelf.put_unread(move || {
            let batch = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let faults = faults_of(&batch);
            (received(batch), faults)
        });
        Reply::status(200).header("content-type", "application/x-protobuf")
    }
}

fn received(batch: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut spans = Vec::new();
    for resource_spans in batch.resource_spans {
        let resource = attributes(resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default());
        let resource = Resource::from(resource);
        let service = SharedText::from(resource.get("service.name").and_then(Value::as_str).unwrap_or_default());
        for scope_spans in resource_spans.scope_spans {
            let scope = SharedText::from(scope_spans.scope.map(|scope| scope.name).unwrap_or_default());
            for span in scope_spans.spans {
                spans.push(ReceivedSpan {
                    service: service.clone(),
                    scope: scope.clone(),
                    resource: resource.clone(),
                    ..received_span(span)
                });
            }
        }
    }
    spans
}

fn received_span(span: Span) -> ReceivedSpan {
    let kind = match span.kind() {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    };
    let status = span.status.unwrap_or_default();
    let status_code = match status.code() {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    };
    let link = |trace_id: &[u8], span_id: &[u8]| ReceivedLink { trace_id: hex(trace_id), span_id: hex(span_id) };
    ReceivedSpan {
        name: span.name,
        kind: kind.to_owned(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        links: span.links.iter().map(|to| link(&to.trace_id, &to.span_id)).collect(),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(|event| (event.name, event.time_unix_nano)).collect(),
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
        status_code: status_code.to_owned(),
        status_message: status.message,
        trace_state: span.trace_state,
        flags: span.flags,
        ..Default::default()
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|attribute| (attribute.key, json(attribute.value))).collect()
}

fn json(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        None | Some(OtlpValue::StringValueStrindex(_)) => Value::Null,
        Some(OtlpValue::StringValue(text)) => text.into(),
        Some(OtlpValue::BoolValue(truth)) => truth.into(),
        Some(OtlpValue::IntValue(number)) => number.into(),
        Some(OtlpValue::DoubleValue(number)) => number.into(),
        Some(OtlpValue::BytesValue(bytes)) => bytes.into(),
        Some(OtlpValue::ArrayValue(array)) => array.values.into_iter().map(|value| json(Some(value))).collect(),
        Some(OtlpValue::KvlistValue(list)) => Value::Object(attributes(list.values).into_iter().collect()),
    }
}
