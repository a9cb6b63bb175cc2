//! Promise: each message belongs to the service that the file says, by side, topic, client and group, through real
//! clients.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver_rdkafka::{InstrumentError, Instrumentation, Processing};
use words::kafka::{assign, next_message};
use words::{LIMIT, TRACEPARENT, Traced, child, run, send, traced_by};

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
fn of_two_bindings_of_one_configuration_the_last_counts() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"orders\"]\n[services.tool]\n");
    let mut config = traced.apply(traced.bound_config("shop", None));
    Instrumentation::new(traced.resolver()).service("tool").apply(&mut config).unwrap();
    send(&config.create().unwrap(), record("orders"));
    assert_eq!(traced.traces(), "tool: send orders\n");
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

/// What a process that sends to these topics warns of them at its end, by this file.
fn warned(test: &str, file: &str, topics: &[&str]) -> Vec<String> {
    let traced = Traced::start(topics, file);
    let mut command = traced.again(test);
    let ended = run(command.env("TOPICS", topics.join(",")));
    ended.expect_success();
    let lines = ended.stderr.lines().filter(|line| line.contains(" WARN: "));
    lines.map(str::to_owned).collect()
}

/// The part of such a process.
fn send_to_each() -> bool {
    let Some(resolver) = child::resolver() else { return false };
    let producer: BaseProducer = traced_by(&resolver, child::kafka()).create().unwrap();
    for topic in std::env::var("TOPICS").unwrap().split(',') {
        send(&producer, record(topic));
    }
    true
}

const SHOP: &str = "[services.shop]\nproduces = [\"order\", \"payments\"]\n";

#[test]
fn a_misspelt_topic_beside_a_right_one_is_warned_of_once_with_the_rule_and_its_line() {
    let test = "a_misspelt_topic_beside_a_right_one_is_warned_of_once_with_the_rule_and_its_line";
    if send_to_each() {
        return;
    }
    let said = warned(test, SHOP, &["payments", "orders", "orders-dlq", "stock1"]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("topic `orders` (produced by client `test-client`) is not traced"), "{said:?}");
    assert!(said[0].contains("produces = \"order\" of service `shop` ("), "{said:?}");
    assert!(said[0].contains("of service `shop` (test.toml:4)") && said[0].contains("`exclude`"), "{said:?}");
}

#[test]
fn a_topic_beside_the_one_that_its_rule_is_about_is_not_misspelt() {
    let test = "a_topic_beside_the_one_that_its_rule_is_about_is_not_misspelt";
    if send_to_each() {
        return;
    }
    assert_eq!(warned(test, SHOP, &["orders", "payments", "order"]), Vec::<String>::new());
}

#[test]
fn where_nothing_is_traced_one_line_says_so_and_names_the_slip() {
    let test = "where_nothing_is_traced_one_line_says_so_and_names_the_slip";
    if send_to_each() {
        return;
    }
    let said = warned(test, SHOP, &["orders"]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("nothing was traced") && said[0].contains("which is `orders` (produced"), "{said:?}");
    assert!(said[0].contains("`orders` differs by singular and plural (`orders`, `order`) from produces"), "{said:?}");
}
