//! Promise: a program that calls librdkafka by pointers which it looks up at run time, as .NET's client does, is traced by
//! the property as any other is; a preloaded library is passed by, and does it no harm.

use std::process::Command;

use words::foreign::skip;
use words::{Traced, WayIn, run};

#[test]
fn by_property_its_messages_are_traced_as_any_other_program_s() {
    let traces = "shop: send orders\n  payments: process orders\n    payments: send payments\n";
    for way in [WayIn::Property, WayIn::Both] {
        let Some(drawing) = flow(way) else { return };
        assert_eq!(drawing, traces, "{way:?}");
    }
}

#[test]
fn a_preloaded_library_does_no_harm() {
    let Some(drawing) = flow(WayIn::Preload) else { return };
    assert_eq!(drawing, "");
}

/// What `tests/python/looked_up.py` draws; none where it cannot run.
#[track_caller]
fn flow(way: WayIn) -> Option<String> {
    let loads = Command::new("python3").args(["-c", "import ctypes; ctypes.CDLL('librdkafka.so.1')"]).output();
    if !loads.is_ok_and(|loads| loads.status.success()) {
        skip("there is no Python, or no librdkafka.so.1 for it to load");
        return None;
    }
    let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
    let ended = run(traced.command(way, "python3").arg("tests/python/looked_up.py"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("order 1\n", ""), "{way:?}");
    Some(traced.take_traces())
}

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.payments]
    consumes = ["orders"]
    produces = ["payments"]
"#;
