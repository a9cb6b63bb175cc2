//! Promise: however a C or C++ program ends, or tries to, what it has sent until its last moment is a span wherever a way in
//! can see that moment; its status stays, and nothing is said. The table is in `resolver/librdkafka/docs/process.md`.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;
use words::foreign::c_program;
use words::{Traced, WayIn, run};

const CONFIGURATION: &str = "[services.shop]\ntopics = [\"*\"]";

/// `tests/cpp/endings.cpp`, compiled.
#[track_caller]
fn compiled(folder: &TempDir) -> Option<PathBuf> {
    c_program(folder.path(), "cpp/endings.cpp", &["-D_GNU_SOURCE", "-Wno-unused-function", "-pthread"])
}

/// Each of `ways` to end, through each of `ways_in`: so many spans arrive.
#[track_caller]
fn ends(ways_in: &[WayIn], ways: &[(&str, ExitStatus, usize)]) {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(&folder) else { return };
    for way in ways_in {
        let traced = Traced::start(&["orders"], CONFIGURATION);
        for (how, status, spans) in ways {
            let ended = run(traced.command(*way, &program).arg(how));
            assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (*status, "", ""), "{how} {way:?}");
            assert_eq!(traced.take_traces(), "shop: send orders\n".repeat(*spans), "{how} {way:?}");
        }
    }
}

fn exited() -> ExitStatus {
    ExitStatus::from_raw(3 << 8)
}

fn terminated() -> ExitStatus {
    ExitStatus::from_raw(libc::SIGTERM)
}

#[test]
fn threads_send_to_their_last_destructor() {
    // More threads than there are segments: each gives back what it took in its last moment.
    ends(
        &WayIn::EACH,
        &[("threads", exited(), 20), ("threads, objects", exited(), 30), ("threads, only then", exited(), 1_500)],
    );
}

#[test]
fn static_objects_and_handlers_send_to_the_last_of_them() {
    ends(
        &WayIn::EACH,
        &[
            ("static", exited(), 10),
            ("static, exit", exited(), 10),
            ("destructor", exited(), 10),
            ("atexit", exited(), 10),
        ],
    );
}

#[test]
fn ends_with_handlers_are_seen_by_both_ways_in() {
    ends(&WayIn::EACH, &[("return", exited(), 5), ("quick_exit", exited(), 5)]);
}

#[test]
fn a_signal_that_a_program_sends_itself_is_seen_by_preload() {
    let ways = [
        ("raise", terminated(), 5),
        ("kill", terminated(), 5),
        ("kill, hard", ExitStatus::from_raw(libc::SIGKILL), 5),
        ("kill the group", terminated(), 5),
        ("kill the named group", terminated(), 5),
        ("killpg", terminated(), 5),
        ("sigqueue", terminated(), 5),
        ("tgkill", terminated(), 5),
        ("tgkill another", terminated(), 5),
        ("handler", terminated(), 5),
        ("blocked", exited(), 10),
        ("handled", exited(), 5),
        // Its handler ends the thread: that unwinds through what called it.
        ("thread, raise", exited(), 5),
    ];
    ends(&[WayIn::Preload], &ways);
}

#[test]
fn another_program_in_its_place_is_seen_by_preload_and_a_failed_try_ends_nothing() {
    let ways = [
        ("execve", exited(), 5),
        ("execv", exited(), 5),
        ("execvp", exited(), 5),
        ("execvpe", exited(), 5),
        ("fexecve", exited(), 5),
        ("execveat", exited(), 5),
        ("execl", exited(), 5),
        ("execlp", exited(), 5),
        ("execle", exited(), 5),
        ("execl in vain", exited(), 10),
        ("execve in vain", exited(), 10),
        ("_exit", exited(), 5),
    ];
    ends(&[WayIn::Preload], &ways);
}

#[test]
fn what_is_in_hand_leaves_when_the_last_client_is_closed_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(&folder) else { return };
    // The first five find everything quiet, and do not wait for company.
    let traced = Traced::start(&["orders"], &format!("{CONFIGURATION}\n[batch]\ndelay = \"1h\""));
    let ended = run(traced.command(WayIn::Property, &program).arg("closed"));
    assert_eq!((ended.status, &*ended.stderr), (exited(), ""));
    assert_eq!(traced.take_traces(), "shop: send orders\n".repeat(10));
}

/// Without `uncancelled` in `resolver/librdkafka/src/contained.rs` the wait for the spans is where the thread is cancelled,
/// and that ends the process by an abort.
#[test]
fn a_thread_that_is_about_to_be_cancelled_may_end_the_process() {
    ends(&WayIn::EACH, &[("cancelled, exit", exited(), 5)]);
    ends(
        &[WayIn::Preload],
        &[("cancelled, _exit", exited(), 5), ("cancelled, raise", terminated(), 5), ("cancelled, execve", exited(), 5)],
    );
}

#[test]
fn children_end_and_become_other_programs_without_a_part_in_it() {
    ends(&WayIn::EACH, &[("children", exited(), 10)]);
}

#[test]
fn a_collector_that_is_gone_delays_none_of_it_for_long_and_what_is_lost_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(&folder) else { return };
    let mut traced = Traced::start(&["orders"], CONFIGURATION);
    traced.collector.stop();
    for (how, status, told) in [
        ("return", exited(), "5 of 5 spans of service `shop` were lost: 5 shut_down"),
        ("static", exited(), "10 of 10 spans of service `shop` were lost: 10 shut_down"),
        ("quick_exit", exited(), "5 of 5 spans of service `shop` were lost: 5 shut_down"),
        ("raise", terminated(), "5 of 5 spans of service `shop` were lost: 5 shut_down"),
        ("blocked", exited(), "10 of 10 spans of service `shop` were lost: 10 shut_down"),
        ("execve", exited(), "5 spans still wait, and are lost if this process ends now"),
        // A child that has its parent's memory neither waits nor says anything.
        ("children", exited(), "10 of 10 spans of service `shop` were lost: 10 shut_down"),
        ("execve in vain", exited(), "10 of 10 spans of service `shop` were lost: 10 shut_down"),
    ] {
        let ended = run(traced.command(WayIn::Preload, &program).arg(how));
        assert_eq!(ended.status, status, "{how}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{how}: {}", ended.stderr);
        assert_eq!(ended.stderr.contains("still wait"), how.starts_with("execve") || how == "blocked", "{how}");
        assert!(ended.took < Duration::from_secs(20), "{how}: {:?}", ended.took);
    }
}
