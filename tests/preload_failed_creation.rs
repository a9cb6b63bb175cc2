//! Promise: a client that cannot be created does no harm in a program that preloads the library: what the program does
//! with its configuration afterwards, works, also with a librdkafka before 2.13, which breaks it.
//!
//! The fake librdkafka ends the process when a broken configuration is used. Without `failed_configurations` in
//! `resolver/librdkafka/src/preload/create.rs` the first four programs die.

use std::process::Command;

use words::fake_librdkafka::Workshop;
use words::foreign::skip;
use words::{Ended, Traced, WayIn, run};

const OLD: &str = "-DVERSION=0x020c01ff";
const SOUND: &str = "-DVERSION=0x020d00ff";

/// Runs the program of this scenario with a librdkafka of this version; what it wrote, and the traces.
fn fail(workshop: &Workshop, version: &str, scenario: &str) -> (Ended, String) {
    workshop.librdkafka("kafka", &[version]);
    let program = workshop.build_linked_with("kafka", "failing", &["failing.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let mut command = traced.command(WayIn::Preload, program);
    if scenario == "none" {
        command.env("CONSUMERS_FAIL", "");
    }
    let ended = run(command.arg(scenario));
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    (ended, traced.take_traces())
}

#[test]
fn a_configuration_that_librdkafka_broke_can_be_destroyed_and_used_again() {
    let Some(workshop) = Workshop::open() else { return };
    let late = "errno 22: refused late\n";
    let early = "errno 22: refused early\n";
    let sent = "shop: send orders\n";
    // What an old librdkafka breaks is left as it is: three configurations, one with the copy of the second try, …
    for (scenario, said, traces, left) in [
        ("destroy", late.repeat(3), sent, 3),
        ("retry", late.repeat(2), sent, 2),
        ("retry in vain", late.repeat(2), "", 2),
        ("retry early", format!("{late}{early}"), "", 1),
        ("early", early.repeat(2), sent, 0),
        ("none", late.to_owned(), sent, 1),
    ] {
        let (ended, drawn) = fail(&workshop, OLD, scenario);
        assert_eq!((ended.stdout, &*drawn), (format!("{said}left: {left}\n"), traces), "{scenario}");
        // A sound one breaks nothing, and nothing is left.
        let (ended, drawn) = fail(&workshop, SOUND, scenario);
        assert_eq!((ended.stdout, &*drawn), (format!("{said}left: 0\n"), traces), "{scenario}, sound");
    }
}

/// With Debian's librdkafka 2.0.2 this program dies when its client is traced by `plugin.library.paths`.
#[test]
fn the_system_s_librdkafka_does_no_harm_either() {
    let Some(workshop) = Workshop::open() else { return };
    if !Command::new("pkg-config").args(["--exists", "rdkafka"]).status().is_ok_and(|status| status.success()) {
        return skip("pkg-config knows no librdkafka (librdkafka-dev) on this machine");
    }
    let program = workshop.build("failing_for_real", &["failing_for_real.c", "-lrdkafka"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let ended = run(&mut traced.command(WayIn::Preload, program));
    ended.expect_success();
    assert!(ended.stdout.contains("NONSENSE") && ended.stderr.is_empty(), "{ended:?}");
}
