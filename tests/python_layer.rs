//! Promise: with the layer that `tracer-interceptors run` brings into Python, what a send follows from is known in every shape of
//! program in which it can be, is never wrong, and the program notices nothing. The table of shapes in
//! resolver/librdkafka/docs/what-works.md has its column from here.
//!
//! As in `program_shapes`, each program consumes ten orders, which carry no context, and sends a payment of each, to the
//! partition with the order's number.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use words::foreign::{PAYING, PYTHON_OF_SHAPES, library, python_of, python_with};
use words::kafka::Kafka;
use words::receivers::ReceivedSpan;
use words::{Traced, WayIn, draw_traces, draw_traces_with, run};

const ORDERS: usize = 10;

#[track_caller]
fn python() -> Option<PathBuf> {
    python_with("python-shapes", PYTHON_OF_SHAPES)
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
    shape_by(PAYING, python, program, shape)
}

/// The same, traced by these services.
#[track_caller]
fn shape_by(services: &str, python: &Path, program: &str, shape: &str) -> Vec<ReceivedSpan> {
    let traced = Traced::on(Kafka::start_with(&["orders", "payments"], ORDERS as i32), services);
    traced.send_numbered("orders", ORDERS);
    let ended = run(traced.command(WayIn::Layer, python).args([&format!("tests/python/{program}"), shape]));
    ended.expect_success();
    assert_eq!(ended.stderr, "", "{shape}");
    traced.spans()
}

/// Runs shapes; what became of their payments, and that each order has one span.
#[track_caller]
fn expect(program: &str, shapes: &[&str], expected: &str) {
    let Some(python) = python() else { return };
    expect_by(&python, program, shapes, expected);
}

#[track_caller]
fn expect_by(python: &Path, program: &str, shapes: &[&str], expected: &str) {
    for name in shapes {
        let spans = shape(python, program, name);
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
    expect("shapes.py", &["loop", "consumer_each"], &all());
    expect("shapes.py", &["fan_out"], &"y".repeat(2 * ORDERS));
    expect("shapes.py", &["filter"], "yyyyy");
}

#[test]
fn a_task_is_at_the_message_under_which_it_began() {
    expect("shapes.py", &["tasks", "to_thread", "uvicorn"], &all());
    expect("exact.py", &["executor", "consume_to_tasks"], &all());
    expect("exact.py", &["filter_to_tasks", "quiet_tasks"], &"y".repeat(ORDERS / 2));
}

/// Then only its headers say what it follows from.
#[test]
fn a_message_that_reaches_the_program_late_is_in_its_own_trace() {
    let Some(python) = python() else { return };
    let traced = Traced::on(Kafka::start(&["orders", "payments"]), PAYING);
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    traced.send_untraced("orders", &[("traceparent", context)]);
    traced.send_untraced("orders", &[]);
    let ended = run(traced.command(WayIn::Layer, &python).args(["tests/python/exact.py", "handed_over_late"]));
    ended.expect_success();
    let spans = traced.spans();
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [processed] = *of("process orders") else { panic!("{}", draw_traces(&spans)) };
    let [payment] = *of("send payments") else { panic!("{}", draw_traces(&spans)) };
    assert_eq!((&*processed.trace_id, &*processed.parent_span_id), (&context[3..35], &context[36..52]));
    assert_eq!(of("receive orders").len(), 2, "its delivery's span had left: {}", draw_traces(&spans));
    assert_eq!(payment.parent_span_id, processed.span_id, "{}", draw_traces(&spans));
}

/// The late ones too, whose deliveries have spans of their own by then.
#[test]
fn what_is_made_of_a_batch_is_in_the_trace_of_the_call_that_handed_it_over() {
    let Some(python) = python() else { return };
    let batches = format!("{PAYING}\n[services.billing.topic.\"orders\"]\nrelation = \"batch\"\n");
    let spans = shape_by(&batches, &python, "exact.py", "batch_worked_off_late");
    assert_eq!(payments(&spans), all(), "{}", draw_traces(&spans));
    let polls: Vec<_> = spans.iter().filter(|span| span.name == "poll orders").collect();
    let [poll] = &*polls else { panic!("{}", draw_traces(&spans)) };
    assert_eq!(poll.attribute("messaging.batch.message_count").as_deref(), Some("10"));
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (processed, received) = (of("process orders"), of("receive orders"));
    assert_eq!((processed.len(), received.len()), (ORDERS, 4), "{}", draw_traces(&spans));
    for span in processed.iter().chain(&received) {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&poll.trace_id, &poll.span_id), "{}", draw_traces(&spans));
    }
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
    expect("shapes.py", &["list_then_work", "batch_then_singles"], &".".repeat(ORDERS));
}

/// Whoever takes it is at the message in whose course it was put there, whenever the one who takes it began.
#[test]
fn what_is_taken_from_a_queue_is_work_on_the_message_that_it_was_put_there_for() {
    let shapes = [
        "queue_to_threads",
        "queue_to_threads_that_wait",
        "queue_to_threads_that_begin_with_a_message",
        "queue_to_tasks",
        "queue_to_tasks_that_begin_with_a_message",
        "thread_to_tasks_of_a_loop",
        "queue_of_connections",
    ];
    expect("others.py", &shapes, &all());
    let of_no_message = ["queue_of_lists", "connections_of_nobody", "connections_that_are_made_when_needed"];
    expect("others.py", &of_no_message, &".".repeat(ORDERS));
    expect_none_wrong(&["queue_to_a_task_by_wait_for"], ORDERS);
}

#[test]
fn a_batch_that_the_first_of_its_messages_sets_the_time_for_is_not_sent_under_that_one() {
    expect_none_wrong(&["batch_by_timer", "batch_by_call_later", "batch_by_task", "batch_by_greenlet"], ORDERS);
}

#[test]
fn what_is_sent_of_earlier_messages_in_the_course_of_a_later_one_is_not_under_that_one() {
    let Some(python) = python() else { return };
    expect_none_wrong(&["window", "results_of_tasks", "results_of_jobs"], ORDERS);
    expect_none_wrong(&["failures_reported_together", "loop_that_ends_early"], ORDERS);
    expect_none_wrong(&["generator_of_batches", "failures_after_the_last"], ORDERS);
    expect_none_wrong(&["again_after_a_while", "generator_that_looks_ahead"], ORDERS - 1);
    expect_none_wrong(&["window_of_what_is_made_of_them", "window_of_an_object"], ORDERS - 1);
    let spans = shape(&python, "others.py", "handler_of_a_signal");
    assert_eq!(payments(&spans), format!("{}{}", ".".repeat(ORDERS - 1), "y".repeat(ORDERS - 1)));
    expect("others.py", &["result_of_a_job"], &all());
    assert_eq!(payments(&shape(&python, "others.py", "one_loop_for_two_sources")), "..yy..yy..");
}

#[test]
fn two_consumers_of_one_loop_are_told_apart_or_nothing_is_said() {
    let Some(python) = python() else { return };
    for name in ["two_consumers", "two_streams"] {
        assert_eq!(payments(&shape(&python, "others.py", name)), ".".repeat(ORDERS - 1), "{name}");
    }
    assert_eq!(payments(&shape(&python, "others.py", "two_consumers_in_turn")), "y".repeat(2 * ORDERS));
}

#[test]
fn a_task_of_anyio_or_trio_is_at_the_message_that_a_thread_was_handed_for_it() {
    expect("others.py", &["tasks_of_anyio", "tasks_of_anyio_on_trio", "tasks_of_trio"], &all());
}

/// Each is given something that could be the message's, and serves others as well.
#[test]
fn what_serves_later_messages_too_is_not_at_the_one_in_whose_course_it_was_started() {
    let threads = [
        "thread_that_is_given_nothing",
        "thread_that_is_given_a_name",
        "thread_that_is_given_a_number_in_a_hurry",
        "thread_beside_what_the_loop_sends",
        "thread_of_nothing_beside_what_the_loop_sends",
        "thread_that_is_given_the_first_one",
        "thread_that_is_given_the_first_message",
        "actors",
        "job_that_loops",
        "greenlet_with_a_queue",
    ];
    let tasks = [
        "stream_of_anyio",
        "stream_of_anyio_on_trio",
        "channel_of_trio",
        "task_that_starts_tasks",
        "batch_of_a_key",
        "latest_of_a_key",
        "latest_of_a_key_by_a_function",
    ];
    let Some(python) = python() else { return };
    for name in threads.iter().chain(&tasks) {
        let payments = payments(&shape(&python, "lazily.py", name));
        assert!(!payments.is_empty() && !payments.contains('X'), "{name}: {payments}");
    }
}

/// Every message is given to something, so that nothing else is in doubt: the code alone says that others' are sent.
#[test]
fn what_one_message_s_task_or_job_sends_for_others_begins_traces() {
    let full = [
        "full_batch_in_jobs",
        "full_batch_in_threads",
        "full_batch_in_tasks",
        "full_batch_by_call_soon",
        "full_batch_by_call_later",
        "full_batch_by_call_soon_threadsafe",
        "full_batch_of_an_object",
    ];
    expect("lazily.py", &full, &".".repeat(ORDERS));
}

/// What it knows of others beside that is no cause.
#[test]
fn what_a_task_sends_of_its_own_with_something_that_it_looks_up_is_at_its_message() {
    expect("lazily.py", &["tasks_that_look_something_up", "jobs_that_send_with_a_number_of_their_own"], &all());
    let twice = ["tasks_that_send_parts_with_what_they_look_up", "tasks_that_send_parts_in_tasks"];
    expect("lazily.py", &twice, &"yy".repeat(ORDERS));
}

#[test]
fn what_is_made_of_what_it_was_given_or_of_a_queue_is_at_that_message_whoever_else_it_may_serve() {
    let shapes = ["threads_with_queues_by_key", "tasks_with_queues_by_key", "tasks_that_try_again"];
    expect("lazily.py", &shapes, &all());
    expect("lazily.py", &["tasks_of_some"], &"y".repeat(ORDERS / 2));
    expect("lazily.py", &["tasks_of_some_that_send_twice"], &all());
}

/// Runs shapes of `others.py`: of so many payments none is under a wrong order.
#[track_caller]
fn expect_none_wrong(shapes: &[&str], count: usize) {
    let Some(python) = python() else { return };
    for name in shapes {
        let spans = shape(&python, "others.py", name);
        let payments = payments(&spans);
        assert!(payments.len() == count && !payments.contains('X'), "{name}: {payments}");
    }
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
fn what_a_program_sent_itself_and_then_works_off_is_a_cause_and_what_answers_it_is_none() {
    let Some(python) = python() else { return };
    let one = "shop: send orders\n  billing: process orders\n    billing: send payments\n";
    assert_eq!(traces(&python, "own_orders"), one.repeat(ORDERS));
    let one = "a: send requests\n  a: process requests\n    a: send replies\n      a: process replies\n";
    for name in ["request_reply", "request_reply_in_tasks"] {
        assert_eq!(traces(&python, name), one.repeat(ORDERS), "{name}");
    }
}

/// The drawing of a shape of `exact.py`, without the orders that were there before.
#[track_caller]
fn traces(python: &Path, name: &str) -> String {
    let configuration = format!("{PAYING}\n[services.a]\ntopics = [\"requests\", \"replies\"]\n");
    let topics = ["orders", "payments", "requests", "replies"];
    let traced = Traced::on(Kafka::start_with(&topics, ORDERS as i32), &configuration);
    traced.send_numbered("orders", ORDERS);
    let ended = run(traced.command(WayIn::Layer, python).args(["tests/python/exact.py", name]));
    ended.expect_success();
    assert_eq!(ended.stderr, "", "{name}");
    let spans = traced.spans();
    let is_old = |span: &&ReceivedSpan| span.name == "process orders" && span.parent_span_id.is_empty();
    draw_traces(&spans.iter().filter(|span| !is_old(span)).cloned().collect::<Vec<_>>())
}

#[test]
fn a_message_that_was_read_once_is_no_cause_for_ever() {
    let Some(python) = python() else { return };
    for name in ["read_once", "read_until_there"] {
        assert_eq!(payments(&shape(&python, "exact.py", name)), ".".repeat(ORDERS), "{name}");
    }
}

#[test]
fn a_loop_is_at_its_message_however_long_that_takes() {
    expect("exact.py", &["slow_loop", "slow_tasks", "slow_and_then_quick"], &all());
}

/// Whether a send is in the loop that asks for messages, and of which of them it is made, is read from the program's code, whichever
/// Python compiled it.
#[test]
fn the_code_says_whether_a_send_is_in_a_loop_that_asks_for_messages_and_of_what_it_is_made() {
    let Some(python) = python() else { return };
    let others = ["3.8", "3.9", "3.10", "3.12", "3.13"]
        .into_iter()
        .filter_map(|version| python_of(version, "confluent-kafka==2.16.1"));
    for python in std::iter::once(python).chain(others) {
        code_says(&python);
    }
}

#[track_caller]
fn code_says(python: &Path) {
    expect_code_says(python, "loops.py", &[("y", 12), (".", 11), ("y", 10), (".", 8), ("y", 8)]);
    expect_code_says(python, "started.py", &[("y-", 10), ("x", 16), (".", 3), ("y", 1)]);
}

/// What a program says of so many functions: only this of each send.
#[track_caller]
fn expect_code_says(python: &Path, program: &str, expected: &[(&str, usize)]) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("resolver/librdkafka/python");
    let mut command = Command::new(python);
    command.env("PYTHONPATH", package).env("LD_PRELOAD", library()).arg(format!("tests/python/{program}"));
    let ended = run(&mut command);
    ended.expect_success();
    let parts: Vec<_> = ended.stdout.split("--\n").collect();
    assert_eq!(parts.len(), expected.len(), "{}", ended.stdout);
    for (lines, (expected, count)) in parts.into_iter().zip(expected) {
        assert_eq!(lines.lines().count(), *count, "{lines}");
        for line in lines.lines() {
            let sends = line.rsplit(' ').next().unwrap_or_default();
            assert!(!sends.is_empty() && sends.chars().all(|sent| expected.contains(sent)), "{line}");
        }
    }
}

#[test]
fn nothing_of_what_was_followed_stays() {
    let Some(python) = python() else { return };
    leaves_nothing(&python);
}

#[track_caller]
fn leaves_nothing(python: &Path) {
    let traced = Traced::start(&["orders", "payments"], PAYING);
    traced.send_numbered("orders", 4_000);
    let ended = run(traced.command(WayIn::Layer, python).arg("tests/python/leaks.py"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
    let spans = traced.spans();
    let taken = spans.iter().filter(|span| span.name == "process orders").count();
    // One shape takes two each time.
    assert_eq!(taken, 8 * 400);
}

#[test]
fn a_thread_that_began_with_one_message_is_not_at_it_when_it_passes_others_on() {
    expect("exact.py", &["sender_that_began_with_a_message"], &all());
}

/// Tasks, jobs of pools and lists at the same time, as many as go.
#[test]
fn of_ten_thousand_messages_under_load_none_has_a_wrong_parent() {
    let Some(python) = python() else { return };
    const MANY: usize = 10_000;
    let traced = Traced::start(&["orders"], PAYING);
    traced.kafka.cluster().create_topic("payments", 100, 1).unwrap();
    traced.send_numbered("orders", MANY);
    let ended = run(traced.command(WayIn::Layer, python).args(["tests/python/crowd.py", &MANY.to_string()]));
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    let spans = traced.spans();
    let orders: HashMap<_, _> =
        spans.iter().map(|span| (&span.span_id, span.attribute("messaging.kafka.offset"))).collect();
    let sent: Vec<_> = spans.iter().filter(|span| span.name == "send payments").collect();
    let is_right = |payment: &&&ReceivedSpan| {
        let order: Option<usize> = orders.get(&payment.parent_span_id)?.as_deref()?.parse().ok();
        let partition = payment.attribute("messaging.destination.partition.id")?.parse().ok();
        Some(order.map(|order| order % 100) == partition)
    };
    assert_eq!((sent.len(), sent.iter().filter(|sent| is_right(sent) == Some(true)).count()), (MANY, MANY));
}

#[test]
fn a_program_sees_the_same_of_its_clients_with_the_layer_as_without() {
    let Some(python) = python() else { return };
    let said = |way| {
        let traced = Traced::start(&["orders", "payments"], PAYING);
        traced.send_numbered("orders", ORDERS);
        let ended = run(traced.command(way, &python).arg("tests/python/same.py"));
        ended.expect_success();
        assert_eq!(ended.stderr, "", "{way:?}");
        ended.stdout
    };
    assert_eq!(said(WayIn::Layer), said(WayIn::None));
}

/// The oldest that has a wheel for the Python of the tests, and two in between.
#[test]
fn older_releases_of_the_client_are_followed_the_same() {
    for version in ["2.0.2", "2.5.3", "2.10.1"] {
        let requirement = format!("confluent-kafka=={version}");
        let Some(python) = python_with(&format!("python-client-{version}"), &requirement) else { return };
        expect_by(&python, "shapes.py", &["loop", "tasks", "to_thread", "pool"], &all());
        let shapes = ["consume_loop", "list_to_pool", "list_with_the_helper", "list_passes_values_on", "slow_loop"];
        expect_by(&python, "exact.py", &shapes, &all());
        expect_by(&python, "exact.py", &["serializing", "subclass"], &all());
        expect_by(&python, "exact.py", &["report_passes_on"], &"yy".repeat(ORDERS));
    }
}

/// The oldest that the package is for, and the newest that it was tried on: what is in C differs between them.
#[test]
fn older_and_newer_pythons_are_followed_the_same() {
    for version in ["3.8", "3.13"] {
        let Some(python) = python_of(version, "confluent-kafka==2.16.1") else { continue };
        expect_by(&python, "shapes.py", &["loop", "pool"], &all());
        expect_by(&python, "exact.py", &["list_to_pool", "list_with_the_helper", "slow_loop", "executor"], &all());
        leaves_nothing(&python);
    }
}

#[test]
fn what_is_sent_after_the_last_message_begins_traces() {
    expect("exact.py", &["after_the_last"], &"y.".repeat(ORDERS));
}

#[test]
fn nothing_is_touched_until_the_program_imports_the_client_nor_without_the_library() {
    let Some(python) = python() else { return };
    let traced = Traced::start(&["orders"], PAYING);
    let said = |command: &mut Command| {
        let ended = run(command.arg("tests/python/untouched.py"));
        ended.expect_success();
        assert_eq!(ended.stderr, "");
        ended.stdout
    };
    let plain = said(&mut traced.command(WayIn::None, &python));
    let files = "['thread.py', 'threading.py', 'base_events.py']";
    assert_eq!(plain, format!("([], {files})\n"));
    let waiting = "['tracer_interceptors._hook', 'tracer_interceptors._layer']";
    assert_eq!(said(&mut traced.command(WayIn::Layer, &python)), format!("({waiting}, {files})\n"));

    let mut command = traced.command(WayIn::Layer, &python);
    let ended = run(command.env_remove("LD_PRELOAD").args(["tests/python/untouched.py", "import"]));
    ended.expect_success();
    let library = "['tracer_interceptors._hook', 'tracer_interceptors._layer', 'tracer_interceptors._library']";
    let expected = format!("({waiting}, {files})\n0 ({library}, {files})\n");
    assert_eq!((ended.stdout, ended.stderr), (expected, String::new()));
}

/// Python imports one `sitecustomize`; whoever has one of their own has it still, and sees no folder of ours.
#[test]
fn the_program_s_own_sitecustomize_runs_as_ever() {
    let Some(python) = python() else { return };
    let traced = Traced::start(&["orders"], PAYING);
    let folder = tempfile::tempdir().unwrap();
    let mut command = traced.command(WayIn::Layer, &python);
    let ours = command.get_envs().find(|(name, _)| *name == "PYTHONPATH").unwrap().1.unwrap().to_owned();
    let mut path = ours.clone();
    path.push(":");
    path.push(folder.path());
    let customize = folder.path().join("sitecustomize.py");
    std::fs::write(&customize, "print('own')").unwrap();
    let program = "import sitecustomize, sys; print(sitecustomize.__file__, [p for p in sys.path if 'start' in p])";
    let ended = run(command.env("PYTHONPATH", &path).args(["-c", program]));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), (&*format!("own\n{} []\n", customize.display()), ""));

    std::fs::write(&customize, "raise KeyError('its own')").unwrap();
    let ended = run(traced.command(WayIn::Layer, &python).env("PYTHONPATH", &path).args(["-c", "print(1)"]));
    assert!(ended.stdout == "1\n" && ended.stderr.contains("its own"), "{ended:?}");
}

/// Before 3.14 Python ends them by `pthread_exit`, which goes through whatever is on their stacks.
#[test]
fn a_program_ends_as_ever_while_its_daemon_threads_poll_and_send() {
    let Some(python) = python() else { return };
    let traced = Traced::start(&["orders", "payments"], PAYING);
    traced.send_numbered("orders", ORDERS);
    for _ in 0..3 {
        let ended = run(traced.command(WayIn::Layer, &python).arg("tests/python/daemons.py"));
        ended.expect_success();
        assert!(!ended.stderr.contains("defect") && !ended.stderr.contains("Fatal"), "{}", ended.stderr);
    }
}

#[test]
fn a_program_says_which_message_it_is_at_fails_it_and_logs_its_ids() {
    let Some(python) = python() else { return };
    let traced = Traced::on(Kafka::start_with(&["orders", "payments"], ORDERS as i32), PAYING);
    traced.send_numbered("orders", 4);
    let ended = run(traced.command(WayIn::Layer, &python).arg("tests/python/said.py"));
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    let spans = traced.spans();
    let pay = "  billing: send payments\n";
    let expected = format!(
        "billing: process orders\n{pay}billing: process orders !KeyError\n{pay}\
         billing: process orders !CardDeclined\n{pay}billing: process orders\n{pay}billing: send payments\n"
    );
    assert_eq!(draw_traces(&spans), expected);
    let mut lines = vec!["||before".to_owned()];
    let mut orders: Vec<_> = spans.iter().filter(|span| span.name == "process orders").collect();
    orders.sort_by_key(|span| span.attribute("messaging.kafka.offset"));
    lines.extend(orders.iter().map(|span| format!("{}|{}|at", span.trace_id, span.span_id)));
    lines.push("||after".to_owned());
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), lines);
}

/// It is known by the length of the spans that a processing ends where its work does, not where it is let go of.
#[test]
fn a_span_is_as_long_as_the_work() {
    let Some(python) = python() else { return };
    let spans = shape(&python, "lengths.py", "all");
    let length = |offset: usize| {
        let is_it = |span: &&ReceivedSpan| {
            span.name == "process orders" && span.attribute("messaging.kafka.offset") == Some(offset.to_string())
        };
        let span = spans.iter().find(is_it).unwrap();
        std::time::Duration::from_nanos(span.end_unix_nano - span.start_unix_nano)
    };
    let ms = std::time::Duration::from_millis;
    // Worked off for 0.3 s by the loop, by a task, by a job, in the helper; then idly waited for 1 s.
    for offset in 0..4 {
        assert!((ms(290)..ms(900)).contains(&length(offset)), "{offset}: {:?}", length(offset));
    }
    // Polled into a list; the next poll follows at once.
    assert!(length(4) < ms(200), "{:?}", length(4));
}
