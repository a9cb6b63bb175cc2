//! Promise: of the headers of a message ours replace older ones of the same meaning, and all others stay as they are.
//!
//! Without `clear` in `resolver/src/interceptor/injecting.rs` a forwarded or resent message has two `traceparent`; with
//! a fresh list instead of a change in place (`Message::add_headers` for every message) the application's headers are
//! gone, and freed twice when the send fails.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::receivers::ReceivedSpan;
use words::{LIMIT, ONE_SERVICE, TRACEPARENT, Traced, draw_traces};

type Pairs = Vec<(String, Option<Vec<u8>>)>;

fn pairs<'a>(headers: Option<&'a (impl Headers + 'a)>) -> Pairs {
    headers
        .map(|headers| headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect())
        .unwrap_or_default()
}

fn values(message: &OwnedMessage, name: &str) -> Vec<String> {
    let headers = pairs(message.headers());
    headers
        .into_iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| String::from_utf8(value.unwrap()).unwrap())
        .collect()
}

fn send(producer: &BaseProducer, topic: &str, headers: OwnedHeaders) {
    producer.send(BaseRecord::<str, str>::to(topic).payload("an order").headers(headers)).unwrap();
    producer.flush(LIMIT).unwrap();
}

#[test]
fn the_applications_headers_keep_their_order_their_bytes_and_their_absence_of_a_value() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer = traced.producer();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "first", value: Some(&[0xff_u8, 0x00, 0xfe][..]) })
        .insert(Header { key: "null", value: None::<&[u8]> })
        .insert(Header { key: "twice", value: Some(&b"1"[..]) })
        .insert(Header { key: "empty", value: Some(&b""[..]) })
        .insert(Header { key: "twice", value: Some(&b"2"[..]) });
    let given = pairs(Some(&headers));
    send(&producer, "orders", headers);
    let mut arrived = pairs(traced.read_untraced("orders").headers());
    let ours: Vec<_> = arrived.iter().filter(|(name, _)| name == "traceparent").cloned().collect();
    assert_eq!(ours.len(), 1);
    arrived.retain(|(name, _)| name != "traceparent");
    assert_eq!(arrived, given);
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn a_consumed_record_that_is_forwarded_as_it_is_has_one_traceparent_and_continues_the_trace() {
    let traced = Traced::start(&["orders", "copies"], ONE_SERVICE);
    let producer = traced.producer();
    send(&producer, "orders", OwnedHeaders::new().insert(Header { key: "kind", value: Some("order") }));
    let message = traced.read_untraced("orders");
    send(&producer, "copies", message.headers().unwrap().clone());
    let copy = traced.read_untraced("copies");
    assert_eq!(values(&copy, "traceparent").len(), 1);
    assert_ne!(values(&copy, "traceparent"), values(&message, "traceparent"));
    assert_eq!(values(&copy, "kind"), ["order"]);
    assert_eq!(traced.traces(), "app: send orders\n  app: send copies\n");
}

#[test]
fn names_in_another_case_and_stale_companions_are_replaced_too() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer = traced.producer();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "TraceParent", value: Some(TRACEPARENT) })
        .insert(Header { key: "kind", value: Some("order") })
        .insert(Header { key: "TRACEPARENT", value: Some(TRACEPARENT) })
        .insert(Header { key: "Tracestate", value: Some("vendor=1") });
    send(&producer, "orders", headers);
    let message = traced.read_untraced("orders");
    assert_eq!(values(&message, "traceparent").len(), 1);
    assert_eq!(values(&message, "tracestate"), ["vendor=1"]);
    let names: Vec<_> = pairs(message.headers()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["kind", "traceparent", "tracestate"]);
    let spans = traced.spans();
    assert_eq!((spans[0].parent_span_id.as_str(), spans[0].trace_state.as_str()), ("b7ad6b7169203331", "vendor=1"));
}

#[test]
fn a_send_with_baggage_and_no_trace_header_has_its_span_all_the_same() {
    let traced = Traced::start(
        &["orders"],
        &(ONE_SERVICE.to_owned() + r#"propagators = { inject = ["baggage"], extract = ["tracecontext"] }"#),
    );
    let producer = traced.producer();
    let _baggage = opentelemetry::Context::new().with_baggage([KeyValue::new("tenant", "north")]).attach();
    send(&producer, "orders", OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(TRACEPARENT) }));
    assert_eq!(values(&traced.read_untraced("orders"), "baggage"), ["tenant=north"]);
    assert_eq!(traced.traces(), "~ app: send orders\n");
}

/// Sends to a partition that is not there, and again with the record that came back; then to one that is.
fn resend(traced: &Traced, headers: Option<OwnedHeaders>) -> (OwnedMessage, Vec<ReceivedSpan>) {
    let producer = traced.producer();
    // The topic's partitions get known: there is one.
    producer.client().fetch_metadata(Some("orders"), Duration::from_secs(10)).unwrap();
    let mut record = BaseRecord::<str, str>::to("orders").payload("an order").partition(7);
    if let Some(headers) = headers {
        record = record.headers(headers);
    }
    let mut tries = 0;
    let mut record = loop {
        match producer.send(record) {
            Err((_, returned)) if tries == 2 => break returned,
            Err((_, returned)) => record = returned,
            Ok(()) => panic!("partition 7 is not there"),
        }
        tries += 1;
    };
    record.partition = Some(0);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    (traced.read_untraced("orders"), traced.spans())
}

#[test]
fn a_record_sent_again_after_it_failed_has_one_header_and_a_sibling_span() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let upstream = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(TRACEPARENT) });
    let (message, spans) = resend(&traced, Some(upstream));
    assert_eq!(values(&message, "traceparent").len(), 1);
    let failed = "~ app: send orders !_UNKNOWN_PARTITION\n";
    assert_eq!(draw_traces(&spans), format!("{failed}{failed}{failed}~ app: send orders\n"));
    assert!(spans.iter().all(|span| span.parent_span_id == "b7ad6b7169203331"), "{spans:?}");

    // Without a parent they are roots of one trace.
    drop(traced);
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let (message, spans) = resend(&traced, Some(OwnedHeaders::new()));
    assert_eq!(values(&message, "traceparent").len(), 1);
    let failed = "app: send orders !_UNKNOWN_PARTITION\n";
    assert_eq!(draw_traces(&spans), format!("{failed}{failed}{failed}app: send orders\n"));
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id), "one trace");
}
