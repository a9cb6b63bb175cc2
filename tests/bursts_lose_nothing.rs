//! Promise: at 100 % sampling, bursts of ten thousand messages lose no span and double none.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use words::kafka::{Kafka, assign};
use words::{LIMIT, Traced};

const BURST: usize = 10_000;
const BURSTS: usize = 10;
const PARTITIONS: i32 = 4;

fn traced() -> Traced {
    let kafka = Kafka::start_partitioned("orders", PARTITIONS);
    let configuration = r#"
        [services.shop]
        produces = ["*"]
        [services.billing]
        consumes = ["*"]
        [batch]
        delay = "100ms"
    "#;
    Traced::on(kafka, configuration)
}

fn burst(producer: &BaseProducer, count: usize) {
    for number in 0..count {
        let partition = (number % PARTITIONS as usize) as i32;
        let record = BaseRecord::<str, str>::to("orders").payload("p").partition(partition);
        assert!(producer.send(record).is_ok(), "the producer's own queue was full");
    }
    producer.flush(LIMIT).unwrap();
}

#[test]
fn a_hundred_thousand_messages_in_bursts_of_ten_thousand_are_a_hundred_thousand_spans() {
    let traced = traced();
    let producer = traced.producer();
    for _ in 0..BURSTS {
        burst(&producer, BURST);
    }
    assert!(traced.resolver().flush(LIMIT));
    let spans = traced.collector.wait_for(BURST * BURSTS, LIMIT);
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!((spans.len(), ids.len()), (BURST * BURSTS, BURST * BURSTS));
    let places: HashSet<_> = spans
        .iter()
        .map(|span| (span.attribute("messaging.destination.partition.id"), span.attribute("messaging.kafka.offset")))
        .collect();
    assert_eq!(places.len(), BURST * BURSTS, "each is one record of the log");
    assert_eq!(traced.collector.faults(), Vec::<String>::new());
    let stats = traced.resolver().stats();
    assert_eq!(stats.services[0].spans, (BURST * BURSTS) as u64);
    assert_eq!((stats.services[0].dropped_buffer_full, stats.services[0].parents_lost), (0, 0));
    let at_backend = &stats.backends[0].services[0];
    assert_eq!((at_backend.exported, at_backend.dropped_total(), at_backend.waiting), ((BURST * BURSTS) as u64, 0, 0));
}

/// A collector on the same machine takes 50 ms for each batch: what comes meanwhile waits, within what memory there is room for.
#[test]
fn by_default_a_burst_at_full_speed_waits_for_a_collector_that_takes_its_time() {
    let traced = traced();
    traced.collector.respond_after(Duration::from_millis(50));
    let producer = traced.producer();
    let mut most_held = 0;
    for _ in 0..4 {
        burst(&producer, BURST);
        let of = &traced.resolver().stats().backends[0];
        most_held = most_held.max(of.held_bytes);
        assert_eq!(of.services[0].dropped_total(), 0);
    }
    assert!(traced.resolver().flush(LIMIT));
    let spans = traced.collector.wait_for(4 * BURST, LIMIT);
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!((spans.len(), ids.len()), (4 * BURST, 4 * BURST));
    let of = &traced.resolver().stats().backends[0];
    assert_eq!((of.services[0].exported, of.services[0].dropped_total(), of.held_bytes), (4 * BURST as u64, 0, 0));
    assert!(most_held <= of.queue_bytes, "{most_held} of {}", of.queue_bytes);
}

/// No broker is as fast: a producer that is told to give up reports all that waits at once, one after the other, in a loop of librdkafka's.
#[test]
fn ten_thousand_acknowledgements_in_one_go_wait_for_a_collector_that_takes_its_time() {
    let traced = traced();
    traced.collector.respond_after(Duration::from_millis(50));
    let mut config = traced.config(None);
    config.set("bootstrap.servers", "127.0.0.1:1");
    let producer: BaseProducer = config.create().unwrap();
    for bursts in 1..=3 {
        for _ in 0..BURST {
            assert!(producer.send(BaseRecord::<str, str>::to("orders").payload("p")).is_ok());
        }
        assert_eq!(traced.counters().spans, ((bursts - 1) * BURST) as u64, "none has been answered yet");
        producer.purge(PurgeConfig::default().queue().inflight());
        producer.flush(LIMIT).unwrap();
    }
    assert!(traced.resolver().flush(LIMIT));
    let spans = traced.collector.wait_for(3 * BURST, LIMIT);
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!((spans.len(), ids.len()), (3 * BURST, 3 * BURST));
    let stats = traced.resolver().stats();
    let lost = stats.backends[0].services[0].dropped_total();
    assert_eq!((stats.services[0].spans, stats.services[0].dropped_buffer_full, lost), (3 * BURST as u64, 0, 0));
}

#[test]
fn what_is_counted_holds_every_span_that_has_ended_although_nobody_has_flushed() {
    let traced = Traced::on(
        Kafka::start_partitioned("orders", PARTITIONS),
        "[services.shop]\nproduces = [\"*\"]\n[services.billing]\nconsumes = [\"*\"]\n[batch]\ndelay = \"1h\"",
    );
    let producer = traced.producer();
    for bursts in 1..=3 {
        burst(&producer, 100);
        let stats = traced.resolver().stats();
        let at_backend = &stats.backends[0].services[0];
        assert_eq!((stats.services[0].spans, at_backend.offered), (100 * bursts, 100 * bursts));
        assert_eq!(at_backend.offered, at_backend.exported + at_backend.waiting);
    }
    // And a message that waits for its guard is given to it all the same.
    let consumer = traced.consumer("orders");
    let message = words::kafka::next_message(&consumer);
    traced.resolver().stats();
    drop(tracer_resolver_rdkafka::Processing::start_for(traced.resolver(), None, &message));
    drop(consumer);
    let spans = traced.spans();
    let of_first = spans.iter().filter(|span| {
        span.kind == "consumer"
            && span.attribute("messaging.destination.partition.id").as_deref() == Some("0")
            && span.attribute("messaging.kafka.offset").as_deref() == Some("0")
    });
    assert_eq!(of_first.map(|span| span.name.as_str()).collect::<Vec<_>>(), ["process orders"]);
}

#[test]
fn a_burst_that_is_consumed_at_once_keeps_every_message_s_parent() {
    let traced = traced();
    burst(&traced.producer(), BURST);
    let consumer = assign(&traced.config(Some("g")), "orders");
    let mut partitions = rdkafka::TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset("orders", partition, rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let mut received = 0;
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while received < BURST && std::time::Instant::now() < until {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message.unwrap();
            received += 1;
        }
    }
    let spans = traced.spans();
    let sends: HashMap<_, _> =
        spans.iter().filter(|span| span.kind == "producer").map(|span| (&span.span_id, span)).collect();
    let receives: Vec<_> = spans.iter().filter(|span| span.kind == "consumer").collect();
    assert_eq!((received, sends.len(), receives.len()), (BURST, BURST, BURST));
    for receive in &receives {
        let send = sends[&receive.parent_span_id];
        for place in ["messaging.destination.partition.id", "messaging.kafka.offset"] {
            assert_eq!(receive.attribute(place), send.attribute(place), "the parent is this very record's");
        }
    }
    let parents: HashSet<_> = receives.iter().map(|span| &span.parent_span_id).collect();
    assert_eq!(parents.len(), BURST, "each has its own");
}

#[test]
fn several_threads_and_producers_at_once_lose_nothing() {
    let traced = traced();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let producer = traced.producer();
            scope.spawn(move || burst(&producer, 5_000));
        }
    });
    let spans = traced.spans();
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!((spans.len(), ids.len()), (20_000, 20_000));
}
