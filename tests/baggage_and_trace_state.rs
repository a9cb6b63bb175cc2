//! Promise: baggage and `tracestate` travel with the trace, whole, through producers, consumers and processing.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use std::str::FromStr as _;
use tracer_resolver_rdkafka::Processing;
use words::kafka::{header_of, next_message};
use words::{ORDERS_AND_BILLS, TRACEPARENT, Traced, send};

fn record(topic: &str) -> BaseRecord<'_, str, str> {
    BaseRecord::to(topic).key("k").payload("p")
}

/// Members of 18 bytes each.
fn state_of(members: usize) -> String {
    (0..members).map(|i| format!("vendor{i:02}=value{i:03}")).collect::<Vec<_>>().join(",")
}

#[test]
fn the_current_baggage_is_sent_with_or_without_a_current_span() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    let attached =
        Context::new().with_baggage([KeyValue::new("customer", "7 & Söhne"), KeyValue::new("tier", "gold")]).attach();
    send(&traced.producer(), record("orders"));
    drop(attached);
    let baggage = header_of(&traced.read_untraced("orders"), "baggage").unwrap();
    let mut members: Vec<_> = baggage.split(',').map(str::to_owned).collect();
    members.sort();
    assert_eq!(members, ["customer=7%20&%20S%C3%B6hne", "tier=gold"]);
    let spans = traced.spans();
    assert_eq!(spans[0].attribute("customer"), None, "baggage is not an attribute");
}

#[test]
fn baggage_goes_from_the_message_through_the_processing_into_what_it_sends() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    traced.send_untraced("orders", &[("traceparent", TRACEPARENT), ("baggage", "customer=7%2C8;p=1 , tier=gold")]);
    let message = next_message(&traced.consumer("orders"));
    {
        let processing = Processing::start_for(traced.resolver(), None, &message);
        assert_eq!(processing.context().baggage().get("customer").map(|value| value.as_str()), Some("7,8"));
        send(&traced.producer(), record("bills"));
    }
    let baggage = header_of(&traced.read_untraced("bills"), "baggage").unwrap();
    let mut members: Vec<_> = baggage.split(',').map(str::to_owned).collect();
    members.sort();
    assert_eq!(members, ["customer=7%2C8;p=1", "tier=gold"], "with its metadata");
    assert!(Context::current().baggage().is_empty());
}

#[test]
fn without_baggage_there_is_no_header_and_an_application_s_own_header_is_left_alone() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    let headers = words::kafka::with_headers(&[("baggage", "mine=1")]);
    send(&traced.producer(), record("orders").headers(headers));
    assert_eq!(header_of(&traced.read_untraced("orders"), "baggage").as_deref(), Some("mine=1"));
    drop(traced);
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    send(&traced.producer(), record("orders"));
    assert_eq!(header_of(&traced.read_untraced("orders"), "baggage"), None);
}

#[test]
fn a_service_that_does_not_speak_baggage_neither_writes_nor_reads_it() {
    let traced = Traced::start(
        &["orders"],
        "[services.shop]\ntopics = [\"*\"]\npropagators = { inject = [\"tracecontext\"], extract = [\"tracecontext\"] }\n",
    );
    let attached = Context::new().with_baggage([KeyValue::new("customer", "7")]).attach();
    send(&traced.producer(), record("orders"));
    drop(attached);
    traced.send_untraced("orders", &[("baggage", "customer=8")]);
    let consumer = traced.consumer("orders");
    assert_eq!(header_of(&next_message(&consumer), "baggage"), None);
    let processing = Processing::start_for(traced.resolver(), None, &next_message(&consumer));
    assert!(processing.context().baggage().is_empty());
}

#[test]
fn the_trace_state_of_a_record_goes_through_every_span_and_message_of_its_trace() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let headers = words::kafka::with_headers(&[("traceparent", TRACEPARENT), ("tracestate", "vendor=1,other=2")]);
    send(&traced.producer(), record("orders").headers(headers));
    let message = next_message(&traced.consumer("orders"));
    {
        let processing = Processing::start_for(traced.resolver(), None, &message);
        assert_eq!(processing.context().span().span_context().trace_state().header(), "vendor=1,other=2");
        send(&traced.producer(), record("bills"));
    }
    next_message(&traced.consumer("bills"));
    assert_eq!(header_of(&traced.read_untraced("bills"), "tracestate").as_deref(), Some("vendor=1,other=2"));
    assert_eq!(
        traced.traces_with(&["trace_state"]),
        "~ shop: send orders {trace_state=vendor=1,other=2}\n  billing: process orders {trace_state=vendor=1,other=2}\n    \
         billing: send bills {trace_state=vendor=1,other=2}\n      archive: receive bills {trace_state=vendor=1,other=2}\n"
    );
}

#[test]
fn a_long_trace_state_goes_the_same_way_and_makes_no_span_more() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let state = state_of(28);
    assert!((500..=512).contains(&state.len()), "nearly as long as W3C wants to see carried");
    let headers = words::kafka::with_headers(&[("traceparent", TRACEPARENT), ("tracestate", &state)]);
    send(&traced.producer(), record("orders").headers(headers));
    let message = next_message(&traced.consumer("orders"));
    {
        let _processing = Processing::start_for(traced.resolver(), None, &message);
        send(&traced.producer(), record("bills"));
    }
    next_message(&traced.consumer("bills"));
    assert_eq!(header_of(&traced.read_untraced("bills"), "tracestate").as_deref(), Some(state.as_str()));
    assert_eq!(
        traced.traces(),
        "~ shop: send orders\n  billing: process orders\n    billing: send bills\n      archive: receive bills\n"
    );
    assert!(traced.collector.spans().iter().all(|span| span.trace_state == state), "{:#?}", traced.collector.spans());
}

#[test]
fn a_trace_state_beyond_512_bytes_loses_whole_members_from_its_end() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    let headers = words::kafka::with_headers(&[("traceparent", TRACEPARENT), ("tracestate", &state_of(32))]);
    send(&traced.producer(), record("orders").headers(headers));
    assert_eq!(header_of(&traced.read_untraced("orders"), "tracestate"), Some(state_of(28)));
}

#[test]
fn the_trace_state_of_the_current_span_is_sent_and_exported() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    let state = TraceState::from_str("vendor=1").unwrap();
    let parent = SpanContext::new(TraceId::from(1_u128), SpanId::from(2_u64), TraceFlags::SAMPLED, false, state);
    let attached = Context::new().with_remote_span_context(parent).attach();
    send(&traced.producer(), record("orders"));
    drop(attached);
    assert_eq!(header_of(&traced.read_untraced("orders"), "tracestate").as_deref(), Some("vendor=1"));
    assert_eq!(traced.traces_with(&["trace_state"]), "~ shop: send orders {trace_state=vendor=1}\n");
}

#[test]
fn several_trace_state_headers_are_joined_and_a_broken_one_costs_only_the_state() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    traced.send_untraced("orders", &[("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]);
    traced.send_untraced("orders", &[("traceparent", TRACEPARENT), ("tracestate", "not a state")]);
    let consumer = traced.consumer("orders");
    next_message(&consumer);
    next_message(&consumer);
    assert_eq!(
        traced.traces_with(&["trace_state"]),
        "~ billing: receive orders {trace_state=a=1,b=2}\n~ billing: receive orders\n"
    );
}

#[test]
fn a_trace_that_begins_here_has_no_state_even_if_a_stray_header_lies_there() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    let headers = words::kafka::with_headers(&[("tracestate", "stray=1")]);
    send(&traced.producer(), record("orders").headers(headers));
    let message = traced.read_untraced("orders");
    assert_eq!(message.headers().map(|_| header_of(&message, "tracestate")), Some(None));
    assert_eq!(traced.traces_with(&["trace_state"]), "shop: send orders\n");
}
