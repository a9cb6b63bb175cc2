//! Promise: the processing of a consumed message is one span, wherever and whenever it happens, and a message that
//! nobody processes is one span too.
//!
//! Without the table of `resolver/src/batch/received_spans.rs` every processed message has a `receive` beside its `process`;
//! without the wait in its `take_held_in_time` two groups in one process take each other's.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tracer_resolver_rdkafka::Processing;
use words::kafka::{assign, next_message};
use words::{LIMIT, ONE_SERVICE, Traced, draw_traces};

fn send(traced: &Traced, count: usize) {
    let producer = traced.producer();
    for _ in 0..count {
        producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

fn consumer(traced: &Traced, group: &str) -> BaseConsumer {
    assign(&traced.config(Some(group)), "orders")
}

const PROCESSED: &str = "app: send orders\n  app: process orders\n";

#[test]
fn on_another_thread_than_the_one_that_polled() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    send(&traced, 1);
    let consumer = consumer(&traced, "shop");
    let message = next_message(&consumer);
    let resolver = traced.resolver();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(Processing::start_for(resolver, None, &message)));
    });
    assert_eq!(traced.traces(), PROCESSED);
}

#[test]
fn that_ends_after_its_consumer_is_gone() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    send(&traced, 2);
    let consumer = consumer(&traced, "shop");
    let (first, second) = (next_message(&consumer), next_message(&consumer));
    let before = Processing::start_for(traced.resolver(), None, &first);
    drop(consumer);
    // The batch thread drops the routes of the consumer meanwhile; one more client makes it look.
    send(&traced, 0);
    traced.spans();
    drop(before);
    let after = Processing::start_for(traced.resolver(), None, &second);
    drop(after);
    let spans = traced.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "process orders").count(), 2, "{}", draw_traces(&spans));
}

#[test]
fn that_never_comes_leaves_a_receive_span_and_one_that_comes_twice_two() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    send(&traced, 1);
    let consumer = consumer(&traced, "shop");
    let message = next_message(&consumer);
    assert_eq!(traced.traces(), "app: send orders\n  app: receive orders\n");
    for _ in 0..2 {
        drop(Processing::start_for(traced.resolver(), None, &message));
    }
    let again = "  app: process orders\n";
    assert_eq!(traced.traces(), format!("app: send orders\n  app: receive orders\n{again}{again}"));
    let ids: HashSet<_> = traced.spans().into_iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), 4, "no span twice");
}

/// rdkafka takes what waits from its queue while a consumer is dropped, throws it away, and commits it, traced or not: what of that
/// the program never saw has a span for each message that was handed over so, and no second one.
#[test]
fn of_what_is_thrown_away_while_a_consumer_is_dropped_never_comes_and_each_message_has_one_span() {
    const SENT: usize = 2_000;
    for unassigns in [false, true] {
        let traced = Traced::start(&["orders"], ONE_SERVICE);
        send(&traced, SENT);
        let mut config = traced.config(Some("shop"));
        let consumer = assign(config.set("enable.auto.commit", "true"), "orders");
        for _ in 0..5 {
            drop(Processing::start_for(traced.resolver(), None, &next_message(&consumer)));
        }
        // More waits by then.
        std::thread::sleep(Duration::from_millis(300));
        if unassigns {
            consumer.unassign().unwrap();
        }
        drop(consumer);
        let mut asked = TopicPartitionList::new();
        asked.add_partition("orders", 0);
        let asks: BaseConsumer = traced.kafka.config().set("group.id", "shop").create().unwrap();
        let passed = asks.committed_offsets(asked, LIMIT).unwrap();
        let Some(Offset::Offset(passed)) = passed.find_partition("orders", 0).map(|found| found.offset()) else {
            panic!("{passed:?}")
        };
        let spans = traced.spans();
        let received = spans.iter().filter(|span| ["process orders", "receive orders"].contains(&&*span.name));
        let mut offsets: Vec<i64> =
            received.map(|span| span.attribute("messaging.kafka.offset").unwrap().parse().unwrap()).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>(), "each has one, and none has two");
        // What is taken last may come too late for the commit.
        assert!(offsets.len() as i64 >= passed, "{passed} are passed, {} have a span", offsets.len());
        assert!(!unassigns || offsets.len() == 5, "{}", offsets.len());
    }
}

#[test]
fn of_a_message_whose_delivery_waited_while_other_clients_came_and_went() {
    let traced = Traced::start(&["orders", "others"], ONE_SERVICE);
    send(&traced, 1);
    let consumer = consumer(&traced, "shop");
    let message = next_message(&consumer);
    for _ in 0..5 {
        send(&traced, 1);
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(Processing::start_for(traced.resolver(), None, &message));
    let spans = traced.spans();
    let first = spans.iter().find(|span| span.name == "process orders").unwrap();
    let same: Vec<_> = spans.iter().filter(|span| span.trace_id == first.trace_id).cloned().collect();
    assert_eq!(draw_traces(&same), PROCESSED);
}

#[test]
fn of_two_groups_that_read_the_same_messages_in_one_process() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    const COUNT: usize = 400;
    send(&traced, COUNT);
    std::thread::scope(|scope| {
        for group in ["first", "second"] {
            let (config, resolver) = (traced.config(Some(group)), traced.resolver());
            scope.spawn(move || {
                let consumer = assign(&config, "orders");
                for offset in 0..COUNT {
                    let message = next_message(&consumer);
                    assert_eq!(message.offset(), offset as i64);
                    drop(Processing::start_for(resolver, None, &message));
                }
            });
        }
    });
    let spans = traced.spans();
    let of = |group: &str| {
        let attribute = |span: &words::receivers::ReceivedSpan| span.attribute("messaging.consumer.group.name");
        let spans = spans.iter().filter(|span| attribute(span).as_deref() == Some(group));
        let offsets: HashSet<_> = spans
            .clone()
            .filter(|span| span.name == "process orders")
            .map(|span| span.attribute("messaging.kafka.offset").unwrap())
            .collect();
        (spans.count(), offsets.len())
    };
    assert_eq!((of("first"), of("second")), ((COUNT, COUNT), (COUNT, COUNT)));
}

#[test]
fn long_after_the_delivery_of_thousands_is_a_span_of_its_own() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    const COUNT: usize = 12_000;
    send(&traced, COUNT);
    let consumer = consumer(&traced, "shop");
    let messages: Vec<_> = (0..COUNT).map(|_| next_message(&consumer)).collect();
    for message in &messages {
        drop(Processing::start_for(traced.resolver(), None, message));
    }
    let spans = traced.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((named("send orders"), named("process orders")), (COUNT, COUNT));
    // What had left before its processing came: all but what the table keeps, or all of them on a slow machine.
    let received = named("receive orders");
    assert!((COUNT - 8192..=COUNT).contains(&received), "{received}");
    let sent: HashSet<_> =
        spans.iter().filter(|span| span.name == "send orders").map(|span| span.span_id.clone()).collect();
    let orphans = spans.iter().filter(|span| span.name != "send orders" && !sent.contains(&span.parent_span_id));
    assert_eq!(orphans.count(), 0, "every one is a child of its send");
}

#[test]
fn is_of_the_service_that_is_asked_for_when_one_thread_reads_for_several() {
    let traced = Traced::start(&["orders"], &format!("{ONE_SERVICE}[services.other]"));
    send(&traced, 1);
    let of_service = |service: &str| assign(&traced.bound_config(service, Some(service)), "orders");
    let (app, other) = (of_service("app"), of_service("other"));
    let (for_app, for_other) = (next_message(&app), next_message(&other));
    drop(Processing::start_for(traced.resolver(), Some("other"), &for_other));
    drop(Processing::start_for(traced.resolver(), Some("app"), &for_app));
    assert_eq!(traced.traces(), "app: send orders\n  other: process orders\n  app: process orders\n");
}

#[test]
fn is_of_the_resolver_that_is_asked_when_two_trace_the_same_messages() {
    let one = Traced::start(&["orders"], ONE_SERVICE);
    let other = Traced::on(Rc::clone(&one.kafka), ONE_SERVICE);
    send(&one, 2);
    let (ones, others) = (consumer(&one, "one"), consumer(&other, "other"));
    let (first, second) = (next_message(&ones), next_message(&ones));
    (0..2).for_each(|_| drop(next_message(&others)));
    drop(Processing::start_for(other.resolver(), None, &first));
    drop(Processing::start_for(one.resolver(), None, &second));
    assert_eq!(one.traces(), format!("app: send orders\n  app: receive orders\n{PROCESSED}"));
    let mut names: Vec<_> = other.spans().into_iter().map(|span| span.name).collect();
    names.sort();
    assert_eq!(names, ["process orders", "receive orders"]);
}
