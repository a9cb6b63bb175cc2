//! Promise: acknowledgements that come after `on_destroy`, or never, end their spans or cost nothing, and hang nothing.
//!
//! librdkafka calls `on_destroy` before it gives up what is in flight. Where `on_destroy` in
//! `resolver/src/interceptor/callbacks.rs` releases the client although it has met messages, the first test finds no
//! span. Where `Parents::keep` grows instead of going round, the last one finds the memory grown.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::kafka::Kafka;
use words::native::NativeProducer;
use words::{LIMIT, ONE_SERVICE, Traced, child, is_child, run};

/// librdkafka gives some of them up without a word when the machine is busy: one in three clients that are destroyed then.
/// These are counted.
#[test]
fn messages_in_flight_when_a_client_is_destroyed_have_failed_spans_or_are_counted() {
    let kafka = Rc::new(Kafka::start(&["orders"]));
    let all_were_told = (0..50).any(|_| {
        let traced = Traced::on(Rc::clone(&kafka), ONE_SERVICE);
        let mut config = traced.config(None);
        config.set("linger.ms", "10000");
        let producer = NativeProducer::new(&config).unwrap();
        // One to get the topic's partitions, so that what follows waits on a partition.
        assert_eq!(producer.produce("orders", 0, b"1"), 0);
        assert_eq!(producer.flush(20_000), 0);
        for _ in 0..3 {
            assert_eq!(producer.produce("orders", 0, b"2"), 0);
        }
        drop(producer);
        let untold = traced.counters().unacknowledged as usize;
        let failed = "app: send orders !_DESTROY\n".repeat(3_usize.saturating_sub(untold));
        assert_eq!(traced.traces(), format!("app: send orders\n{failed}"), "{untold} without a word");
        untold == 0
    });
    assert!(all_were_told, "in no round did all three have a span");
}

#[test]
fn messages_purged_by_a_dropped_producer_have_failed_spans() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let mut config = traced.config(None);
    config.set("linger.ms", "10000");
    let producer: BaseProducer = config.create().unwrap();
    for _ in 0..3 {
        producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    }
    drop(producer);
    let spans = traced.spans();
    let errors: Vec<_> = spans.iter().filter_map(|span| span.attribute("error.type")).collect();
    assert_eq!(errors, ["_PURGE_QUEUE"; 3], "{spans:?}");
}

#[test]
fn messages_that_time_out_have_failed_spans() {
    let traced = Traced::start(&[], ONE_SERVICE);
    let mut config = traced.apply(rdkafka::ClientConfig::new());
    // Nobody listens on the discard port of loopback.
    config.set("bootstrap.servers", "127.0.0.1:9").set("message.timeout.ms", "300");
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    producer.flush(LIMIT).unwrap();
    assert_eq!(traced.traces(), "app: send orders !_MSG_TIMED_OUT\n");
}

#[test]
fn messages_that_are_never_acknowledged_cost_no_memory_and_hang_nothing() {
    if !is_child() {
        // Alone: the memory of a process is everybody's.
        let test = "messages_that_are_never_acknowledged_cost_no_memory_and_hang_nothing";
        return run(&mut child(test)).expect_success();
    }
    let traced = Traced::start(&[], ONE_SERVICE);
    let mut config = traced.apply(rdkafka::ClientConfig::new());
    config.set("bootstrap.servers", "127.0.0.1:9").set("log_level", "0");
    let round = || {
        let producer = NativeProducer::new(&config).unwrap();
        for _ in 0..2_000 {
            assert_eq!(producer.produce("orders", -1, b"an order"), 0);
        }
    };
    let started = Instant::now();
    for _ in 0..20 {
        round();
    }
    let before = words::resident_bytes();
    for _ in 0..30 {
        round();
    }
    let grown = words::resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for 60000 messages");
    assert_eq!(traced.spans().len(), 0, "librdkafka told of none");
    assert!(started.elapsed() < Duration::from_secs(60));
}
