//! Spans by hand, with the attributes that the others have, the batches as large and the queues as long as helps them.

use std::borrow::Cow;
use std::time::Duration;

use fastrace::collector::Config;
use fastrace::prelude::{Span as FastraceSpan, SpanContext as FastraceContext};
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};

use crate::{Failure, Way, topic};

/// By OTEL_EXPORTER_OTLP_ENDPOINT.
fn exporter() -> Result<SpanExporter, Failure> {
    Ok(SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?)
}

fn resource() -> Resource {
    Resource::builder().with_service_name("bench").build()
}

fn attributes(operation: &'static str, kind: &'static str, partition: i32) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", topic()),
        KeyValue::new("messaging.destination.partition.id", partition.to_string()),
    ]
}

/// The headers that a propagator writes.
struct Written(Option<OwnedHeaders>);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        let headers = self.0.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(1));
        // `tracestate` is written empty where there is none.
        self.0 = Some(if value.is_empty() { headers } else { headers.insert(Header { key, value: Some(&value) }) });
    }
}

/// The headers that a propagator reads.
struct Read<'a>(&'a BorrowedMessage<'a>);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.headers()?.iter().find(|header| header.key == key)?;
        std::str::from_utf8(found.value?).ok()
    }
    fn keys(&self) -> Vec<&str> {
        self.0.headers().map(|all| all.iter().map(|header| header.key).collect()).unwrap_or_default()
    }
}

/// OpenTelemetry's SDK.
pub(crate) struct Sdk {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl Sdk {
    pub(crate) fn new() -> Result<Self, Failure> {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(1 << 20)
            .with_max_export_batch_size(8192)
            .with_scheduled_delay(Duration::from_millis(200));
        let processor = BatchSpanProcessor::builder(exporter()?).with_batch_config(batches.build()).build();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource()).build();
        Ok(Self { tracer: provider.tracer("bench"), provider, propagator: TraceContextPropagator::new() })
    }
}

impl Way for Sdk {
    type Sent = Box<Span>;

    fn sending(&self, partition: i32) -> (Option<OwnedHeaders>, Box<Span>) {
        let span = self.tracer.span_builder("send bench").with_kind(SpanKind::Producer);
        let span = span.with_attributes(attributes("send", "send", partition)).start(&self.tracer);
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        let mut headers = Written(None);
        self.propagator.inject_context(&context, &mut headers);
        (headers.0, Box::new(span))
    }

    fn delivered(&self, mut sent: Box<Span>, offset: i64) {
        sent.set_attribute(KeyValue::new("messaging.kafka.offset", offset));
        sent.end();
    }

    fn consumed(&self, message: &BorrowedMessage<'_>) -> Result<(), Failure> {
        let parent = self.propagator.extract_with_context(&Context::new(), &Read(message));
        let mut with = attributes("process", "process", message.partition());
        with.push(KeyValue::new("messaging.kafka.offset", message.offset()));
        with.push(KeyValue::new("messaging.consumer.group.name", "bench"));
        let span = self.tracer.span_builder("process bench").with_kind(SpanKind::Consumer).with_attributes(with);
        span.start_with_context(&self.tracer, &parent).end();
        Ok(())
    }

    fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(Duration::from_secs(30)) {
            eprintln!("the SDK: {error}");
        }
    }
}

/// fastrace: its spans have text for attributes, and no kind by default.
pub(crate) struct Fastrace;

impl Fastrace {
    pub(crate) fn new() -> Result<Self, Failure> {
        let scope = InstrumentationScope::builder("bench").build();
        let reporter = OpenTelemetryReporter::new(exporter()?, Cow::Owned(resource()), scope);
        fastrace::set_reporter(reporter, Config::default().report_interval(Duration::from_millis(200)));
        Ok(Self)
    }

    fn properties(operation: &'static str, partition: i32) -> [(&'static str, Cow<'static, str>); 5] {
        [
            ("messaging.system", Cow::Borrowed("kafka")),
            ("messaging.operation.name", Cow::Borrowed(operation)),
            ("messaging.operation.type", Cow::Borrowed(operation)),
            ("messaging.destination.name", Cow::Borrowed(topic())),
            ("messaging.destination.partition.id", Cow::Owned(partition.to_string())),
        ]
    }
}

impl Way for Fastrace {
    type Sent = Box<FastraceSpan>;

    fn sending(&self, partition: i32) -> (Option<OwnedHeaders>, Box<FastraceSpan>) {
        let span = FastraceSpan::root("send bench", FastraceContext::random());
        let span =
            span.with_properties(|| Self::properties("send", partition)).with_property(|| ("span.kind", "producer"));
        let header = FastraceContext::from_span(&span).map(|context| context.encode_w3c_traceparent());
        let headers = header.map(|text| {
            OwnedHeaders::new_with_capacity(1).insert(Header { key: "traceparent", value: Some(text.as_str()) })
        });
        (headers, Box::new(span))
    }

    fn delivered(&self, sent: Box<FastraceSpan>, offset: i64) {
        drop(sent.with_property(|| ("messaging.kafka.offset", offset.to_string())));
    }

    fn consumed(&self, message: &BorrowedMessage<'_>) -> Result<(), Failure> {
        let parent = Read(message).get("traceparent").and_then(FastraceContext::decode_w3c_traceparent);
        let span = FastraceSpan::root("process bench", parent.ok_or("a message has no traceparent")?);
        let span = span.with_properties(|| Self::properties("process", message.partition()));
        drop(span.with_properties(|| {
            [
                ("span.kind", Cow::Borrowed("consumer")),
                ("messaging.kafka.offset", Cow::Owned(message.offset().to_string())),
                ("messaging.consumer.group.name", Cow::Borrowed("bench")),
            ]
        }));
        Ok(())
    }

    fn end(&self) {
        fastrace::flush();
    }
}
