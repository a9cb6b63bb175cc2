//! Promise: the application's own OpenTelemetry spans go the same way as its service's messages: same resource, same
//! backends, same sampling, and, under a message's context, the same trace.

use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use rdkafka::producer::BaseRecord;
use tracer_resolver_rdkafka::Processing;
use words::kafka::next_message;
use words::{Traced, portrait, send};

const CHAIN: &str = r#"
[services.shop]
produces = ["orders"]
[services.billing]
consumes = ["orders"]
produces = ["bills"]
resource = { "service.version" = "2.1.0" }
"#;

fn record(topic: &str) -> BaseRecord<'_, str, str> {
    BaseRecord::to(topic).key("k").payload("p")
}

#[test]
fn spans_between_consuming_and_producing_are_in_the_message_s_trace() {
    let traced = Traced::start(&["orders", "bills"], CHAIN);
    send(&traced.producer(), record("orders"));
    let tracer = traced.resolver().tracer_provider("billing").unwrap().tracer("billing-code");
    let message = next_message(&traced.consumer("orders"));
    {
        let _processing = Processing::start_for(traced.resolver(), None, &message);
        tracer.in_span("charge the card", |_| {
            tracer.in_span("ask the bank", |_| ());
            send(&traced.producer(), record("bills"));
        });
    }
    assert_eq!(
        traced.traces(),
        "shop: send orders\n  billing: process orders\n    billing: charge the card\n      billing: ask the bank\n      \
         billing: send bills\n"
    );
    let spans = traced.collector.spans();
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap().clone();
    assert_eq!(of("charge the card").resource, of("process orders").resource, "one resource, the file's part included");
    assert_eq!(
        (of("charge the card").scope.as_str(), of("process orders").scope.as_str()),
        ("billing-code", "tracer-resolver")
    );
}

#[test]
fn a_span_of_the_application_s_is_the_parent_of_what_is_sent_under_it() {
    let traced = Traced::start(&["orders"], CHAIN);
    let tracer = traced.resolver().tracer_provider("shop").unwrap().tracer("web");
    tracer.in_span("POST /orders", |_| send(&traced.producer(), record("orders")));
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "shop: POST /orders\n  shop: send orders\n    billing: receive orders\n");
}

#[test]
fn everything_that_a_span_can_say_arrives() {
    let traced = Traced::start(&[], CHAIN);
    let provider = traced.resolver().tracer_provider("billing").unwrap();
    let scope = InstrumentationScope::builder("billing-code")
        .with_version("3.1")
        .with_attributes([KeyValue::new("library", "x")])
        .build();
    let tracer = provider.tracer_with_scope(scope);
    let other = SpanContext::new(
        TraceId::from(0xee_u128),
        SpanId::from(0xdd_u64),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("vendor", "1")]).unwrap(),
    );
    let mut span = tracer
        .span_builder("charge")
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("text", "Zürich"),
            KeyValue::new("truth", true),
            KeyValue::new("negative", -7_i64),
            KeyValue::new("share", 0.25),
            KeyValue::new("empty", ""),
            KeyValue::new("texts", Value::Array(Array::String(vec![StringValue::from("a"), StringValue::from("b")]))),
            KeyValue::new("numbers", Value::Array(Array::I64(vec![1, -2]))),
            KeyValue::new("shares", Value::Array(Array::F64(vec![0.5]))),
            KeyValue::new("truths", Value::Array(Array::Bool(vec![true, false]))),
            KeyValue::new("nothing", Value::Array(Array::I64(Vec::new()))),
        ])
        .with_links(vec![Link::new(other, vec![KeyValue::new("why", "retry")], 0)])
        .with_events(vec![Event::new("asked", SystemTime::now(), vec![KeyValue::new("bank", "b")], 0)])
        .start(&tracer);
    span.add_event("answered", vec![KeyValue::new("code", 51)]);
    span.set_status(Status::error("card refused"));
    span.end();
    let spans = traced.spans();
    assert_eq!(
        portrait(&spans[0], &[]),
        r#"billing: charge (client, error)
  status: card refused
  links: 1
  event: asked
  event: answered
  empty = ""
  negative = -7
  nothing = []
  numbers = [1,-2]
  share = 0.25
  shares = [0.5]
  text = "Zürich"
  texts = ["a","b"]
  truth = true
  truths = [true,false]
"#
    );
    assert_eq!(spans[0].links[0].span_id, "00000000000000dd");
    assert_eq!(spans[0].scope, "billing-code");
}

#[test]
fn repeated_attributes_arrive_once_with_the_last_value() {
    let traced = Traced::start(&[], CHAIN);
    let tracer = traced.resolver().tracer_provider("billing").unwrap().tracer("t");
    let mut span = tracer.start("work");
    span.set_attribute(KeyValue::new("step", "one"));
    span.set_attribute(KeyValue::new("step", "two"));
    span.end();
    // `spans` refuses an attribute that repeats: OTLP wants keys to be unique.
    assert_eq!(traced.spans()[0].attribute("step").as_deref(), Some("two"));
}

#[test]
fn they_are_sampled_as_the_service_s_messages_are() {
    let traced = Traced::start(
        &[],
        "[services.on]\nsampler = \"always_on\"\n[services.off]\nsampler = \"always_off\"\n[services.half]\nsampler = { ratio = 0.5 }\n",
    );
    let tracer = |service: &str| traced.resolver().tracer_provider(service).unwrap().tracer("t");
    tracer("on").start("kept").end();
    tracer("off").start("not kept").end();
    let parent = |flags| {
        let context = SpanContext::new(TraceId::from(1_u128), SpanId::from(2_u64), flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(context)
    };
    tracer("off").start_with_context("kept for its parent's sake", &parent(TraceFlags::SAMPLED)).end();
    tracer("on").start_with_context("not kept for its parent's sake", &parent(TraceFlags::NOT_SAMPLED)).end();
    let half = tracer("half");
    for _ in 0..200 {
        half.in_span("root", |_| half.start("child").end());
    }
    let spans = traced.spans();
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((count("kept"), count("kept for its parent's sake")), (1, 1));
    assert_eq!(spans.iter().filter(|span| span.name.starts_with("not kept")).count(), 0);
    assert!((50..150).contains(&count("root")), "{}", count("root"));
    assert_eq!(count("root"), count("child"), "a trace is kept whole");
}

#[test]
fn force_flush_brings_them_to_the_backend() {
    let traced = Traced::start(&[], CHAIN);
    let provider = traced.resolver().tracer_provider("billing").unwrap();
    provider.tracer("t").start("work").end();
    provider.force_flush().unwrap();
    assert_eq!(traced.collector.spans().len(), 1, "without waiting for the batch's delay");
}

#[test]
fn the_end_of_a_provider_is_not_the_end_of_the_resolver() {
    let traced = Traced::start(&["orders"], CHAIN);
    let provider = traced.resolver().tracer_provider("shop").unwrap();
    provider.tracer("t").start("before").end();
    provider.shutdown().unwrap();
    provider.tracer("t").start("after the end").end();
    send(&traced.producer(), record("orders"));
    traced.resolver().tracer_provider("shop").unwrap().tracer("t").start("of another provider").end();
    assert_eq!(traced.traces(), "shop: before\nshop: send orders\nshop: of another provider\n");
}

#[test]
fn force_flush_says_so_when_the_backend_cannot_be_reached_and_does_not_wait_for_ever() {
    let mut traced = Traced::start(&[], CHAIN);
    let provider = traced.resolver().tracer_provider("billing").unwrap();
    traced.collector.stop();
    provider.tracer("t").start("work").end();
    let started = Instant::now();
    assert!(provider.force_flush().is_err());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_service_that_is_not_there_is_refused_with_those_that_are() {
    let traced = Traced::start(&[], CHAIN);
    let unknown = traced.resolver().tracer_provider("bililng").unwrap_err();
    assert_eq!(unknown.known, ["shop", "billing"]);
    assert!(unknown.to_string().contains("bililng"), "{unknown}");
}

#[test]
fn ten_threads_lose_none_of_their_spans() {
    let traced = Traced::start(&[], CHAIN);
    let provider = traced.resolver().tracer_provider("shop").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..10 {
            let tracer = provider.tracer(format!("scope-{thread}"));
            scope.spawn(move || (0..500).for_each(|_| tracer.start("work").end()));
        }
    });
    let spans = traced.spans();
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    let scopes: std::collections::HashSet<_> = spans.iter().map(|span| &span.scope).collect();
    assert_eq!((spans.len(), ids.len(), scopes.len()), (5_000, 5_000, 10));
}
