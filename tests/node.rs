//! Promise: programs in Node.js on node-rdkafka are traced as programs in Rust are, by one property or by none.

use std::path::Path;
use std::process::Command;

use words::foreign::{FORWARDING, MANY, Surroundings, WayIn, forwarding_in_rust, node_modules, run, run_rounds};

fn node(surroundings: &Surroundings, way_in: WayIn, modules: &Path, arguments: &[&str]) -> Command {
    let mut command = surroundings.command(way_in, "node");
    command.env("NODE_PATH", modules).args(arguments);
    command
}

fn flow(modules: &Path, way_in: WayIn, api: &str, ending: &str) -> String {
    let surroundings = Surroundings::start(&["orders", "payments"], 1, FORWARDING);
    let ended = run(&mut node(&surroundings, way_in, modules, &["tests/node/flow.js", api, ending]));
    ended.expect_success();
    assert_eq!(ended.stdout, "paid: order 0\npaid: order 1\npaid: order 2\n", "{way_in:?} {api}");
    assert_eq!(ended.stderr, "", "{way_in:?} {api}");
    surroundings.traces()
}

#[test]
fn every_way_to_consume_draws_the_traces_that_the_rust_crate_draws() {
    let Some(modules) = node_modules() else { return };
    let in_rust = forwarding_in_rust(3);
    for way_in in WayIn::TRACED {
        for api in ["flowing", "single", "stream"] {
            assert_eq!(flow(&modules, way_in, api, "disconnect"), in_rust, "{way_in:?} {api}");
        }
    }
}

#[test]
fn a_program_that_exits_without_disconnecting_loses_nothing() {
    let Some(modules) = node_modules() else { return };
    for way_in in [WayIn::Property, WayIn::Preload, WayIn::Both] {
        let traces = flow(&modules, way_in, "flowing", "exit");
        assert_eq!(traces.lines().count(), 12, "{way_in:?}: {traces}");
    }
}

#[test]
fn a_program_without_the_file_runs_the_same_and_is_not_traced() {
    let Some(modules) = node_modules() else { return };
    assert_eq!(flow(&modules, WayIn::Untraced, "flowing", "disconnect"), "");
}

#[test]
fn a_hundred_thousand_messages_are_two_hundred_thousand_spans_in_a_memory_that_does_not_grow() {
    let Some(modules) = node_modules() else { return };
    let surroundings = Surroundings::start(&["many"], 8, MANY);
    let mut command = node(&surroundings, WayIn::Property, &modules, &["--expose-gc", "tests/node/many.js", "8"]);
    let rounds = run_rounds(&surroundings, &mut command, 5, 20_000);
    assert_eq!((rounds.sends, rounds.receives, rounds.ids), (100_000, 100_000, 200_000));
    // Untraced, its own heap grows by as much as 8 MiB in its first rounds, in steps of 4.
    assert!(rounds.grown() < 24_000, "{:?}", rounds.resident);
}
