//! Promise: what is not to be traced is not touched: its headers are, byte for byte, what the application sent and what
//! the broker has; `trace = "propagate"` passes the context on and makes no span.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use tracer_resolver_rdkafka::Processing;
use words::kafka::{assign, header_of, next_message, with_headers};
use words::{LIMIT, TRACEPARENT, Traced, send};

const SETTINGS: &str = r#"
[services.shop]
topics = ["off", "propagate", "excluded", "orders"]
exclude = ["excluded"]
reinject = true
[services.shop.topic."off"]
trace = "off"
[services.shop.topic."propagate"]
trace = "propagate"
"#;

fn current() -> Context {
    let (trace, span) = (TraceId::from(0xaa_u128), SpanId::from(0xbb_u64));
    let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE);
    Context::new().with_remote_span_context(context).with_baggage([KeyValue::new("customer", "7")])
}

/// Headers that a careless reader or writer would change: order, case, repetition, nulls, bytes that are no text.
fn delicate() -> OwnedHeaders {
    OwnedHeaders::new()
        .insert(Header { key: "Z-first", value: Some(&[0_u8, 255, 254, 128][..]) })
        .insert(Header { key: "traceparent", value: Some(TRACEPARENT.as_bytes()) })
        .insert(Header { key: "TraceParent", value: Some(b"not one".as_slice()) })
        .insert(Header { key: "tracestate", value: Some(b"vendor=1".as_slice()) })
        .insert(Header { key: "traceparent", value: None::<&[u8]> })
        .insert(Header { key: "uber-trace-id", value: Some(b"".as_slice()) })
        .insert(Header { key: "", value: Some(b"nameless".as_slice()) })
        .insert(Header { key: "a-last", value: Some(b"1".as_slice()) })
}

fn bytes_of(message: &impl Message) -> Vec<(String, Option<Vec<u8>>)> {
    let owned = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    message.headers().map(|headers| headers.iter().map(owned).collect()).unwrap_or_default()
}

#[test]
fn off_excluded_and_unmatched_topics_keep_their_headers_byte_for_byte_both_ways() {
    for topic in ["off", "excluded", "nobody's"] {
        let traced = Traced::start(&[topic], SETTINGS);
        let attached = current().attach();
        let producer = traced.producer();
        send(&producer, BaseRecord::to(topic).key("k").payload("p").headers(delicate()));
        send(&producer, BaseRecord::to(topic).key("k").payload("p"));
        let sent: Vec<_> = delicate().iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
        for config in [traced.kafka.consumer_config("untraced"), traced.config(Some("traced"))] {
            let consumer = assign(&config, topic);
            let (full, bare) = (next_message(&consumer), next_message(&consumer));
            assert_eq!(bytes_of(&full), sent, "{topic}");
            assert!(bare.headers().is_none(), "{topic}: no headers were sent, none came");
            let processing = Processing::start_for(traced.resolver(), None, &full);
            assert_eq!(processing.context().span().span_context().span_id(), SpanId::from(0xbb_u64), "still ours");
        }
        drop(attached);
        assert_eq!(traced.traces(), "", "{topic}");
    }
}

#[test]
fn propagate_passes_the_current_context_on_and_makes_no_span() {
    let traced = Traced::start(&["propagate"], SETTINGS);
    let attached = current().attach();
    send(
        &traced.producer(),
        BaseRecord::to("propagate").key("k").payload("p").headers(with_headers(&[("traceparent", TRACEPARENT)])),
    );
    drop(attached);
    let message = next_message(&traced.consumer("propagate"));
    assert_eq!(header_of(&message, "traceparent"), Some(format!("00-{:032x}-{:016x}-01", 0xaa, 0xbb)));
    assert_eq!(header_of(&message, "baggage").as_deref(), Some("customer=7"));
    assert_eq!(traced.traces(), "");
}

#[test]
fn propagate_without_a_current_context_leaves_the_record_s_own_as_it_is() {
    let traced = Traced::start(&["propagate"], SETTINGS);
    send(&traced.producer(), BaseRecord::to("propagate").key("k").payload("p").headers(delicate()));
    send(&traced.producer(), BaseRecord::to("propagate").key("k").payload("p"));
    let consumer = traced.consumer("propagate");
    let (full, bare) = (next_message(&consumer), next_message(&consumer));
    let sent: Vec<_> = delicate().iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
    assert_eq!(bytes_of(&full), sent);
    assert!(bare.headers().is_none(), "a context is not invented");
    assert_eq!(traced.traces(), "");
}

#[test]
fn a_trace_goes_on_across_a_topic_that_is_skipped() {
    // R: an excluded topic's headers stay, so that whoever passes them on bridges it.
    let traced = Traced::start(&["orders", "excluded"], SETTINGS);
    let producer = traced.producer();
    send(&producer, BaseRecord::to("orders").key("k").payload("p"));
    let order = next_message(&traced.consumer("orders"));
    send(&producer, BaseRecord::to("excluded").key("k").payload("p").headers(order.headers().unwrap().clone()));
    let skipped = next_message(&traced.consumer("excluded"));
    send(&producer, BaseRecord::to("orders").key("k").payload("p").headers(skipped.headers().unwrap().clone()));
    assert_eq!(traced.traces(), "shop: send orders\n  shop: receive orders\n    shop: send orders\n");
}

#[test]
fn a_traced_message_keeps_every_foreign_header_in_its_order() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\n");
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p").headers(delicate()));
    let headers = bytes_of(&traced.read_untraced("orders"));
    let foreign: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(foreign, ["Z-first", "uber-trace-id", "", "a-last", "traceparent"], "the last context was no context");
    assert_eq!(headers[0].1.as_deref(), Some(&[0_u8, 255, 254, 128][..]));
}

#[test]
fn key_payload_timestamp_and_partitioning_are_the_application_s() {
    // K33: tracing must not change where a record goes, nor anything of it but its headers.
    let kafka = words::kafka::Kafka::start_partitioned("orders", 8);
    let traced = Traced::on(kafka, "[services.shop]\nproduces = [\"*\"]\n");
    let mut places = Vec::new();
    for config in [traced.kafka.config(), traced.config(None)] {
        let capture = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let producer: rdkafka::producer::BaseProducer<Capture> =
            config.create_with_context(Capture(std::sync::Arc::clone(&capture))).unwrap();
        for key in 0..40 {
            let (key, payload) = (format!("customer-{key}"), vec![key as u8; 3]);
            let record =
                BaseRecord::to("orders").key(&key).payload(&payload).timestamp(1_700_000_000_000 + key.len() as i64);
            assert!(producer.send(record).is_ok());
        }
        rdkafka::producer::Producer::flush(&producer, LIMIT).unwrap();
        drop(producer);
        let mut delivered = capture.lock().unwrap().clone();
        delivered.sort();
        places.push(delivered);
    }
    assert_eq!(places[0].len(), 40);
    assert_eq!(places[0], places[1]);
}

/// Key, payload, timestamp and partition of what was delivered.
struct Capture(std::sync::Arc<std::sync::Mutex<Vec<Delivered>>>);
type Delivered = (Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>, i32);

impl rdkafka::ClientContext for Capture {}

impl rdkafka::producer::ProducerContext for Capture {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().unwrap();
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let delivered =
            (owned(message.key()), owned(message.payload()), message.timestamp().to_millis(), message.partition());
        self.0.lock().unwrap().push(delivered);
    }
}
