//! Promise: two services in one Python process, without a line of their code, make the traces that the Rust door makes.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::time::Duration;

use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver_rdkafka::Processing;
use words::TracedCluster;
use words::foreign::{Door, Surroundings, python, run};
use words::kafka::{assign, next_message};

const TOPICS: [&str; 2] = ["orders", "payments"];
const ORDERS: usize = 3;

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    consumes = ["payments"]
    [services.billing]
    consumes = ["orders"]
    produces = ["payments"]
"#;

/// Whether the shop says when it is done with a payment. A program without code does so only where its polls are seen.
#[derive(PartialEq)]
enum Shop {
    SaysWhenItIsDone,
    SaysNothing,
}

/// The drawing of the same flow through the Rust door, which opens a guard for each order.
fn rust_door(shop: Shop) -> String {
    let cluster = TracedCluster::start(&TOPICS, CONFIGURATION);
    let resolver = &cluster.resolver;
    let producer: BaseProducer = cluster.config(None).create().unwrap();
    let send = |topic, payload: &str| {
        producer.send(BaseRecord::<str, str>::to(topic).payload(payload)).unwrap();
        producer.flush(Duration::from_secs(20)).unwrap();
    };
    for number in 0..ORDERS {
        send("orders", &format!("order {number}"));
    }
    let orders = assign(&cluster.config(Some("billing")), "orders");
    for _ in 0..ORDERS {
        let order = next_message(&orders);
        let _processing = Processing::start_for(resolver, None, &order);
        send("payments", &format!("paid: {}", String::from_utf8_lossy(order.payload().unwrap())));
    }
    let payments = assign(&cluster.config(Some("shop")), "payments");
    for _ in 0..ORDERS {
        let payment = next_message(&payments);
        if shop == Shop::SaysWhenItIsDone {
            drop(Processing::start_for(resolver, None, &payment));
        }
    }
    cluster.traces()
}

/// The drawing of `flow.py`.
fn python_program(python: &std::path::Path, door: Door) -> String {
    let surroundings = Surroundings::start(&TOPICS, 1, CONFIGURATION);
    let ended = run(surroundings.command(door, python).arg("tests/python/flow.py"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("paid: order 0\npaid: order 1\npaid: order 2\n", ""));
    surroundings.traces()
}

#[test]
fn by_property_the_drawing_is_the_rust_door_s() {
    let Some(python) = python() else { return };
    let drawing = rust_door(Shop::SaysNothing);
    let one =
        "shop: send orders\n  billing: process orders\n    billing: send payments\n      shop: receive payments\n";
    assert_eq!(drawing, one.repeat(ORDERS));
    assert_eq!(python_program(&python, Door::Property), drawing);
}

#[test]
fn by_preload_and_by_both_the_drawing_is_the_rust_door_s() {
    let Some(python) = python() else { return };
    let drawing = rust_door(Shop::SaysWhenItIsDone);
    for door in [Door::Preload, Door::Both] {
        assert_eq!(python_program(&python, door), drawing, "{door:?}");
    }
}
