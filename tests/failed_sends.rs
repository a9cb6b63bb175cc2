//! Promise: a send that fails is a failed span with the protocol's name of the error, and sending the same record again
//! makes a sibling of it.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use words::kafka::with_headers;
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
