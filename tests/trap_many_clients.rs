//! Promise: clients that come and go leave no thread, no file and no memory behind.
//!
//! Without `Client::retire` in `SlotId::release` (`resolver/src/interceptor/slots.rs`) each client leaves its table of
//! parents, 3 MiB reserved and what was touched of it, and its routes; the memory grows beyond the bound here.

use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::kafka::{Kafka, next_message, subscribe};
use words::{Traced, child, open_files, resident_bytes, threads};

const TEST: &str = "clients_that_come_and_go_leave_nothing_behind";

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    if child::part().is_none() {
        // Alone: what a process uses is everybody's.
        return child::run(TEST, "measure", &[]).expect_success();
    }
    let (kafka, traced) = (Kafka::start(&["orders"]), Traced::start(""));
    let config = traced.config(kafka.config());
    let round = |count: usize| {
        for _ in 0..count {
            let producer: BaseProducer = config.create().unwrap();
            for _ in 0..50 {
                producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
            }
            producer.flush(Duration::from_secs(20)).unwrap();
        }
        traced.resolver.flush(Duration::from_secs(20));
    };
    round(40);
    let (memory, tasks, files) = (resident_bytes(), threads(), open_files());
    round(200);
    let grown = resident_bytes().saturating_sub(memory);
    // The mock cluster keeps up to 5 MiB of messages, and the collector every span.
    assert!(grown < 24 << 20, "{grown} bytes");
    assert!(threads() <= tasks + 2, "{} threads before, {} now", tasks, threads());
    assert!(open_files() <= files + 4, "{} files before, {} now", files, open_files());
    assert_eq!(traced.spans().len(), 240 * 50);

    let consumers = || {
        for _ in 0..5 {
            let consumer: BaseConsumer = subscribe(&traced.config(kafka.consumer_config("shop")), "orders");
            next_message(&consumer);
        }
    };
    consumers();
    let (tasks, files) = (threads(), open_files());
    consumers();
    assert!(threads() <= tasks + 2 && open_files() <= files + 4);
}
