//! Promise: whatever way a configuration or a client ends, tracing neither crashes nor grows, and registers once.
//!
//! Without the generation in `resolver/src/interceptor/client_handles.rs` the second destruction frees the client twice; without
//! the reclaiming of slots in `ClientHandle::take` the failures below exhaust the 65536 slots, and the last client, which
//! could be created, goes untraced.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use rdkafka::ClientConfig;
use rdkafka::bindings::*;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::native::{NativeProducer, native_conf, set};
use words::{LIMIT, ONE_SERVICE, Traced, child, is_child, run};

/// More than there are slots.
const MANY: usize = 70_000;

fn send_one(producer: &BaseProducer) {
    producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    producer.flush(LIMIT).unwrap();
}

#[test]
fn clients_that_cannot_be_created_leave_nothing_behind() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    // Refused before `on_new`, by the check of the configuration as a whole: no callback tells of its end.
    let mut refused_early = traced.config(None);
    refused_early.set("enable.idempotence", "true").set("retries", "0").set("acks", "1");
    assert!(refused_early.create::<BaseProducer>().is_err());
    // Refused after `on_new`.
    for _ in 0..200 {
        assert!(refused_early.create::<BaseProducer>().is_err());
    }
    let mut refused_late = traced.config(None);
    refused_late.set("security.protocol", "sasl_plaintext").set("sasl.mechanism", "NONSENSE");
    assert!(refused_late.create::<BaseProducer>().is_err());
    for _ in 0..200 {
        assert!(refused_late.create::<BaseProducer>().is_err());
    }
    // rdkafka forgets the configuration of a client that could not be created; here it is made anew, to be quick.
    for _ in 0..MANY {
        // SAFETY: a new configuration, which nobody destroys: as `Client::new` of rdkafka does after a failure.
        let conf = unsafe { rd_kafka_conf_new() };
        set(conf, "plugin.library.paths", refused_early.get("plugin.library.paths").unwrap());
    }
    send_one(&traced.producer());
    assert_eq!(traced.traces(), "app: send orders\n");
}

#[test]
fn configurations_that_come_and_go_leave_nothing_behind() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let config = traced.apply(ClientConfig::new());
    for _ in 0..MANY {
        let conf = native_conf(&config);
        // SAFETY: made here, destroyed once.
        unsafe { rd_kafka_conf_destroy(conf) };
    }
    send_one(&traced.producer());
    assert_eq!(traced.traces(), "app: send orders\n");
}

#[test]
fn a_copy_of_a_configuration_is_traced_once_and_so_is_one_that_names_the_plugin_twice() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let config = traced.config(None);
    let path = config.get("plugin.library.paths").unwrap().to_owned();
    let original = native_conf(&config);
    // SAFETY: a valid configuration; the copy is a new one.
    let copy = unsafe { rd_kafka_conf_dup(original) };
    // SAFETY: as above.
    let copy_of_copy = unsafe { rd_kafka_conf_dup(copy) };
    set(copy_of_copy, "plugin.library.paths", &path);
    // SAFETY: the copy is not used any more.
    unsafe { rd_kafka_conf_destroy(copy) };
    for conf in [original, copy_of_copy] {
        let producer = NativeProducer::from_conf(conf).unwrap();
        assert_eq!(producer.produce("orders", 0, b"an order"), 0);
        assert_eq!(producer.flush(20_000), 0);
    }
    assert_eq!(traced.traces(), "app: send orders\napp: send orders\n");

    let twice = traced.apply(config.clone());
    assert_eq!(twice.get("plugin.library.paths"), Some(path.as_str()));
    let mut by_hand = config;
    by_hand.set("plugin.library.paths", format!("{path};{path}"));
    send_one(&by_hand.create().unwrap());
    assert_eq!(traced.spans().len(), 3);
}

/// librdkafka before 2.13 calls `on_conf_destroy` a second time when a configuration is destroyed whose client could
/// not be created, out of memory that it has freed before: what can be shown is that our side bears it.
#[test]
fn a_configuration_destroyed_after_its_client_failed_does_no_harm() {
    if !is_child() {
        let test = "a_configuration_destroyed_after_its_client_failed_does_no_harm";
        return run(&mut child(test)).expect_success();
    }
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    for _ in 0..50 {
        let mut config = traced.config(None);
        config.set("security.protocol", "sasl_plaintext").set("sasl.mechanism", "NONSENSE");
        assert!(NativeProducer::new(&config).is_err());
    }
    send_one(&traced.producer());
    assert_eq!(traced.traces(), "app: send orders\n");
}
