//! Promise: whatever headers an application puts into a message, tracing costs it little, and never makes the message
//! larger than librdkafka and the topic take.
//!
//! The callbacks run over a fake librdkafka that counts how many headers it is made to look at.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "support/fake_kafka.rs"]
mod fake_kafka;

use std::time::Duration;

use fake_kafka::fake_headers::header_steps;
use fake_kafka::{FakeClient, FakeMessage, on_a_brokers_thread};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::Integration;

/// What a fake client has as `message.max.bytes`.
const MAX: usize = 1_000_000;
/// What a record takes beside key, value and headers, and our `traceparent`, both at the most.
const RECORD: usize = 36;
const OURS: usize = 11 + 55 + 10;
const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TOO_LARGE: i32 = 10;
const LARGER_THAN_A_SEGMENT: i32 = 18;

fn resolver(settings: &str) -> Resolver {
    let text = format!("version = 1\ndefault_service = \"shop\"\n[defaults]\n{settings}\n[services.shop]\n");
    Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap()
}

/// Every way to write a word in small and capital letters.
fn spellings(word: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for letter in word.chars() {
        let capital = letter.to_ascii_uppercase();
        let with = |letter| all.iter().map(move |begun| format!("{begun}{letter}"));
        all = if capital == letter { with(letter).collect() } else { with(letter).chain(with(capital)).collect() };
    }
    all
}

fn is_injected(message: &FakeMessage) -> bool {
    message.header("traceparent").is_some_and(|value| value != PARENT)
}

/// A message of so many bytes that it fits with `headers` of the application, but for `missing` bytes, if ours come too.
fn message(topic: &str, headers: &[(&[u8], Option<&[u8]>)], missing: usize) -> Box<FakeMessage> {
    let mut message = FakeMessage::new(topic);
    let mut size = RECORD + OURS;
    for (name, value) in headers {
        message.add_raw_header(name, *value);
        size += name.len() + value.map_or(0, <[u8]>::len) + 10;
    }
    message.resize(MAX - size + missing);
    message
}

#[test]
fn a_name_with_a_nul_counts_as_long_as_librdkafka_takes_it_to_be() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    let long = [b"a\0".as_slice(), &[b'x'; 120]].concat();
    for headers in [
        &[(&*long, Some(b"v".as_slice()))][..],
        &[(b"kind", Some(b"order")), (&*long, Some(b"")), (b"a", Some(b"v"))],
        &[(b"\0\0\0\0", Some(b"v"))],
        &[(b"\0", Some(b"")), (b"", Some(b"v"))],
        &[(b"", None), (b"", Some(b"v"))],
        &[(b"kind", None), (b"kind", Some(b"v")), (b"kind", None)],
    ] {
        let fits = message("orders", headers, 0);
        producer.send(&fits);
        assert!(is_injected(&fits), "{headers:?}");
        let too_large = message("orders", headers, 1);
        producer.send(&too_large);
        assert!(!is_injected(&too_large), "{headers:?}");
        producer.acknowledge(&fits);
        producer.acknowledge(&too_large);
    }
    assert!(resolver.flush(Duration::from_secs(20)));
    let service = &resolver.stats().services[0];
    assert_eq!((service.not_injected, service.spans), (6, 12), "each has its span all the same");
}

/// A header without a value shows nowhere how long its name is: there is no place behind the name to see.
#[test]
fn a_message_whose_size_cannot_be_known_is_left_as_it_is() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    for headers in [
        &[(b"a\0long".as_slice(), None)][..],
        &[(b"a", None), (b"a\0long", None)],
        &[(b"a", None), (b"a\0long", Some(b"v".as_slice()))],
        &[(b"a\0long", None), (b"a", Some(b"v".as_slice()))],
    ] {
        let message = message("orders", headers, 0);
        message.add_raw_header(b"TRACEPARENT", Some(PARENT));
        let before = message.header_names();
        producer.send(&message);
        assert_eq!(message.header_names(), before);
        producer.acknowledge(&message);
    }
    assert_eq!(resolver.stats().services[0].not_injected, 4);
}

/// Without the bound in `Headers::seen`, or with a walk for each spelling, this takes millions of steps.
#[test]
fn thousands_of_headers_in_all_spellings_cost_a_few_steps_each_way() {
    let resolver = resolver("reinject = true");
    let producer = FakeClient::producer(&resolver);
    let consumer = FakeClient::consumer(&resolver, Integration::Plugin);
    let names: Vec<_> = ["traceparent", "tracestate", "baggage"].into_iter().flat_map(spellings).collect();
    for count in [8, 64, 100, 1000, 1024, 1025, 5632] {
        let message = FakeMessage::new("orders");
        for name in names.iter().cycle().take(count) {
            message.add_raw_header(name.as_bytes(), Some(PARENT));
        }
        let before = header_steps();
        producer.send(&message);
        producer.acknowledge(&message);
        consumer.consume(&message);
        let steps = header_steps() - before;
        assert!(steps <= 50 * 1024, "{steps} for {count}");
        assert_eq!(is_injected(&message), count == 8, "{count}");
    }
}

#[test]
fn a_thousand_headers_of_others_are_passed_over_and_their_message_is_traced() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    let (mut passed, mut injected) = (Vec::new(), Vec::new());
    for count in [500, 1000, 1024, 1025, 5000] {
        let message = FakeMessage::new("orders");
        for index in 0..count {
            message.add_raw_header(format!("X-B3-{index}").as_bytes(), Some(b"v"));
        }
        message.add_raw_header(b"after", None);
        let before = header_steps();
        producer.send(&message);
        passed.push(header_steps() - before);
        injected.push(is_injected(&message));
    }
    assert_eq!(injected, [true, true, false, false, false]);
    assert!(passed.iter().all(|steps| *steps < 5 * 1024), "{passed:?}");
}

#[test]
fn headers_that_are_told_cost_one_more_pass() {
    let steps = |settings: &str| {
        let resolver = resolver(settings);
        let consumer = FakeClient::consumer(&resolver, Integration::Plugin);
        let message = FakeMessage::new("orders");
        for index in 0..500 {
            message.add_raw_header(format!("foreign-{index}").as_bytes(), Some(b"v"));
        }
        message.add_raw_header(b"traceparent", Some(PARENT));
        message.add_raw_header(b"tenant", Some(b"blue"));
        let before = header_steps();
        consumer.consume(&message);
        header_steps() - before
    };
    let (off, on) = (steps(""), steps("capture_headers = [\"tenant\", \"other\"]"));
    assert!(off > 500, "{off}");
    assert!(on > off && on <= 2 * off, "{off}, and {on} with headers that are told");
}

#[test]
fn many_headers_without_a_value_cost_a_bounded_number_of_steps() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    for (count, is_traced) in [(10, true), (100, true), (500, false), (1000, false)] {
        let message = FakeMessage::new("orders");
        for index in 0..count {
            message.add_raw_header(format!("x{index}").as_bytes(), None);
        }
        let before = header_steps();
        producer.send(&message);
        let steps = header_steps() - before;
        assert!(steps <= 50 * 1024, "{steps} for {count}");
        assert_eq!(is_injected(&message), is_traced, "{count}");
    }
}

#[test]
fn spellings_of_our_names_are_all_replaced_as_far_as_they_are_few() {
    let resolver = resolver("propagators = { inject = [\"tracecontext\", \"b3multi\"], extract = [\"tracecontext\"] }");
    let producer = FakeClient::producer(&resolver);
    for (count, is_replaced) in [(1, true), (24, true), (25, false), (60, false)] {
        let message = FakeMessage::new("orders");
        for name in spellings("x-b3-traceid").iter().skip(7).take(count) {
            message.add_raw_header(name.as_bytes(), Some(b"stale"));
            message.add_raw_header(b"kind", Some(b"order"));
        }
        let before = message.header_names();
        producer.send(&message);
        if is_replaced {
            let names = message.header_names();
            assert_eq!(names.iter().filter(|name| name.eq_ignore_ascii_case(b"x-b3-traceid")).count(), 1);
            assert_eq!(names.iter().filter(|name| *name == b"kind").count(), before.len() / 2);
        } else {
            assert_eq!(message.header_names(), before, "{count}");
        }
    }
}

/// A message of so many bytes is sent and answered; whether it had our header.
fn sent(producer: &FakeClient, topic: &str, bytes: usize, error: i32) -> bool {
    let mut message = FakeMessage::new(topic);
    message.resize(bytes);
    producer.send(&message);
    let injected = is_injected(&message);
    message.place(error, 0, 1);
    producer.respond(0, 1000);
    producer.acknowledge(&message);
    injected
}

/// The broker refuses these messages as one batch.
fn refuse(producer: &FakeClient, batch: &mut [Box<FakeMessage>]) {
    on_a_brokers_thread(|| {
        producer.respond(0, 1000);
        for message in batch {
            message.place(TOO_LARGE, 0, -1001);
            producer.acknowledge(message);
        }
    });
}

/// A topic's own `max.message.bytes`: what it refuses is `TOO_LARGE`, with our header or without.
#[test]
fn a_topic_that_takes_less_than_the_client_fails_a_message_because_of_us_once() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    let limit = 50_000;
    let mut because_of_us = 0;
    let mut injected = 0;
    // Beyond, near and below the limit, in no order.
    for round in 0..2000_usize {
        let bytes = limit - 300 + round * 7919 % 600;
        let mut message = FakeMessage::new("small-topic");
        message.resize(bytes);
        producer.send(&message);
        let with = bytes + if is_injected(&message) { 68 } else { 0 };
        injected += usize::from(is_injected(&message));
        because_of_us += usize::from(with > limit && bytes <= limit);
        message.place(if with > limit { TOO_LARGE } else { 0 }, 0, 1);
        producer.respond(0, 1000);
        producer.acknowledge(&message);
    }
    assert!(because_of_us <= 1, "{because_of_us}");
    assert!(injected > 300, "{injected}: what is well below the limit keeps its header");
    let not_injected = resolver.stats().services[0].not_injected as usize;
    assert_eq!(not_injected + injected, 2000);
}

#[test]
fn a_huge_record_that_is_refused_takes_nothing_from_the_others_of_its_topic() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    for (topic, error) in [("huge", TOO_LARGE), ("huge-for-a-segment", LARGER_THAN_A_SEGMENT)] {
        assert!(sent(&producer, topic, 900_000, error));
        assert!(!sent(&producer, topic, 900_000, error));
    }
    assert!(!sent(&producer, "huge", 899_990, TOO_LARGE));
    for bytes in [0, 100, 500_000, 899_000] {
        assert!(sent(&producer, "huge", bytes, 0), "{bytes}");
    }
    assert!(sent(&producer, "another", 900_000, 0));
    // Another producer of the process does not learn it anew.
    assert!(!sent(&FakeClient::producer(&resolver), "huge", 900_000, TOO_LARGE));
}

#[test]
fn small_messages_in_a_batch_with_a_huge_one_keep_their_headers() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    for round in 0..3 {
        let mut batch: Vec<_> = (0..10).map(|_| FakeMessage::new("mixed")).collect();
        batch[4].resize(800_000);
        for message in &batch {
            producer.send(message);
        }
        assert!((0..10).filter(|place| *place != 4).all(|place| is_injected(&batch[place])), "{round}");
        assert_eq!(is_injected(&batch[4]), round == 0);
        refuse(&producer, &mut batch);
    }
}

#[test]
fn a_refused_batch_of_many_small_messages_is_not_made_larger_again() {
    let resolver = resolver("");
    let producer = FakeClient::producer(&resolver);
    let mut batch: Vec<_> = (0..100).map(|_| FakeMessage::new("bursts")).collect();
    for message in &batch {
        producer.send(message);
    }
    refuse(&producer, &mut batch);
    assert!(!sent(&producer, "bursts", 10, 0), "for the next one will be as full");
    assert!(sent(&producer, "others", 10, 0));
}

/// librdkafka gives up a message without acknowledging it where `rd_kafka_produce_batch` finds no partition, and uses its
/// memory again. Without the line in `Client::start_send` the next message there ends the first one's span.
#[test]
fn a_message_is_not_taken_for_one_that_had_its_address_before() {
    let folder = tempfile::tempdir().unwrap();
    let spans = folder.path().join("spans.jsonl");
    let text = format!(
        "version = 1\ndefault_service = \"shop\"\n[services.shop]\nexport = [\"out\"]\n\
         [backends.out]\nplugin = \"file\"\nconfig = {{ path = {:?} }}\n",
        spans.to_str().unwrap()
    );
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
    let producer = FakeClient::producer(&resolver);
    let mut message = FakeMessage::new("orders");
    message.resize(MAX - RECORD);
    producer.send(&message);
    assert!(!is_injected(&message), "its span is kept beside it");
    message.resize(100);
    producer.send(&message);
    producer.acknowledge(&message);
    assert!(resolver.flush(Duration::from_secs(20)));
    let ids = String::from_utf8(message.header("traceparent").unwrap()).unwrap();
    let written = std::fs::read_to_string(spans).unwrap();
    assert!(written.contains(ids.split('-').nth(1).unwrap()), "{ids} {written}");
}

/// What a message says of its span, or what had its address before, may be of another one.
#[test]
fn a_message_ends_no_span_but_its_own_whatever_it_carries_and_whatever_had_its_address_before() {
    let text = "version = 1\n[services.shop]\ntopics = [\"*\"]\nparent = \"ignore\"\n[services.shop.topic.\"off\"]\n\
                sampler = \"always_off\"\n[backends.out]\nplugin = \"file\"\nconfig = { path = \"/dev/null\" }\n";
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text: text.to_owned() }).unwrap();
    let producer = FakeClient::producer(&resolver);
    let spans = || {
        assert!(resolver.flush(Duration::from_secs(10)));
        resolver.stats().services[0].spans
    };
    let off = std::ffi::CString::new("off").unwrap();
    // It has no room for our header, and its own names a span that is sampled.
    let mut forwarded = message("off", &[(b"traceparent", Some(PARENT))], 200);
    producer.send(&forwarded);
    assert!(!is_injected(&forwarded));
    producer.acknowledge(&forwarded);
    assert_eq!(spans(), 0);
    // Of what was sent from there before, marked or not, librdkafka has never said what became.
    for (before, now) in [(100, MAX), (MAX, 100)] {
        forwarded = FakeMessage::new("orders");
        forwarded.resize(before);
        producer.send(&forwarded);
        assert_eq!(is_injected(&forwarded), before < MAX);
        forwarded.clear();
        forwarded.set_topic(&off);
        forwarded.resize(now);
        producer.send(&forwarded);
        producer.acknowledge(&forwarded);
        assert_eq!(spans(), 0, "{before}, {now}");
    }
}
