//! Promise: a hundred thousand messages through a Python program are a hundred thousand spans of sends and as many of
//! hand-overs, each the child of its send, while the program's memory stays as it is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use std::collections::{HashMap, HashSet};

use words::foreign::{Door, Surroundings, python, run};

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    [backends.otlp]
    queue_bytes = "128MiB"
"#;

const COUNT: usize = 100_000;
const PARTITIONS: i32 = 8;

/// More than the same program grows untraced, between its third round and its last: 0 to 2 MiB, as its allocator likes.
/// What a message left behind would show from 120 bytes on, for 70 000 messages.
const MOST_GROWTH_KIB: i64 = 8 * 1024;

fn loaded(door: Door, how: &str, hand_over: &str) {
    let Some(python) = python() else { return };
    let surroundings = Surroundings::start(&["orders"], PARTITIONS, CONFIGURATION);
    let ended = run(surroundings.command(door, python).args(["tests/python/load.py", how]));
    ended.expect_success();
    assert_eq!(ended.stderr, "");

    // Their places in the log tell which send is which hand-over's.
    let mut sends = HashMap::new();
    let mut hand_overs = HashMap::new();
    let mut ids = HashSet::new();
    for span in surroundings.take_spans() {
        let place = (span.attribute("messaging.destination.partition.id"), span.attribute("messaging.kafka.offset"));
        assert!(ids.insert(span.span_id.clone()), "{span:#?}");
        match span.name.as_str() {
            "send orders" => assert!(sends.insert(place, span.span_id).is_none()),
            name if name == hand_over => assert!(hand_overs.insert(place, span.parent_span_id).is_none()),
            other => panic!("{other}"),
        }
    }
    assert_eq!((sends.len(), hand_overs.len()), (COUNT, COUNT));
    assert!(hand_overs.iter().all(|(place, parent)| sends.get(place) == Some(parent)));

    let resident: Vec<i64> =
        ended.stdout.lines().map(|line| line.split_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!(resident.len(), 10);
    assert!(resident[9] - resident[2] < MOST_GROWTH_KIB, "{door:?} {how}: {resident:?} KiB");
}

#[test]
fn by_preload_one_by_one() {
    loaded(Door::Preload, "one", "process orders");
}

#[test]
fn by_property_a_thousand_at_a_time() {
    loaded(Door::Property, "many", "receive orders");
}
