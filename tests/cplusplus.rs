//! Promise: programs in C++ on librdkafka++ are traced by one property or by none, and what they send while they are at a
//! message continues its trace.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use words::foreign::skip;
use words::{Traced, WayIn, run};

#[test]
fn both_ways_in_draw_one_trace_for_each_order() {
    let Some((_folder, program)) = built() else { return };
    let one = "shop: send orders\n  payments: process orders\n    payments: send payments\n";
    for way in [WayIn::Property, WayIn::Preload, WayIn::Both] {
        let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
        let ended = run(&mut traced.command(way, &program));
        ended.expect_success();
        assert_eq!(ended.stdout, "paid: order 0\npaid: order 1\npaid: order 2\n", "{way:?}: {}", ended.stderr);
        assert_eq!(traced.take_traces(), one.repeat(3), "{way:?}");
    }
}

/// `tests/cpp/flow.cpp`, and the folder that it is in; none where it cannot be built.
#[track_caller]
fn built() -> Option<(TempDir, PathBuf)> {
    let found = Command::new("pkg-config").args(["--exists", "rdkafka++"]).status();
    if !found.is_ok_and(|status| status.success()) {
        skip("pkg-config knows no rdkafka++ (Debian: librdkafka-dev)");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("flow");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cpp/flow.cpp");
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++14", "-Wall", "-Werror", "-o"]).arg(&program).arg(source).args(["-lrdkafka++", "-pthread"]);
    let compiled = compiler.output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some((folder, program))
}

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.payments]
    consumes = ["orders"]
    produces = ["payments"]
"#;
