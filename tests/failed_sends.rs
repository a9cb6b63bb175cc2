//! Promise: a send that fails is a failed span with the protocol's name of the error, and sending the same record again
//! makes a sibling of it. Brokers that refuse our headers get no more of them.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer, PurgeConfig};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tracer_resolver_rdkafka::tell_if_refused;
use words::kafka::{assign, headers_of, next_message, with_headers};
use words::{LIMIT, TRACEPARENT, Traced, send};

const ORDERS: &str = "[services.shop]\nproduces = [\"*\"]\n";

/// What a send's span says when the broker refuses it for this.
fn refused(error: RDKafkaRespErr) -> String {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("retries", "0");
    let producer: BaseProducer = config.create().unwrap();
    traced.kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[error; 8]);
    send(&producer, BaseRecord::to("orders").key("k").payload("p"));
    traced.traces_with(&["messaging.kafka.offset"])
}

#[test]
fn the_broker_s_refusal_has_the_protocol_s_name_not_librdkafka_s_abbreviation() {
    use RDKafkaRespErr as E;
    let cases = [
        (E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "MESSAGE_TOO_LARGE"),
        (E::RD_KAFKA_RESP_ERR_INVALID_MSG, "CORRUPT_MESSAGE"),
        (E::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "INVALID_TOPIC_EXCEPTION"),
        (E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "TOPIC_AUTHORIZATION_FAILED"),
        (E::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, "RECORD_LIST_TOO_LARGE"),
        (E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "POLICY_VIOLATION"),
        (E::RD_KAFKA_RESP_ERR_UNKNOWN, "UNKNOWN_SERVER_ERROR"),
    ];
    for (error, name) in cases {
        assert_eq!(refused(error), format!("shop: send orders !{name}\n"));
    }
}

#[test]
fn a_retry_that_succeeds_is_one_span_without_an_error() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("retry.backoff.ms", "10");
    traced
        .kafka
        .cluster()
        .request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 2]);
    send(&config.create().unwrap(), BaseRecord::to("orders").key("k").payload("p"));
    assert_eq!(traced.traces_with(&["messaging.kafka.offset"]), "shop: send orders {offset=0}\n");
}

#[test]
fn a_message_that_times_out_is_a_span_that_says_so() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "200");
    let producer: BaseProducer = config.create().unwrap();
    send(&producer, BaseRecord::to("orders").key("k").payload("p"));
    assert_eq!(traced.traces(), "shop: send orders !_MSG_TIMED_OUT\n");
    assert!(traced.collector.spans()[0].duration_nano() >= 190_000_000, "it lasted as long as the message waited");
}

#[test]
fn a_message_that_is_purged_or_has_no_partition_is_a_span_that_says_so() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("linger.ms", "60000");
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::to("orders").key("k").payload("p")).map_err(|(error, _)| error).unwrap();
    producer.purge(PurgeConfig::default().queue().inflight());
    producer.flush(LIMIT).unwrap();
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    let refused = traced.producer();
    send(&refused, BaseRecord::to("orders").key("k").payload("p"));
    let gone = refused.send(BaseRecord::to("orders").key("k").payload("p").partition(7));
    let gone = gone.map_err(|(error, _)| error).err();
    assert_eq!(gone, Some(KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition)));
    assert_eq!(
        traced.traces(),
        "shop: send orders !_PURGE_QUEUE\nshop: send orders\nshop: send orders\nshop: send orders !_UNKNOWN_PARTITION\n"
    );
}

#[test]
fn a_record_that_was_returned_and_is_sent_again_makes_a_sibling_of_the_failed_span() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer = traced.producer();
    let parent = TRACEPARENT;
    send(&producer, BaseRecord::to("orders").key("k").payload("so that the partitions are known"));
    let record =
        BaseRecord::to("orders").key("k").payload("p").partition(9).headers(with_headers(&[("traceparent", parent)]));
    let (_, mut record) = producer.send(record).expect_err("there is no partition 9");
    record.partition = Some(0);
    send(&producer, record);
    assert_eq!(
        traced.traces(),
        "shop: send orders\n~ shop: send orders !_UNKNOWN_PARTITION\n~ shop: send orders\n",
        "both continue the record's own parent"
    );
    let spans = traced.collector.spans();
    assert!(spans[1..].iter().all(|span| span.parent_span_id == "b7ad6b7169203331"), "{spans:#?}");
}

/// librdkafka calls no interceptor for these. Where it does, there is one span all the same.
#[test]
fn a_send_that_is_refused_at_once_has_one_failed_span_where_the_program_says_where_it_sends() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("queue.buffering.max.messages", "1").set("linger.ms", "60000").set("message.max.bytes", "1000");
    let (base, future): (BaseProducer, FutureProducer) = (config.create().unwrap(), config.create().unwrap());
    let large = "p".repeat(2000);
    let code = |error| match error {
        KafkaError::MessageProduction(code) => code,
        other => panic!("{other}"),
    };
    let by_base = |payload: &str, partition| {
        let record = BaseRecord::to("orders").key("k").payload(payload).partition(partition);
        tell_if_refused(&base, BaseProducer::send, record).map_err(|(error, _)| code(error))
    };
    let by_future = |payload: &str, partition| {
        let record = FutureRecord::to("orders").key("k").payload(payload).partition(partition);
        tell_if_refused(&future, FutureProducer::send_result, record).map(drop).map_err(|(error, _)| code(error))
    };
    let attributes = ["messaging.destination.partition.id", "messaging.kafka.message.tombstone"];
    for send in [&by_base as &dyn Fn(&str, i32) -> Result<(), RDKafkaErrorCode>, &by_future] {
        assert_eq!(send(&large, 1), Err(RDKafkaErrorCode::MessageSizeTooLarge));
        assert_eq!(send("p", 0), Ok(()));
        assert_eq!(send("p", 0), Err(RDKafkaErrorCode::QueueFull));
        base.flush(LIMIT).unwrap();
        future.flush(LIMIT).unwrap();
        assert_eq!(send("p", 9), Err(RDKafkaErrorCode::UnknownPartition));
    }
    let all = [
        "shop: send orders {id=1} !MESSAGE_TOO_LARGE\n",
        "shop: send orders {id=0}\n",
        "shop: send orders {id=0} !_QUEUE_FULL\n",
        "shop: send orders {id=9} !_UNKNOWN_PARTITION\n",
    ];
    assert_eq!(traced.traces_with(&attributes), all.concat().repeat(2));
}

#[test]
fn a_refused_send_is_a_child_of_the_current_span_and_the_next_one_too() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("message.max.bytes", "1000");
    let producer: BaseProducer = config.create().unwrap();
    let parent = SpanContext::new(
        TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
        SpanId::from_hex("b7ad6b7169203331").unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let _current = Context::new().with_remote_span_context(parent).attach();
    let large = "p".repeat(2000);
    let tombstone = BaseRecord::<str, str>::to("orders").key(&large);
    let (error, record) = tell_if_refused(&producer, BaseProducer::send, tombstone).unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    tell_if_refused(&producer, BaseProducer::send, record.key("k")).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    assert_eq!(
        traced.traces_with(&["messaging.kafka.message.tombstone"]),
        "~ shop: send orders {tombstone=true} !MESSAGE_TOO_LARGE\n~ shop: send orders {tombstone=true}\n"
    );
    assert!(traced.collector.spans().iter().all(|span| span.parent_span_id == "b7ad6b7169203331"));
}

/// Brokers of this cluster refuse the next messages with these errors, whatever they have.
fn refuse(traced: &Traced, errors: &[RDKafkaRespErr]) {
    traced.kafka.cluster().request_errors(RDKafkaApiKey::Produce, errors);
}

/// The names of the headers of all messages of `orders`, oldest first.
fn sent_headers(traced: &Traced, count: usize) -> Vec<String> {
    let consumer = assign(&traced.kafka.consumer_config("untraced"), "orders");
    let names = |message| headers_of(&message).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
    (0..count).map(|_| names(next_message(&consumer))).collect()
}

const UNKNOWN: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN;

fn record() -> BaseRecord<'static, str, str> {
    BaseRecord::to("orders").partition(0).key("k").payload("p")
}

#[test]
fn brokers_that_refuse_our_headers_are_sent_none_after_the_first_message() {
    let traced = Traced::start(&["orders", "payments"], ORDERS);
    let producer = traced.producer();
    refuse(&traced, &[UNKNOWN]);
    send(&producer, record());
    send(&producer, record());
    send(&producer, BaseRecord::to("payments").key("k").payload("p"));
    send(&traced.producer(), record());
    assert_eq!(traced.counters().not_injected, 3);
    assert_eq!(sent_headers(&traced, 2), ["", ""]);
    assert_eq!(
        traced.traces(),
        "shop: send orders !UNKNOWN_SERVER_ERROR\nshop: send orders\nshop: send payments\nshop: send orders\n",
        "each has its span all the same"
    );
}

#[test]
fn the_application_s_own_headers_that_are_taken_bring_ours_back() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer = traced.producer();
    refuse(&traced, &[UNKNOWN]);
    send(&producer, record());
    send(&producer, record());
    send(&producer, record().headers(with_headers(&[("kind", "order")])));
    send(&producer, record());
    assert_eq!(sent_headers(&traced, 3), ["", "kind", "traceparent"]);
    assert_eq!(traced.counters().not_injected, 2);
}

#[test]
fn a_refusal_that_comes_without_headers_too_is_not_theirs() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer = traced.producer();
    refuse(&traced, &[UNKNOWN; 3]);
    for _ in 0..4 {
        send(&producer, record());
    }
    // With ours, without, with ours: refused.
    assert_eq!(sent_headers(&traced, 1), ["traceparent"]);
    assert_eq!(traced.counters().not_injected, 1);
}

#[test]
fn brokers_that_have_taken_our_headers_may_fail_twice_and_messages_with_their_own_headers_at_any_time() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer = traced.producer();
    refuse(&traced, &[UNKNOWN]);
    send(&producer, record().headers(with_headers(&[("kind", "order")])));
    send(&producer, record());
    refuse(&traced, &[UNKNOWN; 2]);
    (0..3).for_each(|_| send(&producer, record()));
    refuse(&traced, &[UNKNOWN; 2]);
    (0..3).for_each(|_| send(&producer, record()));
    assert_eq!(traced.counters().not_injected, 0);
    refuse(&traced, &[UNKNOWN; 3]);
    (0..4).for_each(|_| send(&producer, record()));
    assert_eq!(traced.counters().not_injected, 1, "three in a row");
    assert_eq!(sent_headers(&traced, 4), ["traceparent", "traceparent", "traceparent", ""]);
}

#[test]
fn a_compacted_topic_that_wants_a_key_is_none_that_refuses_headers() {
    let traced = Traced::start(&["orders"], ORDERS);
    let producer = traced.producer();
    refuse(&traced, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    send(&producer, BaseRecord::<str, str>::to("orders").partition(0).payload("p"));
    send(&producer, record());
    assert_eq!(sent_headers(&traced, 1), ["traceparent"]);
    refuse(&traced, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION]);
    send(&producer, record());
    assert_eq!(traced.counters().not_injected, 0);
}

#[test]
fn a_client_that_is_told_of_brokers_older_than_headers_adds_none() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("api.version.request", "false").set("broker.version.fallback", "0.9.0");
    send(&config.create().unwrap(), record());
    // The mock cluster speaks no protocol that old, so the message itself fails here.
    assert_eq!((traced.counters().not_injected, traced.spans().len()), (1, 1));
    config.set("broker.version.fallback", "0.10.0");
    send(&config.create().unwrap(), record());
    assert_eq!(traced.counters().not_injected, 1, "from then on brokers are asked");
    config.set("api.version.request", "true").set("broker.version.fallback", "0.9.0");
    send(&config.create().unwrap(), record());
    assert_eq!(traced.counters().not_injected, 1, "they are asked first");
}

#[test]
fn an_idempotent_producer_that_is_refused_learns_the_same_and_a_batch_is_one_refusal() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("enable.idempotence", "true").set("linger.ms", "100");
    let producer: BaseProducer = config.create().unwrap();
    let send_all = || {
        (0..5).for_each(|_| assert!(producer.send(record()).is_ok()));
        producer.flush(LIMIT).unwrap();
    };
    refuse(&traced, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT]);
    send_all();
    send_all();
    assert_eq!(traced.counters().not_injected, 5);
    assert_eq!(sent_headers(&traced, 5), [""; 5]);
    assert_eq!(traced.spans().len(), 10);
}

#[test]
fn what_no_broker_has_answered_and_what_had_none_of_ours_says_nothing_about_headers() {
    let traced = Traced::start(&["orders"], ORDERS);
    let mut config = traced.config(None);
    config.set("message.max.bytes", "1000");
    let producer: BaseProducer = config.create().unwrap();
    let payload = "x".repeat(900);
    refuse(&traced, &[UNKNOWN]);
    // There is no room for ours, which are longer.
    let own = with_headers(&[("traceparent", "none")]);
    send(&producer, BaseRecord::<str, str>::to("orders").partition(0).payload(&payload).headers(own));
    assert_eq!(traced.counters().not_injected, 1);
    refuse(&traced, &[UNKNOWN]);
    send(&producer, record());
    send(&producer, record());
    assert_eq!(traced.counters().not_injected, 2, "one was refused with ours");
    config.set("acks", "0");
    let unanswered: BaseProducer = config.create().unwrap();
    send(&unanswered, record().headers(with_headers(&[("kind", "order")])));
    send(&producer, record());
    assert_eq!(traced.counters().not_injected, 4, "and it stays so");
}
