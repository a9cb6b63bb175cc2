//! Promise: programs in Node.js on node-rdkafka are traced as programs in Rust are, by one property or by none.

use std::path::Path;
use std::process::Command;

use words::foreign::{FORWARDING, MANY, forwarding_in_rust, node_modules, run_rounds};
use words::kafka::Kafka;
use words::{Traced, WayIn, run};

fn node(traced: &Traced, way: WayIn, modules: &Path, arguments: &[&str]) -> Command {
    let mut command = traced.command(way, "node");
    command.env("NODE_PATH", modules).args(arguments);
    command
}

fn flow(modules: &Path, way: WayIn, api: &str, ending: &str) -> String {
    let traced = Traced::start(&["orders", "payments"], FORWARDING);
    let ended = run(&mut node(&traced, way, modules, &["tests/node/flow.js", api, ending]));
    ended.expect_success();
    assert_eq!(ended.stdout, "paid: order 0\npaid: order 1\npaid: order 2\n", "{way:?} {api}");
    assert_eq!(ended.stderr, "", "{way:?} {api}");
    traced.take_traces()
}

#[test]
fn every_way_to_consume_draws_the_traces_that_the_rust_crate_draws() {
    let Some(modules) = node_modules() else { return };
    let in_rust = forwarding_in_rust(3);
    for way in WayIn::EACH {
        for api in ["flowing", "single", "stream"] {
            assert_eq!(flow(&modules, way, api, "disconnect"), in_rust, "{way:?} {api}");
        }
    }
}

#[test]
fn a_program_that_exits_without_disconnecting_loses_nothing() {
    let Some(modules) = node_modules() else { return };
    for way in [WayIn::Property, WayIn::Preload, WayIn::Both] {
        let traces = flow(&modules, way, "flowing", "exit");
        assert_eq!(traces.lines().count(), 12, "{way:?}: {traces}");
    }
}

#[test]
fn a_program_without_the_file_runs_the_same_and_is_not_traced() {
    let Some(modules) = node_modules() else { return };
    assert_eq!(flow(&modules, WayIn::None, "flowing", "disconnect"), "");
}

#[test]
fn a_hundred_thousand_messages_are_two_hundred_thousand_spans_in_a_memory_that_does_not_grow() {
    let Some(modules) = node_modules() else { return };
    let traced = Traced::on(Kafka::start_with(&["many"], 8), MANY);
    let mut command = node(&traced, WayIn::Property, &modules, &["--expose-gc", "tests/node/many.js", "8"]);
    let rounds = run_rounds(&traced, &mut command, 5, 20_000);
    rounds.expect_two_spans_each(100_000);
    // Untraced, its own heap grows by as much as 8 MiB in its first rounds, in steps of 4.
    rounds.expect_nothing_left_behind();
}
