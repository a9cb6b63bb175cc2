//! Promise: a program that says nothing about processing gets the most truthful spans that can be had from below: what a
//! thread sends continues the one message that it was handed last, and a processing has a length only as far as
//! something showed it.
//!
//! The callbacks run over a fake librdkafka; `polling` and `closing` are what an integration tells that sees the calls.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "without_code/batches.rs"]
mod batches;
#[path = "without_code/commits.rs"]
mod commits;
#[path = "support/fake_kafka.rs"]
mod fake_kafka;
#[path = "without_code/measured.rs"]
mod measured;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fake_kafka::{FakeClient, FakeMessage};
use serde_json::Value;
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::{
    Hands, Integration, calling_back, closing, polling, seen_polling, sending_offsets, waiting_for_anything,
};

fn list(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().cloned().unwrap_or_default()
}

/// A span's attribute, a text or a number.
fn attribute(span: &Value, key: &str) -> Option<String> {
    let found = list(span, "attributes").into_iter().find(|attribute| attribute["key"] == key)?;
    let value = &found["value"];
    ["stringValue", "intValue"].iter().find_map(|kind| match &value[*kind] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// One service with every topic, its clients, and a file with its spans.
struct Program {
    resolver: Resolver,
    producer: Box<FakeClient>,
    consumer: Box<FakeClient>,
    spans: PathBuf,
    /// Stands for the consumer's address.
    source: usize,
    /// Whether its calls are seen.
    seen: bool,
    _folder: tempfile::TempDir,
}

impl Program {
    /// A program whose calls nobody sees; `settings` are lines of its service.
    fn unseen(settings: &str) -> Self {
        Self::new(settings, false, |resolver| FakeClient::consumer(resolver, Integration::Plugin))
    }

    /// A program whose calls are seen.
    fn seen(settings: &str) -> Self {
        Self::new(settings, true, |resolver| seen_polling(|| FakeClient::consumer(resolver, Integration::Plugin)))
    }

    fn new(settings: &str, seen: bool, consumer: impl FnOnce(&Resolver) -> Box<FakeClient>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spans = folder.path().join("spans.jsonl");
        let text = format!(
            "version = 1\ndefault_service = \"app\"\n[metrics]\nexport = []\n[services.app]\nexport = [\"out\"]\n{settings}\n\
             [backends.out]\nplugin = \"file\"\nconfig = {{ path = {:?} }}\n",
            spans.to_str().unwrap()
        );
        let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
        assert!(!resolver.report().has_errors(), "{}", resolver.report().render(false));
        let (producer, consumer) = (FakeClient::producer(&resolver), consumer(&resolver));
        static SOURCES: AtomicUsize = AtomicUsize::new(0x1000);
        let source = SOURCES.fetch_add(16, Ordering::Relaxed);
        Self { resolver, producer, consumer, spans, source, seen, _folder: folder }
    }

    /// A message that was sent elsewhere, with this last digit in its ids.
    fn incoming(&self, digit: u8) -> Box<FakeMessage> {
        let mut message = FakeMessage::new("orders");
        // A place in the log of its own: the same one in another test's hands would take its place among those that wait.
        message.place(0, (self.source / 16) as i32, i64::from(digit));
        let value = format!("00-0af7651916cd43dd8448eb211c8031{digit:02x}-b7ad6b71692033{digit:02x}-01");
        message.add_header(c"traceparent", value.as_bytes());
        message
    }

    /// Sends to `topic`, is acknowledged, and gives the message back.
    fn send(&self, topic: &str) -> Box<FakeMessage> {
        let message = FakeMessage::new(topic);
        self.send_this(&message);
        message
    }

    fn send_this(&self, message: &FakeMessage) {
        self.producer.send(message);
        self.producer.acknowledge(message);
    }

    /// Polls, and is handed `message`, if there is one.
    fn poll(&self, message: Option<&FakeMessage>) {
        polling(self.source, Hands::One, || message.into_iter().for_each(|message| self.consumer.consume(message)));
    }

    /// Is handed `message`, by a poll where polls are seen.
    fn poll_if_seen(&self, message: &FakeMessage) {
        if self.seen { self.poll(Some(message)) } else { self.consumer.consume(message) }
    }

    /// Every span so far, as OTLP/JSON has it.
    fn spans(&self) -> Vec<Value> {
        assert!(self.resolver.flush(Duration::from_secs(20)));
        let text = std::fs::read_to_string(&self.spans).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of_line = lines.iter().flat_map(|line| list(line, "resourceSpans"));
        of_line.flat_map(|resource| list(&resource, "scopeSpans")).flat_map(|scope| list(&scope, "spans")).collect()
    }

    /// Every span so far: name, how its end was found, its length in milliseconds, and whose child it is.
    fn drawing(&self) -> Vec<String> {
        let spans = self.spans();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names: HashMap<String, String> =
            spans.iter().map(|span| (text(&span["spanId"]), text(&span["name"]))).collect();
        let mut lines: Vec<_> = spans
            .iter()
            .map(|span| {
                let end = list(span, "attributes")
                    .into_iter()
                    .find(|attribute| attribute["key"] == "tracer_resolver.process.end")
                    .map(|attribute| format!(" by {}", text(&attribute["value"]["stringValue"])))
                    .unwrap_or_default();
                let nanos = |key: &str| text(&span[key]).parse::<u64>().unwrap();
                let length = nanos("endTimeUnixNano") - nanos("startTimeUnixNano");
                let length = if Duration::from_nanos(length) >= LONG { " long" } else { "" };
                let length = if text(&span["name"]).starts_with("send") { "" } else { length };
                let guessed = list(span, "attributes").iter().any(|attribute| {
                    attribute["key"] == "tracer_resolver.parent" && attribute["value"]["stringValue"] == "thread"
                });
                let parent = text(&span["parentSpanId"]);
                let parent = match names.get(&parent) {
                    Some(name) => format!(" under {name}"),
                    None if parent.is_empty() => " a root".to_owned(),
                    None => format!(" under the one elsewhere {}", &parent[14..]),
                };
                let guessed = if guessed { ", guessed" } else { "" };
                format!("{}{end}{length}{parent}{guessed}", text(&span["name"]))
            })
            .collect();
        lines.sort();
        lines
    }
}

impl Drop for Program {
    /// While the file's folder is still there.
    fn drop(&mut self) {
        self.resolver.shutdown(Duration::from_secs(5));
    }
}

/// What a busy machine does not make of a moment.
const LONG: Duration = Duration::from_millis(250);

fn work() {
    std::thread::sleep(LONG + Duration::from_millis(5));
}

#[test]
fn a_send_continues_the_message_that_its_thread_was_handed_and_shows_that_it_was_at_it_still() {
    let program = Program::unseen("");
    program.consumer.consume(&program.incoming(1));
    work();
    program.send("bills");
    work();
    assert_eq!(
        program.drawing(),
        ["process orders by send long under the one elsewhere 01", "send bills under process orders, guessed"]
    );
}

#[test]
fn a_message_that_nothing_is_seen_of_is_a_point() {
    let program = Program::unseen("");
    program.consumer.consume(&program.incoming(1));
    work();
    assert_eq!(program.drawing(), ["receive orders under the one elsewhere 01"]);
}

#[test]
fn what_is_sent_after_a_batch_continues_none_of_it() {
    let program = Program::unseen("");
    let (first, second) = (program.incoming(1), program.incoming(2));
    program.consumer.consume(&program.incoming(3));
    for message in [&first, &second] {
        program.consumer.consume(message);
    }
    program.send("bills");
    let expected = [
        "receive orders under the one elsewhere 01",
        "receive orders under the one elsewhere 02",
        "receive orders under the one elsewhere 03",
        "send bills a root",
    ];
    assert_eq!(program.drawing(), expected);
    let program = Program::seen("");
    polling(program.source, Hands::Many, || [&first, &second].map(|message| program.consumer.consume(message)));
    program.send("bills");
    assert_eq!(program.drawing(), [expected[0], expected[1], expected[3]]);
}

#[test]
fn another_thread_s_send_continues_nothing() {
    let program = Program::unseen("");
    program.consumer.consume(&program.incoming(1));
    let resolver = program.resolver.clone();
    let other = std::thread::spawn(move || {
        let (producer, message) = (FakeClient::producer(&resolver), FakeMessage::new("bills"));
        producer.send(&message);
        producer.acknowledge(&message);
    });
    other.join().unwrap();
    assert_eq!(program.drawing(), ["receive orders under the one elsewhere 01", "send bills a root"]);
}

#[test]
fn the_next_message_takes_the_place_of_the_one_before_an_untraced_one_too() {
    let program = Program::unseen("exclude = [\"secret\"]");
    program.consumer.consume(&program.incoming(1));
    program.send("letters");
    program.consumer.consume(&program.incoming(2));
    program.send("bills");
    program.consumer.consume(&FakeMessage::new("secret"));
    program.send("alerts");
    let expected = [
        "process orders by send under the one elsewhere 01",
        "process orders by send under the one elsewhere 02",
        "send alerts a root",
        "send bills under process orders, guessed",
        "send letters under process orders, guessed",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn a_thread_that_takes_several_messages_and_works_them_off_later_is_not_believed() {
    for program in [Program::unseen(""), Program::seen("")] {
        for digits in [1..4, 4..7] {
            for digit in digits.clone() {
                program.poll_if_seen(&program.incoming(digit));
            }
            digits.for_each(|_| drop(program.send("bills")));
        }
        program.poll_if_seen(&program.incoming(7));
        program.send("bills");
        let sends: Vec<_> = program.drawing().into_iter().filter(|span| span.starts_with("send")).collect();
        assert_eq!(sends, ["send bills a root"; 7]);
    }
}

#[test]
fn a_filter_is_believed_from_its_second_message_on_where_its_calls_are_seen() {
    for (program, guessed) in [(Program::unseen(""), 0), (Program::seen(""), 2)] {
        for digit in 1..=6 {
            program.poll_if_seen(&program.incoming(digit));
            if digit % 2 == 0 {
                program.send("bills");
            }
        }
        let drawing = program.drawing();
        let count = |what: &str| drawing.iter().filter(|span| *span == what).count();
        assert_eq!(count("send bills under process orders, guessed"), guessed, "{drawing:?}");
        assert_eq!(count("send bills a root"), 3 - guessed, "{drawing:?}");
    }
}

#[test]
fn an_answer_to_what_the_thread_began_is_no_cause_of_what_it_does_next() {
    for program in [Program::unseen(""), Program::seen("")] {
        for digit in 1..4 {
            let request = program.send("requests");
            let mut reply = FakeMessage::new("replies");
            reply.place(0, (program.source / 16) as i32, digit);
            reply.add_header(c"traceparent", &request.header("traceparent").unwrap());
            program.poll_if_seen(&reply);
        }
        let drawing = program.drawing();
        let requests: Vec<_> = drawing.iter().filter(|span| span.starts_with("send")).collect();
        assert_eq!(requests, ["send requests a root"; 3], "{drawing:?}");
    }
}

#[test]
fn a_thread_that_waits_as_an_event_loop_does_is_in_no_message_any_more() {
    let program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    work();
    waiting_for_anything();
    program.send("bills");
    for digit in 2..5 {
        program.poll(Some(&program.incoming(digit)));
        if digit == 4 {
            program.send("letters"); // Before it waits once more: it is known by now.
        }
        waiting_for_anything();
    }
    let expected = [
        "receive orders under the one elsewhere 01",
        "receive orders under the one elsewhere 02",
        "receive orders under the one elsewhere 03",
        "receive orders under the one elsewhere 04",
        "send bills a root",
        "send letters a root",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn what_is_sent_when_the_application_is_called_back_does_not_follow_from_the_message() {
    let program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    calling_back(|| drop(program.send("audits")));
    program.send("bills");
    program.poll(None);
    let expected = [
        "process orders by poll under the one elsewhere 01",
        "send audits a root",
        "send bills under process orders, guessed",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn what_a_thread_sends_for_ever_after_its_one_message_does_not_follow_from_it() {
    let mut program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    program.send("bills");
    std::thread::sleep(Duration::from_millis(2100));
    program.send("heartbeats");
    assert_eq!(program.drawing()[1..], ["send bills under process orders, guessed", "send heartbeats a root"]);
    program.poll(Some(&program.incoming(2)));
    program.consumer = FakeClient::consumer(&program.resolver, Integration::Plugin);
    program.send("letters");
    assert!(program.drawing().contains(&"send letters a root".to_owned()), "its consumer is gone");
}

#[test]
fn a_thread_that_has_been_quiet_for_long_is_not_at_its_message_any_more() {
    let program = Program::unseen("");
    program.consumer.consume(&program.incoming(1));
    std::thread::sleep(Duration::from_millis(2100));
    program.send("heartbeats");
    assert_eq!(program.drawing(), ["receive orders under the one elsewhere 01", "send heartbeats a root"]);
}

#[test]
fn off_is_off() {
    let program = Program::seen("[services.app.topic.orders]\nambient = \"off\"");
    program.poll(Some(&program.incoming(1)));
    program.send("bills");
    program.poll(None);
    assert_eq!(program.drawing(), ["process orders by poll under the one elsewhere 01", "send bills a root"]);
}

#[test]
fn headers_that_forward_the_message_s_own_context_give_way_to_its_consumer_span_and_others_win() {
    let program = Program::unseen("");
    let message = program.incoming(1);
    program.consumer.consume(&message);
    let (forwarding, other) = (FakeMessage::new("bills"), FakeMessage::new("letters"));
    forwarding.add_header(c"traceparent", &message.header("traceparent").unwrap());
    other.add_header(c"traceparent", &program.incoming(9).header("traceparent").unwrap());
    program.send_this(&forwarding);
    program.send_this(&other);
    let expected = [
        "process orders by send under the one elsewhere 01",
        "send bills under process orders",
        "send letters under the one elsewhere 09",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn what_the_message_carries_travels_on_with_what_continues_it() {
    let program = Program::unseen("");
    let message = program.incoming(1);
    message.add_header(c"tracestate", b"vendor=1");
    message.add_header(c"baggage", b"tenant=blue");
    program.consumer.consume(&message);
    let sent = program.send("bills");
    assert_eq!(sent.header("tracestate").as_deref(), Some(&b"vendor=1"[..]));
    assert_eq!(sent.header("baggage").as_deref(), Some(&b"tenant=blue"[..]));
    let own = FakeMessage::new("bills");
    own.add_header(c"baggage", b"tenant=red");
    program.send_this(&own);
    assert_eq!(own.header("baggage").as_deref(), Some(&b"tenant=red"[..]), "the application's own stays");
    program.consumer.consume(&program.incoming(2));
    let sent = program.send("bills");
    assert_eq!((sent.header("tracestate"), sent.header("baggage")), (None, None), "only while it is at it");
}

#[test]
fn a_message_without_a_span_of_its_own_passes_its_context_on() {
    let program = Program::unseen("[services.app.topic.orders]\ntrace = \"propagate\"");
    program.consumer.consume(&program.incoming(1));
    program.send("bills");
    assert_eq!(program.drawing(), ["send bills under the one elsewhere 01, guessed"]);
}

#[test]
fn a_topic_that_gets_no_spans_passes_the_context_of_the_message_on() {
    let program = Program::unseen("[services.app.topic.bills]\ntrace = \"propagate\"");
    program.consumer.consume(&program.incoming(1));
    let sent = program.send("bills");
    let traceparent = String::from_utf8(sent.header("traceparent").unwrap()).unwrap();
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c803101-"), "{traceparent}");
}

#[test]
fn the_next_poll_ends_the_processing_and_idle_polls_are_no_part_of_it() {
    let program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    work();
    program.send("bills");
    program.poll(None);
    work();
    program.send("heartbeats");
    program.poll(Some(&program.incoming(2)));
    program.poll(None);
    let expected = [
        "process orders by poll long under the one elsewhere 01",
        "process orders by poll under the one elsewhere 02",
        "send bills under process orders, guessed",
        "send heartbeats a root",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn the_close_of_its_consumer_ends_it_and_that_of_another_client_does_not() {
    let program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    work();
    closing(program.source + 8, || ());
    program.send("bills");
    work();
    closing(program.source, || ());
    program.send("letters");
    let expected = [
        "process orders by close long under the one elsewhere 01",
        "send bills under process orders, guessed",
        "send letters a root",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn where_threads_take_turns_at_a_consumer_a_poll_ends_nothing() {
    let program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    std::thread::scope(|scope| {
        scope.spawn(|| polling(program.source, Hands::One, || ()));
    });
    work();
    program.poll(None);
    assert_eq!(program.drawing(), ["receive orders under the one elsewhere 01"]);
}

#[test]
fn a_thread_of_a_pool_that_takes_turns_at_a_consumer_is_not_at_its_message_for_ever() {
    let program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    std::thread::scope(|scope| {
        scope.spawn(|| polling(program.source, Hands::One, || ()));
    });
    program.send("bills");
    std::thread::sleep(Duration::from_millis(2100));
    program.send("heartbeats");
    let expected = [
        "process orders by send under the one elsewhere 01",
        "send bills under process orders, guessed",
        "send heartbeats a root",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn a_long_processing_waits_for_its_poll_and_is_the_cause_of_sends_for_as_long_as_one_was_seen_to_take() {
    let program = Program::seen("");
    for topic in ["bills", "letters"] {
        program.poll(Some(&program.incoming(1)));
        // Longer than an unclaimed delivery waits, and than the batch thread takes to look for such.
        std::thread::sleep(Duration::from_millis(2300));
        program.send(topic);
    }
    program.poll(None);
    let expected = [
        "process orders by poll long under the one elsewhere 01",
        "process orders by poll long under the one elsewhere 01",
        "send bills a root",
        "send letters under process orders, guessed",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn an_unsampled_message_makes_unsampled_sends() {
    let program = Program::seen("");
    let message = FakeMessage::new("orders");
    message.add_header(c"traceparent", b"00-0af7651916cd43dd8448eb211c803101-b7ad6b7169203301-00");
    program.poll(Some(&message));
    let sent = program.send("bills");
    let traceparent = String::from_utf8(sent.header("traceparent").unwrap()).unwrap();
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c803101-") && traceparent.ends_with("-00"));
    program.poll(None);
    assert_eq!(program.drawing(), Vec::<String>::new());
}

#[test]
fn a_client_that_goes_while_its_message_is_processed_leaves_what_is_known() {
    let mut program = Program::seen("");
    program.poll(Some(&program.incoming(1)));
    work();
    program.send("bills");
    program.consumer = FakeClient::consumer(&program.resolver, Integration::Plugin);
    program.send("letters");
    let spans = program.drawing();
    assert_eq!(spans.first().unwrap(), "process orders by send long under the one elsewhere 01");
    assert_eq!(spans.len(), 3);
}

#[test]
fn the_application_s_commit_of_just_this_message_shows_that_it_was_at_it_still() {
    const OFFSET_COMMIT: i16 = 8;
    let program = Program::unseen("");
    let partition = (program.source / 16) as i32;
    // Of each of four messages: how many answers come before the commit's end, its offset and its error.
    for (digit, answers, offset, err) in [(1, 1, 2, 0), (2, 2, 3, 0), (3, 1, 3, 0), (4, 1, 5, -185)] {
        program.consumer.consume(&program.incoming(digit));
        work();
        (0..answers).for_each(|answer| program.consumer.respond(OFFSET_COMMIT, 1000 + answer));
        program.consumer.respond(1, 500_000);
        program.consumer.commit(c"orders", partition, offset, err);
        work();
    }
    let expected = [
        "process orders by commit long under the one elsewhere 01",
        "receive orders under the one elsewhere 02",
        "receive orders under the one elsewhere 03",
        "receive orders under the one elsewhere 04",
    ];
    assert_eq!(program.drawing(), expected);
}

#[test]
fn a_commit_was_asked_for_before_it_was_answered() {
    let program = Program::unseen("");
    program.consumer.consume(&program.incoming(1));
    work();
    // Its round trip is longer than all that has passed: a commit of something before.
    program.consumer.respond(8, 60_000_000);
    program.consumer.commit(c"orders", (program.source / 16) as i32, 2, 0);
    assert_eq!(program.drawing(), ["receive orders under the one elsewhere 01"]);
}
