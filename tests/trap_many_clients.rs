//! Promise: clients that come and go leave no thread, no file and no memory behind.
//!
//! Without `Client::retire` in `ClientHandle::release` (`resolver/src/interceptor/client_handles.rs`) each client leaves its table of
//! parents, 3 MiB reserved, and its routes; the memory grows beyond the bound here.

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::kafka::{Kafka, assign, next_message};
use words::{LIMIT, ONE_SERVICE, Traced, child, open_files, reserved_bytes, resident_bytes, run, threads, traced_by};

const TEST: &str = "clients_that_come_and_go_leave_nothing_behind";

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let Some(resolver) = child::resolver() else {
        // Alone: what a process uses is everybody's.
        let traced = Traced::start(&[], ONE_SERVICE);
        run(&mut traced.again(TEST)).expect_success();
        let sent = traced.spans().iter().filter(|span| span.name == "send orders").count();
        assert_eq!(sent, 240 * 50);
        return;
    };
    let kafka = Kafka::start(&["orders"]);
    let config = traced_by(&resolver, kafka.config());
    let round = |count: usize| {
        for _ in 0..count {
            let producer: BaseProducer = config.create().unwrap();
            for _ in 0..50 {
                producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
            }
            producer.flush(LIMIT).unwrap();
        }
        assert!(resolver.flush(LIMIT));
    };
    round(40);
    let (memory, tasks, files) = (resident_bytes(), threads(), open_files());
    let reserved = reserved_bytes();
    round(200);
    let grown = resident_bytes().saturating_sub(memory);
    // The mock cluster keeps up to 5 MiB of messages.
    assert!(grown < 16 << 20, "{grown} bytes");
    // Two hundred tables of parents would be 600 MiB.
    let reserved = reserved_bytes().saturating_sub(reserved);
    assert!(reserved < 300 << 20, "{reserved} bytes reserved");
    assert!(threads() <= tasks + 2, "{} threads before, {} now", tasks, threads());
    assert!(open_files() <= files + 4, "{} files before, {} now", files, open_files());

    let consumers = || {
        for _ in 0..20 {
            next_message(&assign(&traced_by(&resolver, kafka.consumer_config("shop")), "orders"));
        }
    };
    consumers();
    let (tasks, files) = (threads(), open_files());
    consumers();
    assert!(threads() <= tasks + 2 && open_files() <= files + 4);
}
