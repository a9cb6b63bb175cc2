//! Promise: the command of the example's page, as it stands there, traces three Python programs that know nothing of
//! tracing, as one trace for each order; and the playground is a place for any program.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use words::child::without_tracing;
use words::foreign::{library, python, run};

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
