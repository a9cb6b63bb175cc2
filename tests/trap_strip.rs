//! Promise: a program traces its clients when nothing is left of its symbols, without link flags.
//!
//! librdkafka finds the way in through a memory file that `resolver/rdkafka/src/plugin_stub.rs` makes; were it to look
//! for a symbol of the executable, the stripped copy would send without a span.

use std::process::Command;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::kafka::Kafka;
use words::receivers::OtlpReceiver;
use words::{Traced, child, draw_traces, resolver_to};

const TEST: &str = "a_stripped_executable_traces_its_clients";

#[test]
fn a_stripped_executable_traces_its_clients() {
    if child::part().is_some() {
        let collector = OtlpReceiver::start().unwrap();
        let traced = Traced { resolver: resolver_to(&child::given("ENDPOINT"), ""), collector };
        let kafka = Kafka::start(&["orders"]);
        let producer: BaseProducer = traced.config(kafka.config()).create().unwrap();
        producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
        producer.flush(Duration::from_secs(20)).unwrap();
        return;
    }
    let Ok(version) = Command::new("strip").arg("--version").output() else {
        println!("SKIPPED: there is no `strip` (binutils) on this machine");
        return;
    };
    assert!(version.status.success());
    // Beside the original, because that is where plugins are searched.
    let original = std::env::current_exe().unwrap();
    let stripped = tempfile::NamedTempFile::new_in(original.parent().unwrap()).unwrap().into_temp_path();
    let done = Command::new("strip").arg("--strip-all").arg("-o").arg(&*stripped).arg(&original).status().unwrap();
    assert!(done.success());
    let symbols = Command::new("nm").arg(&*stripped).output().unwrap();
    assert!(symbols.stdout.is_empty(), "{}", String::from_utf8_lossy(&symbols.stdout));

    let collector = OtlpReceiver::start().unwrap();
    child::run_executable(&stripped, TEST, "send", &[("ENDPOINT", &collector.endpoint())]).expect_success();
    assert_eq!(draw_traces(&collector.spans()), "app: send orders\n");
}
