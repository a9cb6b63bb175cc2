//! Promise: no program is given a wrong parent, whatever its shape, and the plain ones are given the right one: the table of
//! shapes in resolver/librdkafka/docs/what-works.md, row by row.
//!
//! Each program consumes ten orders and sends a payment of each, to the partition with the order's number: so a payment's
//! parent is seen to be right or wrong. The orders carry no context: what is not guessed begins a trace.

use std::path::PathBuf;

use words::fake_librdkafka::Workshop;
use words::foreign::{PAYING, PYTHON_OF_SHAPES, c_program, python_with};
use words::kafka::Kafka;
use words::receivers::ReceivedSpan;
use words::{Traced, WayIn, draw_traces, run};

const ORDERS: usize = 10;

/// What became of the payments, in the order of their start: `.` began a trace, `y` is under its own order, and says that
/// this was guessed, `X` is anything else.
fn payments(spans: &[ReceivedSpan]) -> String {
    let mut payments: Vec<_> = spans.iter().filter(|span| span.name == "send payments").collect();
    payments.sort_by_key(|span| span.start_unix_nano);
    payments
        .iter()
        .map(|payment| {
            let guessed = payment.attribute("tracer_resolver.parent");
            if payment.parent_span_id.is_empty() {
                return if guessed.is_none() { '.' } else { 'X' };
            }
            let parent = spans.iter().find(|span| span.span_id == payment.parent_span_id);
            let order = parent.and_then(|parent| parent.attribute("messaging.kafka.offset"));
            let is_right = order.is_some()
                && order == payment.attribute("messaging.destination.partition.id")
                && guessed.as_deref() == Some("thread");
            if is_right { 'y' } else { 'X' }
        })
        .collect()
}

/// Runs the program that `command` starts, and says what became of its payments.
fn shape(way: WayIn, program: &PathBuf, words: &[&str]) -> String {
    let traced = Traced::on(Kafka::start_with(&["orders", "payments"], ORDERS as i32), PAYING);
    traced.send_numbered("orders", ORDERS);
    let ended = run(traced.command(way, program).args(words));
    ended.expect_success();
    assert_eq!(ended.stderr, "", "{way:?} {words:?}");
    payments(&traced.spans())
}

/// The shape of `tests/python/shapes.py` by both ways in.
#[track_caller]
fn python_shape(shape_name: &str, by_property: &str, by_preload: &str) {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    for (way, expected) in [(WayIn::Property, by_property), (WayIn::Preload, by_preload)] {
        let found = shape(way, &python, &["tests/python/shapes.py", shape_name]);
        assert_eq!(found, expected, "{shape_name} {way:?}");
    }
}

fn none() -> String {
    ".".repeat(ORDERS)
}

#[test]
fn a_plain_loop_s_sends_are_under_their_messages() {
    python_shape("loop", &"y".repeat(ORDERS), &"y".repeat(ORDERS));
}

/// Without the look at who lives in `resolver/src/interceptor/thread_habits.rs` only those of the first eight are.
#[test]
fn the_sends_of_a_thread_that_makes_a_consumer_for_each_message_are_under_their_messages() {
    python_shape("consumer_each", &"y".repeat(ORDERS), &"y".repeat(ORDERS));
}

#[test]
fn a_filter_s_sends_are_under_their_messages_from_the_second_on_where_calls_are_seen() {
    python_shape("filter", ".....", ".yyyy");
}

#[test]
fn all_sends_of_a_message_are_under_it() {
    python_shape("fan_out", &"y".repeat(2 * ORDERS), &"y".repeat(2 * ORDERS));
}

#[test]
fn messages_that_are_taken_first_and_worked_off_later_are_nobody_s_parents() {
    python_shape("list_then_work", &none(), &none());
    python_shape("consume_many", &none(), &none());
}

/// Without `current_message::sends` in `resolver/src/interceptor/producer.rs` the sends that are under no message are not
/// counted, and by preload the later ones are taken for children of the wrong message.
#[test]
fn a_thread_that_has_worked_messages_off_later_is_not_believed_when_it_takes_them_one_by_one() {
    python_shape("batch_then_singles", &none(), &none());
}

#[test]
fn what_a_pool_sends_begins_traces() {
    python_shape("pool", &none(), &none());
}

#[test]
fn what_tasks_of_an_event_loop_send_begins_traces() {
    for name in ["tasks", "to_thread", "uvicorn"] {
        python_shape(name, &none(), &none());
    }
}

/// Without the look at the peer's name in `resolver/librdkafka/src/preload/waits.rs` the loop's own pair of sockets is taken
/// for a connection on which an answer is awaited.
#[test]
fn what_tasks_of_a_loop_by_select_send_begins_traces_where_calls_are_seen() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    assert_eq!(shape(WayIn::Preload, &python, &["tests/python/shapes.py", "tasks_without_epoll"]), none());
}

#[test]
fn what_greenlets_send_begins_traces() {
    for name in ["gevent", "eventlet", "greenlets"] {
        python_shape(name, &none(), &none());
    }
}

#[test]
fn each_request_of_a_thread_that_waits_for_the_answer_begins_a_trace() {
    python_shape("request_reply", &none(), &none());
}

/// Every half second a payment: those of the first two seconds are under the one order, and of these only the first, which
/// has the order's number, is counted as right.
#[test]
fn what_is_sent_long_after_the_one_message_begins_traces() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    for way in WayIn::EACH {
        let found = shape(way, &python, &["tests/python/shapes.py", "read_once"]);
        assert!(found.starts_with("yX") && found.ends_with("....."), "{way:?}: {found}");
    }
}

#[test]
fn what_a_delivery_report_sends_begins_a_trace_where_calls_are_seen() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    let found = shape(WayIn::Preload, &python, &["tests/python/shapes.py", "report"]);
    assert_eq!(found.len(), 2 * ORDERS, "{found}");
    assert_eq!(found.matches('y').count(), ORDERS, "{found}");
    assert_eq!(found.matches('.').count(), ORDERS, "{found}");
}

#[test]
fn what_an_event_loop_in_c_sends_begins_traces_and_by_property_none_is_wrong_that_epoll_shows() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = c_program(folder.path(), "c/shapes.c", &[]) else { return };
    assert_eq!(shape(WayIn::Property, &program, &["epoll"]), none());
    assert_eq!(shape(WayIn::Preload, &program, &["epoll"]), none());
    assert_eq!(shape(WayIn::Preload, &program, &["poll"]), none());
}

#[test]
fn what_coroutines_send_that_take_turns_on_a_thread_begins_traces() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = c_program(folder.path(), "cpp/coroutines.cpp", &["-std=c++20"]) else { return };
    for way in WayIn::EACH {
        assert_eq!(shape(way, &program, &[]), none(), "{way:?}");
    }
}

/// Without `Moment` in `resolver/src/clock.rs` the first payment begins a trace after a step forwards, and the second one is under
/// its order, for one was seen to take 200 seconds; after a step backwards lengths are lost.
#[test]
fn a_step_of_the_system_s_clock_changes_no_parent_and_no_length() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["-rdynamic", "setting_clock.c"]);
    for (way, step) in WayIn::EACH.into_iter().flat_map(|way| [(way, "200"), (way, "-200")]) {
        let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]\n");
        run(traced.command(way, &program).arg(step)).expect_success();
        let spans = traced.spans();
        let mut payments: Vec<_> = spans.iter().filter(|span| span.name == "send payments").collect();
        payments.sort_by_key(|payment| payment.parent_span_id.is_empty());
        let [paid, paid_late] = &*payments else { panic!("{way:?} {step}: {}", draw_traces(&spans)) };
        assert!(paid_late.parent_span_id.is_empty(), "{way:?} {step}: {}", draw_traces(&spans));
        let order = spans.iter().find(|span| span.span_id == paid.parent_span_id);
        let order = order.unwrap_or_else(|| panic!("{way:?} {step}: {}", draw_traces(&spans)));
        let took = order.end_unix_nano.saturating_sub(order.start_unix_nano) / 1_000_000;
        // By property the order's span has left by then after a step forwards: nobody has claimed it for 200 seconds.
        if (way, step) != (WayIn::Property, "200") {
            assert!((900..100_000).contains(&took), "{way:?} {step}: {took} ms");
        }
    }
}
