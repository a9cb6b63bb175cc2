//! Promise: the command of the example's page, as it stands there, traces three Python programs that know nothing of
//! tracing, as one trace for each order; and the playground is a place for any program.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use words::child::without_tracing;
use words::foreign::{library, python};
use words::run;

const PAGE: &str = include_str!("../examples/zero_code/README.md");

fn playground() -> PathBuf {
    let program = library().parent().unwrap().with_file_name("examples").join("playground");
    assert!(
        program.exists(),
        "{} is not built; `cargo test` without --test, or `cargo build --examples`, does",
        program.display()
    );
    program
}

/// A command of the playground's, in the workspace's folder.
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    without_tracing(&mut command).env_remove("LD_PRELOAD").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// The page's command, with what cargo built for tests in place of what it builds for a reader. `cargo run` keeps
/// the `--` for itself.
fn the_page_s_command() -> String {
    let start = PAGE.find("cargo run --release --example playground --").unwrap();
    let end = PAGE[start..].find("```").unwrap();
    let folder = library().parent().unwrap().display().to_string();
    PAGE[start..start + end]
        .replacen("cargo run --release --example playground --", playground().to_str().unwrap(), 1)
        .replacen("$PWD/target/release", &folder, 1)
}

/// The traces that the playground has drawn last, without ids and lengths of time.
fn last_drawings(stdout: &str) -> Vec<String> {
    let mut traces = BTreeMap::new();
    for drawing in stdout.split("\ntrace ").skip(1) {
        let (id, spans) = drawing.split_once('\n').unwrap();
        let spans = spans.lines().take_while(|line| line.contains(": "));
        let spans = spans.map(|line| line.split(" {").next().unwrap().to_owned() + "\n").collect::<String>();
        traces.insert(id.split(',').next().unwrap().to_owned(), spans);
    }
    traces.into_values().collect()
}

#[test]
fn the_three_services_of_the_page_make_one_trace_for_each_order() {
    let Some(python) = python() else { return };
    let path = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let ended = run(command("sh").args(["-c", &the_page_s_command()]).env("PATH", path));
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    for paid in ["two books", "a lamp", "tea"] {
        assert!(ended.stdout.contains(&format!("shipped: paid: {paid}\n")), "{}", ended.stdout);
    }
    let trace = "orders: send orders\n  payments: process orders\n    payments: send payments\n      shipping: process payments\n";
    assert_eq!(last_drawings(&ended.stdout), [trace; 3], "{}", ended.stdout);
}

/// The consumer of the first run is killed in the midst of its group, and twice before it is in.
#[test]
fn a_program_whose_last_run_was_killed_is_run_again_without_waiting_for_that_one() {
    let Some(python) = python() else { return };
    let path = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let program = "
import os, sys, time
from confluent_kafka import Consumer, Producer
kafka = {'bootstrap.servers': os.environ['KAFKA']}
producer = Producer(kafka)
consumer = Consumer(kafka | {'group.id': 'again', 'auto.offset.reset': 'earliest', 'enable.auto.commit': 'false', 'debug': 'cgrp'})
consumer.subscribe(['orders'])
producer.produce('orders', 'order')
producer.flush()
began = time.monotonic()
while sys.argv[1] == 'all' or time.monotonic() - began < float(sys.argv[1]):
    message = consumer.poll(0.1)
    if message is not None and not message.error():
        break
print('got it' if sys.argv[1] == 'all' else 'killed', flush=True)
os.kill(os.getpid(), 9)
";
    let script = "for how in all all 1 1 all; do before=$(date +%s); python3 -c \"$0\" $how; echo took $(($(date +%s) - before)); done";
    let ended = run(command(playground()).args(["--", "bash", "-c", script, program]).env("PATH", path));
    let count = |word: &str| ended.stdout.matches(word).count();
    assert_eq!((count("got it"), count("killed")), (3, 2), "{}\n{}", ended.stdout, ended.stderr);
    // Who is the first one is told that it leads; it is not, if one that is gone is there still.
    let mut answers = ended.stderr.lines().filter(|line| line.contains("JoinGroup response: GenerationId "));
    let leads = |line: Option<&str>| line.unwrap().contains(" (me), ");
    assert!(leads(answers.next()) && leads(answers.next()), "{}", ended.stderr);
    let took = |line: &str| line.strip_prefix("took ").map(|seconds| seconds.parse::<u32>().unwrap());
    let longest = ended.stdout.lines().filter_map(took).max().unwrap();
    assert!(longest < 35, "a member that is gone is waited for, or was until now:\n{}", ended.stdout);
}

/// The second span of the trace comes seconds after the first was drawn, from a consumer that is started then.
#[test]
fn a_trace_that_is_drawn_again_says_why() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let program = "
import os, sys
from confluent_kafka import Consumer, Producer
kafka = {'bootstrap.servers': os.environ['KAFKA']}
if sys.argv[1] == 'send':
    producer = Producer(kafka)
    producer.produce('orders', 'order')
    producer.flush()
else:
    consumer = Consumer(kafka | {'group.id': 'late', 'auto.offset.reset': 'earliest'})
    consumer.subscribe(['orders'])
    while not (message := consumer.poll(1)) or message.error(): pass
    consumer.close()
";
    // Until the trace has been drawn, however long that takes.
    let script = "LD_PRELOAD=$1 python3 -c \"$0\" send; until grep -q 'send orders' \"$2\"; do sleep 0.2; done; \
                  LD_PRELOAD=$1 python3 -c \"$0\" receive";
    let drawn = folder.path().join("drawn");
    let mut command = command(playground());
    command.args(["--", "bash", "-c", script, program]).arg(library()).arg(&drawn).env("PATH", path);
    command.env("OTEL_SERVICE_NAME", "shop");
    let status = command.stdout(std::fs::File::create(&drawn).unwrap()).status().unwrap();
    let drawn = std::fs::read_to_string(&drawn).unwrap();
    assert!(status.success(), "{drawn}");
    let (first, again) =
        drawn.split_once(", drawn again: 1 more of its spans came after the 1 drawn before\n").unwrap();
    assert!(first.contains("shop: send orders") && !first.contains("process orders"), "{drawn}");
    assert!(again.contains("shop: send orders") && again.contains("  shop: process orders"), "{drawn}");
}

#[test]
fn the_playground_ends_with_its_command_and_as_it_ended() {
    let ended = run(command(playground()).args(["--", "sh", "-c", "echo $KAFKA $OTEL_EXPORTER_OTLP_ENDPOINT; exit 7"]));
    let said: Vec<_> = ended.stdout.split_whitespace().collect();
    assert!(said[0].starts_with("127.0.0.1:") && said[1].starts_with("http://127.0.0.1:"), "{ended:?}");
    assert_eq!((said.len(), ended.status.code(), &*ended.stderr), (2, Some(7), ""));
}

#[test]
fn the_playground_says_what_to_set_and_ends_in_time() {
    let ended = run(command(playground()).args(["--for", "100ms", "--quiet"]));
    ended.expect_success();
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("export KAFKA=127.0.0.1:"), "{}", ended.stdout);
    assert!(lines[1].starts_with("export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:"), "{}", ended.stdout);
    assert!(lines[2].starts_with("0 spans in 0."), "{}", ended.stdout);
}

#[test]
fn what_is_wrong_with_its_command_line_is_said_with_the_way_out() {
    for (arguments, said) in [
        (vec!["--fro", "1s"], "there is no option \"--fro\"; --help lists them"),
        (vec!["--for", "soon"], "--for takes 500ms, 90s or 2m, not \"soon\""),
        (vec!["--topic", "orders"], "--topic takes a name and its partitions, such as orders:16, not \"orders\""),
        (vec!["--", "/nowhere/program"], "/nowhere/program: No such file or directory"),
    ] {
        let ended = run(command(playground()).args(arguments));
        assert!(!ended.status.success() && ended.stderr.contains(said), "{ended:?}");
    }
}
