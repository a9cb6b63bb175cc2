//! Promise: in a program that preloads the library, an end by `_exit()` exports what is in hand first, in whatever place
//! it is called; what else is taken over of the C library does what it did; and processes that are no Kafka clients notice
//! nothing.
//!
//! Without `before_exit` in `resolver/librdkafka/src/preload/ends/exit.rs` the first test finds no span.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use words::child::{finish, without_tracing};
use words::fake_librdkafka::Workshop;
use words::foreign::{library, skip};
use words::{Traced, WayIn, run};

#[test]
fn whatever_way_a_process_ends_its_spans_arrive_and_its_status_stays() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("ending", &["ending.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    for (how, sent) in [("_exit", 1), ("_Exit", 1), ("signal", 1), ("fork", 1), ("vfork", 2), ("untraced fork", 1)] {
        let ended = run(traced.command(WayIn::Preload, &program).arg(how));
        assert_eq!((ended.status.code(), &*ended.stderr), (Some(7), ""), "{how}");
        assert_eq!(traced.take_traces(), "shop: send orders\n".repeat(sent), "{how}");
    }
}

/// With the functions of `resolver/librdkafka/src/preload/next.rs` looked up at the first call, the child waits for a
/// thread that it has not got.
#[test]
fn a_child_that_is_forked_while_a_library_is_loaded_becomes_another_program_at_once() {
    let Some(workshop) = Workshop::open() else { return };
    let endless = workshop.build("libendless.so", &["-shared", "-fPIC", "endless.c"]);
    let program = workshop.build("forking", &["forking.c"]);
    let mut command = Command::new(program);
    without_tracing(&mut command).arg(endless).env("LD_PRELOAD", library());
    let ended = finish(&mut command, std::time::Duration::from_secs(120));
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(7), ""));
}

/// Without `is_met` in `resolver/librdkafka/src/preload/waits.rs`, or in `signals.rs` there, it is killed.
#[test]
fn a_process_without_clients_that_may_use_few_system_calls_uses_no_others() {
    let Some(workshop) = Workshop::open() else { return };
    let mut command = Command::new(workshop.build("sandboxed", &["sandboxed.c"]));
    without_tracing(&mut command).env("LD_PRELOAD", library());
    let ended = finish(&mut command, std::time::Duration::from_secs(60));
    if ended.status.code() == Some(77) {
        return skip("the system has no seccomp");
    }
    assert_eq!((ended.status.signal(), &*ended.stderr), (Some(libc::SIGTERM), ""), "{:?}", ended.status);
}

#[test]
fn arguments_that_the_kernel_refuses_are_refused_by_the_kernel() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("waiting", &["waiting.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let said = [WayIn::None, WayIn::Preload].map(|way| {
        let ended = run(&mut traced.command(way, &program));
        ended.expect_success();
        ended.stdout
    });
    assert!(said[0].starts_with("poll, no array: -1, 14\n") && said[0] == said[1], "{said:?}");
}

#[test]
fn a_process_without_clients_says_nothing_and_does_nothing_even_with_a_broken_file() {
    let mut shell = Command::new("sh");
    without_tracing(&mut shell).env("OTEL_LOG_LEVEL", "debug").env("INTERCEPTORS_STRICT", "1");
    shell.env("LD_PRELOAD", library()).env("INTERCEPTORS_CONFIG_FILE", "/nowhere/at/all.toml");
    let ended =
        finish(shell.args(["-c", "(ls /proc/self/task | wc -l; exit 3); exit $?"]), std::time::Duration::from_secs(60));
    assert_eq!((ended.status.code(), &*ended.stdout, &*ended.stderr), (Some(3), "1\n", ""));
}
