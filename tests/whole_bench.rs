//! Promise: the bench of whole programs runs, all its ways but those in Rust, and no span of ours is lost in it.

use std::path::Path;
use std::process::Command;

use words::child::without_tracing;
use words::foreign::{library, python_with};
use words::run;

#[test]
fn a_few_thousand_messages_go_every_way() {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("resolver/benches/whole");
    let requirements = std::fs::read_to_string(bench.join("requirements.txt")).unwrap();
    let Some(python) = python_with("bench", &requirements) else { return };
    let built = library().parent().unwrap().to_owned();
    let playground = built.join("../examples/playground");
    assert!(playground.exists(), "{} is not built; `cargo test`, without a test's name, does", playground.display());
    let mut command = Command::new(&python);
    without_tracing(&mut command).arg(bench.join("run.py")).args(["--quick", "--loads", "all"]);
    command.arg("--environment").arg(python.ancestors().nth(2).unwrap()).arg("--built").arg(built);
    command.arg("--playground").arg(playground);
    let ended = run(&mut command);
    ended.expect_success();
    let arrived = |way: &str| -> Vec<String> {
        let rows = ended.stdout.lines().map(|row| row.split(" | ").collect::<Vec<_>>());
        let of_way = rows.filter(|row| row.len() > 5 && row[0].trim_end_matches(" (noisy)") == format!("| {way}"));
        of_way.map(|row| row.last().unwrap().trim_end_matches(" |").to_owned()).collect()
    };
    for untraced in ["C, untraced", "C, its own header", "C, ours by property, sampled out"] {
        assert_eq!(arrived(untraced), ["0"; 4], "{untraced}: {}", ended.stdout);
    }
    for traced in ["C, ours by property", "C, ours by preload"] {
        assert_eq!(arrived(traced), ["10,000"; 4], "{traced}: {}", ended.stdout);
    }
    for traced in ["Python, ours by preload", "Python, ours, the task followed"] {
        assert_eq!(arrived(traced), ["10,000"; 3], "{traced}: {}", ended.stdout);
    }
    // Its queue may be too short for even that; but it was there, and did export.
    let theirs = arrived("Python, OpenTelemetry's instrumentation");
    assert!(theirs.len() == 3 && theirs.iter().all(|some| some.len() > 3), "{}", ended.stdout);
    assert!(ended.stdout.contains("### By thread, in C"), "{}", ended.stdout);
}
