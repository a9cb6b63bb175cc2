//! OTLP batches to send through a backend.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// The start of the first sample span: nanoseconds since 1970, whole microseconds.
pub const START: u64 = 1_700_000_000_000_123_000;

/// `orders` sends, `payments` receives it in the same trace and fails: every field that a format may lose is filled.
pub fn order_and_payment() -> ExportTraceServiceRequest {
    let sent = Span {
        name: "send orders".to_owned(),
        kind: SpanKind::Producer.into(),
        attributes: vec![
            attribute("messaging.system", Value::StringValue("kafka".to_owned())),
            attribute("messaging.operation.type", Value::StringValue("send".to_owned())),
            attribute("messaging.destination.name", Value::StringValue("orders".to_owned())),
            attribute("messaging.kafka.offset", Value::IntValue(42)),
            attribute("share", Value::DoubleValue(0.25)),
            attribute("retried", Value::BoolValue(true)),
            attribute(
                "isr",
                Value::ArrayValue(ArrayValue { values: [1, 2].map(|i| any(Value::IntValue(i))).to_vec() }),
            ),
        ],
        events: vec![Event {
            time_unix_nano: START + 2_000,
            name: "acknowledged".to_owned(),
            attributes: vec![attribute("partition", Value::IntValue(3))],
            ..Default::default()
        }],
        trace_state: "vendor=1".to_owned(),
        flags: 1,
        ..span(1, START)
    };
    let received = Span {
        name: "process orders".to_owned(),
        kind: SpanKind::Consumer.into(),
        parent_span_id: sent.span_id.clone(),
        attributes: vec![
            attribute("messaging.system", Value::StringValue("kafka".to_owned())),
            attribute("messaging.operation.type", Value::StringValue("process".to_owned())),
        ],
        links: vec![Link { trace_id: vec![0xee; 16], span_id: vec![0xdd; 8], ..Default::default() }],
        status: Some(Status { code: StatusCode::Error.into(), message: "card refused".to_owned() }),
        // As by writers from before OTLP had the field.
        flags: 0,
        ..span(2, START + 5_000)
    };
    ExportTraceServiceRequest {
        resource_spans: vec![of_service("orders", vec![sent]), of_service("payments", vec![received])],
    }
}

/// `count` small spans of one service.
pub fn many(service: &str, count: u32) -> ExportTraceServiceRequest {
    let spans = (1..=count).map(|i| span(i, START + u64::from(i) * 1_000)).collect();
    ExportTraceServiceRequest { resource_spans: vec![of_service(service, spans)] }
}

/// The bytes of a batch.
pub fn bytes(request: &ExportTraceServiceRequest) -> Vec<u8> {
    request.encode_to_vec()
}

/// How many spans a batch has.
pub fn count(request: &ExportTraceServiceRequest) -> u32 {
    let spans = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    spans.map(|scope| scope.spans.len() as u32).sum()
}

/// The spans of a service, under a scope called `sample`.
pub fn of_service(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let attributes = vec![
        attribute("service.name", Value::StringValue(service.to_owned())),
        attribute("host.name", Value::StringValue("host-1".to_owned())),
    ];
    let scope = InstrumentationScope { name: "sample".to_owned(), version: "1.0".to_owned(), ..Default::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
        ..Default::default()
    }
}

/// A root span of one trace, `number` in its id, three microseconds long.
pub fn span(number: u32, start: u64) -> Span {
    Span {
        trace_id: (0xa0..0xb0).collect(),
        span_id: [&[0xc0, 0, 0, 0][..], &number.to_be_bytes()].concat(),
        name: "work".to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 3_000,
        ..Default::default()
    }
}

/// A key and a value.
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
