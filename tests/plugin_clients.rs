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

/// By the property nobody can know whose thread it is; preloaded, the call comes from the plugin's code.
#[test]
fn a_client_on_a_thread_of_a_plugin_is_not_traced_either() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    for place in ["validate", "create", "export"] {
        let ended = run_at(&traced, WayIn::Preload, &program, place, true);
        assert_eq!(ended.stderr, "", "{place}");
        let mut lines: Vec<_> = ended.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["orders: a trace", "spans: no trace"], "{place}");
        expect_orders_only(&traced.take_traces(), place);
    }
}

#[test]
fn a_plugin_that_never_comes_back_costs_its_backend_only() {
    let Some(workshop) = Workshop::open() else { return };
    let program = program_and_plugin(&workshop);
    let traced = traced(&workshop);
    let ended = run_at(&traced, WayIn::Preload, &program, "forever", false);
    assert_eq!(ended.stdout, "orders: a trace\n");
    for words in ["tracer-resolver: ERROR: ", "backend `mine`", "its create did not return within 10s"] {
        assert!(ended.stderr.contains(words), "{words} is not in {}", ended.stderr);
    }
    expect_orders_only(&traced.take_traces(), "forever");
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
