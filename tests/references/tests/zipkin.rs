//! Our Zipkin JSON means what that of `opentelemetry-zipkin` means.
//!
//! Differences that are accepted, each undone by [`with_our_improvements`] on the reference's side:
//! - it gives a root the parent 0000000000000000, which Zipkin drops: we leave it out;
//! - it names no service: since its version 0.28 the resource does not reach it;
//! - it has no remote endpoint, so that Zipkin draws no dependencies;
//! - it loses the links; we keep them as tags, in the form of the OpenTelemetry Collector;
//! - it calls the scope `otel.library.*`, the name before OpenTelemetry 1.14.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(deprecated, reason = "the reference is deprecated: that is why it is one")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::Link;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_sdk::trace::{SpanData, SpanExporter, SpanLinks};
use opentelemetry_zipkin::ZipkinExporter;
use tracer_plugin_zipkin::Zipkin;
use tracer_resolver_references::{SCOPE, SERVICE, Sample, otlp, reference_types, samples};
use words::LIMIT;
use words::backend::{create, export_bytes};
use words::receivers::ZipkinReceiver;

reference_types!(opentelemetry, opentelemetry_sdk);

#[test]
fn the_same_spans_mean_the_same_as_from_the_reference() {
    let samples = samples();
    let ours = from_our_plugin(&samples);
    let reference = from_the_reference(&samples);
    assert_eq!((ours.len(), reference.len()), (samples.len(), samples.len()));
    for ((ours, reference), sample) in ours.into_iter().zip(reference).zip(&samples) {
        assert_eq!(ours, with_our_improvements(reference, sample), "{}", sample.name);
    }
}

fn from_our_plugin(samples: &[Sample]) -> Vec<serde_json::Value> {
    let zipkin = ZipkinReceiver::start().unwrap();
    let backend: Zipkin = create(&serde_json::json!({"endpoint": zipkin.endpoint()})).unwrap();
    export_bytes(&backend, &otlp(samples), samples.len() as u32, LIMIT).unwrap();
    serde_json::from_slice(&zipkin.server().requests().first().unwrap().body).unwrap()
}

fn from_the_reference(samples: &[Sample]) -> Vec<serde_json::Value> {
    let client = CapturingClient::default();
    let exporter = ZipkinExporter::builder().with_http_client(client.clone()).build().unwrap();
    futures_executor::block_on(exporter.export(samples.iter().map(span_data).collect())).unwrap();
    let body = client.body.lock().unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn with_our_improvements(mut reference: serde_json::Value, sample: &Sample) -> serde_json::Value {
    let span = reference.as_object_mut().unwrap();
    if span["parentId"] == "0000000000000000" {
        span.remove("parentId");
    }
    assert_eq!(span["localEndpoint"], serde_json::json!({}));
    span.insert("localEndpoint".to_owned(), serde_json::json!({"serviceName": SERVICE}));
    // Both say "false", which is what leaving them out means.
    assert_eq!((span.remove("debug"), span.remove("shared")), (Some(false.into()), Some(false.into())));
    let tags = span["tags"].as_object_mut().unwrap();
    let (name, version) = (tags.remove("otel.library.name").unwrap(), tags.remove("otel.library.version").unwrap());
    tags.insert("otel.scope.name".to_owned(), name);
    tags.insert("otel.scope.version".to_owned(), version);
    let (trace, id) = sample.links.first().unwrap();
    tags.insert("otlp.link.0".to_owned(), format!("{trace:032x}|{id:016x}||{{}}|0").into());
    reference
}

fn span_data(sample: &Sample) -> SpanData {
    let mut links = SpanLinks::default();
    links.links = sample.links.iter().map(|(trace, span)| Link::with_context(context(*trace, *span))).collect();
    SpanData {
        span_context: context(sample.trace_id, sample.span_id),
        parent_span_id: SpanId::from(sample.parent_span_id),
        parent_span_is_remote: false,
        span_kind: kind(sample),
        name: sample.name.clone().into(),
        start_time: time(sample.start),
        end_time: time(sample.end),
        attributes: attributes(sample),
        dropped_attributes_count: 0,
        events: events(sample),
        links,
        status: status(sample),
        instrumentation_scope: InstrumentationScope::builder(SCOPE.0).with_version(SCOPE.1).build(),
    }
}

/// Keeps the last body it was to send.
#[derive(Clone, Debug, Default)]
struct CapturingClient {
    body: Arc<Mutex<Vec<u8>>>,
}

#[async_trait::async_trait]
impl HttpClient for CapturingClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        *self.body.lock().unwrap() = request.into_body().to_vec();
        Ok(Response::new(Bytes::new()))
    }
}

#[test]
fn the_schema_and_the_plugin_think_alike() {
    tracer_resolver_references::assert_alike_by_http::<Zipkin>(&[
        serde_json::json!({"endpoint": "zipkin:9411"}),
        serde_json::json!({"resource_tags": false}),
        serde_json::json!({"resource_tags": "no"}),
    ]);
}
