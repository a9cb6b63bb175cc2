//! Promise: the library speaks on stderr only, as much as `OTEL_LOG_LEVEL` says, and a stderr that nobody
//! reads, or nobody reads any more, neither holds the application up nor ends it.

use words::fake_librdkafka::Workshop;
use words::{Traced, WayIn, run};

#[test]
fn the_level_decides_what_is_said() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["program.c", "run.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let said = |level: &str, file: &str| {
        let mut command = traced.command(WayIn::Preload, &program);
        command.env("OTEL_LOG_LEVEL", level);
        if !file.is_empty() {
            command.env("INTERCEPTORS_CONFIG_FILE", file);
        }
        let ended = run(&mut command);
        ended.expect_success();
        assert!(!ended.stdout.contains("tracer-resolver"), "{}", ended.stdout);
        ended.stderr
    };
    let missing = "/nowhere/at/all.toml";
    assert_eq!(said("none", missing), "");
    assert!(said("error", missing).starts_with("tracer-resolver: ERROR: /nowhere/at/all.toml has errors"));
    assert_eq!(said("warn", ""), "");
    let told = said("info", "");
    // By the very backend that answered last.
    assert!(told.contains("tracer-resolver: INFO: tracing 1 service (shop) to otlp (plugin `otlp`"), "{told}");
    let unknown = said("loud", "");
    assert!(unknown.starts_with("tracer-resolver: WARN: OTEL_LOG_LEVEL=\"loud\" is not a level"), "{unknown}");
    assert_eq!(unknown.lines().count(), 1, "{unknown}");
}

#[test]
fn a_reader_of_stderr_that_has_gone_away_does_not_end_the_program() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["program.c", "run.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let mut shell = traced.command(WayIn::Preload, "sh");
    shell.env("OTEL_LOG_LEVEL", "info").env("PROGRAM", &program);
    // The pipe's reader, `true`, has ended before the program begins.
    let ended = run(shell.args(["-c", "exec 3>&1; { sleep 0.3; \"$PROGRAM\" 2>&1 >&3; echo status $? >&3; } | true"]));
    assert_eq!(ended.stdout, "orders: a trace\nstatus 0\n", "{ended:?}");
}

#[test]
fn a_stderr_that_is_full_and_that_nobody_reads_holds_nothing_up() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["full_stderr.c", "run.c"]);
    // A warning is due at the first client, and more at the end, for nobody takes the spans.
    let configuration = "[services.shop]\ntopics = [\"*\"]\nexport = [\"dead\"]\n[backends.dead]\nplugin = \"otlp\"\n\
                         config = { endpoint = \"http://127.0.0.1:1\" }\nunknown = 1";
    let traced = Traced::start(&[], configuration);
    for way in WayIn::EACH {
        for when in ["before", "after"] {
            let ended = run(traced.command(way, &program).arg(when).env("OTEL_LOG_LEVEL", "debug"));
            ended.expect_success();
            assert_eq!(ended.stdout.lines().count(), 1, "{way:?} {when}: {}", ended.stdout);
            assert!(ended.took.as_secs() < 60, "{way:?} {when}: {:?}", ended.took);
        }
    }
}
