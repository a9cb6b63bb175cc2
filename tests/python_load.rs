//! Promise: a hundred thousand messages through a Python program are a hundred thousand spans of sends and as many of
//! deliveries, each the child of its send, while the program's memory stays as it is.

use words::foreign::{python, run_rounds};
use words::kafka::Kafka;
use words::{Traced, WayIn};

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    [backends.otlp]
    queue_bytes = "128MiB"
"#;

#[track_caller]
fn loaded(way: WayIn, how: &str) {
    let Some(python) = python() else { return };
    let traced = Traced::on(Kafka::start_with(&["orders"], 8), CONFIGURATION);
    let mut command = traced.command(way, python);
    let rounds = run_rounds(&traced, command.args(["tests/python/load.py", how]), 5, 20_000);
    rounds.expect_two_spans_each(100_000);
    assert_eq!(rounds.connected, 100_000);
    rounds.expect_nothing_left_behind();
}

#[test]
fn by_preload_one_by_one() {
    loaded(WayIn::Preload, "one");
}

#[test]
fn by_property_a_thousand_at_a_time() {
    loaded(WayIn::Property, "many");
}
