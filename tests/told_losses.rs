//! Promise: whatever way spans are lost, it is said: the last line's sum is what did not arrive, by backend, service and
//! reason.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use log::Level;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::{MessagePlace, declared};
use tracer_resolver::{BackendState, Resolver, Stats};
use words::foreign::python;
use words::kafka::Kafka;
use words::receivers::{JaegerReceiver, OtlpReceiver};
use words::{LIMIT, LogLines, Traced, WayIn, child, run, traced_by};

/// A service and a backend, whose names no other test of this program has: its log is everybody's.
struct Shop {
    kafka: Kafka,
    resolver: Resolver,
    name: String,
    log: &'static LogLines,
}

/// `more` stands before `[backends.NAME]`, which `backend` describes.
fn shop(name: &str, more: &str, backend: &str) -> Shop {
    let log = LogLines::start();
    let text = format!(
        "version = 1\n[services.\"shop {name}\"]\nproduces = [\"*\"]\nexport = [\"{name}\"]\n{more}\n[backends.{name}]\n{backend}\n"
    );
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
    Shop { kafka: Kafka::start(&["orders"]), resolver, name: name.to_owned(), log }
}

impl Shop {
    fn config(&self) -> ClientConfig {
        traced_by(&self.resolver, self.kafka.config())
    }

    fn send(&self, count: usize) {
        flow(&self.config().create().unwrap(), count);
    }

    /// Sends so many, and waits until it is known what has become of each.
    fn send_and_settle(&self, count: usize) {
        self.send(count);
        let until = Instant::now() + Duration::from_secs(30);
        let settled = |stats: &Stats| {
            stats.backends.iter().flat_map(|of| &of.services).any(|of| of.offered >= count as u64 && of.waiting == 0)
        };
        while !settled(&self.resolver.stats()) {
            assert!(Instant::now() < until, "{:?}", self.resolver.stats());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The warnings that contain `text`, once there is any: other threads write them.
    fn said(&self, text: &str) -> Vec<String> {
        let until = Instant::now() + Duration::from_secs(20);
        while self.log.with(Level::Warn, text).is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.log.with(Level::Warn, text)
    }

    /// Ends, and gives what sums said of this backend in all, by reason.
    fn end(&self) -> BTreeMap<String, u64> {
        self.resolver.shutdown(Duration::from_secs(5));
        let prefix = format!("backend `{}`: ", self.name);
        let lines = self.log.with(Level::Warn, &prefix);
        sums(&lines.join("\n"), &self.name)
    }
}

fn flow(producer: &BaseProducer, count: usize) {
    for _ in 0..count {
        producer.send(BaseRecord::to("orders").key("k").payload("p")).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

/// What the sums in `text` say of this backend, by reason.
fn sums(text: &str, backend: &str) -> BTreeMap<String, u64> {
    let mut by_reason = BTreeMap::new();
    let mark = format!("backend `{backend}`: ");
    for line in text.lines().filter_map(|line| line.split_once(&mark)).map(|(_, line)| line) {
        for part in line.split("; ") {
            let Some((head, reasons)) =
                part.split_once(" lost: ").filter(|(head, _)| head.contains(" spans of service "))
            else {
                continue;
            };
            let total: u64 = head.split(' ').next().unwrap().parse().unwrap();
            let mut of_reasons = 0;
            for reason in reasons.split(", ") {
                let (spans, reason) = reason.split_once(' ').unwrap();
                let spans: u64 = spans.parse().unwrap();
                of_reasons += spans;
                *by_reason.entry(reason.to_owned()).or_default() += spans;
            }
            assert_eq!(total, of_reasons, "{line}");
        }
    }
    by_reason
}

fn otlp(receiver: &OtlpReceiver) -> String {
    format!("plugin = \"otlp\"\nconfig = {{ endpoint = \"{}\" }}", receiver.endpoint())
}

fn only(reason: &str, spans: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(reason.to_owned(), spans)])
}

const SOON: &str = "[batch]\ndelay = \"10ms\"";

#[test]
fn what_a_collector_that_is_not_there_loses_is_said_when_it_begins_and_in_the_sum() {
    let mut collector = OtlpReceiver::start().unwrap();
    let backend = otlp(&collector) + "\nretry = { initial = \"10ms\", max = \"20ms\", max_elapsed = \"300ms\" }";
    collector.stop();
    let shop = shop("dead", SOON, &backend);
    shop.send_and_settle(200);
    let begins = shop.said("backend `dead`: spans are being lost: ");
    assert_eq!(begins.len(), 1, "{begins:?}");
    assert!(begins[0].contains("of service `shop dead` (") && begins[0].contains("`max_elapsed`"), "{begins:?}");
    assert_eq!(shop.end(), only("retries_exhausted", 200));
}

#[test]
fn the_end_of_trouble_says_what_it_has_cost() {
    let collector = OtlpReceiver::start().unwrap();
    collector.fail_with(503);
    let backend = otlp(&collector) + "\nretry = { initial = \"10ms\", max = \"20ms\", max_elapsed = \"300ms\" }";
    let shop = shop("away", SOON, &backend);
    shop.send_and_settle(100);
    collector.fail_with(200);
    shop.send(50);
    assert!(shop.resolver.flush(LIMIT));
    let back = shop.said("backend `away`: takes batches again");
    assert!(back.len() == 1 && back[0].ends_with("; 100 spans were lost meanwhile"), "{back:?}");
    assert_eq!((shop.end(), collector.spans().len()), (only("retries_exhausted", 100), 50));
}

#[test]
fn what_a_full_queue_drops_is_in_the_sum() {
    let collector = OtlpReceiver::start().unwrap();
    collector.respond_after(Duration::from_millis(300));
    let more = "[batch]\ndelay = \"10ms\"\nmax_bytes = \"16KiB\"";
    let shop = shop("full", more, &(otlp(&collector) + "\nqueue_bytes = \"64KiB\"\nconcurrency = 1"));
    shop.send(3_000);
    assert!(shop.resolver.flush(LIMIT));
    let (sums, arrived) = (shop.end(), collector.spans().len() as u64);
    assert_eq!(sums, only("queue_full", 3_000 - arrived));
    assert!(arrived > 0 && arrived < 3_000, "{arrived}");
}

#[test]
fn what_a_server_refuses_is_in_the_sum_wholly_and_in_part() {
    let collector = OtlpReceiver::start().unwrap();
    collector.fail_with(400);
    let refused = shop("refused", SOON, &otlp(&collector));
    refused.send_and_settle(70);
    let part =
        shop("partly", "[batch]\ndelay = \"100ms\"", "plugin = \"misbehaving\"\nconfig = { mode = \"partial\" }");
    part.send_and_settle(70);
    assert_eq!(refused.end(), only("rejected", 70));
    let (sums, stats) = (part.end(), part.resolver.stats());
    assert_eq!(sums, only("rejected", stats.backends[0].services[0].rejected));
    assert!(sums["rejected"] > 0);
}

#[test]
fn what_a_plugin_that_panics_or_hangs_loses_is_in_the_sum() {
    for mode in ["panic", "panic_in_create"] {
        let backend = format!("plugin = \"misbehaving\"\nconfig = {{ mode = \"{mode}\" }}");
        let shop = shop(mode, SOON, &backend);
        for _ in 0..5 {
            shop.send(20);
            std::thread::sleep(Duration::from_millis(30));
        }
        assert_eq!(shop.end().values().sum::<u64>(), 100, "{mode}");
    }
    let folder = tempfile::tempdir().unwrap();
    let until = folder.path().join("enough");
    let backend = format!(
        "plugin = \"misbehaving\"\nconfig = {{ mode = \"block\", until = {:?} }}\ntimeout = \"200ms\"",
        until.to_str().unwrap()
    );
    let shop = shop("hangs", SOON, &backend);
    shop.send(40);
    let sums = shop.end();
    std::fs::write(until, "").unwrap();
    assert_eq!(sums.values().sum::<u64>(), 40, "{sums:?}");
    let told = shop.log.with(Level::Warn, "backend `hangs`: did not shut down in time; ");
    assert!(told.is_empty() || told[0].contains("spans that were left are lost"), "{told:?}");
}

#[test]
fn what_a_file_that_cannot_be_written_loses_is_in_the_sum() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone/spans.jsonl");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let backend = format!(
        "plugin = \"file\"\nconfig = {{ path = {:?} }}\nretry = {{ initial = \"10ms\", max = \"20ms\", max_elapsed = \"300ms\" }}",
        path.to_str().unwrap()
    );
    let shop = shop("file", SOON, &backend);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    shop.send_and_settle(60);
    let arrived = std::fs::read_to_string(&path).map_or(0, |text| text.matches("\"spanId\"").count());
    let sums = shop.end();
    assert_eq!(sums.values().sum::<u64>(), 60 - arrived as u64, "{sums:?}");
}

#[test]
fn spans_too_large_for_a_packet_are_in_the_sum() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = format!(
        "plugin = \"jaeger\"\nconfig = {{ transport = \"thrift_udp\", endpoint = \"{}\", max_packet_size = 1500 }}",
        jaeger.agent_endpoint()
    );
    let shop = shop("udp", SOON, &backend);
    let tracer = shop.resolver.tracer_provider("shop udp").unwrap().tracer("test");
    for number in 0..30 {
        let mut span = tracer.start("work");
        if number % 3 == 0 {
            span.set_attribute(opentelemetry::KeyValue::new("large", "x".repeat(3_000)));
        }
        span.end();
    }
    assert!(shop.resolver.flush(LIMIT));
    assert_eq!(jaeger.wait_for(20, LIMIT).len(), 20);
    assert_eq!(shop.end(), only("rejected", 10));
}

#[test]
fn more_spans_of_the_application_s_than_there_is_room_for_are_in_the_sum() {
    let collector = OtlpReceiver::start().unwrap();
    let shop = shop("own", "", &otlp(&collector));
    let tracer = shop.resolver.tracer_provider("shop own").unwrap().tracer("test");
    for number in 0..8 {
        let mut span = tracer.start("work");
        if number < 3 {
            // There is room for 16 MiB of them.
            span.set_attribute(opentelemetry::KeyValue::new("large", "x".repeat(17 << 20)));
        }
        span.end();
    }
    assert!(shop.resolver.flush(LIMIT));
    assert_eq!((shop.end(), collector.spans().len()), (only("buffer_full", 3), 5));
}

#[test]
fn spans_of_a_service_whose_backend_could_not_be_created_are_in_the_sum() {
    let shop = shop("none", SOON, "plugin = \"there-is-no-such-plugin\"\nconfig = {}");
    assert!(shop.resolver.report().has_errors());
    shop.send(25);
    shop.resolver.flush(LIMIT);
    assert_eq!(shop.end(), only("no_backend", 25));
    let backend = shop.resolver.stats().backends[0].clone();
    assert_eq!((backend.state, backend.services[0].dropped_total()), (BackendState::OutOfService, 25));
}

#[test]
fn what_comes_after_the_end_is_told_by_the_next_sum_and_nothing_twice() {
    let collector = OtlpReceiver::start().unwrap();
    let shop = shop("late", SOON, &otlp(&collector));
    shop.send(30);
    assert_eq!(shop.end(), BTreeMap::new());
    assert_eq!(shop.log.with(Level::Info, "30 to backend `late`").len(), 1);
    shop.send(20);
    assert_eq!(shop.end(), only("shut_down", 20));
    assert_eq!(shop.end(), only("shut_down", 20), "said before");
}

#[test]
fn what_is_sampled_out_is_said_and_is_no_loss() {
    let collector = OtlpReceiver::start().unwrap();
    let shop = shop("sampled", "sampler = \"always_off\"", &otlp(&collector));
    shop.send(12);
    assert_eq!((shop.end(), shop.resolver.stats().services[0].sampled_out), (BTreeMap::new(), 12));
    let said = shop.log.with(Level::Info, "service `shop sampled`: 12 spans were not recorded");
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn the_end_of_a_process_says_the_sum_on_stderr_and_so_does_that_of_its_fork() {
    let test = "the_end_of_a_process_says_the_sum_on_stderr_and_so_does_that_of_its_fork";
    if let Some(resolver) = child::resolver() {
        let config = traced_by(&resolver, child::kafka());
        flow(&config.create().unwrap(), 30);
        // SAFETY: the child goes on with this thread alone, which is what librdkafka and the allocator of glibc allow.
        let fork = unsafe { libc::fork() };
        if fork == 0 {
            let before = resolver.stats();
            let counted =
                before.services[0].spans + before.backends[0].services.iter().map(|of| of.offered).sum::<u64>();
            assert_eq!(counted, 0, "a fork begins at zero");
            flow(&config.create().unwrap(), 7);
            // SAFETY: ends the child, with its handlers.
            unsafe { libc::exit(0) };
        }
        let mut status = 0;
        // SAFETY: our own child, and a place for its status.
        unsafe { libc::waitpid(fork, &raw mut status, 0) };
        assert_eq!(status, 0);
        return;
    }
    let mut traced = Traced::start(&["orders"], "[services.app]\ntopics = [\"*\"]");
    traced.collector.stop();
    let ended = run(&mut traced.again(test));
    ended.expect_success();
    let said: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.contains(" of service `app` ") && line.contains(" were lost: "))
        .collect();
    assert!(said.iter().any(|line| line.contains("30 of 30 spans")), "{}", ended.stderr);
    assert!(said.iter().any(|line| line.contains("7 of 7 spans")), "{}", ended.stderr);
    assert_eq!(said.len(), 2, "{}", ended.stderr);
}

#[test]
fn messages_that_nobody_has_acknowledged_at_the_end_are_counted_and_told_there() {
    let test = "messages_that_nobody_has_acknowledged_at_the_end_are_counted_and_told_there";
    if let Some(resolver) = child::resolver() {
        let mut config = traced_by(&resolver, child::kafka());
        let unacknowledged = || resolver.stats().services[0].unacknowledged;
        let producer: BaseProducer = config.create().unwrap();
        flow(&producer, 5);
        assert_eq!(unacknowledged(), 0, "all five were");
        config.set("bootstrap.servers", "127.0.0.1:9");
        let producer: BaseProducer = config.create().unwrap();
        for _ in 0..3 {
            assert!(producer.send(BaseRecord::<str, str>::to("orders").payload("p")).is_ok());
        }
        assert_eq!(unacknowledged(), 3);
        // Dropped it would give the messages up, and say so.
        std::mem::forget(producer);
        return;
    }
    let traced = Traced::start(&["orders"], "[services.app]\ntopics = [\"*\"]");
    let ended = run(&mut traced.again(test));
    ended.expect_success();
    let told = "WARN: service `app`: 3 messages have no span, because librdkafka has not said";
    assert_eq!(ended.stderr.matches(told).count(), 1, "{}", ended.stderr);
}

const FOREIGN: &str = "[services.shop]\ntopics = [\"*\"]\n";

/// What `tests/python/PROGRAM` said, whose collector takes nothing.
fn lost(way_in: WayIn, program: &[&str]) -> Option<String> {
    let mut traced = Traced::start(&["orders", "parent", "child"], FOREIGN);
    traced.collector.stop();
    let mut command: Command = traced.command(way_in, python()?);
    command.arg(format!("tests/python/{}", program[0])).args(&program[1..]);
    let ended = run(&mut command);
    Some(ended.stderr)
}

#[test]
fn both_ways_in_say_the_sum_at_the_end_of_a_program_and_of_each_of_its_workers() {
    for way_in in WayIn::EACH {
        let Some(stderr) = lost(way_in, &["endings.py", "close"]) else { return };
        assert_eq!(sums(&stderr, "otlp").values().sum::<u64>(), 110, "{way_in:?}: {stderr}");
        for way in ["multiprocessing", "fork"] {
            let Some(stderr) = lost(way_in, &["workers.py", way]) else { return };
            // Twenty of the parent's, and ten of each worker's, whose end is not seen by property: what waits there is said
            // when the worker closes its client.
            let waits = stderr.matches("10 spans still wait, and are lost if this process ends now").count() as u64;
            let lost = sums(&stderr, "otlp").values().sum::<u64>();
            assert!(way_in == WayIn::Preload || waits == 3, "{way_in:?} {way}: {stderr}");
            let told = if way_in == WayIn::Preload { lost } else { lost + 10 * waits };
            assert_eq!(told, 50, "{way_in:?} {way}: {stderr}");
        }
    }
}

/// Without `is_full` in `resolver/src/interceptor/declared.rs` nobody says why no message has a processing any more.
#[test]
fn processings_that_nobody_ends_are_told_of_once_there_is_no_room_for_more() {
    if words::is_child() {
        let log = LogLines::start();
        let _resolver = Resolver::global().unwrap();
        let place = |offset| MessagePlace { topic: "orders", partition: 0, offset };
        let begun = (0..100_003).filter(|offset| declared::begin(place(*offset), None, None, 0) != 0).count();
        assert_eq!(begun, 100_000);
        let told = || log.with(Level::Warn, "100000 processings of messages were begun and not ended").len();
        let until = Instant::now() + LIMIT;
        while told() == 0 {
            assert!(Instant::now() < until, "it is not told");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(told(), 1);
        return;
    }
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"");
    run(&mut traced.again("processings_that_nobody_ends_are_told_of_once_there_is_no_room_for_more")).expect_success();
}
