//! Promise: a backend plugin may use Kafka itself: its clients are its own, are not traced, and wait for nothing; and a
//! plugin that never comes back costs its backend and nothing else.

use std::path::{Path, PathBuf};

use words::fake_librdkafka::Workshop;
use words::{Ended, Traced, WayIn, run};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/api/include");

/// A program, and beside it the plugin `kafka`, both with one librdkafka.
fn program_and_plugin(workshop: &Workshop) -> PathBuf {
    let include = format!("-I{HEADER}");
    let plugin = ["-shared", "-fPIC", "-fvisibility=hidden", &include, "plugin.c", "run.c"];
    workshop.build_linked("libtracer_plugin_kafka.so", &plugin);
    workshop.build_linked_with("kafka", "program", &["program.c", "run.c"])
}

fn traced(workshop: &Workshop) -> Traced {
    let folder = workshop.path("");
    let folder = folder.display();
    let configuration = format!(
        "[plugins]\ndirs = [\"{folder}\"]\n[services.shop]\ntopics = [\"*\"]\nambient = \"off\"\nexport = [\"otlp\", \
         \"mine\"]\n[backends.mine]\nplugin = \"kafka\"\n"
    );
    Traced::start(&[], &configuration)
}

fn run_at(traced: &Traced, way: WayIn, program: &Path, place: &str, thread: bool) -> Ended {
    let mut command = traced.command(way, program);
    command.env("AT", place);
    if thread {
        command.env("THREAD", "1");
    }
    let ended = run(&mut command);
    ended.expect_success();
    ended
}

/// The program's own message, and no other.
fn expect_orders_only(traces: &str, what: &str) {
    let lines: Vec<_> = traces.lines().map(|line| line.replace("process", "receive")).collect();
    assert_eq!(lines, ["shop: send orders", "  shop: receive orders"], "{what}");
}

#[test]
fn a_client_that_a_plugin_makes_is_not_traced_and_nothing_waits_for_itself() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    for way in WayIn::EACH {
        for place in ["constructor", "validate", "create", "export"] {
            let ended = run_at(&traced, way, &program, place, false);
            assert_eq!(ended.stderr, "", "{way:?} {place}");
            let mut lines: Vec<_> = ended.stdout.lines().collect();
            lines.sort_unstable();
            lines.dedup(); // The spans may leave in two batches.
            assert_eq!(lines, ["orders: a trace", "spans: no trace"], "{way:?} {place}");
            expect_orders_only(&traced.take_traces(), &format!("{way:?} {place}"));
        }
    }
}

/// The objects of one would end the process in the other. The program's library was loaded by it, so that nothing of it is
/// kept but by its code.
#[test]
fn a_plugin_with_a_librdkafka_of_its_own_and_a_program_with_another_have_each_their_own() {
    let Some(workshop) = Workshop::open() else { return };
    workshop.librdkafka("plugins", &[]);
    workshop.librdkafka("programs", &[]);
    let include = format!("-I{HEADER}");
    let plugin = ["-shared", "-fPIC", "-fvisibility=hidden", &include, "plugin.c", "run.c"];
    workshop.build_linked_with("plugins", "libtracer_plugin_kafka.so", &plugin);
    let user = workshop.build_linked_with("programs", "orders.so", &["-shared", "-fPIC", "run.c"]);
    let program = workshop.build("loading", &["loading.c"]);
    let traced = traced(&workshop);
    for way in WayIn::EACH {
        for place in ["constructor", "validate", "create", "export"] {
            let mut command = traced.command(way, &program);
            // Twice, so that it goes on after the plugin's client.
            command.arg(&user).arg("orders").arg(&user).arg("orders").env("AT", place);
            let ended = run(&mut command);
            ended.expect_success();
            assert_eq!(ended.stderr, "", "{way:?} {place}");
            assert_eq!(ended.stdout.matches("orders: a trace\n").count(), 2, "{way:?} {place} {}", ended.stdout);
            assert!(ended.stdout.contains("spans: no trace\n"), "{way:?} {place} {}", ended.stdout);
            assert_eq!(traced.take_traces().lines().count(), 4, "{way:?} {place}");
        }
    }
}

/// Without `thread_mark` in `resolver/src/plugin` nobody knows by the property whose thread it is, nor preloaded whose a library
/// is that the plugin has loaded: there the clients are traced.
#[test]
fn a_client_on_a_thread_of_a_plugin_is_not_traced_either() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    let helper = workshop.build_linked("helper.so", &["-shared", "-fPIC", "run.c"]);
    for (way, place) in
        WayIn::EACH.into_iter().flat_map(|way| ["validate", "create", "export"].map(|place| (way, place)))
    {
        for helper in [None, Some(&helper)] {
            let mut command = traced.command(way, &program);
            command.env("AT", place).env("THREAD", "1");
            if let Some(helper) = helper {
                command.env("HELPER", helper);
            }
            let ended = run(&mut command);
            ended.expect_success();
            assert_eq!(ended.stderr, "", "{way:?} {place}");
            let mut lines: Vec<_> = ended.stdout.lines().collect();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines, ["orders: a trace", "spans: no trace"], "{way:?} {place} {helper:?}");
            expect_orders_only(&traced.take_traces(), place);
        }
    }
}

/// It comes back only when the program has created its clients and used them, and does not end before that either.
#[test]
fn a_plugin_that_takes_its_time_delays_no_client_and_gets_the_spans_that_waited() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    let places = ["constructor", "entry", "validate", "create"];
    for (way, place) in WayIn::EACH.into_iter().flat_map(|way| places.map(|place| (way, place))) {
        // By the property librdkafka closes our library with each client, and so waits for a constructor that loads: the
        // exception that the header names.
        if place == "constructor" && !matches!(way, WayIn::Preload) {
            continue;
        }
        let (until, report) = (workshop.path("until"), workshop.path("report"));
        let _ = (std::fs::remove_file(&until), std::fs::remove_file(&report));
        let mut command = traced.command(way, &program);
        let ended = run(command.env("HOLD", place).env("UNTIL", &until).env("REPORT", &report));
        ended.expect_success();
        assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""), "{way:?} {place}");
        let report = std::fs::read_to_string(&report).unwrap();
        let mut lines: Vec<_> = report.lines().collect();
        let spans: u32 =
            lines.split_off(4).iter().map(|line| line.trim_end_matches(" spans").parse::<u32>().unwrap()).sum();
        // On threads of the host's, which no signal of the program's interrupts.
        assert_eq!((lines, spans), (vec!["constructor", "entry", "validate", "create"], 2), "{way:?} {place}");
        expect_orders_only(&traced.take_traces(), place);
    }
}

#[test]
fn a_plugin_that_ends_the_process_is_named() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    let places = [("exit-create", "create"), ("exit-export", "export_batch"), ("exit-flush", "flush")];
    for (way, (place, function)) in WayIn::EACH.into_iter().flat_map(|way| places.map(|place| (way, place))) {
        let ended = run(traced.command(way, &program).env("AT", place));
        let said = format!(
            "tracer-resolver: ERROR: the {function} of plugin `kafka` ends the process: it has called exit()\n"
        );
        assert_eq!(ended.stderr.matches(&said).count(), 1, "{way:?} {place} {}", ended.stderr);
        // The status is the plugin's, also where it ends what was ending already.
        assert_eq!(ended.status.code(), Some(3), "{way:?} {place}");
        traced.take_traces();
    }
}

#[test]
fn a_plugin_that_never_comes_back_costs_its_backend_only() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    for place in ["forever", "forever-validate"] {
        let ended = run_at(&traced, WayIn::Preload, &program, place, false);
        assert_eq!(ended.stdout, "orders: a trace\n", "{place}");
        let lost = "backend `mine`: 2 of 2 spans of service `shop` were lost: 2 not_started";
        assert!(ended.stderr.contains(lost), "{place}: {}", ended.stderr);
        expect_orders_only(&traced.take_traces(), place);
    }
}

/// Where errors refuse, whoever creates a client wants to know that the plugin works.
#[test]
fn where_errors_refuse_a_plugin_that_never_comes_back_is_one() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    for (place, said) in [
        ("forever", "backend `mine`: plugin `kafka` cannot start: it has not come back within 10s"),
        ("forever-validate", "it has not come back within 10s"),
    ] {
        let mut command = traced.command(WayIn::Preload, &program);
        let ended = run(command.env("AT", place).env("INTERCEPTORS_STRICT", "1"));
        let told = ended.stdout.contains(said) && ended.stderr.contains(said);
        assert!(told && ended.stderr.contains("`mine`"), "{place}: {} {}", ended.stdout, ended.stderr);
    }
}

/// The constructor holds the lock that the plugin needs. Without `not_begun` in `resolver/src/plugin/calls.rs` the backend is
/// given up after ten seconds.
#[test]
fn a_backend_that_is_made_in_the_constructor_of_a_library_may_load_a_library_itself() {
    let Some(workshop) = Workshop::open() else { return };
    program_and_plugin(&workshop);
    let sources = ["-shared", "-fPIC", "constructing.c", "run.c"];
    let library = workshop.build_linked_with("kafka", "constructing.so", &sources);
    let program = workshop.build("loading", &["loading.c"]);
    let traced = traced(&workshop);
    let mut command = traced.command(WayIn::Preload, &program);
    let ended = run(command.env("AT", "library").arg(&library).arg("orders"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("early: a trace\norders: a trace\n", ""));
}
