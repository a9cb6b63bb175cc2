//! Promise: a hundred thousand messages through a Python program are a hundred thousand spans of sends and as many of
//! deliveries, each the child of its send, while the program's memory stays as it is.

use words::foreign::{Surroundings, WayIn, python, run_rounds};

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    [backends.otlp]
    queue_bytes = "128MiB"
"#;

/// What is resident goes up and down from round to round, as the allocators of Python, of librdkafka and of the library like,
/// and settles only after several. Four hundred bytes, a message with its headers, that each message left behind would be
/// 24 MB.
const MOST_GROWTH_KIB: i64 = 24_000;

#[track_caller]
fn loaded(way_in: WayIn, how: &str) {
    let Some(python) = python() else { return };
    let surroundings = Surroundings::start(&["orders"], 8, CONFIGURATION);
    let mut command = surroundings.command(way_in, python);
    let rounds = run_rounds(&surroundings, command.args(["tests/python/load.py", how]), 5, 20_000);
    assert_eq!((rounds.sends, rounds.receives, rounds.ids), (100_000, 100_000, 200_000));
    assert_eq!(rounds.connected, 100_000);
    assert!(rounds.grown() < MOST_GROWTH_KIB, "{way_in:?} {how}: {:?}", rounds.resident);
}

#[test]
fn by_preload_one_by_one() {
    loaded(WayIn::Preload, "one");
}

#[test]
fn by_property_a_thousand_at_a_time() {
    loaded(WayIn::Property, "many");
}
