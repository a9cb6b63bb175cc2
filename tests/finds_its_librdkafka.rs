//! Promise: each client is traced by the functions of the very librdkafka that made it, wherever that is; and where they
//! cannot be found it goes untraced, and one line says why and what to do.
//!
//! The fake librdkafka ends the process when one copy is given an object of another. Without the check of the module in
//! `resolver/librdkafka/src/symbols.rs` the program that exports nothing is served by the library that was preloaded
//! beside it; without the marks in `symbols/symbol_table.rs` the library that was replaced on disk is called at the
//! addresses of another.

use std::ffi::OsStr;
use std::path::Path;

use words::fake_librdkafka::Workshop;
use words::foreign::library;
use words::{Ended, Traced, WayIn, run};

const CONFIGURATION: &str = "[services.shop]\ntopics = [\"*\"]\nambient = \"off\"";
const TRACED: &str = "shop: send orders\n  shop: receive orders\n";

/// Runs a program that is traced this way; what it wrote, and the traces.
fn trace(way: WayIn, program: &Path, arguments: &[&OsStr]) -> (Ended, String) {
    let traced = Traced::start(&[], CONFIGURATION);
    let ended = run(traced.command(way, program).args(arguments));
    ended.expect_success();
    (ended, traced.traces())
}

fn expect_untraced(ended: &Ended, traces: &str, place: &str) {
    assert_eq!((traces, &*ended.stdout), ("", "orders: no trace\n"));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for word in ["tracer-resolver: ERROR: ", place, "rd_kafka_", "--export-dynamic", "tracer-resolver-rdkafka"] {
        assert!(ended.stderr.contains(word), "{word} is not in {}", ended.stderr);
    }
}

#[test]
fn a_program_that_exports_its_functions_is_traced_even_when_it_is_stripped() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build("exports", &["program.c", "run.c", "librdkafka.c", "-rdynamic"]);
    if !workshop.strip(&program) {
        return;
    }
    let (ended, traces) = trace(WayIn::Property, &program, &[]);
    assert_eq!((&*traces, &*ended.stderr), (TRACED, ""));
}

#[test]
fn a_program_that_exports_nothing_is_traced_by_its_symbol_table() {
    let Some(workshop) = Workshop::open() else { return };
    let sources = ["program.c", "run.c", "librdkafka.c", "-Wl,--no-export-dynamic"];
    for (name, kind) in [("pie", "-pie"), ("fixed", "-no-pie")] {
        let flags = [&sources[..], &[kind, if kind == "-pie" { "-fPIE" } else { "-fno-pie" }]].concat();
        let (ended, traces) = trace(WayIn::Property, &workshop.build(name, &flags), &[]);
        assert_eq!((&*traces, &*ended.stderr), (TRACED, ""), "{name}");
    }
}

#[test]
fn a_program_that_exports_nothing_is_not_served_by_another_librdkafka_in_its_process() {
    let Some(workshop) = Workshop::open() else { return };
    let other = workshop.librdkafka("other", &[]);
    let sources = ["program.c", "run.c", "librdkafka.c", "-Wl,--no-export-dynamic"];
    let program = workshop.build("alone", &sources);
    let traced = Traced::start(&[], CONFIGURATION);
    // The preloaded one is what a look-up by name in the whole process finds.
    let mut command = traced.command(WayIn::Property, &program);
    let ended = run(command.env("LD_PRELOAD", &other));
    ended.expect_success();
    assert_eq!((&*traced.take_traces(), &*ended.stderr), (TRACED, ""));
    if !workshop.strip(&program) {
        return;
    }
    let mut command = traced.command(WayIn::Property, &program);
    let ended = run(command.env("LD_PRELOAD", &other));
    ended.expect_success();
    expect_untraced(&ended, &traced.take_traces(), "/alone ");
}

#[test]
fn a_stripped_program_runs_untraced_and_one_line_names_the_ways_out() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build("stripped", &["program.c", "run.c", "librdkafka.c", "-Wl,--no-export-dynamic"]);
    if !workshop.strip(&program) {
        return;
    }
    let (ended, traces) = trace(WayIn::Property, &program, &[]);
    expect_untraced(&ended, &traces, "/stripped ");
}

#[test]
fn a_librdkafka_that_lacks_functions_runs_untraced_and_one_line_names_the_first() {
    let Some(workshop) = Workshop::open() else { return };
    workshop.librdkafka("old", &["-DWITHOUT_HEADERS"]);
    let program = workshop.build_linked_with("old", "program", &["program.c", "run.c"]);
    for way in WayIn::EACH {
        let (ended, traces) = trace(way, &program, &[]);
        expect_untraced(&ended, &traces, "/libold.so ");
        assert!(ended.stderr.contains("rd_kafka_headers_new cannot be found"), "{}", ended.stderr);
    }
}

/// The two libraries, each with a librdkafka of its own, of [`two_in_one_process`] and the program that loads them.
fn two(workshop: &Workshop) -> [std::path::PathBuf; 3] {
    let users = ["orders", "payments"].map(|topic| {
        let librdkafka = format!("kafka_{topic}");
        workshop.librdkafka(&librdkafka, &[]);
        workshop.build_linked_with(&librdkafka, &format!("{topic}.so"), &["-shared", "-fPIC", "run.c"])
    });
    let [orders, payments] = users;
    [workshop.build("loading", &["loading.c"]), orders, payments]
}

#[test]
fn two_librdkafkas_in_one_process_are_each_served_by_their_own() {
    let Some(workshop) = Workshop::open() else { return };
    let [program, orders, payments] = two(&workshop);
    let arguments = [orders.as_os_str(), "orders".as_ref(), payments.as_os_str(), "payments".as_ref()];
    let arguments = [arguments, arguments].concat();
    for way in [WayIn::Property, WayIn::Preload, WayIn::Both] {
        let (ended, traces) = trace(way, &program, &arguments);
        assert_eq!(ended.stderr, "", "{way:?}");
        assert_eq!(ended.stdout, "orders: a trace\npayments: a trace\n".repeat(2), "{way:?}");
        let how = if way == WayIn::Property { "receive" } else { "process" };
        let one = |topic: &str| format!("shop: send {topic}\n  shop: {how} {topic}\n");
        assert_eq!(traces, (one("orders") + &one("payments")).repeat(2), "{way:?}");
    }
}

/// Its own calls of each other come to the preloaded library, though no client of it ever did.
#[test]
fn a_librdkafka_whose_functions_the_program_has_looked_up_itself_keeps_its_own_objects() {
    let Some(workshop) = Workshop::open() else { return };
    let [_, orders, _] = two(&workshop);
    let other = workshop.librdkafka("kafka_payments", &[]);
    let program = workshop.build("by_pointer", &["by_pointer.c"]);
    let arguments = [orders.as_os_str(), "orders".as_ref(), other.as_os_str()];
    for way in WayIn::EACH {
        let (ended, traces) = trace(way, &program, &arguments);
        assert_eq!((&*ended.stdout, &*ended.stderr), (&*"orders: a trace\n".repeat(2), ""), "{way:?}");
        assert_eq!(traces.lines().count(), 4, "{way:?} {traces}");
    }
}

#[test]
fn a_library_with_a_hidden_librdkafka_is_traced_by_its_symbol_table_unless_its_file_was_replaced() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build("loading", &["loading.c"]);
    let hidden = ["-shared", "-fPIC", "-fvisibility=hidden", "run.c", "librdkafka.c"];
    let library = workshop.build("hidden.so", &hidden);
    let (ended, traces) = trace(WayIn::Property, &program, &[library.as_os_str(), "orders".as_ref()]);
    assert_eq!((&*traces, &*ended.stderr), (TRACED, ""));

    // As an upgrade does it: the old file is in use still, and under its name there is a new one.
    let replacing = workshop.build("replacing", &["replacing.c"]);
    let other = workshop.build("other.so", &[&hidden[..], &["-O0", "-DVERSION=0x020e00ff"]].concat());
    let (ended, traces) = trace(WayIn::Property, &replacing, &[library.as_os_str(), other.as_os_str()]);
    expect_untraced(&ended, &traces, "/hidden.so ");
}

#[test]
fn a_client_that_is_created_by_a_jump_to_rd_kafka_new_is_traced_and_above_all_created() {
    let Some(workshop) = Workshop::open() else { return };
    let jumping = workshop.build_linked("jumping.so", &["-shared", "-fPIC", "jumping.c"]);
    let program = workshop.build("calling_jumping", &["calling_jumping.c"]);
    let (ended, traces) = trace(WayIn::Preload, &program, &[jumping.as_os_str()]);
    assert_eq!((&*traces, &*ended.stdout, &*ended.stderr), ("shop: send orders\n", "", ""));
}

#[test]
fn a_client_may_be_made_and_used_on_a_stack_that_nobody_can_walk_up() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["foreign_stack.c", "run.c"]);
    for way in WayIn::EACH {
        let (ended, traces) = trace(way, &program, &[]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""), "{way:?}");
        assert_eq!(traces.lines().count(), 2, "{way:?}: {traces}");
    }
}

#[test]
fn another_library_that_wraps_the_same_functions_is_called_whichever_is_preloaded_first() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["program.c", "run.c"]);
    let shim = workshop.build("shim.so", &["-shared", "-fPIC", "shim.c"]).display().to_string();
    let ours = library().display().to_string();
    let traced = Traced::start(&[], CONFIGURATION);
    // Without `passed_it_on` in `resolver/librdkafka/src/preload/real.rs` the second calls itself for ever.
    for both in [format!("{ours}:{shim}"), format!("{shim}:{ours}")] {
        let ended = run(traced.command(WayIn::Preload, &program).env("LD_PRELOAD", &both));
        ended.expect_success();
        assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n2 clients, 1 polls\n", ""), "{both}");
        assert_eq!(traced.take_traces(), "shop: send orders\n  shop: process orders\n", "{both}");
    }
}
