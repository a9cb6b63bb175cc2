//! Our Thrift means what that of `opentelemetry-jaeger` means, and a collector reads the same from our two protocols.
//!
//! Differences that are accepted, each undone by [`with_our_improvements`] on the reference's side:
//! - it repeats `service.name` as a tag of the process;
//! - it calls the scope `otel.library.*`, the name before OpenTelemetry 1.14.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(deprecated, reason = "the reference is deprecated: that is why it is one")]

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry_023::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_023::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk_023::export::trace::{SpanData, SpanExporter};
use opentelemetry_sdk_023::trace::{Config, SpanEvents, SpanLinks};
use opentelemetry_sdk_023::{InstrumentationLibrary, Resource};
use tracer_plugin_api::{Backend, Batch, CreateArgs};
use tracer_plugin_jaeger::Jaeger;
use tracer_resolver_references::{SCOPE, SERVICE, Sample, SampleValue, otlp, samples};
use words::receivers::{JaegerReceiver, ReceivedSpan};

#[test]
fn the_same_spans_mean_the_same_to_an_agent_as_from_the_reference() {
    let samples = samples();
    let jaeger = JaegerReceiver::start().unwrap();
    let ours = from_our_plugin(&jaeger, "thrift_udp", &jaeger.agent_endpoint(), &samples);
    let reference: Vec<_> = from_the_reference(&samples).into_iter().map(with_our_improvements).collect();
    assert_eq!(reference.len(), samples.len());
    assert_eq!(ours, reference);
}

#[test]
fn the_same_spans_mean_the_same_to_a_collector_as_to_an_agent() {
    let samples = samples();
    let (collector, agent) = (JaegerReceiver::start().unwrap(), JaegerReceiver::start().unwrap());
    let to_collector = from_our_plugin(&collector, "thrift_http", &collector.collector_endpoint(), &samples);
    let to_agent = from_our_plugin(&agent, "thrift_udp", &agent.agent_endpoint(), &samples);
    assert_eq!(to_collector.len(), samples.len());
    assert_eq!(to_collector, to_agent);
}

fn from_our_plugin(jaeger: &JaegerReceiver, transport: &str, endpoint: &str, samples: &[Sample]) -> Vec<ReceivedSpan> {
    let config = serde_json::json!({"transport": transport, "endpoint": endpoint}).to_string();
    let backend = Jaeger::create(&CreateArgs::detached("jaeger", &config)).unwrap();
    let batch = Batch { body: &otlp(samples), span_count: samples.len() as u32, attempt: 1, batch_id: 1 };
    backend.export(&batch, Duration::from_secs(10)).unwrap();
    jaeger.wait_for(samples.len(), Duration::from_secs(10))
}

fn from_the_reference(samples: &[Sample]) -> Vec<ReceivedSpan> {
    let jaeger = JaegerReceiver::start().unwrap();
    let resource = Resource::new([KeyValue::new("service.name", SERVICE)]);
    let mut exporter = opentelemetry_jaeger::new_agent_pipeline()
        .with_endpoint(jaeger.agent_endpoint())
        .with_trace_config(Config::default().with_resource(resource))
        .with_auto_split_batch(true)
        .build_sync_agent_exporter()
        .unwrap();
    let spans = samples.iter().map(span_data).collect();
    futures_executor::block_on(exporter.export(spans)).unwrap();
    jaeger.wait_for(samples.len(), Duration::from_secs(10))
}

fn with_our_improvements(mut reference: ReceivedSpan) -> ReceivedSpan {
    assert_eq!(reference.resource.remove("service.name").unwrap(), SERVICE);
    let (name, version) = (
        reference.attributes.remove("otel.library.name").unwrap(),
        reference.attributes.remove("otel.library.version").unwrap(),
    );
    reference.scope = SCOPE.0.to_owned();
    reference.attributes.insert("otel.scope.name".to_owned(), name);
    reference.attributes.insert("otel.scope.version".to_owned(), version);
    reference
}

fn span_data(sample: &Sample) -> SpanData {
    let context = |trace: u128, span: u64| {
        SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::SAMPLED, false, TraceState::NONE)
    };
    let mut events = SpanEvents::default();
    events.events = sample.events.iter().map(|(name, at)| Event::new(*name, time(*at), Vec::new(), 0)).collect();
    let mut links = SpanLinks::default();
    links.links = sample.links.iter().map(|(trace, span)| Link::new(context(*trace, *span), Vec::new(), 0)).collect();
    SpanData {
        span_context: context(sample.trace_id, sample.span_id),
        parent_span_id: SpanId::from(sample.parent_span_id),
        span_kind: match sample.kind {
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        name: sample.name.clone().into(),
        start_time: time(sample.start),
        end_time: time(sample.end),
        attributes: sample.attributes.iter().map(|(key, value)| KeyValue::new(*key, attribute(value))).collect(),
        dropped_attributes_count: 0,
        events,
        links,
        status: match sample.status {
            (1, _) => Status::Ok,
            (2, description) => Status::error(description),
            _ => Status::Unset,
        },
        resource: Cow::Owned(Resource::empty()),
        instrumentation_lib: InstrumentationLibrary::builder(SCOPE.0).with_version(SCOPE.1).build(),
    }
}

fn attribute(value: &SampleValue) -> Value {
    match value {
        SampleValue::Text(text) => (*text).into(),
        SampleValue::Int(number) => (*number).into(),
        SampleValue::Double(number) => (*number).into(),
        SampleValue::Bool(truth) => (*truth).into(),
        SampleValue::Ints(numbers) => Value::Array(Array::I64(numbers.clone())),
        SampleValue::Texts(texts) => {
            Value::Array(Array::String(texts.iter().map(|text| StringValue::from(*text)).collect()))
        }
    }
}

fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

#[test]
fn the_schema_and_the_plugin_think_alike() {
    tracer_resolver_references::assert_alike_by_http::<Jaeger>(&[
        serde_json::json!({"transport": "otlp_http"}),
        serde_json::json!({"transport": "grpc"}),
        serde_json::json!({"transport": "thrift_http", "endpoint": "http://h:14268"}),
        serde_json::json!({"transport": "thrift_udp", "endpoint": "h:6831", "max_packet_size": 9000}),
        serde_json::json!({"transport": "thrift_udp", "max_packet_size": 999}),
        serde_json::json!({"transport": "thrift_udp", "max_packet_size": 65508}),
    ]);
}
