//! Promise: the bench of Python programs runs, beside OpenTelemetry's own instrumentation, and no span of ours is lost in it.

use std::path::Path;
use std::process::Command;

use words::child::without_tracing;
use words::foreign::{library, python_with};
use words::run;

#[test]
fn a_few_thousand_messages_go_every_way() {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("resolver/librdkafka/benches/python");
    let requirements = std::fs::read_to_string(bench.join("requirements.txt")).unwrap();
    let Some(python) = python_with("bench", &requirements) else { return };
    let playground = library().with_file_name("../examples/playground");
    assert!(playground.exists(), "{} is not built; `cargo test`, without a test's name, does", playground.display());
    let mut command = Command::new(&python);
    without_tracing(&mut command).arg(bench.join("run.py")).arg("--quick");
    command.arg("--environment").arg(python.ancestors().nth(2).unwrap());
    command.arg("--playground").arg(playground).arg("--library").arg(library());
    let ended = run(&mut command);
    ended.expect_success();
    let rows: Vec<_> = ended.stdout.lines().skip(2).map(|row| row.split(" | ").collect::<Vec<_>>()).collect();
    assert_eq!(rows.len(), 4, "{}", ended.stdout);
    let arrived: Vec<_> = rows.iter().map(|row| (row[0], row[6])).collect();
    let ours =
        [("| tracer-resolver", "10,000 of 10,000"), ("| tracer-resolver, the task followed", "10,000 of 10,000")];
    assert_eq!(arrived[0], ("| untraced", "0 of 0"));
    assert_eq!(arrived[1..3], ours);
    // Its queue may be too short for even that; but it was there, and did export.
    let (way, (some, of)) = (arrived[3].0, arrived[3].1.split_once(" of ").unwrap());
    assert!(way == "| OpenTelemetry" && some.len() > 3 && of == "15,000", "{}", ended.stdout);
}
