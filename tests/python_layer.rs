//! Promise: with the layer that `tracer-interceptors run` brings into Python, what a send follows from is known in every shape of
//! program in which it can be, is never wrong, and the program notices nothing. The table of shapes in
//! resolver/librdkafka/README.md has its column from here.
//!
//! As in `program_shapes`, each program consumes ten orders, which carry no context, and sends a payment of each, to the
//! partition with the order's number.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use words::draw_traces_with;
use words::foreign::{Door, Surroundings, python_with, run};
use words::receivers::ReceivedSpan;

const ORDERS: usize = 10;
const CONFIGURATION: &str = "
    [services.shop]
    produces = [\"orders\"]
    [services.billing]
    consumes = [\"orders\"]
    topics = [\"payments\"]
";

/// As that of `program_shapes`: made once for both.
const PYTHON: &str =
    "confluent-kafka==2.16.1\ngevent==26.9.0\neventlet==0.41.3\ngreenlet==3.5.6\nuvicorn==0.54.0\nuvloop==0.23.0";

#[track_caller]
fn python() -> Option<PathBuf> {
    python_with("python-shapes", PYTHON)
}

/// What became of the payments, in the order of their partition: `y` is under its own order, as a fact, `.` began a trace, `X` is
/// anything else.
fn payments(spans: &[ReceivedSpan]) -> String {
    let mut payments: Vec<_> = spans.iter().filter(|span| span.name == "send payments").collect();
    payments.sort_by_key(|span| (span.attribute("messaging.destination.partition.id"), span.start_unix_nano));
    let of = |payment: &&ReceivedSpan| {
        if payment.attribute("tracer_resolver.parent").is_some() {
            return 'X';
        }
        if payment.parent_span_id.is_empty() {
            return '.';
        }
        let parent = spans.iter().find(|span| span.span_id == payment.parent_span_id);
        let order = parent.and_then(|parent| parent.attribute("messaging.kafka.offset"));
        if order.is_some() && order == payment.attribute("messaging.destination.partition.id") { 'y' } else { 'X' }
    };
    payments.iter().map(of).collect()
}

/// Runs the shape of `tests/python/PROGRAM`; its spans.
#[track_caller]
fn shape(python: &Path, program: &str, shape: &str) -> Vec<ReceivedSpan> {
    let surroundings = Surroundings::start(&["orders", "payments"], ORDERS as i32, CONFIGURATION);
    surroundings.send_untraced("orders", ORDERS);
    let ended = run(surroundings.command(Door::Layer, python).args([&format!("tests/python/{program}"), shape]));
    ended.expect_success();
    assert_eq!(ended.stderr, "", "{shape}");
    surroundings.spans()
}

/// Runs shapes; what became of their payments, and that each order has one span.
#[track_caller]
fn expect(program: &str, shapes: &[&str], expected: &str) {
    let Some(python) = python() else { return };
    for name in shapes {
        let spans = shape(&python, program, name);
        assert_eq!(payments(&spans), expected, "{name}: {}", draw_traces_with(&spans, &["messaging.kafka.offset"]));
        let mut orders: HashMap<_, Vec<_>> = HashMap::new();
        for span in spans.iter().filter(|span| span.name.ends_with(" orders")) {
            orders.entry(span.attribute("messaging.kafka.offset")).or_default().push(&*span.name);
        }
        assert!(orders.len() == ORDERS && orders.values().all(|names| names.len() == 1), "{name}: {orders:?}");
    }
}

fn all() -> String {
    "y".repeat(ORDERS)
}

#[test]
fn what_was_right_as_a_guess_is_a_fact() {
    expect("shapes.py", &["loop"], &all());
    expect("shapes.py", &["fan_out"], &"y".repeat(2 * ORDERS));
    expect("shapes.py", &["filter"], ".yyyy");
}

#[test]
fn a_task_is_at_the_message_under_which_it_began() {
    expect("shapes.py", &["tasks", "to_thread", "uvicorn"], &all());
    expect("exact.py", &["executor", "consume_to_tasks"], &all());
    expect("exact.py", &["filter_to_tasks", "quiet_tasks"], &"y".repeat(ORDERS / 2));
}

#[test]
fn so_is_a_greenlet() {
    expect("shapes.py", &["gevent", "eventlet", "greenlets"], &all());
}

#[test]
fn so_is_a_job_of_a_pool_and_its_thread_is_at_none_afterwards() {
    expect("shapes.py", &["pool"], &all());
    expect("exact.py", &["executor_sends_for_others"], &".".repeat(ORDERS));
}

#[test]
fn what_is_given_a_message_of_a_list_is_at_that_one() {
    expect("exact.py", &["list_to_tasks", "list_to_pool", "list_to_threads", "list_to_greenlets"], &all());
}

#[test]
fn what_passes_a_message_s_own_value_or_key_on_follows_from_that_one() {
    expect("exact.py", &["list_passes_values_on", "list_passes_keys_on", "queue_passes_values_on"], &all());
}

/// Nothing that is seen says which of them it is.
#[test]
fn what_is_made_of_the_messages_of_a_list_begins_traces_and_is_never_under_another() {
    expect("exact.py", &["list_with_idle_polls", "list_in_tasks_of_numbers"], &".".repeat(ORDERS));
    expect("shapes.py", &["list_then_work"], &".".repeat(ORDERS));
}

#[test]
fn the_program_says_it_in_one_line() {
    expect("exact.py", &["list_with_the_helper", "list_with_the_async_helper"], &all());
}

#[test]
fn a_loop_over_what_one_call_gave_is_at_each_in_its_turn() {
    expect("exact.py", &["consume_loop", "aio_batches"], &all());
}

#[test]
fn asyncio_s_clients_are_followed_through_their_threads_and_their_buffer() {
    expect("exact.py", &["aio", "aio_loop"], &all());
}

#[test]
fn clients_that_are_made_of_the_c_module_s_are_followed_too() {
    expect("exact.py", &["serializing", "subclass"], &all());
    expect("exact.py", &["batch"], &"yy".repeat(ORDERS));
}

#[test]
fn a_delivery_report_is_at_the_message_that_its_record_was_sent_of() {
    expect("exact.py", &["report_passes_on"], &"yy".repeat(ORDERS));
    expect("shapes.py", &["report"], &"yy".repeat(ORDERS));
}

#[test]
fn what_is_sent_after_the_last_message_begins_traces() {
    expect("exact.py", &["after_the_last"], &"y.".repeat(ORDERS));
}
