//! The `kafka` backend writes what a Collector's `kafkareceiver` reads, waits for the broker's word, and loses or repeats nothing
//! without need.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rdkafka::Message as _;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;
use tracer_plugin_api::{Backend as _, BackendError, Batch, ErrorKind, Signal};
use tracer_plugin_kafka::Kafka;
use tracer_resolver_references::exported_symbols;
use words::LIMIT;
use words::backend::{create, export, export_metrics};
use words::kafka::{Kafka as Cluster, assign};
use words::sample_spans;

fn to(cluster: &Cluster, more: serde_json::Value) -> Kafka {
    let mut config = json!({"bootstrap_servers": cluster.servers(), "timeout": "20s"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    create(&config).unwrap()
}

/// Key, and body, of each message of a topic with one partition.
fn messages(cluster: &Cluster, topic: &str, count: usize) -> Vec<(Option<String>, Vec<u8>)> {
    let consumer = assign(&cluster.config().set("group.id", "reader").clone(), topic);
    (0..count)
        .map(|_| {
            let message = words::kafka::next_message(&consumer);
            let key = message.key().map(|key| String::from_utf8(key.to_vec()).unwrap());
            (key, message.payload().unwrap().to_vec())
        })
        .collect()
}

fn decoded(body: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(body).unwrap()
}

/// The spans' ids, each with how often it is there.
fn spans(messages: &[(Option<String>, Vec<u8>)]) -> BTreeMap<Vec<u8>, u32> {
    let mut spans = BTreeMap::new();
    for (_, body) in messages {
        for resource in decoded(body).resource_spans {
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                *spans.entry(span.span_id).or_default() += 1;
            }
        }
    }
    spans
}

/// `count` spans of `traces` traces.
fn of_traces(count: u32, traces: u8) -> ExportTraceServiceRequest {
    let mut batch = sample_spans::many("orders", count);
    for (number, span) in (0..).zip(&mut batch.resource_spans[0].scope_spans[0].spans) {
        let trace = (number % u32::from(traces)).wrapping_mul(0x9e37_79b9).to_be_bytes();
        span.trace_id = [&[1], &trace[..], &[2; 11]].concat();
    }
    batch
}

/// As the host does it: with what the try before has left.
fn try_again(
    backend: &Kafka,
    batch: &ExportTraceServiceRequest,
    (attempt, retry_cookie): (u32, u64),
    limit: Duration,
) -> Result<(), BackendError> {
    let (body, item_count) = (sample_spans::bytes(batch), sample_spans::count(batch));
    let batch = Batch { attempt, retry_cookie, ..Batch::first_try(Signal::Traces, &body, item_count, 7) };
    backend.export(&batch, limit)
}

#[test]
fn a_batch_is_one_message_as_it_is_and_metrics_have_a_topic_of_their_own() {
    let cluster = Cluster::start(&["otlp_spans", "otlp_metrics"]);
    let backend = to(&cluster, json!({"compression": "lz4"}));
    let batch = sample_spans::order_and_payment();
    export(&backend, &batch).unwrap();
    export_metrics(&backend, b"\x0a\x00", 1).unwrap();
    assert_eq!(messages(&cluster, "otlp_spans", 1), [(None, sample_spans::bytes(&batch))]);
    assert_eq!(messages(&cluster, "otlp_metrics", 1), [(None, b"\x0a\x00".to_vec())]);
    let stats = backend.stats().unwrap();
    assert_eq!((stats.items_sent, stats.batches_sent), (3, 2));
    assert_eq!(stats.bytes_sent, sample_spans::bytes(&batch).len() as u64 + 2);
    backend.shutdown(LIMIT).unwrap();
}

#[test]
fn by_trace_every_trace_is_in_one_partition_and_a_message_is_of_one_trace() {
    let cluster = Cluster::start_partitioned("otlp_spans", 8);
    let backend = to(&cluster, json!({"partition_traces_by_id": true}));
    export(&backend, &of_traces(300, 60)).unwrap();
    export(&backend, &of_traces(300, 60)).unwrap();
    let consumer = words::kafka::subscribe(&cluster.consumer_config("reader"), "otlp_spans");
    let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for _ in 0..120 {
        let message = words::kafka::next_message(&consumer);
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        for resource in decoded(message.payload().unwrap()).resource_spans {
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(id, key);
            }
        }
        partitions.entry(key).or_default().insert(message.partition());
    }
    assert_eq!(partitions.len(), 60);
    assert!(partitions.values().all(|partitions| partitions.len() == 1), "{partitions:?}");
    assert!(partitions.values().flatten().collect::<BTreeSet<_>>().len() > 4, "{partitions:?}");
    // As the Collector's exporter has it: FNV-1a of the key, its absolute value, modulo the partitions.
    let hash =
        |key: &str| key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    for (key, partition) in partitions {
        let expected = (hash(&key) as i32).unsigned_abs() % 8;
        assert_eq!(partition.into_iter().collect::<Vec<_>>(), [expected as i32], "{key}");
    }
}

#[test]
fn a_batch_above_the_limit_goes_in_several_messages_and_a_span_above_it_is_lost_and_told() {
    let cluster = Cluster::start(&["otlp_spans"]);
    let backend = to(&cluster, json!({"max_message_bytes": 2000}));
    let mut batch = sample_spans::many("orders", 100);
    export(&backend, &batch).unwrap();
    batch.resource_spans[0].scope_spans[0].spans[50].name = "x".repeat(5_000);
    let error = export(&backend, &batch).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items()), (ErrorKind::Partial, 1));
    assert!(error.message().contains("max_message_bytes"), "{error}");
    let stats = backend.stats().unwrap();
    assert_eq!((stats.items_sent, stats.items_rejected), (199, 1));
}

#[test]
fn a_topic_that_takes_less_gets_less_and_nothing_twice() {
    let cluster = Cluster::start(&["otlp_spans"]);
    let backend = to(&cluster, json!({}));
    cluster.cluster().request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    let batch = sample_spans::many("orders", 100);
    export(&backend, &batch).unwrap();
    let of = spans(&messages(&cluster, "otlp_spans", 2));
    assert!(of.values().all(|count| *count == 1), "{of:?}");
}

/// By another instance either: it is the host that keeps what was acknowledged. More traces than a number has bits.
#[test]
fn what_was_acknowledged_is_not_sent_again_with_the_rest() {
    let cluster = Cluster::start_partitioned("otlp_spans", 2);
    let settings = json!({"partition_traces_by_id": true});
    let backend = to(&cluster, settings.clone());
    // One of the two partitions has no leader: what is for it stays here.
    cluster.cluster().partition_leader("otlp_spans", 1, None).unwrap();
    let batch = of_traces(300, 150);
    let error = try_again(&backend, &batch, (1, 0), Duration::from_secs(2)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Retryable | ErrorKind::Timeout), "{error:?}");
    assert_ne!(error.retry_cookie(), 0);
    cluster.cluster().partition_leader("otlp_spans", 1, Some(1)).unwrap();
    let until = Instant::now() + LIMIT;
    let (mut attempt, mut cookie) = (2, error.retry_cookie());
    let backend = to(&cluster, settings);
    while let Err(error) = try_again(&backend, &batch, (attempt, cookie), Duration::from_secs(5)) {
        assert!(Instant::now() < until, "{error}");
        (attempt, cookie) = (attempt + 1, error.retry_cookie());
    }
    let consumer = words::kafka::subscribe(&cluster.consumer_config("reader"), "otlp_spans");
    let all: Vec<_> =
        (0..150).map(|_| (None, words::kafka::next_message(&consumer).payload().unwrap().to_vec())).collect();
    let of = spans(&all);
    assert!(of.len() == 300 && of.values().all(|count| *count == 1), "{of:?}");
    let more = consumer.poll(Duration::from_secs(1)).is_some();
    assert!(!more, "something was sent twice");
}

#[test]
fn a_broker_that_refuses_is_tried_again_or_not_as_kafka_has_it() {
    let cluster = Cluster::start(&["otlp_spans"]);
    let batch = sample_spans::many("orders", 2);
    for (refusal, kind) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ErrorKind::Credentials),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ErrorKind::Credentials),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, ErrorKind::Retryable),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, ErrorKind::Permanent),
    ] {
        // A client remembers for a while that it may not write.
        let backend = to(&cluster, json!({"properties": {"retries": 0}}));
        cluster.cluster().request_errors(RDKafkaApiKey::Produce, &[refusal]);
        let error = export(&backend, &batch).unwrap_err();
        assert_eq!(error.kind(), kind, "{refusal:?}: {error}");
        assert!(error.message().contains("otlp_spans"), "{error}");
    }
    export(&to(&cluster, json!({})), &batch).unwrap();
}

/// In parts too: what is left of the batch is not lost with what the credentials of this instance do not allow.
#[test]
fn a_batch_in_messages_that_may_not_be_written_waits_for_other_credentials() {
    let cluster = Cluster::start(&["otlp_spans"]);
    let backend = to(&cluster, json!({"partition_traces_by_id": true, "properties": {"retries": 0}}));
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.cluster().request_errors(RDKafkaApiKey::Produce, &[refusal; 8]);
    let error = export(&backend, &of_traces(8, 4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
}

/// The mock cluster knows no users, so that every one is refused.
#[test]
fn a_user_whom_the_broker_does_not_let_in_is_refused_credentials() {
    let cluster = Cluster::start(&["otlp_spans"]);
    let user = json!({"mechanism": "PLAIN", "username": "traces", "password": "s3cret"});
    let error = export(&to(&cluster, json!({"sasl": user})), &sample_spans::many("orders", 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
    assert!(error.message().contains("`sasl`") && !error.message().contains("s3cret"), "{error}");
}

#[test]
fn a_broker_that_is_away_costs_the_export_its_time_and_no_more_and_nothing_leaves_later() {
    let cluster = Cluster::start(&["otlp_spans"]);
    let backend = to(&cluster, json!({}));
    cluster.cluster().broker_down(1).unwrap();
    let batch = sample_spans::many("orders", 3);
    let started = Instant::now();
    let error = try_again(&backend, &batch, (1, 0), Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Retryable | ErrorKind::Timeout), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    cluster.cluster().broker_up(1).unwrap();
    let until = Instant::now() + LIMIT;
    while let Err(error) = try_again(&backend, &batch, (2, 0), Duration::from_secs(5)) {
        assert!(Instant::now() < until, "{error}");
    }
    let consumer = assign(&cluster.config().set("group.id", "reader").clone(), "otlp_spans");
    words::kafka::next_message(&consumer);
    assert!(consumer.poll(Duration::from_secs(1)).is_none(), "the first try left after all");
}

#[test]
fn a_topic_that_is_not_there_is_worth_another_try_and_is_named() {
    let cluster = Cluster::start(&[]);
    let backend = to(
        &cluster,
        json!({"traces_topic": "nobody.made.it", "properties": {"topic.metadata.propagation.max.ms": 500}}),
    );
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.cluster().topic_error("nobody.made.it", refused).unwrap();
    let error = export(&backend, &sample_spans::many("orders", 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    assert!(error.message().contains("nobody.made.it") && error.message().contains("no such topic"), "{error}");
}

/// Of its librdkafka and zlib nothing either: another one of the process would be bound to them.
#[test]
fn the_plugin_exports_its_entry_point_and_nothing_else() {
    assert_eq!(exported_symbols("kafka"), ["tracer_plugin_v1"]);
}
