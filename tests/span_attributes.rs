//! Promise: a span says what OpenTelemetry's messaging conventions ask of it, all of that, and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tracer_resolver_rdkafka::{Processing, send_offsets_to_transaction};
use words::kafka::{assign, next_message};
use words::receivers::ReceivedSpan;
use words::{LIMIT, Traced, portrait, send};

const ORDERS: &str = r#"
[services.shop]
produces = ["orders"]
[services.billing]
consumes = ["orders"]
resource = { "service.version" = "2.1.0", "deployment.environment.name" = "test" }
"#;

/// What differs from run to run, and is looked at by other tests.
const MASKS: [(&str, &str); 2] = [("server.port", "PORT"), ("kafka.record.queue_time_ms", "TIME")];

fn only(spans: Vec<ReceivedSpan>, name: &str) -> ReceivedSpan {
    let mut named: Vec<_> = spans.into_iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{named:#?}");
    named.remove(0)
}

#[test]
fn a_send_span_has_exactly_these_attributes() {
    let traced = Traced::start(&["orders"], ORDERS);
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    assert_eq!(
        portrait(&only(traced.spans(), "send orders"), &MASKS),
        r#"shop: send orders (producer, unset)
  messaging.client.id = "test-client"
  messaging.destination.name = "orders"
  messaging.destination.partition.id = "0"
  messaging.kafka.offset = 0
  messaging.operation.name = "send"
  messaging.operation.type = "send"
  messaging.system = "kafka"
  server.address = "127.0.0.1"
  server.port = PORT
"#
    );
}

const COMMIT: &str = r#"billing: commit orders (client, unset)
  links: 1
  messaging.client.id = "test-client"
  messaging.consumer.group.name = "test-group"
  messaging.destination.name = "orders"
  messaging.destination.partition.id = "0"
  messaging.kafka.offset = 0
  messaging.operation.name = "commit"
  messaging.operation.type = "settle"
  messaging.system = "kafka"
  server.address = "127.0.0.1"
  server.port = PORT
"#;

#[test]
fn a_commit_s_span_has_exactly_these_attributes() {
    let traced = Traced::start(&["orders"], &format!("{ORDERS}commit_spans = true\n"));
    traced.send_untraced("orders", &[]);
    let consumer = traced.consumer("orders");
    next_message(&consumer);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("orders", 0, Offset::Offset(1)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    let spans = traced.spans();
    let received = only(spans.clone(), "receive orders");
    let commit = only(spans, "commit orders");
    assert_eq!((&commit.trace_id, &commit.parent_span_id), (&received.trace_id, &received.span_id));
    assert_eq!(commit.links.iter().map(|link| &link.span_id).collect::<Vec<_>>(), [&received.span_id]);
    assert_eq!(portrait(&commit, &MASKS), COMMIT);
}

/// They are of the consumer, whose name and service they have, although a producer sends them.
#[test]
fn the_span_of_a_transaction_s_offsets_has_exactly_those_of_a_commit() {
    let traced = Traced::start(&["orders"], &format!("{ORDERS}commit_spans = true\n"));
    traced.send_untraced("orders", &[]);
    let consumer = traced.consumer("orders");
    next_message(&consumer);
    let mut config = traced.kafka.config();
    let producer: BaseProducer = config.set("transactional.id", "billing").create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("orders", 0, Offset::Offset(1)).unwrap();
    let group = consumer.group_metadata().unwrap();
    send_offsets_to_transaction(&producer, &offsets, &group, LIMIT).unwrap();
    producer.commit_transaction(LIMIT).unwrap();
    let refused = send_offsets_to_transaction(&producer, &offsets, &group, LIMIT).unwrap_err();
    let spans = traced.spans();
    let received = only(spans.clone(), "receive orders");
    let [commit, failed] = &*spans.into_iter().filter(|span| span.name == "commit orders").collect::<Vec<_>>() else {
        panic!("two were sent")
    };
    assert_eq!((&commit.trace_id, &commit.parent_span_id), (&received.trace_id, &received.span_id));
    assert_eq!(commit.links.iter().map(|link| &link.span_id).collect::<Vec<_>>(), [&received.span_id]);
    assert_eq!(portrait(commit, &MASKS), COMMIT);
    // From the call, which came after the message, to its return.
    assert!(received.start_unix_nano <= commit.start_unix_nano, "{commit:?}");
    assert!(commit.start_unix_nano <= commit.end_unix_nano, "{commit:?}");
    assert_eq!(
        (failed.attribute("error.type"), refused.rdkafka_error_code()),
        (Some("_STATE".into()), Some(RDKafkaErrorCode::State))
    );
}

#[test]
fn a_receive_span_has_exactly_these_attributes() {
    let traced = Traced::start(&["orders"], ORDERS);
    traced.send_untraced("orders", &[]);
    next_message(&traced.consumer("orders"));
    assert_eq!(
        portrait(&only(traced.spans(), "receive orders"), &MASKS),
        r#"billing: receive orders (consumer, unset)
  kafka.record.queue_time_ms = TIME
  messaging.client.id = "test-client"
  messaging.consumer.group.name = "test-group"
  messaging.destination.name = "orders"
  messaging.destination.partition.id = "0"
  messaging.kafka.offset = 0
  messaging.operation.name = "receive"
  messaging.operation.type = "receive"
  messaging.system = "kafka"
  server.address = "127.0.0.1"
  server.port = PORT
"#
    );
}

#[test]
fn a_process_span_has_exactly_these_attributes_and_the_length_of_the_processing() {
    let traced = Traced::start(&["orders"], ORDERS);
    traced.send_untraced("orders", &[]);
    let message = next_message(&traced.consumer("orders"));
    {
        let _processing = Processing::start_for(traced.resolver(), None, &message);
        std::thread::sleep(Duration::from_millis(30));
    }
    let span = only(traced.spans(), "process orders");
    assert_eq!(
        portrait(&span, &MASKS),
        r#"billing: process orders (consumer, unset)
  kafka.record.queue_time_ms = TIME
  messaging.client.id = "test-client"
  messaging.consumer.group.name = "test-group"
  messaging.destination.name = "orders"
  messaging.destination.partition.id = "0"
  messaging.kafka.offset = 0
  messaging.operation.name = "process"
  messaging.operation.type = "process"
  messaging.system = "kafka"
  server.address = "127.0.0.1"
  server.port = PORT
"#
    );
    let length = Duration::from_nanos(span.duration_nano());
    assert!((Duration::from_millis(30)..Duration::from_secs(10)).contains(&length), "{length:?}");
}

#[test]
fn a_failed_processing_is_told_with_the_error_s_type_and_text() {
    let traced = Traced::start(&["orders"], ORDERS);
    traced.send_untraced("orders", &[]);
    let message = next_message(&traced.consumer("orders"));
    {
        let mut processing = Processing::start_for(traced.resolver(), None, &message);
        processing.fail(&"x".parse::<i32>().unwrap_err());
        processing.fail(&"12x".parse::<f64>().unwrap_err());
    }
    let span = only(traced.spans(), "process orders");
    assert_eq!(
        (span.status_code.as_str(), span.status_message.as_str(), span.attribute("error.type").as_deref()),
        ("error", "invalid float literal", Some("ParseFloatError")),
        "the last failure counts"
    );
}

#[test]
fn a_key_without_a_value_is_a_tombstone_on_both_sides() {
    let traced = Traced::start(&["orders"], ORDERS);
    send(&traced.producer(), BaseRecord::<str, str>::to("orders").key("customer-7"));
    send(&traced.producer(), BaseRecord::<str, str>::to("orders"));
    let consumer = traced.consumer("orders");
    next_message(&consumer);
    next_message(&consumer);
    assert_eq!(
        traced.traces_with(&["messaging.kafka.message.tombstone"]),
        "shop: send orders {tombstone=true}\n  billing: receive orders {tombstone=true}\n\
         shop: send orders\n  billing: receive orders\n",
        "only a key without a value is one; neither key nor value is nothing"
    );
}

#[test]
fn partition_and_offset_are_those_of_the_log() {
    let kafka = words::kafka::Kafka::start_partitioned("orders", 4);
    let traced = Traced::on(kafka, ORDERS);
    let producer = traced.producer();
    for partition in [2, 0, 2, 2] {
        send(&producer, BaseRecord::to("orders").key("k").payload("p").partition(partition));
    }
    assert_eq!(
        traced.traces_with(&["messaging.destination.partition.id", "messaging.kafka.offset"]),
        "shop: send orders {id=2, offset=0}\nshop: send orders {id=0, offset=0}\n\
         shop: send orders {id=2, offset=1}\nshop: send orders {id=2, offset=2}\n"
    );
}

#[test]
fn the_time_in_queue_is_from_the_record_s_timestamp_to_the_delivery() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer: BaseProducer = traced.kafka.config().create().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    send(&producer, BaseRecord::to("orders").key("k").payload("old").timestamp(now - 60_000));
    send(&producer, BaseRecord::to("orders").key("k").payload("from a clock that is ahead").timestamp(now + 3_600_000));
    let consumer = traced.consumer("orders");
    next_message(&consumer);
    next_message(&consumer);
    let spans = traced.spans();
    let times: Vec<i64> =
        spans.iter().map(|span| span.attributes["kafka.record.queue_time_ms"].as_i64().unwrap()).collect();
    assert!((60_000..90_000).contains(&times[0]), "{times:?}");
    assert_eq!(times[1], 0, "never negative");
}

#[test]
fn a_span_from_send_to_acknowledgement_has_that_very_length() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer = traced.producer();
    send(&producer, BaseRecord::to("orders").key("k").payload("warm up"));
    traced.kafka.cluster().broker_round_trip_time(1, Duration::from_millis(300)).unwrap();
    let started = std::time::Instant::now();
    send(&producer, BaseRecord::to("orders").key("k").payload("p"));
    let took = started.elapsed();
    let spans = traced.spans();
    let length = Duration::from_nanos(spans[1].duration_nano());
    assert!(length >= Duration::from_millis(290) && length <= took, "{length:?} of {took:?}");
}

#[test]
fn the_resource_names_service_process_and_machine_and_the_file_adds_to_it() {
    let traced = Traced::start(&["orders"], ORDERS);
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    next_message(&traced.consumer("orders"));
    let spans = traced.spans();
    let keys = |span: &ReceivedSpan| span.resource.keys().cloned().collect::<Vec<_>>().join(" ");
    let send = only(spans.clone(), "send orders");
    let receive = only(spans, "receive orders");
    let detected = "host.name process.executable.name process.pid service.instance.id service.name \
                    telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version";
    assert_eq!(keys(&send), detected);
    assert_eq!(
        keys(&receive),
        "deployment.environment.name host.name process.executable.name process.pid service.instance.id service.name \
         service.version telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version"
    );
    assert_eq!(receive.resource["service.version"], "2.1.0");
    assert_eq!(send.resource["process.pid"], std::process::id());
    assert_eq!(send.resource["telemetry.sdk.name"], "tracer-resolver");
    let instance = send.resource["service.instance.id"].as_str().unwrap();
    assert_eq!(instance.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "a UUID: {instance}");
    assert_eq!(send.scope, "tracer-resolver");
}

#[test]
fn what_a_client_does_not_have_is_left_out() {
    let traced = Traced::start(&["orders"], ORDERS);
    let servers = traced.config(None).get("bootstrap.servers").unwrap().to_owned();
    let mut config = traced.config(None);
    config.set("bootstrap.servers", format!("{servers},{servers}")).remove("client.id");
    send(&config.create().unwrap(), BaseRecord::to("orders").key("k").payload("p"));
    let mut config = traced.config(Some("g"));
    config.set("bootstrap.servers", format!("{servers},{servers}"));
    next_message(&assign(&config, "orders"));
    assert_eq!(
        traced.traces_with(&["messaging.client.id", "messaging.consumer.group.name", "server.address"]),
        "shop: send orders {id=rdkafka}\n  billing: receive orders {id=test-client, name=g}\n",
        "librdkafka's default client id is one; a list of servers names no server"
    );
}

const CAPTURING: &str = r#"
[defaults]
capture_headers = ["tenant", "x-request-id", "authorization"]
[services.shop]
produces = ["orders"]
message_key = "plain"
[services.billing]
consumes = ["orders"]
message_key = "hash"
"#;
const TOLD: [&str; 4] = [
    "messaging.header.tenant",
    "messaging.header.x-request-id",
    "messaging.header.authorization",
    "messaging.kafka.message.key",
];

fn told(span: &ReceivedSpan) -> Vec<String> {
    let of = |key: &str| Some(format!("{} = {}", key.strip_prefix("messaging.")?, span.attributes.get(key)?));
    TOLD.into_iter().filter_map(of).collect()
}

#[test]
fn chosen_headers_and_the_key_are_told_on_both_sides_and_secrets_are_not() {
    let traced = Traced::start(&["orders"], CAPTURING);
    let headers = [
        ("tenant", "acme"),
        ("other", "x"),
        ("tenant", "b"),
        ("authorization", "hunter2"),
        ("x-request-id", "Bearer s"),
    ];
    send(
        &traced.producer(),
        BaseRecord::to("orders").key("customer-7").payload("p").headers(words::kafka::with_headers(&headers)),
    );
    let message = next_message(&traced.consumer("orders"));
    drop(Processing::start_for(traced.resolver(), None, &message));
    let spans = traced.spans();
    let headers = [
        r#"header.tenant = ["acme","b"]"#,
        r#"header.x-request-id = ["REDACTED"]"#,
        r#"header.authorization = ["REDACTED"]"#,
    ];
    let send = told(&only(spans.clone(), "send orders"));
    assert_eq!(
        (&send[..3], &send[3..]),
        (&headers.map(str::to_owned)[..], &[r#"kafka.message.key = "customer-7""#.to_owned()][..])
    );
    let process = told(&only(spans, "process orders"));
    let hash = format!("kafka.message.key = {:?}", "acade5fe58d0b5a805a02b8b3a546d8e");
    assert_eq!((&process[..3], &process[3..]), (&headers.map(str::to_owned)[..], &[hash][..]));
}

#[test]
fn a_receive_span_tells_them_beside_the_trace_state_and_a_message_without_them_has_nothing_to_tell() {
    let traced = Traced::start(&["orders"], CAPTURING);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let state = (0..31).map(|index| format!("vendor{index}=value")).collect::<Vec<_>>().join(",");
    let long = "x".repeat(10_000);
    let all = [("traceparent", parent), ("tenant", long.as_str()), ("tracestate", state.as_str()), ("tenant", "b")];
    traced.send_untraced("orders", &all);
    traced.send_untraced("orders", &[("other", "1")]);
    traced.send_untraced("orders", &[]);
    let consumer = traced.consumer("orders");
    for _ in 0..3 {
        next_message(&consumer);
    }
    let spans = traced.spans();
    assert_eq!(spans.len(), 3);
    let tenants = spans[0].attributes["messaging.header.tenant"].as_array().unwrap();
    assert_eq!(tenants[1], "b");
    assert_eq!(tenants[0], "REDACTED", "too long to be looked through for secrets");
    assert_eq!((spans[0].trace_state.as_str(), spans[0].trace_id.as_str()), (state.as_str(), &parent[3..35]));
    for span in &spans[1..] {
        assert!(!span.attributes.keys().any(|key| key.starts_with("messaging.header.")), "{:?}", span.attributes);
    }
}

#[test]
fn a_processing_of_a_message_that_another_client_received_tells_its_headers_and_not_its_key() {
    let traced = Traced::start(&["orders"], CAPTURING);
    traced.send_untraced("orders", &[("tenant", "acme"), ("authorization", "hunter2")]);
    let message = traced.read_untraced("orders");
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(
        told(&only(traced.spans(), "process orders")),
        [r#"header.tenant = ["acme"]"#, r#"header.authorization = ["REDACTED"]"#]
    );
}

#[test]
fn what_is_captured_is_said_for_each_service_and_topic() {
    let configuration = r#"
[services.shop]
topics = ["orders", "payments", "audit"]
capture_headers = ["tenant"]
redact_headers = []
[services.shop.topic."payments"]
capture_headers = ["Token"]
[services.shop.topic."audit"]
capture_headers = []
"#;
    let traced = Traced::start(&["orders", "payments", "audit"], configuration);
    let producer = traced.producer();
    for topic in ["orders", "payments", "audit"] {
        let headers = words::kafka::with_headers(&[("tenant", "acme"), ("Token", "t-1")]);
        send(&producer, BaseRecord::to(topic).key("k").payload("p").headers(headers));
    }
    assert_eq!(
        traced.traces_with(&["messaging.header.tenant", "messaging.header.Token", "messaging.kafka.message.key"]),
        "shop: send orders {tenant=[\"acme\"]}\nshop: send payments {Token=[\"t-1\"]}\nshop: send audit\n",
        "a list replaces the one below, and who empties the list of secrets has meant it"
    );
}

#[test]
fn with_older_names_too_a_span_has_exactly_these_attributes() {
    let traced = Traced::start(&["orders"], &format!("[defaults]\nconventions = \"messaging/dup\"\n{ORDERS}"));
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    next_message(&traced.consumer("orders"));
    let spans = traced.spans();
    assert_eq!(
        portrait(&only(spans.clone(), "send orders"), &MASKS),
        r#"shop: send orders (producer, unset)
  messaging.client.id = "test-client"
  messaging.client_id = "test-client"
  messaging.destination.name = "orders"
  messaging.destination.partition.id = "0"
  messaging.kafka.destination.partition = 0
  messaging.kafka.message.offset = 0
  messaging.kafka.offset = 0
  messaging.operation = "publish"
  messaging.operation.name = "send"
  messaging.operation.type = "send"
  messaging.system = "kafka"
  server.address = "127.0.0.1"
  server.port = PORT
"#
    );
    assert_eq!(
        portrait(&only(spans, "receive orders"), &MASKS),
        r#"billing: receive orders (consumer, unset)
  kafka.record.queue_time_ms = TIME
  messaging.client.id = "test-client"
  messaging.client_id = "test-client"
  messaging.consumer.group.name = "test-group"
  messaging.destination.name = "orders"
  messaging.destination.partition.id = "0"
  messaging.kafka.consumer.group = "test-group"
  messaging.kafka.destination.partition = 0
  messaging.kafka.message.offset = 0
  messaging.kafka.offset = 0
  messaging.operation = "receive"
  messaging.operation.name = "receive"
  messaging.operation.type = "receive"
  messaging.system = "kafka"
  server.address = "127.0.0.1"
  server.port = PORT
"#
    );
}

#[test]
fn polling_in_vain_and_reaching_the_end_make_no_span() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(Some("g"));
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = assign(&config, "orders");
    for _ in 0..10 {
        assert!(!matches!(consumer.poll(Duration::from_millis(50)), Some(Ok(_))));
    }
    drop(consumer.unassign());
    assert_eq!(traced.traces(), "");
}
