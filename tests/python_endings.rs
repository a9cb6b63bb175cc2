//! Promise: however a Python program ends, tracing changes neither how nor what it says; it ends soon; and what was in hand
//! at a normal end arrives. What has left before a crash has arrived.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use words::foreign::{python, python_with};
use words::{Ended, Traced, WayIn, run};

const CONFIGURATION: &str = r#"
    [services.shop]
    topics = ["*"]
"#;

/// Runs `endings.py` through `way`: how it ended, and how many spans arrived.
#[track_caller]
fn ended(way: WayIn, how: &[&str]) -> Option<(Ended, usize)> {
    let traced = Traced::start(&["orders"], CONFIGURATION);
    let ended = run(traced.command(way, python()?).arg("tests/python/endings.py").args(how));
    Some((ended, traced.spans().len()))
}

/// Runs it through both ways in: each time it ends as untraced, and so many spans arrive.
#[track_caller]
fn ends_as_untraced(how: &[&str], status: ExitStatus, spans: RangeInclusive<usize>) {
    ends_as_untraced_but(how, status, |stderr, arrived, context| {
        assert!(spans.contains(&arrived), "{context}: {arrived} of {spans:?}");
        stderr
    });
}

/// The same; `of` takes from what is on stderr what may be there beside what is there untraced, and checks the spans.
#[track_caller]
fn ends_as_untraced_but(how: &[&str], status: ExitStatus, of: impl Fn(String, usize, &str) -> String) {
    let Some((untraced, _)) = ended(WayIn::None, how) else { return };
    assert_eq!(untraced.status, status, "{untraced:?}");
    for way in WayIn::EACH {
        let (traced, arrived) = ended(way, how).unwrap();
        let context = format!("{way:?} {how:?}");
        assert_eq!((traced.status, &traced.stdout), (status, &untraced.stdout), "{context}: {}", traced.stderr);
        let stderr = of(without_times(&traced.stderr), arrived, &context);
        assert_eq!(stderr, without_times(&untraced.stderr), "{context}");
    }
}

/// librdkafka's own lines begin with the time.
fn without_times(stderr: &str) -> String {
    let without = |line: &str| match line.split_once("| ") {
        Some((head, rest)) if head.starts_with('%') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    stderr.lines().map(without).collect()
}

fn exited(code: i32) -> ExitStatus {
    ExitStatus::from_raw(code << 8)
}

#[test]
fn sys_exit_without_closing_anything() {
    ends_as_untraced(&["exit"], exited(3), 110..=110);
}

#[test]
fn an_exception_on_the_top_level() {
    ends_as_untraced(&["exception"], exited(1), 110..=110);
}

#[test]
fn a_client_that_is_deleted() {
    ends_as_untraced(&["close"], exited(0), 110..=110);
}

/// librdkafka itself, when it is destroyed, may give messages up without an acknowledgement: in 6 of 360 runs of this program, on
/// a busy machine, with an interceptor that only counts; more often where it ends sooner. How many is told then.
#[test]
fn messages_in_hand_at_the_end_are_spans_too_be_they_sent_or_not() {
    ends_as_untraced_but(&["unflushed"], exited(0), |stderr, arrived, context| {
        let is_told = |line: &&str| line.contains("because librdkafka has not said what became of");
        let told = stderr.lines().find(is_told).unwrap_or_default();
        let given_up: usize = told.split(' ').find_map(|word| word.parse().ok()).unwrap_or(0);
        assert_eq!(arrived + given_up, 120, "{context}: {arrived}, {told}");
        assert!((110..=120).contains(&arrived), "{context}: {arrived}");
        stderr.lines().filter(|line| !is_told(line)).map(|line| format!("{line}\n")).collect()
    });
}

#[test]
fn an_exception_in_a_delivery_callback() {
    ends_as_untraced(&["raise in callback"], exited(0), 112..=112);
}

#[test]
fn an_abort_in_a_delivery_callback() {
    ends_as_untraced(&["abort in callback", "late"], ExitStatus::from_raw(ABORTED), 100..=110);
}

#[test]
fn a_crash_in_a_delivery_callback() {
    ends_as_untraced(&["crash in callback", "late"], ExitStatus::from_raw(CRASHED), 100..=110);
}

#[test]
fn a_signal_loses_what_is_in_hand_and_nothing_that_has_left() {
    ends_as_untraced(&["terminated", "late"], ExitStatus::from_raw(TERMINATED), 100..=110);
}

#[test]
fn a_signal_that_is_sent_again_after_an_orderly_end() {
    for (how, signal) in [("interrupted", INTERRUPTED), ("raised again", TERMINATED), ("killed again", TERMINATED)] {
        let Some((untraced, _)) = ended(WayIn::None, &[how]) else { return };
        assert_eq!(untraced.status, ExitStatus::from_raw(signal), "{how}: {untraced:?}");
        for (way, spans) in [(WayIn::Preload, 110..=110), (WayIn::Property, 0..=110)] {
            let (traced, arrived) = ended(way, &[how]).unwrap();
            assert_eq!(traced.status, untraced.status, "{how} {way:?}: {}", traced.stderr);
            assert!(!traced.stderr.contains("tracer-resolver"), "{how} {way:?}: {}", traced.stderr);
            assert!(spans.contains(&arrived), "{how} {way:?}: {arrived} of {spans:?}");
        }
    }
}

#[test]
fn another_program_in_its_place() {
    for (way, spans) in [(WayIn::Preload, 110..=110), (WayIn::Property, 0..=110)] {
        let Some((ended, arrived)) = ended(way, &["another program"]) else { return };
        assert_eq!((ended.status, &*ended.stderr), (exited(6), ""), "{way:?}");
        assert!(spans.contains(&arrived), "{way:?}: {arrived} of {spans:?}");
    }
}

#[test]
fn a_server_that_is_told_to_end_exports_its_last_requests() {
    let Some(python) = python_with("uvicorn", "confluent-kafka==2.16.1\nuvicorn==0.54.0") else { return };
    for (way, spans) in [(WayIn::Preload, 20..=20), (WayIn::Property, 0..=20)] {
        let traced = Traced::start(&["orders"], CONFIGURATION);
        let ended = run(traced.command(way, &python).arg("tests/python/server.py"));
        assert_eq!((ended.status, &*ended.stdout), (ExitStatus::from_raw(TERMINATED), "20\n"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("tracer-resolver"), "{way:?}: {}", ended.stderr);
        let arrived = traced.spans().len();
        assert!(spans.contains(&arrived), "{way:?}: {arrived} of {spans:?}");
    }
}

#[test]
fn threads_that_are_still_sending_when_the_program_exits() {
    for way in WayIn::EACH {
        let Some((ended, arrived)) = ended(way, &["threads"]) else { return };
        assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (exited(5), "sent\n", ""), "{way:?}");
        assert!(arrived > 150 && ended.took < Duration::from_secs(10), "{way:?}: {arrived} {:?}", ended.took);
    }
}

#[test]
fn by_preload_even_os_exit_exports_what_is_in_hand() {
    let Some((ended, arrived)) = ended(WayIn::Preload, &["_exit"]) else { return };
    assert_eq!((ended.status, arrived), (exited(4), 110), "{}", ended.stderr);
}

#[test]
fn a_collector_that_is_not_there_delays_no_end_for_long() {
    for way in WayIn::EACH {
        let mut traced = Traced::start(&["orders"], CONFIGURATION);
        traced.collector.stop();
        let Some(python) = python() else { return };
        for (how, status) in [("exit", 3), ("close", 0), ("_exit", 4)] {
            let ended = run(traced.command(way, &python).args(["tests/python/endings.py", how]));
            assert_eq!((ended.status, &*ended.stdout), (exited(status), "sent\n"), "{way:?}: {}", ended.stderr);
            assert!(ended.took < Duration::from_secs(20), "{way:?} {how}: {:?}", ended.took);
            // `_exit()` by property is not seen, and what it loses is not either.
            let told = ended.stderr.contains("110 of 110 spans of service `shop` were lost: 110 shut_down");
            assert_eq!(told, how != "_exit" || way == WayIn::Preload, "{way:?} {how}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_collector_that_never_answers_delays_no_end_for_long() {
    for way in WayIn::EACH {
        let traced = Traced::start(&["orders"], CONFIGURATION);
        traced.collector.respond_after(Duration::from_secs(45));
        let Some(python) = python() else { return };
        let ended = run(traced.command(way, python).args(["tests/python/endings.py", "exit"]));
        assert_eq!(ended.status, exited(3), "{way:?}: {}", ended.stderr);
        assert!(ended.took < Duration::from_secs(20), "{way:?}: {:?}", ended.took);
        assert!(!traced.collector.server().requests().is_empty(), "{way:?}: it was tried");
    }
}

const INTERRUPTED: i32 = 2;
const ABORTED: i32 = 6;
const CRASHED: i32 = 11;
const TERMINATED: i32 = 15;
