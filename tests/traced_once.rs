//! Promise: a client that has several ways into tracing goes one of them: its messages are traced once.
//!
//! Without `already_traced::by_another` in `resolver/librdkafka/src/preload/create.rs` the copy and the Rust crate's
//! memory file are not noticed: spans come twice, or a client is traced that is somebody else's.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;

use words::fake_librdkafka::Workshop;
use words::foreign::library;
use words::{Traced, WayIn, run};

const ONCE: &str = "shop: send orders\n  shop: process orders\n";

/// A file that finds its plugins wherever the library is.
fn traced() -> Traced {
    let plugins = library().parent().unwrap().display().to_string();
    let configuration = format!("[services.shop]\ntopics = [\"*\"]\n[plugins]\ndirs = [{plugins:?}]");
    Traced::start(&[], &configuration)
}

#[test]
fn the_property_and_the_preload_together_trace_once() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["program.c", "run.c"]);
    let traced = traced();
    let plugin = library().display().to_string();
    // By its path, twice, by the path that librdkafka completes, and by the name of what is loaded already.
    let twice = format!("{plugin};{plugin}");
    for plugin in [&plugin, &twice, plugin.trim_end_matches(".so"), "libtracer_interceptors.so"] {
        let ended = run(traced.command(WayIn::Both, &program).env("PLUGIN", plugin));
        assert_eq!((&*traced.take_traces(), &*ended.stderr), (ONCE, ""), "{plugin}");
    }
}

#[test]
fn a_client_that_another_copy_of_the_library_traces_is_left_to_it() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["program.c", "run.c"]);
    let copy = workshop.path("libtracer_interceptors.so");
    std::fs::copy(library(), &copy).unwrap();
    let traced = traced();
    let ended = run(traced.command(WayIn::Both, &program).env("PLUGIN", &copy));
    ended.expect_success();
    let traces = traced.take_traces();
    assert_eq!(traces.lines().count(), 2, "{traces}");
    assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""));

    // Both preloaded: each has to find what is behind the other.
    let both = format!("{}:{}", copy.display(), library().display());
    let ended = run(traced.command(WayIn::Preload, &program).env("LD_PRELOAD", both));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""));
}

/// Runs the program with `plugin` in a memory file of this name, and our library preloaded.
fn with_memory_file(plugin: &Path, program: &Path, name: &str) -> String {
    let traced = traced();
    let ended = run(traced.command(WayIn::Preload, program).arg(plugin).arg(name));
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    traced.take_traces()
}

#[test]
fn a_client_of_the_rust_crate_is_left_to_it_and_one_with_another_s_plugin_is_traced() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["memory_file.c", "run.c"]);
    let plugin = workshop.build("other_plugin.so", &["-shared", "-fPIC", "other_plugin.c"]);
    assert_eq!(with_memory_file(&plugin, &program, "tracer-resolver"), "");
    assert_eq!(with_memory_file(&plugin, &program, "something-else"), ONCE);
}
