//! Promise: a configuration that names the library twice, or is copied, or copied again, traces the clients made of it
//! once. This program has librdkafka linked in and exports nothing of it.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use rdkafka::bindings::*;
use words::foreign::library;
use words::native::{NativeProducer, native_conf, set};
use words::{Traced, child, is_child, run};

const TEST: &str = "every_copy_of_a_configuration_is_traced_once";

#[test]
fn every_copy_of_a_configuration_is_traced_once() {
    if is_child() {
        return work();
    }
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]");
    run(&mut traced.again(TEST)).expect_success();
    assert_eq!(traced.take_traces(), "shop: send orders\n".repeat(4));
}

fn work() {
    let path = library().display().to_string();
    let mut config = child::kafka();
    config.set("plugin.library.paths", &path);
    let original = native_conf(&config);
    // SAFETY: a valid configuration; the copy is a new one.
    let copy = unsafe { rd_kafka_conf_dup(original) };
    // SAFETY: as above.
    let copy_of_copy = unsafe { rd_kafka_conf_dup(copy) };
    set(copy_of_copy, "plugin.library.paths", &path);
    // SAFETY: as above.
    let last = unsafe { rd_kafka_conf_dup(copy_of_copy) };
    // SAFETY: the copy is not used any more.
    unsafe { rd_kafka_conf_destroy(copy) };
    let twice = native_conf(config.set("plugin.library.paths", format!("{path};{path}")));
    for conf in [original, copy_of_copy, last, twice] {
        let producer = NativeProducer::from_conf(conf).unwrap();
        assert_eq!(producer.produce("orders", 0, b"an order"), 0);
        assert_eq!(producer.flush(20_000), 0);
    }
}
