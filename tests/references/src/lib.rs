//! The same spans in two forms: as OTLP, for our plugins, and as plain data, from which the tests make what the
//! reference exporters take.
//!
//! The references are built on two versions of OpenTelemetry, whose types have the same names: [`reference_types`] makes what
//! is the same for both.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its words too")]

mod authority;
mod grpc_server;
mod plugin_symbols;
mod reference_types;
mod schema;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

pub use authority::Authority;
pub use grpc_server::{Accepting, Call, Duplex, GrpcReply, GrpcServer, Outcome};
pub use plugin_symbols::exported_symbols;
pub use schema::{assert_alike, assert_alike_by_http};

/// A span as plain data.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Of all samples together one trace.
    pub trace_id: u128,
    /// Not zero.
    pub span_id: u64,
    /// Zero for a root.
    pub parent_span_id: u64,
    /// The name.
    pub name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// One of each type that OpenTelemetry's API has.
    pub attributes: Vec<(&'static str, SampleValue)>,
    /// Name and time.
    pub events: Vec<(&'static str, u64)>,
    /// Trace and span.
    pub links: Vec<(u128, u64)>,
    /// OTLP's number, 0 unset, 1 ok, 2 error, and the description.
    pub status: (i32, &'static str),
}

/// The value of an attribute.
#[derive(Clone, Debug)]
pub enum SampleValue {
    /// Text.
    Text(&'static str),
    /// A signed number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// Several numbers.
    Ints(Vec<i64>),
    /// Several texts.
    Texts(Vec<&'static str>),
}

/// The service the spans are of.
pub const SERVICE: &str = "orders";
/// The instrumentation scope the spans are of, and its version.
pub const SCOPE: (&str, &str) = ("sample", "1.0");
/// The start of the first span.
pub const START: u64 = 1_700_000_000_000_123_000;

/// Every kind with every status, with ids whose top bits are set, and with nothing left out.
pub fn samples() -> Vec<Sample> {
    let kinds = 1..=5;
    let statuses = [(0, ""), (1, ""), (2, "no leader"), (2, "")];
    let cases = kinds.flat_map(|kind| statuses.map(|status| (kind, status)));
    cases
        .zip(0_u64..)
        .map(|((kind, status), number)| Sample {
            trace_id: 0xf0e1_d2c3_b4a5_9687_8796_a5b4_c3d2_e1f0,
            span_id: 0xff00_0000_0000_0001 + number,
            parent_span_id: if number == 0 { 0 } else { 0xff00_0000_0000_0001 },
            name: format!("span {number} \"ü\""),
            kind,
            start: START + number * 10_000 + 999,
            end: START + number * 10_000 + 999 + 5_500,
            attributes: vec![
                ("text", SampleValue::Text("a \"b\" ü\n")),
                ("int", SampleValue::Int(i64::MIN)),
                ("double", SampleValue::Double(-0.125)),
                ("bool", SampleValue::Bool(false)),
                ("ints", SampleValue::Ints(vec![1, -2])),
                ("texts", SampleValue::Texts(vec!["x", "y"])),
            ],
            events: vec![("acknowledged", START + 1_999), ("again", START + 3_000)],
            links: vec![(0x8000_0000_0000_0000_0000_0000_0000_0001, 0x8000_0000_0000_0002)],
            status,
        })
        .collect()
}

/// The samples as the body of a batch.
pub fn otlp(samples: &[Sample]) -> Vec<u8> {
    let scope = InstrumentationScope { name: SCOPE.0.to_owned(), version: SCOPE.1.to_owned(), ..Default::default() };
    let spans = samples.iter().map(span).collect();
    let resource_spans = ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", &SampleValue::Text(SERVICE))],
            ..Default::default()
        }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
        ..Default::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

fn span(sample: &Sample) -> Span {
    let parent = sample.parent_span_id;
    Span {
        trace_id: sample.trace_id.to_be_bytes().to_vec(),
        span_id: sample.span_id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: sample.name.clone(),
        kind: SpanKind::try_from(sample.kind).unwrap_or_default().into(),
        flags: 1,
        start_time_unix_nano: sample.start,
        end_time_unix_nano: sample.end,
        attributes: sample.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        events: sample
            .events
            .iter()
            .map(|(name, time)| Event { name: (*name).to_owned(), time_unix_nano: *time, ..Default::default() })
            .collect(),
        links: sample
            .links
            .iter()
            .map(|(trace, span)| Link {
                trace_id: trace.to_be_bytes().to_vec(),
                span_id: span.to_be_bytes().to_vec(),
                ..Default::default()
            })
            .collect(),
        status: Some(Status { code: sample.status.0, message: sample.status.1.to_owned() }),
        ..Default::default()
    }
}

fn attribute(key: &str, value: &SampleValue) -> KeyValue {
    let array = |values: Vec<Value>| {
        let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
        Value::ArrayValue(ArrayValue { values })
    };
    let value = match value {
        SampleValue::Text(text) => Value::StringValue((*text).to_owned()),
        SampleValue::Int(number) => Value::IntValue(*number),
        SampleValue::Double(number) => Value::DoubleValue(*number),
        SampleValue::Bool(truth) => Value::BoolValue(*truth),
        SampleValue::Ints(numbers) => array(numbers.iter().map(|number| Value::IntValue(*number)).collect()),
        SampleValue::Texts(texts) => array(texts.iter().map(|text| Value::StringValue((*text).to_owned())).collect()),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
