//! Promise: programs in Node.js on node-rdkafka are traced as programs in Rust are, by one property or by none.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use words::foreign::{Door, FORWARDING, Surroundings, forwarding_in_rust, node_modules, run, skip};

fn node(surroundings: &Surroundings, door: Door, modules: &Path, arguments: &[&str]) -> Command {
    let mut command = surroundings.command(door, "node");
    command.env("NODE_PATH", modules).args(arguments);
    command
}

fn flow(modules: &Path, door: Door, api: &str, ending: &str) -> String {
    let surroundings = Surroundings::start(&["orders", "payments"], 1, FORWARDING);
    let ended = run(&mut node(&surroundings, door, modules, &["tests/node/flow.js", api, ending]));
    ended.expect_success();
    assert_eq!(ended.stdout, "paid: order 0\npaid: order 1\npaid: order 2\n", "{door:?} {api}");
    assert_eq!(ended.stderr, "", "{door:?} {api}");
    surroundings.traces()
}

#[test]
fn every_way_to_consume_draws_the_traces_that_the_rust_door_draws() {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(reason) => return skip(&reason),
    };
    let in_rust = forwarding_in_rust(3);
    for door in Door::TRACED {
        for api in ["flowing", "single", "stream"] {
            assert_eq!(flow(&modules, door, api, "disconnect"), in_rust, "{door:?} {api}");
        }
    }
}

#[test]
fn a_program_that_exits_without_disconnecting_loses_nothing() {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(reason) => return skip(&reason),
    };
    for door in Door::TRACED {
        let traces = flow(&modules, door, "flowing", "exit");
        assert_eq!(traces.lines().count(), 12, "{door:?}: {traces}");
    }
}

#[test]
fn a_program_without_the_file_runs_the_same_and_is_not_traced() {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(reason) => return skip(&reason),
    };
    assert_eq!(flow(&modules, Door::Closed, "flowing", "disconnect"), "");
}

#[test]
fn a_hundred_thousand_messages_are_two_hundred_thousand_spans_in_a_memory_that_does_not_grow() {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(reason) => return skip(&reason),
    };
    const MESSAGES: usize = 100_000;
    let surroundings = Surroundings::start(&["many"], 8, "[services.many]\ntopics = [\"*\"]");
    let arguments = ["--expose-gc", "tests/node/many.js", "100000", "8"];
    let ended = run(&mut node(&surroundings, Door::Property, &modules, &arguments));
    ended.expect_success();
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["received"], MESSAGES);
    // Node's own heap comes and goes by some MiB. The last 60,000 messages' spans alone would be 30 MiB.
    assert!(said["grown"].as_i64().unwrap() < 20, "{said}");
    let spans = surroundings.spans();
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    let of_kind = |kind: &str| spans.iter().filter(|span| span.kind == kind).count();
    assert_eq!((of_kind("producer"), of_kind("consumer"), ids.len()), (MESSAGES, MESSAGES, 2 * MESSAGES));
}
