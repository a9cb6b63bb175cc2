//! Promise: a message that just fits under `message.max.bytes` is sent, and the process lives.
//!
//! librdkafka checks a message's size before `on_send` and asserts it when it writes the batch. Without the check of the
//! size in `resolver/src/interceptor/injecting.rs` each test "with a …" ends with its child aborted by SIGABRT
//! (`rd_kafka_msgset_writer_finalize: assert: len <= max_msg_size`), and with sizes of C's texts those with a NUL do.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use words::native::NativeProducer;
use words::{LIMIT, ONE_SERVICE, TRACEPARENT, Traced, child, is_child, run};

const PROPAGATORS: &str =
    r#"propagators = { inject = ["tracecontext", "baggage", "b3multi"], extract = ["tracecontext"] }"#;

#[test]
fn with_a_limit_of_1000_bytes() {
    alone("with_a_limit_of_1000_bytes", || step_through(Some(1000), 560..=1000, None));
}

#[test]
fn with_a_limit_of_1000_bytes_and_headers_of_the_application() {
    let headers = || {
        OwnedHeaders::new()
            .insert(Header { key: "kind", value: Some("order") })
            .insert(Header { key: "traceparent", value: Some(TRACEPARENT) })
            .insert(Header::<&str> { key: "empty", value: None })
    };
    alone("with_a_limit_of_1000_bytes_and_headers_of_the_application", || {
        step_through(Some(1000), 460..=1000, Some(&headers));
    });
}

#[test]
fn with_the_limit_that_librdkafka_has_by_default() {
    alone("with_the_limit_that_librdkafka_has_by_default", || step_through(None, 999_560..=1_000_000, None));
}

#[test]
fn with_a_header_whose_name_goes_on_behind_a_nul() {
    const LONG: &[u8] = &[b'x'; 300];
    alone("with_a_header_whose_name_goes_on_behind_a_nul", || {
        let long = [b"a\0", LONG].concat();
        step_through_natively(&[(&long, Some(b"v"))], Unknown::None);
        step_through_natively(&[(b"kind", None), (&long, Some(b"")), (b"a", Some(b"v"))], Unknown::None);
        step_through_natively(&[(b"\0\0\0", Some(b"v")), (b"b", None)], Unknown::None);
        step_through_natively(&[(&long, None)], Unknown::All);
        step_through_natively(&[(b"a", None), (&long, None), (b"a", Some(b"v"))], Unknown::All);
    });
}

/// Messages whose size cannot be known.
enum Unknown {
    None,
    All,
}

/// Sends messages of every length around the limit, with headers that only a C program can make.
fn step_through_natively(headers: &[(&[u8], Option<&[u8]>)], unknown: Unknown) {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let mut config = traced.config(None);
    config.set("linger.ms", "0").set("batch.num.messages", "1").set("message.max.bytes", "1000");
    let producer = NativeProducer::new(&config).unwrap();
    let (mut sent, mut too_large) = (0, 0);
    for length in 400..=1000_usize {
        let payload = vec![b'x'; length];
        match producer.produce_with_headers("orders", &payload, headers) {
            0 => sent += 1,
            10 => too_large += 1, // RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            other => panic!("{length}: error {other}"),
        }
    }
    assert_eq!(producer.flush(20_000), 0);
    let not_injected = traced.counters().not_injected as usize;
    let spans = traced.spans();
    assert_eq!(spans.len(), sent, "every message that was sent has its span");
    assert!(spans.iter().all(|span| span.status_code == "unset"), "{spans:?}");
    match unknown {
        Unknown::None => assert!((40..120).contains(&not_injected), "{not_injected} of {sent}"),
        Unknown::All => assert_eq!(not_injected, sent),
    }
    assert!(too_large > 0, "the steps must go beyond the limit");
}

/// The mock broker refuses whatever comes next; the lengths are those of one batch.
#[test]
fn a_topic_that_refuses_a_message_for_its_size_gets_those_that_come_near_without_our_headers() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let mut config = traced.config(None);
    config.set("linger.ms", "100").set("retries", "0");
    let producer: BaseProducer = config.create().unwrap();
    let send = |lengths: &[usize]| {
        for length in lengths {
            producer.send(BaseRecord::<[u8], [u8]>::to("orders").partition(0).payload(&vec![b'x'; *length])).unwrap();
        }
        producer.flush(LIMIT).unwrap();
        traced.counters().not_injected as usize
    };
    let refuse = || {
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        traced.kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[error]);
    };
    assert_eq!(send(&[5000, 10]), 0);
    refuse();
    assert_eq!(send(&[5000]), 0, "the first one had it");
    assert_eq!(send(&[5000, 4990, 9000]), 3);
    assert_eq!(send(&[4800, 10]), 3, "well below");
    // A batch in which one that is refused anyway has company.
    refuse();
    assert_eq!(send(&[10, 20, 9000, 30]), 4);
    assert_eq!(send(&[10, 20, 30]), 4);
    // A batch of which none is large.
    refuse();
    assert_eq!(send(&[100; 50]), 4);
    assert_eq!(send(&[10, 20, 30]), 7);
    assert_eq!(traced.spans().len(), 68, "each has its span all the same");
}

fn alone(test: &str, body: impl FnOnce()) {
    if is_child() { body() } else { run(&mut child(test)).expect_success() }
}

/// Sends payloads of every length in `lengths`, each as the first and only message of its batch.
fn step_through(
    limit: Option<u32>,
    lengths: std::ops::RangeInclusive<usize>,
    headers: Option<&dyn Fn() -> OwnedHeaders>,
) {
    let _baggage = Context::new().with_baggage([KeyValue::new("tenant", "north-west")]).attach();
    let traced = Traced::start(&["orders"], &format!("{ONE_SERVICE}{PROPAGATORS}"));
    let mut config = traced.config(None);
    config.set("linger.ms", "0").set("batch.num.messages", "1");
    if let Some(limit) = limit {
        config.set("message.max.bytes", limit.to_string());
    }
    let producer: BaseProducer = config.create().unwrap();
    let (mut sent, mut too_large) = (0, 0);
    for length in lengths {
        let payload = vec![b'x'; length];
        let mut record = BaseRecord::<[u8], [u8]>::to("orders").payload(&payload).key(b"key");
        if let Some(headers) = headers {
            record = record.headers(headers());
        }
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => too_large += 1,
            Err((error, _)) => panic!("{length}: {error}"),
        }
        if (sent + too_large) % 50 == 0 {
            producer.flush(LIMIT).unwrap(); // A megabyte each, by default.
        }
    }
    producer.flush(LIMIT).unwrap();
    let spans = traced.spans();
    assert_eq!(spans.len(), sent, "every message that was sent has its span");
    assert!(spans.iter().all(|span| span.name == "send orders" && span.status_code == "unset"), "{spans:?}");
    let not_injected = traced.counters().not_injected as usize;
    assert!(not_injected > 100 && not_injected < sent, "{not_injected} of {sent} without our headers");
    assert!(too_large > 0, "the steps must go beyond the limit");
}
