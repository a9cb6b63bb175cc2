//! Promise: what the messaging metrics say is what happened: each message is counted once, with the duration of its span,
//! whether it has one or not.

#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::bindings::*;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, PurgeConfig, ThreadedProducer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use tracer_resolver::{Measurement, Resolver};
use tracer_resolver_rdkafka::Processing;
use words::kafka::{header_of, next_message, with_headers};
use words::native::NativeProducer;
use words::receivers::ReceivedSpan;
use words::{LIMIT, TRACEPARENT, Traced, block_on, child, run, send, traced_by};

/// A shop that sends orders and a billing that takes them; `{}` stands for further lines of the defaults.
fn two_services(defaults: &str) -> String {
    format!(
        "[defaults]\n{defaults}\n[services.shop]\nproduces = [\"orders\"]\n[services.billing]\nconsumes = [\"orders\"]\n"
    )
}

fn order() -> BaseRecord<'static, str, str> {
    BaseRecord::to("orders").key("k").payload("p")
}

fn send_orders(producer: &BaseProducer, count: usize) {
    for _ in 0..count {
        assert!(producer.send(order()).is_ok());
    }
    producer.flush(LIMIT).unwrap();
}

/// Every series: `service: instrument operation topic (group) !error` and what it has counted.
fn drawn(resolver: &Resolver) -> Vec<String> {
    resolver.measurements().iter().map(|measured| format!("{} = {}", named(measured), measured.count)).collect()
}

fn named(measured: &Measurement) -> String {
    let text = |name: &str| measured.attribute(name).unwrap_or("?").to_owned();
    let group = measured.attribute("messaging.consumer.group.name").map(|group| format!(" ({group})"));
    let error = measured.attribute("error.type").map(|error| format!(" !{error}"));
    format!(
        "{}: {} {} {}{}{}",
        measured.service,
        measured.instrument.rsplit("messaging.").next().unwrap(),
        text("messaging.operation.name"),
        text("messaging.destination.name"),
        group.unwrap_or_default(),
        error.unwrap_or_default()
    )
}

fn only<'m>(measurements: &'m [Measurement], instrument: &str) -> &'m Measurement {
    let mut found = measurements.iter().filter(|measured| measured.instrument == instrument);
    let (one, None) = (found.next(), found.next()) else { panic!("not one {instrument}: {measurements:#?}") };
    one.unwrap_or_else(|| panic!("no {instrument}: {measurements:#?}"))
}

/// The spans of this operation, and that the series is about them: as many, as long, and exemplars among them.
fn is_of_spans(measured: &Measurement, spans: &[ReceivedSpan], operation: &str) {
    let spans: Vec<_> = spans.iter().filter(|span| span.name.starts_with(operation)).collect();
    assert_eq!(measured.count, spans.len() as u64);
    let nanos: u64 = spans.iter().map(|span| span.duration_nano()).sum();
    // A span shorter than a microsecond is written as one.
    let tolerated = 1e-6 * spans.len() as f64;
    assert!((measured.sum - nanos as f64 / 1e9).abs() <= tolerated, "{} {nanos}", measured.sum);
    let mut buckets = vec![0_u64; measured.bounds.len() + 1];
    for span in &spans {
        let seconds = span.duration_nano() as f64 / 1e9;
        buckets[measured.bounds.iter().filter(|bound| seconds > **bound).count()] += 1;
    }
    assert_eq!(measured.buckets, buckets);
    let filled = buckets.iter().filter(|count| **count > 0).count();
    assert_eq!(measured.exemplars.len(), filled, "one for each bucket: {measured:#?}");
    for exemplar in &measured.exemplars {
        let span = spans.iter().find(|span| span.span_id == exemplar.span_id);
        let span = span.unwrap_or_else(|| panic!("no span {exemplar:?}"));
        assert_eq!(span.trace_id, exemplar.trace_id);
        assert!((span.duration_nano() as f64 / 1e9 - exemplar.value).abs() <= 1e-6, "{exemplar:?}");
    }
}

#[test]
fn messages_that_are_sent_and_consumed_are_counted_once_with_the_durations_of_their_spans() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    send_orders(&traced.producer(), 7);
    let consumer = traced.consumer("orders");
    for number in 0..5 {
        let message = next_message(&consumer);
        let mut processing = Processing::start_for(traced.resolver(), None, &message);
        std::thread::sleep(Duration::from_millis(2));
        if number == 3 {
            processing.fail(&std::fmt::Error);
        }
    }
    let spans = traced.spans();
    let measured = traced.resolver().measurements();
    assert_eq!(
        measured.iter().map(|one| format!("{} = {}", named(one), one.count)).collect::<Vec<_>>(),
        [
            "shop: client.operation.duration send orders = 7",
            "shop: client.sent.messages send orders = 7",
            "billing: client.consumed.messages receive orders (test-group) = 5",
            "billing: process.duration process orders (test-group) = 4",
            "billing: process.duration process orders (test-group) !Error = 1",
            "billing: tracer_resolver.queue.duration receive orders (test-group) = 5",
        ]
    );
    let sent = only(&measured, "messaging.client.operation.duration");
    is_of_spans(sent, &spans, "send");
    assert_eq!((sent.attribute("messaging.operation.type"), sent.unit), (Some("send"), "s"));
    assert_eq!(
        (sent.attribute("messaging.system"), sent.attribute("server.address")),
        (Some("kafka"), Some("127.0.0.1"))
    );
    assert!(traced.kafka.servers().ends_with(sent.attribute("server.port").unwrap()));
    let failed: Vec<_> = spans.iter().filter(|span| span.name.starts_with("process")).cloned().collect();
    let (failed, fine): (Vec<_>, Vec<_>) = failed.into_iter().partition(|span| span.status_code == "error");
    let processed: Vec<_> = measured.iter().filter(|one| one.instrument == "messaging.process.duration").collect();
    is_of_spans(processed[0], &fine, "process");
    is_of_spans(processed[1], &failed, "process");
    let queue = only(&measured, "tracer_resolver.queue.duration");
    let ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    assert!(!queue.exemplars.is_empty());
    assert!(queue.exemplars.iter().all(|exemplar| ids.contains(&&exemplar.span_id)), "{queue:#?}");
    assert_eq!(traced.resolver().measurements(), measured, "to ask changes nothing");
}

#[test]
fn without_the_key_nothing_is_measured_and_it_cascades_from_the_defaults_to_the_topic() {
    let traced = Traced::start(&["orders", "bills", "noise"], "[services.shop]\ntopics = [\"*\"]\n");
    send_orders(&traced.producer(), 1);
    next_message(&traced.consumer("orders"));
    assert_eq!((drawn(traced.resolver()), traced.spans().len()), (Vec::<String>::new(), 2));
    drop(traced);
    let traced = Traced::start(
        &["orders", "bills", "noise"],
        r#"
        [defaults]
        measure = "on"
        [services.shop]
        produces = ["orders"]
        [services.office]
        topics = ["bills", "noise"]
        measure = "off"
        [services.office.topic."bills"]
        measure = "only"
        "#,
    );
    let producer = traced.producer();
    for topic in ["orders", "bills", "noise"] {
        send(&producer, BaseRecord::to(topic).key("k").payload("p"));
    }
    assert_eq!(traced.traces(), "shop: send orders\noffice: send noise\n");
    assert_eq!(
        drawn(traced.resolver()),
        [
            "shop: client.operation.duration send orders = 1",
            "shop: client.sent.messages send orders = 1",
            "office: client.operation.duration send bills = 1",
            "office: client.sent.messages send bills = 1",
        ]
    );
}

#[test]
fn every_way_to_fail_is_a_series_of_its_own() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    let mut config = traced.config(None);
    config.set("retries", "0").set("linger.ms", "0");
    let producer: BaseProducer = config.create().unwrap();
    send(&producer, order());
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
    ] {
        traced.kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[error]);
        send(&producer, order());
    }
    assert!(producer.send(order().partition(7)).is_err(), "there is no such partition");
    let mut waits = traced.config(None);
    let waits: BaseProducer = waits.set("linger.ms", "60000").create().unwrap();
    assert!(waits.send(order()).is_ok());
    waits.purge(PurgeConfig::default().queue().inflight());
    waits.flush(LIMIT).unwrap();
    let spans = traced.spans();
    assert_eq!(spans.len(), 6);
    let sent: Vec<_> = drawn(traced.resolver()).into_iter().filter(|line| line.contains("sent.messages")).collect();
    assert_eq!(
        sent,
        [
            "shop: client.sent.messages send orders = 1",
            "shop: client.sent.messages send orders !MESSAGE_TOO_LARGE = 2",
            "shop: client.sent.messages send orders !POLICY_VIOLATION = 1",
            "shop: client.sent.messages send orders !_UNKNOWN_PARTITION = 1",
            "shop: client.sent.messages send orders !_PURGE_QUEUE = 1",
        ]
    );
}

#[test]
fn what_librdkafka_never_took_is_not_sent() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    let mut config = traced.config(None);
    config.set("queue.buffering.max.messages", "2").set("linger.ms", "60000");
    let producer: BaseProducer = config.create().unwrap();
    let taken = (0..5).filter(|_| producer.send(order()).is_ok()).count();
    assert_eq!((taken, drawn(traced.resolver()).len()), (2, 0), "and what is not acknowledged yet is not counted");
    producer.flush(LIMIT).unwrap();
    assert_eq!(drawn(traced.resolver())[1], "shop: client.sent.messages send orders = 2");
}

#[test]
fn a_transaction_s_messages_are_counted_and_an_aborted_one_s_as_failed() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"only\""));
    let mut config = traced.config(None);
    config.set("transactional.id", "tx").set("linger.ms", "2000");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(Duration::from_secs(20)).unwrap();
    for kept in [true, false] {
        producer.begin_transaction().unwrap();
        for _ in 0..3 {
            producer.send(order()).map_err(|(error, _)| error).unwrap();
        }
        if kept {
            producer.commit_transaction(Duration::from_secs(20)).unwrap();
        } else {
            producer.abort_transaction(Duration::from_secs(20)).unwrap();
        }
    }
    assert_eq!(
        drawn(traced.resolver()),
        [
            "shop: client.operation.duration send orders = 3",
            "shop: client.operation.duration send orders !_PURGE_QUEUE = 3",
            "shop: client.sent.messages send orders = 3",
            "shop: client.sent.messages send orders !_PURGE_QUEUE = 3",
        ]
    );
}

#[test]
fn what_is_sampled_out_is_measured_without_a_span_or_an_exemplar() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\"\nsampler = \"always_off\""));
    send_orders(&traced.producer(), 4);
    let consumer = traced.consumer("orders");
    for _ in 0..4 {
        let processing = Processing::start_for(traced.resolver(), None, &next_message(&consumer));
        std::thread::sleep(Duration::from_millis(2));
        drop(processing);
    }
    assert_eq!(traced.traces(), "");
    let measured = traced.resolver().measurements();
    let counts: BTreeMap<_, _> = measured.iter().map(|one| (one.instrument, one.count)).collect();
    assert_eq!(counts.len(), 5);
    assert!(counts.values().all(|count| *count == 4), "{counts:?}");
    assert!(measured.iter().all(|one| one.exemplars.is_empty()));
    assert!(only(&measured, "messaging.client.operation.duration").sum > 0.0);
    assert!(only(&measured, "messaging.process.duration").sum >= 0.008, "as long as the guards were open");
}

#[test]
fn only_metrics_leave_no_span_and_the_message_s_own_context_goes_on() {
    let traced =
        Traced::start(&["orders", "bills"], "[defaults]\nmeasure = \"only\"\n[services.app]\ntopics = [\"*\"]\n");
    let producer = traced.producer();
    send(&producer, order());
    send(&producer, order().headers(with_headers(&[("traceparent", TRACEPARENT)])));
    let consumer = traced.consumer("orders");
    let (without, with) = (next_message(&consumer), next_message(&consumer));
    assert_eq!(header_of(&without, "traceparent"), None, "nothing is begun");
    assert_eq!(header_of(&with, "traceparent").as_deref(), Some(TRACEPARENT));
    for message in [&without, &with] {
        let processing = Processing::start_for(traced.resolver(), None, message);
        // As with trace = "propagate": a guard has no context of its own there.
        send(&producer, BaseRecord::to("bills").key("k").payload("p"));
        drop(processing);
    }
    assert_eq!(header_of(&traced.read_untraced("bills"), "traceparent"), None);
    assert_eq!(traced.traces(), "");
    assert_eq!(
        drawn(traced.resolver()),
        [
            "app: client.operation.duration send bills = 2",
            "app: client.operation.duration send orders = 2",
            "app: client.sent.messages send bills = 2",
            "app: client.sent.messages send orders = 2",
            "app: client.consumed.messages receive orders (test-group) = 2",
            "app: process.duration process orders (test-group) = 2",
            "app: tracer_resolver.queue.duration receive orders (test-group) = 2",
        ]
    );
}

#[test]
fn a_message_is_consumed_once_by_whatever_call_it_comes() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    send_orders(&traced.producer(), 3);
    let mut expected = 0;
    let mut check = |more: u64| {
        expected += more;
        let measured = traced.resolver().measurements();
        assert_eq!(only(&measured, "messaging.client.consumed.messages").count, expected);
    };
    // poll()
    let consumer = traced.consumer("orders");
    (0..3).for_each(|_| drop(next_message(&consumer)));
    check(3);
    // A partition's own queue.
    let consumer: BaseConsumer = traced.config(Some("test-group")).create().unwrap();
    let consumer = std::sync::Arc::new(consumer);
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("orders", 0, Offset::Beginning).unwrap();
    let queue = consumer.split_partition_queue("orders", 0);
    consumer.assign(&partitions).unwrap();
    let queue = queue.or_else(|| consumer.split_partition_queue("orders", 0)).unwrap();
    let mut taken = 0;
    while taken < 3 {
        assert!(consumer.poll(Duration::from_millis(10)).is_none());
        taken += usize::from(queue.poll(Duration::from_millis(100)).is_some_and(|message| message.is_ok()));
    }
    check(3);
    // A stream.
    let consumer: StreamConsumer = traced.config(Some("test-group")).create().unwrap();
    consumer.assign(&partitions).unwrap();
    (0..3).for_each(|_| drop(block_on(consumer.recv()).unwrap().detach()));
    check(3);
    // librdkafka's own: one by one, in batches, and by callback.
    for way in [Native::Poll, Native::Batch, Native::Callback] {
        let consumer = traced.consumer("orders");
        assert_eq!(take(&consumer, 3, way), 3);
        check(3);
    }
}

#[derive(Clone, Copy)]
enum Native {
    Poll,
    Batch,
    Callback,
}

/// Takes so many messages by a function of librdkafka's.
fn take(consumer: &BaseConsumer, count: usize, way: Native) -> usize {
    unsafe extern "C" fn counts(message: *mut rd_kafka_message_t, taken: *mut std::ffi::c_void) {
        // SAFETY: librdkafka lends the message, and the test its counter.
        unsafe { *taken.cast::<usize>() += usize::from((*message).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) };
    }
    let mut taken = 0;
    let until = std::time::Instant::now() + LIMIT;
    // SAFETY: the client lives; each message is destroyed once, and the queue given back.
    unsafe {
        let client = consumer.client().native_ptr();
        let queue = rd_kafka_queue_get_consumer(client);
        while taken < count && std::time::Instant::now() < until {
            match way {
                Native::Poll => {
                    let message = rd_kafka_consumer_poll(client, 100);
                    if !message.is_null() {
                        counts(message, (&raw mut taken).cast());
                        rd_kafka_message_destroy(message);
                    }
                }
                Native::Batch => {
                    let mut messages = [std::ptr::null_mut(); 10];
                    let found = rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), messages.len());
                    for message in messages.iter().take(usize::try_from(found).unwrap()) {
                        counts(*message, (&raw mut taken).cast());
                        rd_kafka_message_destroy(*message);
                    }
                }
                Native::Callback => {
                    rd_kafka_consume_callback_queue(queue, 100, Some(counts), (&raw mut taken).cast());
                }
            }
        }
        rd_kafka_queue_destroy(queue);
    }
    taken
}

#[test]
fn a_batch_that_is_produced_at_once_is_counted_message_by_message() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    let producer = NativeProducer::new(&traced.config(None)).unwrap();
    // SAFETY: client, topic and messages are valid; payloads are copied.
    unsafe {
        let topic = rd_kafka_topic_new(producer.as_ptr(), c"orders".as_ptr(), std::ptr::null_mut());
        let mut messages: [rd_kafka_message_t; 6] = std::mem::zeroed();
        for message in &mut messages {
            (message.payload, message.len) = (c"p".as_ptr().cast_mut().cast(), 1);
        }
        let sent = rd_kafka_produce_batch(topic, -1, RD_KAFKA_MSG_F_COPY, messages.as_mut_ptr(), 6);
        assert_eq!((sent, producer.flush(20_000)), (6, 0));
        rd_kafka_topic_destroy(topic);
    }
    assert_eq!(drawn(traced.resolver())[1], "shop: client.sent.messages send orders = 6");
}

#[test]
fn the_time_in_the_queue_is_from_the_message_s_timestamp_and_never_negative() {
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let producer = traced.producer();
    let hours = 3_600_000;
    // One that a producer sent whose clock is an hour ahead, one of an hour ago, and one of half a day ago.
    for timestamp in [now + hours, now - hours, now - 12 * hours] {
        send(&producer, order().timestamp(timestamp));
    }
    let consumer = traced.consumer("orders");
    (0..3).for_each(|_| drop(next_message(&consumer)));
    let measured = traced.resolver().measurements();
    let queue = only(&measured, "tracer_resolver.queue.duration");
    let bounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];
    assert_eq!(queue.bounds, bounds);
    assert_eq!(queue.buckets, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert!((13.0 * 3600.0..13.0 * 3600.0 + 240.0).contains(&queue.sum), "{}", queue.sum);
}

#[test]
fn a_child_of_a_fork_begins_at_zero_and_its_parent_goes_on() {
    if let Some(resolver) = child::resolver() {
        let config = traced_by(&resolver, child::kafka());
        let producer: BaseProducer = config.create().unwrap();
        send_orders(&producer, 5);
        // SAFETY: this thread goes on alone in the child; glibc's allocator works there.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            let before = drawn(&resolver).len();
            send_orders(&config.create().unwrap(), 3);
            let after = drawn(&resolver)[1].clone();
            println!("child: {before}, then {after}");
            // SAFETY: ends the child.
            unsafe { libc::exit(0) };
        }
        let mut status = 0;
        // SAFETY: our own child, and a place for its status.
        assert_eq!(unsafe { libc::waitpid(forked, &raw mut status, 0) }, forked);
        assert_eq!(status, 0);
        send_orders(&producer, 1);
        println!("parent: {}", drawn(&resolver)[1]);
        return;
    }
    let traced = Traced::start(&["orders"], &two_services("measure = \"on\""));
    let ended = run(&mut traced.again("a_child_of_a_fork_begins_at_zero_and_its_parent_goes_on"));
    ended.expect_success();
    for line in [
        "child: 0, then shop: client.sent.messages send orders = 3",
        "parent: shop: client.sent.messages send orders = 6",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
}
