//! Promise: kcat is traced by `-X plugin.library.paths` and by LD_PRELOAD: what one kcat sends and another one reads is
//! one trace, a hundred thousand times over.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Output};

use words::foreign::{library, skip};
use words::kafka::Kafka;
use words::{Traced, WayIn, run};

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["*"]
    [services.billing]
    consumes = ["*"]
    [backends.otlp]
    queue_bytes = "128MiB"
"#;

/// Whether there is a kcat; the test is skipped where there is none.
#[track_caller]
fn kcat_is_here() -> bool {
    let version = Command::new("kcat").arg("-V").output();
    let here = version.is_ok_and(|Output { status, .. }| status.success());
    if !here {
        skip("there is no kcat");
    }
    here
}

/// Runs kcat, which ends well; what it wrote to stdout.
fn kcat(traced: &Traced, way: WayIn, arguments: &[&str]) -> String {
    let mut command = traced.command(way, "kcat");
    command.args(["-q", "-b", &traced.kafka.cluster().bootstrap_servers()]);
    if way == WayIn::Property {
        command.arg("-X").arg(format!("plugin.library.paths={}", library().display()));
    }
    let ended = run(command.args(arguments));
    ended.expect_success();
    // kcat itself warns of its own configuration.
    assert!(!ended.stderr.contains("tracer"), "{way:?} {arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// A file of that many lines, each of them a message to kcat.
fn lines(count: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let lines: String = (0..count).map(|number| format!("order {number}\n")).collect();
    file.write_all(lines.as_bytes()).unwrap();
    file
}

#[test]
fn what_is_sent_and_read_is_one_trace_and_looks_as_ever() {
    if !kcat_is_here() {
        return;
    }
    let file = lines(2);
    let path = file.path().to_str().unwrap();
    // As a group's member kcat asks for one message at a time, and so says when it is done with the one before.
    let (simple, member) = (["-C", "-t", "orders", "-e"], ["-G", "readers", "orders", "-e"]);
    for (way, reader, delivery) in [
        (WayIn::Property, simple, "receive"),
        (WayIn::Preload, simple, "receive"),
        (WayIn::Property, member, "receive"),
        (WayIn::Preload, member, "process"),
    ] {
        let traced = Traced::start(&["orders"], CONFIGURATION);
        kcat(&traced, way, &["-P", "-t", "orders", "-H", "shop=books", "-l", path]);
        let read = kcat(&traced, way, &[&["-o", "beginning", "-f", "%s %h\n"], &reader[..]].concat());
        let messages: Vec<_> = read.lines().map(|line| line.split_once(",traceparent=00-").unwrap()).collect();
        assert_eq!([messages[0].0, messages[1].0], ["order 0 shop=books", "order 1 shop=books"]);
        let one = format!("shop: send orders\n  billing: {delivery} orders\n");
        assert_eq!(traced.take_traces(), one.repeat(2), "{way:?} {reader:?}");
    }
}

#[test]
fn without_a_file_nothing_is_added_and_nothing_said() {
    if !kcat_is_here() {
        return;
    }
    let file = lines(1);
    let traced = Traced::start(&["orders"], CONFIGURATION);
    let mut command = traced.command(WayIn::Preload, "kcat");
    command.env_remove("INTERCEPTORS_CONFIG_FILE").args(["-P", "-t", "orders", "-l"]).arg(file.path());
    let ended = run(command.args(["-b", &traced.kafka.cluster().bootstrap_servers()]));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
    let read = kcat(&traced, WayIn::None, &["-C", "-t", "orders", "-e", "-o", "beginning", "-f", "%s %h\n"]);
    assert_eq!(read, "order 0 \n");
    assert_eq!(traced.spans(), []);
}

#[test]
fn a_hundred_thousand_messages_are_a_hundred_thousand_traces() {
    if !kcat_is_here() {
        return;
    }
    const COUNT: usize = 100_000;
    let file = lines(COUNT);
    let traced = Traced::on(Kafka::start_with(&["orders"], 8), CONFIGURATION);
    // Spread evenly: the cluster of the tests keeps 5 MiB of a partition.
    let spread = ["-X", "sticky.partitioning.linger.ms=0"];
    let send = ["-P", "-t", "orders", "-l", file.path().to_str().unwrap()];
    kcat(&traced, WayIn::Property, &[&spread[..], &send[..]].concat());
    let read = kcat(&traced, WayIn::Preload, &["-C", "-t", "orders", "-e", "-o", "beginning"]);
    assert_eq!(read.lines().collect::<HashSet<_>>().len(), COUNT);
    let (mut sends, mut parents) = (HashSet::new(), HashSet::new());
    for span in traced.take_spans() {
        match span.kind.as_str() {
            "producer" => assert!(sends.insert(span.span_id)),
            _ => assert!(parents.insert(span.parent_span_id)),
        }
    }
    assert_eq!((sends.len(), parents.len()), (COUNT, COUNT));
    assert!(parents == sends, "each is the parent of one");
}
