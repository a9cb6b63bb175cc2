//! Promise: a client says once whose each topic is, and a file that matches nothing is warned about; no thread of the
//! application's waits for that to be written, and what is lost meanwhile is counted.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "support/fake_kafka.rs"]
mod fake_kafka;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fake_kafka::{FakeClient, FakeMessage};
use log::{Level, LevelFilter, Log, Metadata, Record};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::Integration;

/// Keeps what is logged; blocks at a line about the topic `stall` for as long as it is told to.
struct Lines {
    lines: Mutex<Vec<(Level, String)>>,
    stalled: AtomicBool,
    stalls: AtomicBool,
}

static LINES: Lines =
    Lines { lines: Mutex::new(Vec::new()), stalled: AtomicBool::new(false), stalls: AtomicBool::new(false) };

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        if text.contains("`stall`") {
            self.stalled.store(true, Ordering::SeqCst);
            while self.stalls.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push((record.level(), text));
    }

    fn flush(&self) {}
}

/// The log is the process's, and so is the batch thread.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails from the second call on.
    let _ = log::set_logger(&LINES);
    log::set_max_level(LevelFilter::Info);
    alone
}

fn said(level: Level, what: &str) -> Vec<String> {
    let lines = LINES.lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|(of, line)| *of == level && line.contains(what)).map(|(_, line)| line.clone()).collect()
}

/// The same, once there are so many.
fn said_by_and_by(level: Level, what: &str, count: usize) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(20);
    while said(level, what).len() < count && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    said(level, what)
}

/// What is said of the file itself is forgotten: that its services export to no backend.
fn resolver(text: &str) -> Resolver {
    let text = format!("version = 1\n{text}");
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
    LINES.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    resolver
}

fn send(client: &FakeClient, topic: &str) {
    let message = FakeMessage::new(topic);
    client.send(&message);
    client.acknowledge(&message);
}

#[test]
fn a_topic_is_told_again_after_a_reload_only_if_what_was_said_of_it_is_not_true_any_more() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    let write = |text: &str| std::fs::write(&path, format!("version = 1\n{text}")).unwrap();
    write("[services.shop]\nproduces = [\"orders\", \"pays\"]");
    let resolver = Resolver::from_file(&path).unwrap();
    LINES.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let client = FakeClient::producer(&resolver);
    let sends = || ["orders", "pays"].into_iter().for_each(|topic| send(&client, topic));
    sends();
    assert_eq!(said_by_and_by(Level::Info, "topic `", 2).len(), 2);
    // Another comment is another text, and nothing else; then one topic's settings change, then its service, and back.
    for (text, expected) in [
        ("# The same.\n[services.shop]\nproduces = [\"orders\", \"pays\"]", &[][..]),
        (
            "[services.shop]\nproduces = [\"orders\", \"pays\"]\n[services.shop.topic.pays]\nsampler = \"always_off\"",
            &["topic `pays`"],
        ),
        ("[services.mail]\nproduces = [\"pays\"]\n[services.shop]\nproduces = [\"orders\"]", &["topic `pays`"]),
        ("[services.shop]\nproduces = [\"orders\", \"pays\"]", &["topic `pays`"]),
    ] {
        LINES.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
        write(text);
        resolver.reload().unwrap();
        sends();
        resolver.flush(Duration::from_secs(20));
        // One that nobody has met yet comes after all that is to be said.
        let new = format!("new-{}", text.len());
        send(&client, &new);
        let mut expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.push(format!("topic `{new}`"));
        let lines = said_by_and_by(Level::Info, &format!("topic `{new}`"), 1);
        assert_eq!(lines.len(), 1);
        let lines = said(Level::Info, "topic `");
        let lines: Vec<_> = lines.iter().map(|line| line.split(" (produced").next().unwrap()).collect();
        assert_eq!(lines, expected, "{text}");
    }
}

#[test]
fn each_topic_is_told_once_for_each_client() {
    let _alone = alone();
    let resolver = resolver(
        "[services.shop]\nproduces = [\"orders\", \"secret\", \"heartbeat\"]\nexclude = [\"secret\"]\n\
         [services.shop.topic.heartbeat]\ntrace = \"off\"\n[services.mail]\nconsumes = [\"orders\"]\n",
    );
    let (producer, consumer) = (FakeClient::producer(&resolver), FakeClient::consumer(&resolver, Integration::Plugin));
    for _ in 0..3 {
        for topic in ["orders", "secret", "heartbeat", "other"] {
            send(&producer, topic);
        }
        consumer.consume(&FakeMessage::new("orders"));
    }
    assert!(resolver.flush(Duration::from_secs(20)));
    assert_eq!(
        said(Level::Info, "topic `"),
        [
            "topic `orders` (produced by client `bench-client`) belongs to service `shop`: produces = \"orders\", sampler \
             always_on, to no backend",
            "topic `secret` (produced by client `bench-client`) is excluded by its service, and not traced",
            "topic `heartbeat` (produced by client `bench-client`) belongs to service `shop`, which does not trace it \
             (trace = \"off\")",
            "topic `other` (produced by client `bench-client`) belongs to no service, and is not traced; no rule is like \
             it",
            "topic `orders` (consumed by client `bench-client`, group `bench-group`) belongs to service `mail`: consumes = \
             \"orders\", sampler always_on, to no backend",
        ]
    );
    producer.destroy();
    consumer.destroy();
    assert!(resolver.flush(Duration::from_secs(20)));
    assert_eq!(said(Level::Warn, ""), Vec::<String>::new(), "something matched");
}

#[test]
fn a_file_that_matches_nothing_is_warned_about_once_when_a_client_closes() {
    let _alone = alone();
    let resolver =
        resolver("[services.shop]\nproduces = [\"order\"]\n[services.mail]\nconsumes = [{ regex = 'm.+l' }]\n");
    for integration in [Integration::Plugin, Integration::Rust] {
        let (producer, consumer) = (FakeClient::producer(&resolver), FakeClient::consumer(&resolver, integration));
        send(&producer, "orders");
        consumer.consume(&FakeMessage::new("orders"));
        assert!(resolver.flush(Duration::from_secs(20)));
        let before = said(Level::Warn, "nothing was traced");
        assert_eq!(before.len(), usize::from(integration == Integration::Rust), "not before the first client closes");
        producer.destroy();
        consumer.destroy();
    }
    let warnings = said_by_and_by(Level::Warn, "nothing was traced", 1);
    assert!(resolver.flush(Duration::from_secs(20)));
    assert_eq!(said(Level::Warn, ""), warnings, "once, and nothing else");
    let warning = warnings.concat();
    for part in [
        "test.toml matches a topic",
        "`orders` (produced by client `bench-client`)",
        "`orders` (consumed by client `bench-client`, group `bench-group`)",
        "`shop` produces = [\"order\"]",
        "`mail` consumes = [{ regex = 'm.+l' }]",
        "`default_service`",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
}

#[test]
fn a_client_that_has_met_no_topic_is_not_warned_about() {
    let _alone = alone();
    let [idle, other] = [(); 2].map(|()| resolver("[services.shop]\nproduces = [\"order\"]\n"));
    let (unused, producer) = (FakeClient::producer(&idle), FakeClient::producer(&other));
    send(&producer, "order");
    unused.destroy();
    producer.destroy();
    assert!(idle.flush(Duration::from_secs(20)) && other.flush(Duration::from_secs(20)));
    assert_eq!(said(Level::Warn, ""), Vec::<String>::new());
}

#[test]
fn a_log_that_blocks_holds_up_no_message_and_the_spans_for_which_there_is_no_room_are_in_the_sum() {
    const SENT: u64 = 300_000;
    let _alone = alone();
    let resolver = resolver(
        "default_service = \"shop\"\n[defaults]\nexport = [\"gone\"]\n[services.shop]\n[backends.gone]\nplugin = \"no-such-plugin\"\n",
    );
    LINES.stalls.store(true, Ordering::SeqCst);
    let producer = FakeClient::producer(&resolver);
    send(&producer, "stall");
    let until = Instant::now() + Duration::from_secs(20);
    while !LINES.stalled.load(Ordering::SeqCst) {
        assert!(Instant::now() < until, "the batch thread is to write");
        std::thread::sleep(Duration::from_millis(1));
    }
    // The buffer of a process has room for 262,144 of them.
    let message = FakeMessage::new("stall");
    for _ in 1..SENT {
        message.clear();
        producer.send(&message);
        producer.acknowledge(&message);
    }
    LINES.stalls.store(false, Ordering::SeqCst);
    producer.destroy();
    assert!(resolver.flush(Duration::from_secs(60)));
    resolver.shutdown(Duration::from_secs(5));
    let stats = resolver.stats();
    let (taken, full) = (stats.services.first().unwrap().spans, stats.services.first().unwrap().dropped_buffer_full);
    assert_eq!(taken + full, SENT);
    assert!(full > 10_000, "{full}");
    let sums = said(
        Level::Warn,
        &format!(" of {SENT} spans of service `shop` were lost: {full} buffer_full, {taken} no_backend"),
    );
    let halves = said(Level::Warn, " spans of service `shop` were lost: ");
    assert!(sums.len() == 1 || halves.len() == 2, "{halves:?}");
}
