//! Promise: consume, process, produce is one trace; the processing is one span, of the delivery's own identity, however
//! and wherever it runs.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::consumer::Consumer;
use rdkafka::message::{Message, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord};
use tracer_resolver_rdkafka::Processing;
use words::kafka::{Kafka, assign, next_message};
use words::{ORDERS_AND_BILLS, TRACEPARENT, Traced, send};

fn bill(producer: &BaseProducer) {
    send(producer, BaseRecord::to("bills").key("k").payload("p"));
}

fn ordered(traced: &Traced) -> OwnedMessage {
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    next_message(&traced.consumer("orders"))
}

#[test]
fn what_is_sent_while_a_message_is_processed_continues_its_trace() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let message = ordered(&traced);
    {
        let _processing = Processing::start_for(traced.resolver(), None, &message);
        bill(&traced.producer());
        bill(&traced.producer());
    }
    bill(&traced.producer());
    assert_eq!(
        traced.traces(),
        "shop: send orders\n  billing: process orders\n    billing: send bills\n    billing: send bills\n\
         billing: send bills\n",
        "after the guard there is no parent any more"
    );
}

#[test]
fn from_a_source_through_a_stream_to_a_sink_are_exactly_three_spans_without_a_guard() {
    // K31, by way of the record's own headers: a program that passes the headers on.
    let traced =
        Traced::start(&["orders", "bills"], "[defaults]\nreinject = true\n[services.shop]\ntopics = [\"*\"]\n");
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    let message = next_message(&traced.consumer("orders"));
    let headers = message.headers().unwrap().clone();
    send(&traced.producer(), BaseRecord::to("bills").key("k").payload("p").headers(headers));
    assert_eq!(traced.traces(), "shop: send orders\n  shop: receive orders\n    shop: send bills\n");
}

#[test]
fn without_a_guard_a_message_is_received_in_a_point_and_with_one_it_is_processed_only() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let producer = traced.producer();
    send(&producer, BaseRecord::to("orders").key("k").payload("1"));
    send(&producer, BaseRecord::to("orders").key("k").payload("2"));
    let consumer = traced.consumer("orders");
    next_message(&consumer);
    drop(Processing::start_for(traced.resolver(), None, &next_message(&consumer)));
    assert_eq!(
        traced.traces_with(&["messaging.kafka.offset"]),
        "shop: send orders {offset=0}\n  billing: receive orders {offset=0}\n\
         shop: send orders {offset=1}\n  billing: process orders {offset=1}\n"
    );
    let spans = traced.collector.spans();
    let receive = spans.iter().find(|span| span.name == "receive orders").unwrap();
    assert_eq!(receive.duration_nano(), 1_000, "a point in time, as it is written");
}

#[test]
fn a_message_that_is_processed_twice_has_two_spans_with_one_parent() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let message = ordered(&traced);
    drop(Processing::start_for(traced.resolver(), None, &message));
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(
        traced.traces_with(&["messaging.destination.partition.id"]),
        "shop: send orders {id=0}\n  billing: process orders {id=0}\n  billing: process orders {id=0}\n"
    );
}

#[test]
fn the_processing_can_end_on_another_thread_and_its_context_be_used_on_many() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let message = ordered(&traced);
    let processing = Processing::start_for(traced.resolver(), None, &message);
    let context = processing.context().clone();
    let producer = traced.producer();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let _current = context.clone().attach();
                bill(&producer);
            });
        }
    });
    drop(processing);
    assert_eq!(
        traced.traces(),
        "shop: send orders\n  billing: process orders\n    billing: send bills\n    billing: send bills\n    billing: send bills\n"
    );
}

#[test]
fn guards_can_be_nested_and_the_outer_one_is_current_again_afterwards() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let producer = traced.producer();
    send(&producer, BaseRecord::to("orders").key("k").payload("1"));
    send(&producer, BaseRecord::to("orders").key("k").payload("2"));
    let consumer = traced.consumer("orders");
    let (one, two) = (next_message(&consumer), next_message(&consumer));
    let outer = Processing::start_for(traced.resolver(), None, &one);
    {
        let _inner = Processing::start_for(traced.resolver(), None, &two);
        bill(&producer);
    }
    bill(&producer);
    drop(outer);
    assert!(!Context::current().has_active_span());
    assert_eq!(
        traced.traces_with(&["messaging.kafka.offset"]),
        "shop: send orders {offset=0}\n  billing: process orders {offset=0}\n    billing: send bills {offset=1}\n\
         shop: send orders {offset=1}\n  billing: process orders {offset=1}\n    billing: send bills {offset=0}\n",
        "each message keeps its own trace"
    );
}

#[test]
fn several_consumers_of_one_partition_have_a_span_each_and_the_guard_takes_that_of_its_service() {
    let traced = Traced::start(
        &["orders"],
        r#"
        [services.shop]
        produces = ["orders"]
        [services.billing]
        consumes = ["orders"]
        group_ids = ["billing"]
        [services.audit]
        consumes = ["orders"]
        group_ids = ["audit"]
        "#,
    );
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    let billing = assign(&traced.config(Some("billing")), "orders");
    let audit = assign(&traced.config(Some("audit")), "orders");
    let message = next_message(&billing);
    next_message(&audit);
    drop(Processing::start_for(traced.resolver(), Some("billing"), &message));
    assert_eq!(
        traced.traces_with(&["messaging.consumer.group.name"]),
        "shop: send orders\n  audit: receive orders {name=audit}\n  billing: process orders {name=billing}\n"
    );
}

/// A bridge, or two clusters whose topics are mirrored: the same topic, partition and offset, and another message.
#[test]
fn messages_of_two_clusters_at_one_place_are_each_processed_under_their_own_sender() {
    let traced = Traced::start(&["orders"], ORDERS_AND_BILLS);
    let other = Kafka::start(&["orders"]);
    let clusters = [("here", &*traced.kafka), ("there", &other)];
    let mut messages = clusters.map(|(name, kafka)| {
        let producer: BaseProducer = traced.apply(kafka.config().set("client.id", name).clone()).create().unwrap();
        send(&producer, BaseRecord::to("orders").key("k").payload("p"));
        let consumer = traced.apply(kafka.consumer_config(name).set("client.id", name).clone());
        next_message(&assign(&consumer, "orders"))
    });
    // The one that waits first is worked on last.
    messages.reverse();
    messages.iter().for_each(|message| drop(Processing::start_for(traced.resolver(), None, message)));
    let of = |name: &str| format!("shop: send orders {{id={name}}}\n  billing: process orders {{id={name}}}\n");
    let mut expected = [of("here"), of("there")];
    expected.sort();
    assert_eq!(traced.traces_with(&["messaging.client.id"]), expected.concat());
}

#[test]
fn a_message_from_elsewhere_is_processed_under_its_headers_and_its_topic_s_service() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let headers = words::kafka::with_headers(&[("traceparent", TRACEPARENT)]);
    let foreign = message("orders", 3, 77, Some(headers));
    {
        let _processing = Processing::start_for(traced.resolver(), None, &foreign);
        bill(&traced.producer());
    }
    drop(Processing::start_for(traced.resolver(), None, &message("nobody's", 0, 0, None)));
    assert_eq!(
        traced.traces_with(&["messaging.destination.partition.id", "messaging.kafka.offset"]),
        "~ billing: process orders {id=3, offset=77}\n  billing: send bills {id=0, offset=0}\n"
    );
    let spans = traced.collector.spans();
    assert!(spans.iter().any(|span| span.parent_span_id == "b7ad6b7169203331"));
}

#[test]
fn the_processing_of_an_unsampled_message_is_no_span_and_stays_unsampled_downstream() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    traced.send_untraced("orders", &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")]);
    let message = next_message(&traced.consumer("orders"));
    {
        let processing = Processing::start_for(traced.resolver(), None, &message);
        let span = processing.context().span().span_context().clone();
        assert!(span.is_valid() && !span.is_sampled());
        bill(&traced.producer());
    }
    let downstream = words::kafka::header_of(&traced.read_untraced("bills"), "traceparent").unwrap();
    assert!(
        downstream.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && downstream.ends_with("-00"),
        "{downstream}"
    );
    assert_eq!(traced.traces(), "");
}

#[test]
fn a_message_processed_a_while_later_still_has_its_parent_and_loses_nothing() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let message = ordered(&traced);
    // Longer than a delivery waits for a guard.
    std::thread::sleep(Duration::from_millis(2_500));
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(
        traced.traces(),
        "shop: send orders\n  billing: receive orders\n  billing: process orders\n",
        "handed over at one time, processed at another"
    );
}

#[test]
fn a_message_whose_consumer_is_gone_is_processed_in_one_span_of_the_same_identity() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    let message = ordered(&traced);
    // Another client comes and goes, too.
    drop(traced.producer());
    std::thread::sleep(Duration::from_millis(400));
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(
        traced.traces_with(&["messaging.consumer.group.name"]),
        "shop: send orders\n  billing: process orders {name=test-group}\n"
    );
}

#[test]
fn a_consumer_that_goes_while_its_message_is_processed_takes_nothing_along() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    send(&traced.producer(), BaseRecord::to("orders").key("k").payload("p"));
    let consumer = traced.consumer("orders");
    let message = next_message(&consumer);
    let processing = Processing::start_for(traced.resolver(), None, &message);
    drop(consumer.unassign());
    drop(consumer);
    std::thread::sleep(Duration::from_millis(300));
    drop(processing);
    assert_eq!(
        traced.traces_with(&["messaging.consumer.group.name"]),
        "shop: send orders\n  billing: process orders {name=test-group}\n"
    );
}

fn message(topic: &str, partition: i32, offset: i64, headers: Option<OwnedHeaders>) -> OwnedMessage {
    OwnedMessage::new(Some(b"p".to_vec()), None, topic.to_owned(), Timestamp::NotAvailable, partition, offset, headers)
}
