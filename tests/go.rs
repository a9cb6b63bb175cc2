//! Promise: programs in Go on confluent-kafka-go are traced as programs in Rust are, whether their librdkafka is linked in
//! or the system's; where its functions cannot be found, one line says so and the program runs as it did.

use std::path::Path;

use words::foreign::{FORWARDING, GoBuild, MANY, forwarding_in_rust, go_program, run_rounds};
use words::kafka::Kafka;
use words::{Ended, Traced, WayIn, run};

fn flow(program: &Path, way: WayIn, ending: &str) -> (Ended, String) {
    let traced = Traced::start(&["orders", "payments"], FORWARDING);
    let ended = run(traced.command(way, program).args(["flow", ending]));
    ended.expect_success();
    assert_eq!(ended.stdout, "paid: order 0\npaid: order 1\npaid: order 2\n", "{way:?}");
    (ended, traced.take_traces())
}

/// Asserts that the program says nothing, and draws what the Rust crate draws.
fn assert_drawn_as_in_rust(program: &Path, way: WayIn, in_rust: &str) {
    let (ended, traces) = flow(program, way, "close");
    assert_eq!(traces, in_rust, "{way:?} {}: {}", program.display(), ended.stderr);
    assert_eq!(ended.stderr, "", "{way:?} {}", program.display());
}

#[test]
fn a_program_that_closes_its_clients_draws_the_traces_that_the_rust_crate_draws() {
    let in_rust = forwarding_in_rust(3);
    for build in [GoBuild::Static, GoBuild::StrippedExporting] {
        let Some(program) = go_program(build) else { continue };
        assert_drawn_as_in_rust(&program, WayIn::Property, &in_rust);
    }
    let Some(program) = go_program(GoBuild::Dynamic) else { return };
    for way in [WayIn::Property, WayIn::Preload, WayIn::Both] {
        assert_drawn_as_in_rust(&program, way, &in_rust);
    }
}

#[test]
fn a_stripped_program_runs_untraced_and_one_line_names_the_way_out() {
    let Some(program) = go_program(GoBuild::Stripped) else { return };
    let (ended, traces) = flow(&program, WayIn::Property, "close");
    assert_eq!(traces, "");
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for word in ["do not strip it", "rd_kafka_", "-rdynamic"] {
        assert!(lines[0].contains(word), "{word:?} is not in {}", lines[0]);
    }
}

#[test]
fn a_fully_static_program_runs_untraced_and_one_line_says_why() {
    let Some(program) = go_program(GoBuild::FullyStatic) else { return };
    let (ended, traces) = flow(&program, WayIn::Property, "close");
    assert_eq!((traces.as_str(), ended.stderr.lines().count()), ("", 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("-static"), "{}", ended.stderr);
}

#[test]
fn a_program_that_leaves_its_clients_open_ends_as_it_says() {
    let Some(program) = go_program(GoBuild::Static) else { return };
    // What it has in hand is lost, be it all: no code of C runs when Go ends a process.
    let (ended, _) = flow(&program, WayIn::Property, "exit");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_preloaded_library_leaves_a_program_with_its_own_librdkafka_alone() {
    let Some(program) = go_program(GoBuild::Static) else { return };
    let (ended, traces) = flow(&program, WayIn::Preload, "close");
    assert_eq!((ended.stderr.as_str(), traces.as_str()), ("", ""));
}

#[test]
fn a_hundred_thousand_messages_are_two_hundred_thousand_spans_in_a_memory_that_does_not_grow() {
    let Some(program) = go_program(GoBuild::Static) else { return };
    let traced = Traced::on(Kafka::start_with(&["many"], 8), MANY);
    let rounds = run_rounds(&traced, traced.command(WayIn::Property, program).args(["many", "8"]), 5, 20_000);
    rounds.expect_two_spans_each(100_000);
    // Allocators settle over the first rounds; 60,000 messages that each left a header behind would be more.
    assert!(rounds.grown() < 10_000, "{:?}", rounds.resident);
}
