//! Promise: a configuration that cannot be trusted turns tracing off and lets every client be created; with
//! `INTERCEPTORS_STRICT=1` it refuses them, with the reason where the program looks for it and all of it on stderr.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};

use words::fake_librdkafka::Workshop;
use words::{Ended, Traced, WayIn, run};

/// Runs the program with this file.
fn with_file(way: WayIn, program: &Path, file: &Path, strict: bool) -> Ended {
    let traced = Traced::start(&[], "");
    let mut command = traced.command(way, program);
    command.env("INTERCEPTORS_CONFIG_FILE", file);
    if strict {
        command.env("INTERCEPTORS_STRICT", "1");
    }
    run(&mut command)
}

/// A program that is linked with a fake librdkafka of these flags, and a file with two errors.
fn program_and_file(workshop: &Workshop, flags: &[&str]) -> (PathBuf, PathBuf) {
    workshop.librdkafka("kafka", flags);
    let file = workshop.path("tracing.toml");
    std::fs::write(&file, "version = 1\nsurprise = 2\n[services.shop]\ntopic = 3\n").unwrap();
    (workshop.build_linked_with("kafka", "program", &["program.c", "run.c"]), file)
}

#[test]
fn a_file_with_errors_turns_tracing_off_and_says_why_on_stderr() {
    let Some(workshop) = Workshop::open() else { return };
    let (program, file) = program_and_file(&workshop, &[]);
    for way in WayIn::EACH {
        let ended = with_file(way, &program, &file, false);
        ended.expect_success();
        assert_eq!(ended.stdout, "orders: no trace\n", "{way:?}");
        // Two clients, and one report.
        assert_eq!(ended.stderr.matches("tracer-resolver: ERROR: ").count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("tracing.toml:2:1") && ended.stderr.contains("tracing.toml:4:9"), "{ended:?}");
    }
}

#[test]
fn one_variable_turns_tracing_off_and_nothing_is_refused_any_more() {
    let Some(workshop) = Workshop::open() else { return };
    let (program, file) = program_and_file(&workshop, &[]);
    for way in WayIn::EACH {
        let traced = Traced::start(&[], "");
        let mut command = traced.command(way, &program);
        command.env("INTERCEPTORS_CONFIG_FILE", &file).env("INTERCEPTORS_STRICT", "1");
        let ended = run(command.env("INTERCEPTORS_DISABLED", "1").env("OTEL_LOG_LEVEL", "info"));
        ended.expect_success();
        assert_eq!(ended.stdout, "orders: no trace\n", "{way:?}");
        assert!(ended.stderr.contains("tracing is off: INTERCEPTORS_DISABLED says so"), "{way:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("ERROR") && !ended.stderr.contains("WARN"), "{way:?}: {}", ended.stderr);
    }
}

#[test]
fn strict_refuses_the_client_with_the_first_error_and_tells_all_of_them_on_stderr_once() {
    let Some(workshop) = Workshop::open() else { return };
    let (program, file) = program_and_file(&workshop, &[]);
    for way in WayIn::EACH {
        let ended = with_file(way, &program, &file, true);
        assert_eq!(ended.status.code(), Some(1), "{way:?}: {ended:?}");
        let reason = format!("no client: tracer-resolver: {}:2: ", file.display());
        let lines: Vec<_> = ended.stdout.lines().collect();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with(&reason)), "{way:?}: {lines:?}");
        assert!(lines[0].contains("surprise") && lines[0].ends_with("(and 1 more: see stderr)"), "{}", lines[0]);
        assert_eq!(ended.stderr.matches("tracer-resolver: ERROR: ").count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("tracing.toml:2:1") && ended.stderr.contains("tracing.toml:4:9"), "{ended:?}");
    }
}

#[test]
fn strict_refuses_a_client_whose_librdkafka_lacks_functions() {
    let Some(workshop) = Workshop::open() else { return };
    let (program, file) = program_and_file(&workshop, &["-DWITHOUT_HEADERS"]);
    std::fs::write(&file, "version = 1\n[services.shop]\ntopics = [\"*\"]\ntrace = \"propagate\"\n").unwrap();
    for way in WayIn::EACH {
        let ended = with_file(way, &program, &file, true);
        assert_eq!(ended.status.code(), Some(1), "{way:?}: {ended:?}");
        assert!(ended.stdout.contains("rd_kafka_headers_new cannot be found"), "{way:?}: {}", ended.stdout);
        with_file(way, &program, &file, false).expect_success();
    }
}
