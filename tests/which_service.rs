//! Promise: each message belongs to the service that the file says, by side, topic, client and group, through real
//! clients.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver_rdkafka::{InstrumentError, Instrumentation, Processing};
use words::kafka::{assign, next_message};
use words::{LIMIT, TRACEPARENT, Traced, send};

fn record(topic: &str) -> BaseRecord<'_, str, str> {
    BaseRecord::to(topic).key("k").payload("p")
}

fn producer(config: &mut ClientConfig, client_id: &str) -> BaseProducer {
    config.set("client.id", client_id).create().unwrap()
}

#[test]
fn one_topic_has_two_sides_of_two_services() {
    let traced = Traced::start(
        &["orders"],
        "[services.shop]\nproduces = [\"orders\"]\n[services.billing]\nconsumes = [\"orders\"]\n",
    );
    send(&traced.producer(), record("orders"));
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "shop: send orders\n  billing: receive orders\n");
}

#[test]
fn exact_wins_over_glob_over_regex_and_the_longer_glob_over_the_shorter() {
    let traced = Traced::start(
        &["orders", "orders.eu", "orders.eu.de", "orders-17"],
        r#"
        [services.by_regex]
        produces = [{ regex = 'orders.*' }]
        [services.by_glob]
        produces = ["orders.*"]
        [services.by_longer_glob]
        produces = ["orders.eu.*"]
        [services.exact]
        produces = ["orders"]
        "#,
    );
    let producer = traced.producer();
    for topic in ["orders", "orders.eu", "orders.eu.de", "orders-17"] {
        send(&producer, record(topic));
    }
    assert_eq!(
        traced.traces(),
        "exact: send orders\nby_glob: send orders.eu\nby_longer_glob: send orders.eu.de\nby_regex: send orders-17\n"
    );
}

#[test]
fn a_side_wins_over_both_sides() {
    let traced = Traced::start(
        &["orders"],
        "[services.both]\ntopics = [\"orders\"]\n[services.side]\nproduces = [\"orders\"]\n",
    );
    send(&traced.producer(), record("orders"));
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "side: send orders\n  both: receive orders\n");
}

#[test]
fn client_ids_tell_clients_of_one_topic_apart() {
    let traced = Traced::start(
        &["stock"],
        r#"
        [services.inventory]
        produces = ["stock"]
        client_ids = ["inventory-*"]
        [services.returns]
        produces = ["stock"]
        client_ids = ["returns-1", "returns-2"]
        "#,
    );
    for client_id in ["inventory-7", "returns-2", "returns-3"] {
        send(&producer(&mut traced.config(None), client_id), record("stock"));
    }
    assert_eq!(traced.traces(), "inventory: send stock\nreturns: send stock\n", "and the third is nobody's");
}

#[test]
fn group_ids_tell_consumers_of_one_topic_apart() {
    let traced = Traced::start(
        &["orders"],
        r#"
        [services.billing]
        consumes = ["orders"]
        group_ids = ["billing"]
        [services.audit]
        consumes = ["orders"]
        group_ids = ["audit-*"]
        "#,
    );
    traced.send_untraced("orders", &[("traceparent", TRACEPARENT)]);
    for group in ["billing", "audit-eu", "nobody"] {
        next_message(&assign(&traced.config(Some(group)), "orders"));
    }
    assert_eq!(traced.traces(), "~ billing: receive orders\n~ audit: receive orders\n");
}

#[test]
fn a_client_id_that_matches_wins_over_a_service_without_one() {
    let traced = Traced::start(
        &["stock"],
        "[services.any]\nproduces = [\"stock\"]\n[services.special]\nproduces = [\"stock\"]\nclient_ids = [\"special\"]\n",
    );
    send(&producer(&mut traced.config(None), "special"), record("stock"));
    send(&producer(&mut traced.config(None), "other"), record("stock"));
    assert_eq!(traced.traces(), "special: send stock\nany: send stock\n");
}

#[test]
fn the_default_service_takes_what_no_rule_claims_but_not_what_is_excluded() {
    let traced = Traced::start(
        &["orders", "anything", "__internal"],
        "default_service = \"rest\"\n[services.shop]\ntopics = [\"orders\"]\n[services.rest]\n",
    );
    let producer = traced.producer();
    for topic in ["orders", "anything", "__internal"] {
        send(&producer, record(topic));
        next_message(&traced.consumer(topic));
    }
    assert_eq!(
        traced.traces(),
        "shop: send orders\n  shop: receive orders\nrest: send anything\n  rest: receive anything\n"
    );
}

#[test]
fn exclude_beats_every_rule_and_a_binding_in_code_beats_exclude() {
    let traced = Traced::start(
        &["__internal", "secret"],
        r#"
        [services.shop]
        topics = ["__internal", "secret"]
        exclude = ["__*", "secret"]
        "#,
    );
    let producer = traced.producer();
    send(&producer, record("__internal"));
    send(&producer, record("secret"));
    let bound: BaseProducer = traced.bound_config("shop", None).create().unwrap();
    send(&bound, record("__internal"));
    next_message(&assign(&traced.bound_config("shop", Some("g")), "secret"));
    assert_eq!(traced.traces(), "shop: send __internal\nshop: receive secret\n");
}

#[test]
fn a_bound_client_is_its_service_s_whatever_the_topic_and_another_client_is_not() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"orders\"]\n[services.tool]\n");
    let bound: BaseProducer = traced.bound_config("tool", None).create().unwrap();
    send(&bound, record("orders"));
    send(&traced.producer(), record("orders"));
    let consumer = assign(&traced.bound_config("tool", Some("g")), "orders");
    drop(Processing::start_for(traced.resolver(), Some("tool"), &next_message(&consumer)));
    next_message(&consumer);
    assert_eq!(
        traced.traces(),
        "tool: send orders\n  tool: process orders\nshop: send orders\n  tool: receive orders\n"
    );
}

#[test]
fn binding_to_a_service_that_is_not_there_is_refused_and_names_those_that_are() {
    let traced = Traced::start(&["orders"], "[services.shop]\n[services.tool]\n");
    let refused = Instrumentation::new(traced.resolver()).service("shpo").apply(&mut traced.kafka.config());
    let Err(InstrumentError::UnknownService { service, known }) = refused else { panic!("{refused:?}") };
    assert_eq!((service.as_str(), known), ("shpo", vec!["shop".to_owned(), "tool".to_owned()]));
}

#[test]
fn two_clients_in_a_process_share_one_tracer_per_service() {
    // P1: the original built a tracer, with its threads, per client.
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\n");
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().filter(named_ours).count();
    let first = traced.producer();
    send(&first, record("orders"));
    assert!(traced.resolver().flush(LIMIT));
    let before = threads();
    assert!(before > 0, "ours are known by their names");
    let more: Vec<BaseProducer> = (0..10).map(|_| traced.producer()).collect();
    for producer in &more {
        send(producer, record("orders"));
    }
    let spans = traced.spans();
    assert_eq!(threads(), before, "no thread of ours came with them");
    let instances: std::collections::HashSet<_> =
        spans.iter().map(|span| span.resource["service.instance.id"].to_string()).collect();
    assert_eq!((spans.len(), instances.len()), (11, 1));
    for producer in &more {
        producer.flush(Duration::from_secs(1)).unwrap();
    }
}

/// Whether a thread is not one of librdkafka's, by its name.
fn named_ours(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    let name = entry.as_ref().ok().and_then(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    name.is_some_and(|name| name.starts_with("tr-"))
}
