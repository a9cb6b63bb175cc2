//! Promise: a service's or topic's sampler decides new traces, a parent's decision wins unless told otherwise, and an
//! unsampled message costs no span but passes its context on.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::kafka::{assign, header_of, next_message, with_headers};
use words::{LIMIT, TRACEPARENT, Traced, send};

const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn record(topic: &str) -> BaseRecord<'_, str, str> {
    BaseRecord::to(topic).key("k").payload("p")
}

fn send_all(producer: &BaseProducer, topic: &str, count: usize) {
    for _ in 0..count {
        assert!(producer.send(record(topic)).is_ok());
    }
    producer.flush(LIMIT).unwrap();
}

#[test]
fn each_service_and_each_topic_of_it_has_its_own_sampler() {
    let traced = Traced::start(
        &["orders", "orders.debug", "noise"],
        r#"
        [defaults]
        sampler = "always_off"
        [services.shop]
        produces = ["orders*"]
        sampler = "always_off"
        [services.shop.topic."orders.debug"]
        sampler = "always_on"
        [services.billing]
        consumes = ["orders"]
        sampler = "always_on"
        parent = "ignore"
        [services.other]
        produces = ["noise"]
        "#,
    );
    let producer = traced.producer();
    for topic in ["orders", "orders.debug", "noise"] {
        send(&producer, record(topic));
    }
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "shop: send orders.debug\n~ billing: receive orders\n");
}

#[test]
fn a_parent_s_decision_wins_over_the_sampler_both_ways_and_from_both_places() {
    let on = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_on\"\n");
    let producer = on.producer();
    send(&producer, record("orders").headers(with_headers(&[("traceparent", UNSAMPLED)])));
    let unsampled =
        SpanContext::new(TraceId::from(1_u128), SpanId::from(2_u64), TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
    let attached = Context::new().with_remote_span_context(unsampled).attach();
    send(&producer, record("orders"));
    drop(attached);
    let consumer = on.consumer("orders");
    let (one, two) = (next_message(&consumer), next_message(&consumer));
    assert!(header_of(&one, "traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(header_of(&two, "traceparent").unwrap().ends_with("-00"), "the decision passes on");
    assert_eq!(on.traces(), "");
    drop((consumer, producer, on));
    let off = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"\n");
    send(&off.producer(), record("orders").headers(with_headers(&[("traceparent", TRACEPARENT)])));
    next_message(&off.consumer("orders"));
    assert_eq!(off.traces(), "~ shop: send orders\n  shop: receive orders\n");
}

#[test]
fn with_parent_ignore_the_sampler_decides_every_span_and_the_trace_goes_on() {
    let traced = Traced::start(
        &["orders"],
        "[services.shop]\nproduces = [\"*\"]\nsampler = \"always_on\"\nparent = \"ignore\"\n\
         [services.billing]\nconsumes = [\"*\"]\nsampler = \"always_off\"\nparent = \"ignore\"\n",
    );
    send(&traced.producer(), record("orders").headers(with_headers(&[("traceparent", UNSAMPLED)])));
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "~ shop: send orders\n");
    assert_eq!(traced.collector.spans()[0].parent_span_id, "b7ad6b7169203331");
}

#[test]
fn a_ratio_keeps_exactly_the_traces_that_opentelemetry_s_own_sampler_keeps() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\nsampler = { ratio = 0.25 }\n");
    send_all(&traced.producer(), "orders", 2_000);
    let kept: Vec<_> = traced.spans().into_iter().map(|span| span.trace_id).collect();
    let theirs = Sampler::TraceIdRatioBased(0.25);
    let consumer = assign(&traced.kafka.consumer_config("untraced"), "orders");
    let mut agreed = HashMap::new();
    for _ in 0..2_000 {
        let traceparent = header_of(&next_message(&consumer), "traceparent").unwrap();
        let trace = traceparent.split('-').nth(1).unwrap().to_owned();
        let id = TraceId::from_hex(&trace).unwrap();
        let decision = theirs.should_sample(None, id, "", &opentelemetry::trace::SpanKind::Producer, &[], &[]).decision;
        let theirs_keeps = decision == SamplingDecision::RecordAndSample;
        assert_eq!(traceparent.ends_with("-01"), theirs_keeps, "{traceparent}");
        assert_eq!(kept.contains(&trace), theirs_keeps, "{trace}");
        *agreed.entry(theirs_keeps).or_insert(0) += 1;
    }
    assert!((380..620).contains(&agreed[&true]), "a quarter of 2000, within six sigma: {agreed:?}");
}

#[test]
fn a_ratio_decides_alike_for_every_service_so_that_traces_are_whole() {
    let traced = Traced::start(
        &["orders"],
        "[defaults]\nsampler = { ratio = 0.5 }\nparent = \"ignore\"\n[services.shop]\nproduces = [\"*\"]\n[services.billing]\nconsumes = [\"*\"]\n",
    );
    send_all(&traced.producer(), "orders", 200);
    let consumer = traced.consumer("orders");
    for _ in 0..200 {
        next_message(&consumer);
    }
    let mut by_trace: HashMap<String, usize> = HashMap::new();
    for span in traced.spans() {
        *by_trace.entry(span.trace_id).or_default() += 1;
    }
    assert!((50..150).contains(&by_trace.len()), "{}", by_trace.len());
    assert!(by_trace.values().all(|spans| *spans == 2), "{by_trace:?}");
}

#[test]
fn a_rate_limit_keeps_so_many_new_traces_a_second_and_the_parent_s_decision_still_wins() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\nsampler = { rate_limit = 10 }\n");
    let producer = traced.producer();
    let started = std::time::Instant::now();
    send_all(&producer, "orders", 3_000);
    let seconds = started.elapsed().as_secs_f64();
    let sampled: Vec<_> =
        (0..5).map(|_| record("orders").headers(with_headers(&[("traceparent", TRACEPARENT)]))).collect();
    for record in sampled {
        send(&producer, record);
    }
    let spans = traced.spans();
    let (children, roots): (Vec<_>, Vec<_>) = spans.iter().partition(|span| !span.parent_span_id.is_empty());
    assert_eq!(children.len(), 5);
    let most = 10.0 + 10.0 * (seconds + 0.1);
    assert!(!roots.is_empty() && roots.len() as f64 <= most, "{} in {seconds} s", roots.len());
}

#[test]
fn nothing_of_an_unsampled_message_is_recorded_but_its_context_passes_on() {
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"\n");
    send(&traced.producer(), record("orders").headers(with_headers(&[("mine", "1")])));
    let message = next_message(&traced.consumer("orders"));
    assert_eq!(message.headers().map(|_| header_of(&message, "mine")), Some(Some("1".to_owned())));
    assert!(header_of(&message, "traceparent").unwrap().ends_with("-00"));
    assert_eq!(traced.traces(), "");
    let stats = traced.resolver().stats();
    assert_eq!(stats.services[0].spans, 0);
}

#[test]
fn the_random_flag_of_a_parent_is_kept() {
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\n");
    let random = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
    send(&traced.producer(), record("orders").headers(with_headers(&[("traceparent", random)])));
    assert!(header_of(&traced.read_untraced("orders"), "traceparent").unwrap().ends_with("-03"));
    assert_eq!(traced.spans()[0].flags & 0xff, 3);
}
