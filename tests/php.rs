//! Promise: programs in PHP on php-rdkafka are traced by one property, and what they send while they process a message
//! continues its trace. A preloaded library does them no harm.

use std::process::Command;

use words::foreign::skip;
use words::{Traced, WayIn, run};

const CONFIGURATION: &str = r#"
    [services.front]
    produces = ["orders"]
    consumes = ["payments"]
    [services.back]
    consumes = ["orders"]
    produces = ["payments"]
"#;

/// Whether there is PHP with php-rdkafka; the test is skipped otherwise, and that is said here.
#[track_caller]
fn has_php() -> bool {
    match Command::new("php").args(["-r", "echo extension_loaded('rdkafka') ? 'yes' : 'no';"]).output() {
        Err(error) => skip(&format!("php: {error}")),
        Ok(said) if said.stdout != b"yes" => skip("PHP does not load the extension rdkafka"),
        Ok(_) => return true,
    }
    false
}

/// What the program draws.
fn flow(way: WayIn) -> String {
    let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
    let ended = run(traced.command(way, "php").arg("tests/php/flow.php"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("paid: order 0\npaid: order 1\npaid: order 2\n", ""), "{way:?}");
    traced.take_traces()
}

#[test]
fn a_message_s_whole_way_is_one_trace_by_property() {
    if !has_php() {
        return;
    }
    let one = "front: send orders\n  back: process orders\n    back: send payments\n      front: receive payments\n";
    assert_eq!(flow(WayIn::Property), one.repeat(3));
}

#[test]
fn a_preloaded_library_does_no_harm() {
    if !has_php() {
        return;
    }
    // PHP loads extensions so that they find their own librdkafka before any preloaded function (`RTLD_DEEPBIND`): it is
    // traced through this way in only where it was built not to.
    flow(WayIn::Preload);
    let both = flow(WayIn::Both);
    assert_eq!(both.lines().count(), 12, "{both}");
}
