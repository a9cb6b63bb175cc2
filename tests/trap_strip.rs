//! Promise: a program traces its clients when nothing is left of its symbols, without link flags.
//!
//! librdkafka finds the way in through a memory file that `resolver/rdkafka/src/plugin_stub.rs` makes; were it to look
//! for a symbol of the executable, the stripped copy would send without a span.

use std::process::Command;

use rdkafka::producer::BaseRecord;
use words::foreign::skip;
use words::{ONE_SERVICE, Traced, child, run, send, traced_by};

const TEST: &str = "a_stripped_executable_traces_its_clients";

#[test]
fn a_stripped_executable_traces_its_clients() {
    if let Some(resolver) = child::resolver() {
        let producer = traced_by(&resolver, child::kafka()).create().unwrap();
        return send(&producer, BaseRecord::<str, str>::to("orders").payload("an order"));
    }
    let Ok(version) = Command::new("strip").arg("--version").output() else {
        return skip("there is no `strip` (binutils) on this machine");
    };
    assert!(version.status.success());
    // Beside the original, because that is where plugins are searched.
    let original = std::env::current_exe().unwrap();
    let stripped = tempfile::NamedTempFile::new_in(original.parent().unwrap()).unwrap().into_temp_path();
    let done = Command::new("strip").arg("--strip-all").arg("-o").arg(&*stripped).arg(&original).status().unwrap();
    assert!(done.success());
    let symbols = Command::new("nm").arg(&*stripped).output().unwrap();
    assert!(symbols.stdout.is_empty(), "{}", String::from_utf8_lossy(&symbols.stdout));

    let traced = Traced::start(&["orders"], ONE_SERVICE);
    run(&mut traced.again_as(&stripped, TEST)).expect_success();
    assert_eq!(traced.traces(), "app: send orders\n");
}
