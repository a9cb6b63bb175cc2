//! Our Thrift means what that of `opentelemetry-jaeger` means, and a collector reads the same from our two protocols.
//!
//! Differences that are accepted, each undone by [`with_our_improvements`] on the reference's side:
//! - it repeats `service.name` as a tag of the process;
//! - it calls the scope `otel.library.*`, the name before OpenTelemetry 1.14.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(deprecated, reason = "the reference is deprecated: that is why it is one")]

use std::borrow::Cow;

use opentelemetry_023::KeyValue;
use opentelemetry_023::trace::Link;
use opentelemetry_sdk_023::export::trace::{SpanData, SpanExporter};
use opentelemetry_sdk_023::trace::{Config, SpanLinks};
use opentelemetry_sdk_023::{InstrumentationLibrary, Resource};
use tracer_plugin_jaeger::Jaeger;
use tracer_resolver_references::{SCOPE, SERVICE, Sample, otlp, reference_types, samples};
use words::LIMIT;
use words::backend::{create, export_bytes};
use words::receivers::{JaegerReceiver, ReceivedSpan};

reference_types!(opentelemetry_023, opentelemetry_sdk_023);

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
    let backend: Jaeger = create(&serde_json::json!({"transport": transport, "endpoint": endpoint})).unwrap();
    export_bytes(&backend, &otlp(samples), samples.len() as u32, LIMIT).unwrap();
    jaeger.wait_for(samples.len(), LIMIT)
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
    jaeger.wait_for(samples.len(), LIMIT)
}

fn with_our_improvements(mut reference: ReceivedSpan) -> ReceivedSpan {
    let mut resource = (*reference.resource).clone();
    assert_eq!(resource.remove("service.name").unwrap(), SERVICE);
    reference.resource = resource.into();
    let (name, version) = (
        reference.attributes.remove("otel.library.name").unwrap(),
        reference.attributes.remove("otel.library.version").unwrap(),
    );
    reference.scope = SCOPE.0.into();
    reference.attributes.insert("otel.scope.name".to_owned(), name);
    reference.attributes.insert("otel.scope.version".to_owned(), version);
    reference
}

fn span_data(sample: &Sample) -> SpanData {
    let mut links = SpanLinks::default();
    links.links = sample.links.iter().map(|(trace, span)| Link::new(context(*trace, *span), Vec::new(), 0)).collect();
    SpanData {
        span_context: context(sample.trace_id, sample.span_id),
        parent_span_id: SpanId::from(sample.parent_span_id),
        span_kind: kind(sample),
        name: sample.name.clone().into(),
        start_time: time(sample.start),
        end_time: time(sample.end),
        attributes: attributes(sample),
        dropped_attributes_count: 0,
        events: events(sample),
        links,
        status: status(sample),
        resource: Cow::Owned(Resource::empty()),
        instrumentation_lib: InstrumentationLibrary::builder(SCOPE.0).with_version(SCOPE.1).build(),
    }
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
