//! Promise: a Python program may fork, as multiprocessing and pre-forking servers do: the spans of parent and children
//! arrive, none twice, and nothing hangs, although such children end by `os._exit()`.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly, its helpers too")]

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::Duration;

use words::foreign::python;
use words::receivers::ReceivedSpan;
use words::{Traced, WayIn, run};

const CONFIGURATION: &str = r#"
    [services.shop]
    topics = ["*"]
"#;

/// What `tests/python/PROGRAM` printed, and its spans; it has ended well, without a word on stderr.
#[track_caller]
fn traced(way: WayIn, program: &[&str]) -> Option<(String, Vec<ReceivedSpan>)> {
    let traced = Traced::start(&["parent", "child"], CONFIGURATION);
    let mut command = traced.command(way, python()?);
    command.arg(format!("tests/python/{}", program[0])).args(&program[1..]);
    let ended = run(&mut command);
    ended.expect_success();
    assert_eq!(ended.stderr, "", "{way:?} {program:?}");
    let spans = traced.spans();
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    let traces: HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!((ids.len(), traces.len()), (spans.len(), spans.len()), "no id twice");
    Some((ended.stdout, spans))
}

/// How many messages the parent sent, how many its children, and how many processes there were.
fn counts(spans: &[ReceivedSpan]) -> (usize, usize, usize) {
    let of = |name| spans.iter().filter(|span| span.name == name).count();
    let processes: HashSet<_> = spans.iter().map(|span| span.resource["process.pid"].to_string()).collect();
    (of("send parent"), of("send child"), processes.len())
}

#[test]
fn workers_of_multiprocessing_of_a_pool_and_of_fork_trace_what_they_send() {
    for how in ["multiprocessing", "pool", "fork"] {
        for way in WayIn::EACH {
            let Some((_, spans)) = traced(way, &["workers.py", how]) else { return };
            let (parent, child, processes) = counts(&spans);
            assert_eq!((parent, child), (20, 30), "{how} {way:?}");
            // A pool may give one of its workers more than one piece of work.
            assert!(processes == 4 || how == "pool" && processes > 1, "{how} {way:?}: {processes} processes");
        }
    }
}

#[test]
fn by_preload_also_a_worker_that_ends_with_its_clients_still_there() {
    for how in ["multiprocessing", "fork"] {
        let Some((_, spans)) = traced(WayIn::Preload, &["workers.py", how, "keep"]) else { return };
        assert_eq!(counts(&spans), (20, 30, 4), "{how}");
    }
}

#[test]
fn by_property_such_a_worker_may_lose_what_it_has_in_hand_and_harms_nobody_else() {
    for how in ["multiprocessing", "fork"] {
        let Some((_, spans)) = traced(WayIn::Property, &["workers.py", how, "keep"]) else { return };
        let (parent, child, _) = counts(&spans);
        assert!(parent == 20 && child <= 30, "{how}: {parent} {child}");
    }
}

#[test]
fn a_parent_whose_threads_send_meanwhile_loses_nothing_and_its_children_neither() {
    for way in WayIn::EACH {
        let Some((sent, spans)) = traced(way, &["busy.py"]) else { return };
        assert_eq!(counts(&spans), (sent.trim().parse().unwrap(), 150, 31), "{way:?}");
    }
}

#[test]
fn closing_a_client_waits_for_no_collector() {
    for how in ["fork", "here"] {
        let traced = Traced::start(&["parent"], CONFIGURATION);
        traced.collector.respond_after(Duration::from_secs(45));
        let Some(python) = python() else { return };
        let ended = run(traced.command(WayIn::Property, python).args(["tests/python/closing.py", how]));
        ended.expect_success();
        let took: f64 = ended.stdout.trim().parse().unwrap();
        // 0.3 seconds in a fork, once, and nothing here: less than any deadline, and more than a busy machine needs.
        assert!(took < 4.0, "{how}: {took} s");
    }
}

#[test]
fn gunicorn_s_workers_trace_the_requests_they_answer() {
    for way in WayIn::EACH {
        // Free until a moment ago; the kernel does not give it to others soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let Some((stdout, spans)) = traced(way, &["prefork.py", &port.to_string()]) else { return };
        assert_eq!(stdout, "20 orders, status 0\n", "{way:?}");
        assert_eq!(spans.len(), 20, "{way:?}");
    }
}
