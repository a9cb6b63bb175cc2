//! Promise: whatever a backend does, messages flow as fast as ever, the other backends get every span, the counters say
//! where each one went, and the end comes in time.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::process::Command;
use std::thread::Builder;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver::{BackendServiceStats, BackendState, DropReason, Resolver};
use words::receivers::{OtlpReceiver, Reply};
use words::{LIMIT, Traced, child, run, send};

/// Two backends for one service: `otlp`, which stays well, and `other`, which does not.
fn traced(other: &str) -> Traced {
    traced_with("other", other)
}

/// The same, with another name: the plugin that misbehaves remembers what each backend has done.
fn traced_with(name: &str, other: &str) -> Traced {
    Traced::start(
        &["orders"],
        &format!(
            r#"
            [services.shop]
            produces = ["*"]
            export = ["otlp", "{name}"]
            [batch]
            delay = "20ms"
            [backends.{name}]
            {other}
            retry = {{ initial = "20ms", max = "100ms", max_elapsed = "500ms" }}
            "#
        ),
    )
}

fn otlp(receiver: &OtlpReceiver) -> String {
    format!("plugin = \"otlp\"\nconfig = {{ endpoint = \"{}\" }}\ntimeout = \"1s\"", receiver.endpoint())
}

/// Sends so many and waits until all are acknowledged; how long that took.
fn flow(producer: &BaseProducer, count: usize) -> Duration {
    let started = Instant::now();
    for _ in 0..count {
        assert!(producer.send(BaseRecord::to("orders").key("k").payload("p")).is_ok());
    }
    producer.flush(LIMIT).unwrap();
    assert_eq!(producer.in_flight_count(), 0, "all acknowledged");
    started.elapsed()
}

/// What was counted for the only service at this backend; panics when it does not add up.
fn counted(resolver: &Resolver, backend: &str) -> (BackendServiceStats, BackendState) {
    let stats = resolver.stats();
    let backend = stats.backends.iter().find(|of| of.name == backend).unwrap();
    let spans = backend.services[0].clone();
    assert_eq!(
        spans.offered,
        spans.exported + spans.rejected + spans.dropped_total() + spans.waiting,
        "every span is somewhere: {spans:?}"
    );
    (spans, backend.state)
}

/// Waits until nothing waits at this backend.
fn settled(resolver: &Resolver, backend: &str) -> (BackendServiceStats, BackendState) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (spans, state) = counted(resolver, backend);
        if spans.waiting == 0 || Instant::now() > until {
            return (spans, state);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The healthy backend has all of them, each once.
fn all_arrived(traced: &Traced, count: usize) {
    let spans = traced.collector.wait_for(count, LIMIT);
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!((spans.len(), ids.len()), (count, count));
    let (spans, state) = settled(traced.resolver(), "otlp");
    assert_eq!((spans.offered, spans.exported, state), (count as u64, count as u64, BackendState::Healthy));
}

#[test]
fn a_receiver_that_is_killed_in_the_middle_slows_nothing_and_is_seen_in_the_counters() {
    let mut other = OtlpReceiver::start().unwrap();
    let traced = traced(&otlp(&other));
    let producer = traced.producer();
    let before = flow(&producer, 1_000);
    assert!(traced.resolver().flush(LIMIT), "the answer has come too");
    assert_eq!(other.spans().len(), 1_000);
    other.stop();
    let after = flow(&producer, 1_000);
    assert!(after < before * 5 + Duration::from_secs(1), "{before:?}, and then {after:?}");
    all_arrived(&traced, 2_000);
    std::thread::sleep(Duration::from_millis(700));
    let (spans, state) = settled(traced.resolver(), "other");
    assert_eq!((spans.offered, spans.exported), (2_000, 1_000), "{spans:?}");
    assert_eq!(spans.dropped, [(DropReason::RetriesExhausted, 1_000)]);
    assert_eq!(state, BackendState::Retrying);
}

#[test]
fn a_receiver_that_comes_back_gets_what_still_waits_and_what_comes() {
    let mut other = OtlpReceiver::start().unwrap();
    let port = other.server().address().port();
    let settings = otlp(&other);
    let traced = Traced::start(
        &["orders"],
        &format!(
            "[services.shop]\nproduces = [\"*\"]\nexport = [\"other\"]\n[batch]\ndelay = \"20ms\"\n[backends.other]\n{settings}\n\
             retry = {{ initial = \"20ms\", max = \"100ms\", max_elapsed = \"1m\" }}\n"
        ),
    );
    let producer = traced.producer();
    flow(&producer, 100);
    assert!(traced.resolver().flush(LIMIT), "the answer has come too");
    assert_eq!(other.spans().len(), 100);
    other.stop();
    flow(&producer, 100);
    std::thread::sleep(Duration::from_millis(200));
    let back = OtlpReceiver::start_on(port).unwrap();
    flow(&producer, 100);
    assert_eq!(back.wait_for(200, LIMIT).len(), 200, "nothing was lost meanwhile");
    let (spans, state) = settled(traced.resolver(), "other");
    assert_eq!((spans.exported, spans.dropped_total(), state), (300, 0, BackendState::Healthy));
    assert!(traced.resolver().stats().backends.iter().any(|of| of.retries > 0));
}

#[test]
fn a_slow_receiver_keeps_nobody_waiting_but_its_own_queue() {
    let other = OtlpReceiver::start().unwrap();
    other.respond_after(Duration::from_millis(400));
    let traced = traced(&otlp(&other));
    let producer = traced.producer();
    let took = flow(&producer, 2_000);
    let started = Instant::now();
    all_arrived(&traced, 2_000);
    assert!(took + started.elapsed() < Duration::from_secs(8), "{took:?}, {:?}", started.elapsed());
    let (spans, _) = settled(traced.resolver(), "other");
    assert_eq!(spans.exported + spans.dropped_total(), 2_000, "{spans:?}");
}

#[test]
fn a_server_s_retry_after_is_respected_and_the_batch_arrives_once() {
    let other = OtlpReceiver::start().unwrap();
    other.server().fail_with(Some(Reply::status(503).header("retry-after", "1")));
    let settings = otlp(&other);
    let traced = Traced::start(
        &["orders"],
        &format!(
            "[services.shop]\nproduces = [\"*\"]\nexport = [\"other\"]\n[backends.other]\n{settings}\nretry = {{ initial = \"1ms\", max = \"5ms\" }}\n"
        ),
    );
    let producer = traced.producer();
    flow(&producer, 100);
    assert!(!traced.resolver().flush(Duration::from_millis(500)), "it has not taken them yet");
    let asked = other.server().requests().len();
    assert!((1..=2).contains(&asked), "not every 5 ms, as our own pauses would be: {asked}");
    other.fail_with(200);
    assert_eq!(other.wait_for(100, LIMIT).len(), 100);
    assert_eq!(settled(traced.resolver(), "other").0.exported, 100);
}

/// The user is made, or the right is given, after the program has started.
#[test]
fn a_server_that_lets_us_in_later_gets_what_waits() {
    for status in [401, 403] {
        let other = OtlpReceiver::start().unwrap();
        other.fail_with(status);
        let settings = otlp(&other);
        let traced = Traced::start(
            &["orders"],
            &format!("[services.shop]\nproduces = [\"*\"]\nexport = [\"other\"]\n[backends.other]\n{settings}\n"),
        );
        flow(&traced.producer(), 100);
        assert!(!traced.resolver().flush(Duration::from_millis(500)), "{status}: it has not taken them yet");
        let (spans, state) = counted(traced.resolver(), "other");
        assert_eq!((spans.waiting, state), (100, BackendState::Retrying), "{status}: {spans:?}");
        other.fail_with(200);
        assert_eq!(other.wait_for(100, LIMIT).len(), 100, "{status}");
        assert_eq!(settled(traced.resolver(), "other").0.exported, 100, "{status}");
    }
}

#[test]
fn a_server_that_refuses_for_good_is_not_asked_again() {
    let other = OtlpReceiver::start().unwrap();
    other.fail_with(400);
    let traced = traced(&otlp(&other));
    flow(&traced.producer(), 100);
    all_arrived(&traced, 100);
    let (spans, _) = settled(traced.resolver(), "other");
    assert_eq!((spans.exported, spans.dropped.as_slice()), (0, &[(DropReason::Rejected, 100)][..]));
    let stats = traced.resolver().stats();
    assert_eq!(stats.backends.iter().map(|of| of.retries).sum::<u64>(), 0);
}

/// The plugin of `tests/fixtures` that does this at every export.
fn misbehaving(mode: &str) -> String {
    format!("plugin = \"misbehaving\"\nconfig = {{ {mode} }}\ntimeout = \"200ms\"")
}

#[test]
fn a_plugin_that_panics_fails_for_ever_or_talks_nonsense_harms_no_one_else() {
    for mode in ["panic", "fail", "garbage", "reject", "panic_in_create"] {
        let traced = traced_with(mode, &misbehaving(&format!("mode = \"{mode}\"")));
        let producer = traced.producer();
        for _ in 0..5 {
            flow(&producer, 200);
            std::thread::sleep(Duration::from_millis(30));
        }
        all_arrived(&traced, 1_000);
        let (spans, _) = settled(traced.resolver(), mode);
        assert_eq!((spans.offered, spans.exported, spans.dropped_total()), (1_000, 0, 1_000), "{mode}: {spans:?}");
        let started = Instant::now();
        traced.resolver().shutdown(Duration::from_secs(3));
        assert!(started.elapsed() < Duration::from_secs(4), "{mode}: {:?}", started.elapsed());
    }
}

#[test]
fn a_plugin_that_blocks_for_ever_is_called_stuck_and_everything_else_goes_on_and_ends_in_time() {
    let spans = while_blocked("block");
    assert_eq!(spans.exported, 0);
}

/// The contract wants an answer at once. Whoever reads the counters asks no plugin.
#[test]
fn a_plugin_that_never_says_what_it_has_counted_is_called_stuck_and_the_rest_goes_on() {
    let spans = while_blocked("block_in_stats");
    assert!(spans.exported > 0, "what it took before is counted: {spans:?}");
}

/// What was counted at a backend whose plugin does not come back from a call, while the other has everything.
fn while_blocked(mode: &str) -> BackendServiceStats {
    let folder = tempfile::tempdir().unwrap();
    let until = folder.path().join("enough");
    let other = misbehaving(&format!("mode = \"{mode}\", until = {:?}", until.to_str().unwrap()));
    let traced = traced_with(mode, &other);
    let producer = traced.producer();
    flow(&producer, 500);
    all_arrived(&traced, 500);
    let waited = Instant::now();
    while counted(traced.resolver(), mode).1 != BackendState::Stuck {
        assert!(waited.elapsed() < Duration::from_secs(30), "never called stuck");
        std::thread::sleep(Duration::from_millis(50));
    }
    flow(&producer, 500);
    all_arrived(&traced, 1_000);
    let started = Instant::now();
    assert!(!traced.resolver().shutdown(Duration::from_secs(2)), "not everything ended");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let (spans, _) = counted(traced.resolver(), mode);
    assert!(spans.dropped.iter().any(|(reason, lost)| *reason == DropReason::Stuck && *lost > 0), "{spans:?}");
    std::fs::write(until, "").unwrap();
    spans
}

#[test]
fn a_plugin_that_takes_all_but_some_is_counted_so() {
    let traced = traced(&misbehaving("mode = \"partial\""));
    flow(&traced.producer(), 100);
    all_arrived(&traced, 100);
    let (spans, _) = settled(traced.resolver(), "other");
    assert!(spans.rejected > 0 && spans.exported + spans.rejected == 100, "{spans:?}");
}

#[test]
fn a_queue_that_is_full_drops_what_comes_and_says_so() {
    let other = OtlpReceiver::start().unwrap();
    other.fail_with(503);
    let settings = otlp(&other);
    let traced = Traced::start(
        &["orders"],
        &format!(
            "[services.shop]\nproduces = [\"*\"]\nexport = [\"otlp\", \"other\"]\n[batch]\ndelay = \"10ms\"\nmax_bytes = \"16KiB\"\n\
             [backends.other]\n{settings}\nqueue_bytes = \"64KiB\"\n"
        ),
    );
    flow(&traced.producer(), 3_000);
    all_arrived(&traced, 3_000);
    let (spans, state) = counted(traced.resolver(), "other");
    let full = spans.dropped.iter().find(|(reason, _)| *reason == DropReason::QueueFull).map_or(0, |(_, lost)| *lost);
    assert!(full > 1_000 && spans.waiting > 0 && spans.exported == 0, "{spans:?}");
    assert_eq!(state, BackendState::Retrying);
    let started = Instant::now();
    traced.resolver().shutdown(Duration::from_secs(2));
    assert!(started.elapsed() < Duration::from_secs(4));
    let (spans, _) = counted(traced.resolver(), "other");
    assert_eq!((spans.waiting, spans.offered), (0, spans.dropped_total()), "{spans:?}");
}

#[test]
fn after_the_shutdown_messages_still_flow_and_their_spans_are_counted_as_dropped() {
    let traced = traced("plugin = \"misbehaving\"\nconfig = {}");
    let producer = traced.producer();
    flow(&producer, 100);
    assert!(traced.resolver().shutdown(Duration::from_secs(10)));
    all_arrived(&traced, 100);
    flow(&producer, 100);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(traced.collector.spans().len(), 100);
    let (spans, _) = counted(traced.resolver(), "otlp");
    assert_eq!((spans.offered, spans.dropped.as_slice()), (200, &[(DropReason::ShutDown, 100)][..]), "{spans:?}");
    assert!(traced.resolver().shutdown(Duration::from_secs(5)), "the second call does nothing");
}

/// A limit of processes or of memory is reached. In a process of its own, whose memory ends short of one more thread.
#[test]
fn where_the_system_gives_no_more_threads_a_flush_and_the_shutdown_do_their_work_all_the_same() {
    const TEST: &str = "where_the_system_gives_no_more_threads_a_flush_and_the_shutdown_do_their_work_all_the_same";
    if let Some(resolver) = child::resolver() {
        let producer: BaseProducer = words::traced_by(&resolver, child::kafka()).create().unwrap();
        send(&producer, BaseRecord::to("orders").key("k").payload("p"));
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let bytes = 4096 * pages.split(' ').next().unwrap().parse::<u64>().unwrap() + (16 << 20);
        let own = std::process::id().to_string();
        let limited = Command::new("prlimit").args(["--pid", &own, &format!("--as={bytes}")]).status().unwrap();
        assert!(limited.success());
        let mut held = Vec::new();
        while let Ok(thread) = Builder::new().spawn(std::thread::park) {
            held.push(thread);
        }
        let is_well = resolver.flush(LIMIT) && resolver.shutdown(LIMIT);
        std::process::exit(i32::from(!is_well));
    }
    let receiver = OtlpReceiver::start().unwrap();
    let traced = traced(&otlp(&receiver));
    run(&mut traced.again(TEST)).expect_success();
    assert_eq!((traced.spans().len(), receiver.spans().len()), (1, 1));
}
