//! Promise: where more comes than a backend takes, whole traces do not begin instead of batches being lost: every trace
//! that arrives is whole, those that arrive say for how many they stand, and all that is left out is counted and told.
//!
//! ```sh
//! export TRACER_RESOLVER_TEST_CHILD=1 SHED_TRACES=400000
//! cargo test --release --test sheds_whole_traces -- --nocapture at_ten_times
//! ```
//!
//! has so many traces that the reckoned number is told within two percent; in this process, so without a limit of time.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a test may fail loudly, and says what it has reckoned")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::Level;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tracer_resolver::interceptor::{MessagePlace, declared};
use tracer_resolver::{Resolver, ServiceStats};
use tracer_resolver_rdkafka::Processing;
use tracer_resolver_rdkafka::tell_if_refused;
use words::kafka::{Kafka, assign, header_of};
use words::receivers::ReceivedSpan;
use words::{LIMIT, LogLines, Traced, child, counters, run, traced_by};

/// A small queue, which takes a second or so to fill.
const SMALL: &str = "queue_bytes = \"4MiB\"\nconcurrency = 1\n[batch]\ndelay = \"20ms\"\nmax_bytes = \"16KiB\"\n";

/// Traces that have begun and not ended: their spans are still to come.
const IN_FLIGHT: u64 = 200;

/// Whether this is the process in which the test called `test` is alone; else that one is run, and must end well. What is
/// shed is the whole process's.
fn is_alone(test: &str) -> bool {
    if !child::is_child() {
        let ended = run(&mut child::child(test));
        ended.expect_success();
        print!("{}", ended.stdout);
    }
    child::is_child()
}

fn order() -> BaseRecord<'static, str, str> {
    BaseRecord::to("orders").key("k").payload("p")
}

/// As many traces as its `th` says that a span stands for; `None` where it has none.
fn weight(span: &ReceivedSpan) -> Option<f64> {
    let th = span.trace_state.strip_prefix("ot=th:")?;
    let threshold = u64::from_str_radix(&format!("{th:0<14}"), 16).unwrap();
    Some((1_u64 << 56) as f64 / ((1_u64 << 56) - threshold) as f64)
}

/// The next message, whatever the others do meanwhile.
fn poll(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    let until = Instant::now() + LIMIT;
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(message) => return message.unwrap(),
            None => assert!(Instant::now() < until, "nothing came"),
        }
    }
}

/// Sends orders until fewer traces begin, and gives how many were sent. The collector must not take anything.
fn fill(resolver: &Resolver, producer: &BaseProducer) -> u64 {
    let (mut sent, before) = (0, counters(resolver));
    while counters(resolver).shed == before.shed {
        for _ in 0..500 {
            assert!(producer.send(order()).is_ok());
        }
        producer.flush(LIMIT).unwrap();
        sent += 500;
        assert!(sent < 200_000, "{:?}", resolver.stats());
    }
    all_counted(resolver, &before, sent);
    sent
}

/// Waits until so many traces, of one span each, that have ended since `before`, are in batches or shed, and each once.
fn all_counted(resolver: &Resolver, before: &ServiceStats, traces: u64) {
    let counted = || {
        let now = counters(resolver);
        now.spans - before.spans + now.shed - before.shed
    };
    let until = Instant::now() + LIMIT;
    while counted() < traces {
        assert!(Instant::now() < until, "{traces}: {:?}", resolver.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(counted(), traces, "{:?}", resolver.stats());
}

/// Sends so many orders to brokers that are not there.
fn fail(traced: &Traced, orders: usize) {
    let mut config = traced.config(None);
    config.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "300");
    let cut_off: BaseProducer = config.create().unwrap();
    for _ in 0..orders {
        assert!(cut_off.send(order()).is_ok());
    }
    cut_off.flush(LIMIT).unwrap();
}

#[test]
fn at_ten_times_what_a_collector_takes_every_trace_that_arrives_is_whole_and_says_for_how_many_it_stands() {
    if !is_alone(
        "at_ten_times_what_a_collector_takes_every_trace_that_arrives_is_whole_and_says_for_how_many_it_stands",
    ) {
        return;
    }
    let count: u64 = std::env::var("SHED_TRACES").map_or(16_000, |count| count.parse().unwrap());
    let log = LogLines::start();
    let services = "[services.shop]\nproduces = [\"orders\"]\n[services.billing]\nconsumes = [\"orders\"]\n\
                    produces = [\"payments\"]\n[services.shipping]\nconsumes = [\"payments\"]\n[backends.otlp]\n";
    // Its last quarter has room for the spans of a thousand traces, on a machine that is busy with other things.
    let queue = SMALL.replace("4MiB", "8MiB");
    let traced = Traced::start(&["orders", "payments"], &format!("{services}{queue}"));
    // 39 spans of 16 KiB in 50 ms.
    traced.collector.respond_after(Duration::from_millis(50));
    let producer = traced.producer();
    let mut config = traced.config(Some("billing"));
    config.set("fetch.wait.max.ms", "10");
    let (orders, payments) = (assign(&config, "orders"), assign(&config, "payments"));
    let started = Instant::now();
    // Taken away as they come: to copy all of them again and again takes longer than all the rest.
    let mut spans: Vec<ReceivedSpan> = Vec::new();
    for round in 0..count / IN_FLIGHT {
        // Ten traces begin while the collector takes the spans of one, but for the first two thousand.
        let taken = (round * IN_FLIGHT).saturating_sub(2_000) * 4 / 10;
        traced.collector.wait_for(usize::try_from(taken).unwrap().saturating_sub(spans.len()), LIMIT);
        spans.append(&mut traced.collector.take_spans());
        for _ in 0..IN_FLIGHT {
            assert!(producer.send(order()).is_ok());
        }
        producer.poll(Duration::ZERO);
        for _ in 0..IN_FLIGHT {
            let _processing = Processing::start_for(traced.resolver(), None, &poll(&orders));
            assert!(producer.send(BaseRecord::<str, str>::to("payments").key("k").payload("p")).is_ok());
        }
        producer.poll(Duration::ZERO);
        for _ in 0..IN_FLIGHT {
            drop(Processing::start_for(traced.resolver(), None, &poll(&payments)));
        }
    }
    producer.flush(LIMIT).unwrap();
    let (took, there) = (started.elapsed(), spans.len());
    // Enough was too much: the rest may leave soon.
    traced.collector.respond_after(Duration::ZERO);
    spans.append(&mut traced.spans());
    traced.collector.take_spans();
    let stats = traced.resolver().stats();
    let lost: u64 = stats.backends[0].services.iter().map(|of| of.dropped_total()).sum();
    assert_eq!((lost, stats.services[0].dropped_buffer_full), (0, 0), "{stats:?}");
    let mut traces: HashMap<&str, Vec<&ReceivedSpan>> = HashMap::new();
    spans.iter().for_each(|span| traces.entry(&span.trace_id).or_default().push(span));
    let whole = ["process orders", "process payments", "send orders", "send payments"];
    let mut reckoned = 0.0;
    let mut variance = 0.0;
    for (id, spans) in &traces {
        let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, whole, "{id}");
        let weights: Vec<_> = spans.iter().map(|span| weight(span).unwrap_or(1.0)).collect();
        assert!(weights.iter().all(|weight| *weight == weights[0]), "all services say the same: {id} {weights:?}");
        reckoned += weights[0];
        variance += weights[0] * (weights[0] - 1.0);
    }
    let shed: u64 = stats.services.iter().map(|of| of.shed).sum();
    assert_eq!(shed + traces.len() as u64, count, "what has not begun is counted: {stats:?}");
    let error = reckoned / count as f64 - 1.0;
    println!(
        "{count} traces begun in {took:?}, {there} spans taken meanwhile; {} arrived, all whole; reckoned {reckoned:.0}, {:+.2} % \
         off, a standard error of {:.2} %",
        traces.len(),
        error * 100.0,
        variance.sqrt() / count as f64 * 100.0
    );
    assert!(traces.len() as u64 * 2 < count, "too little was too much");
    assert!((reckoned - count as f64).abs() < 4.0 * variance.sqrt(), "{error}");
    assert!(count < 400_000 || error.abs() < 0.02, "{error}");
    let until = Instant::now() + LIMIT;
    while log.with(Level::Info, "all new traces begin again").is_empty() {
        assert!(Instant::now() < until, "that it is over is told");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(log.with(Level::Warn, "takes fewer spans than come").len(), 1);
    assert_eq!(stats.backends[0].share_of_traces, 1.0);
    // And so they do.
    assert!(producer.send(order()).is_ok());
    producer.flush(LIMIT).unwrap();
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn another_process_continues_what_began_says_the_same_and_has_nothing_of_what_did_not() {
    if !is_alone("another_process_continues_what_began_says_the_same_and_has_nothing_of_what_did_not") {
        return;
    }
    let upstream =
        Traced::start(&["orders"], &format!("[services.shop]\nproduces = [\"*\"]\n[backends.otlp]\n{SMALL}"));
    upstream.collector.respond_after(Duration::from_secs(3600));
    let producer = upstream.producer();
    let mut sent = fill(upstream.resolver(), &producer);
    for _ in 0..500 {
        assert!(producer.send(order()).is_ok());
        sent += 1;
    }
    producer.flush(LIMIT).unwrap();
    // Another resolver of its own, whose parents are remote to it, as they are in another process.
    let downstream =
        Traced::on(std::rc::Rc::clone(&upstream.kafka), "[services.billing]\nconsumes = [\"*\"]\n[backends.otlp]\n");
    let consumer = downstream.consumer("orders");
    let mut begun = HashMap::new();
    for _ in 0..sent {
        let message = poll(&consumer);
        let parent = header_of(&message, "traceparent").unwrap();
        if parent.ends_with("-01") {
            begun.insert(parent[3..35].to_owned(), header_of(&message, "tracestate").unwrap_or_default());
        }
        drop(Processing::start_for(downstream.resolver(), None, &message));
    }
    let spans = downstream.spans();
    let seen: HashMap<_, _> = spans.iter().map(|span| (span.trace_id.clone(), span.trace_state.clone())).collect();
    assert_eq!(seen, begun);
    assert!(seen.values().any(|state| state.starts_with("ot=th:")), "some began under pressure");
    assert_eq!(upstream.counters().shed + begun.len() as u64, sent);
    assert_eq!(downstream.counters().shed, 0, "what others began is theirs to shed");
}

#[test]
fn a_send_that_fails_is_seen_although_its_trace_was_shed() {
    if !is_alone("a_send_that_fails_is_seen_although_its_trace_was_shed") {
        return;
    }
    let traced = Traced::start(&["orders"], &format!("[services.shop]\nproduces = [\"*\"]\n[backends.otlp]\n{SMALL}"));
    traced.collector.respond_after(Duration::from_secs(3600));
    let producer = traced.producer();
    fill(traced.resolver(), &producer);
    let (before, shed) = (traced.counters().spans, traced.counters().shed);
    fail(&traced, 200);
    let shed_of_them = traced.counters().shed - shed;
    assert!(shed_of_them > 0, "some of them are shed");
    let status: serde_json::Value = serde_json::from_str(&traced.resolver().status()).unwrap();
    let (share, threshold) = (&status["new_traces"]["share"], &status["new_traces"]["threshold"]);
    let threshold = u64::from_str_radix(&format!("{:0<14}", threshold.as_str().unwrap()), 16).unwrap();
    assert_eq!(share.as_f64().unwrap(), 1.0 - threshold as f64 / (1_u64 << 56) as f64, "{status}");
    assert!(share.as_f64().unwrap() < 1.0 && status["services"][0]["shed"].as_u64().unwrap() > shed);
    traced.collector.respond_after(Duration::ZERO);
    traced.resolver().flush(Duration::from_secs(1));
    assert_eq!(traced.counters().spans - before, 200, "{:?}", traced.resolver().stats());
    let spans = traced.spans();
    let alone = spans.iter().filter(|span| span.status_code == "error" && span.trace_state == "ot=th:0").count();
    assert_eq!(alone as u64, shed_of_them, "they stand for themselves alone");
}

#[test]
fn a_send_that_the_client_refuses_is_seen_although_its_trace_was_shed() {
    if !is_alone("a_send_that_the_client_refuses_is_seen_although_its_trace_was_shed") {
        return;
    }
    let traced = Traced::start(&["orders"], &format!("[services.shop]\nproduces = [\"*\"]\n[backends.otlp]\n{SMALL}"));
    traced.collector.respond_after(Duration::from_secs(3600));
    let producer = traced.producer();
    // Until most traces are shed.
    let mut sent = fill(traced.resolver(), &producer);
    while traced.counters().shed < sent / 3 {
        sent += fill(traced.resolver(), &producer);
    }
    let (before, shed) = (traced.counters().spans, traced.counters().shed);
    let large = "p".repeat(2_000_000);
    for _ in 0..REFUSED {
        assert!(tell_if_refused(&producer, BaseProducer::send, order().payload(&large)).is_err());
    }
    let shed_of_them = traced.counters().shed - shed;
    traced.collector.respond_after(Duration::ZERO);
    traced.resolver().flush(Duration::from_secs(1));
    assert_eq!(traced.counters().spans - before, REFUSED, "{:?}", traced.resolver().stats());
    let spans = traced.spans();
    let alone = spans.iter().filter(|span| span.status_code == "error" && span.trace_state == "ot=th:0").count() as u64;
    assert!(alone == shed_of_them && alone > 0, "{alone} of {shed_of_them} stand for themselves alone");
}

/// As many as have a span in one second.
const REFUSED: u64 = 10;

/// Where parents are ignored there is a parent, and the trace may be shed all the same.
#[test]
fn a_send_that_fails_below_another_span_is_not_seen_where_its_trace_was_shed() {
    if !is_alone("a_send_that_fails_below_another_span_is_not_seen_where_its_trace_was_shed") {
        return;
    }
    let services = "[services.shop]\nproduces = [\"*\"]\nparent = \"ignore\"\n[backends.otlp]\n";
    let traced = Traced::start(&["orders"], &format!("{services}{SMALL}"));
    traced.collector.respond_after(Duration::from_secs(3600));
    let producer = traced.producer();
    fill(traced.resolver(), &producer);
    let shed = traced.counters().shed;
    // No randomness is less than this one, and none is greater than the other.
    for (randomness, is_shed) in [("00000000000000", true), ("ffffffffffffff", false)] {
        let state: TraceState = format!("ot=rv:{randomness}").parse().unwrap();
        let trace = TraceId::from(u128::from(is_shed) + 1);
        let parent = SpanContext::new(trace, SpanId::from(9_u64), TraceFlags::SAMPLED, true, state);
        let _current = Context::new().with_remote_span_context(parent).attach();
        fail(&traced, 1);
        assert!(tell_if_refused(&producer, BaseProducer::send, order().payload(&"p".repeat(2_000_000))).is_err());
    }
    assert_eq!(traced.counters().shed - shed, 2);
    traced.collector.respond_after(Duration::ZERO);
    let of = |spans: &[ReceivedSpan], trace: u128| {
        let of_it = spans.iter().filter(|span| span.trace_id == format!("{trace:032x}"));
        of_it.map(|span| span.status_code.clone()).collect::<Vec<_>>()
    };
    let spans = traced.spans();
    assert_eq!(of(&spans, 1), ["error", "error"], "what has begun is seen");
    assert!(of(&spans, 2).is_empty(), "they would be parts of a trace without the rest");
}

#[test]
fn what_the_application_would_have_begun_itself_is_counted_too() {
    if !is_alone("what_the_application_would_have_begun_itself_is_counted_too") {
        return;
    }
    let traced = Traced::start(&["orders"], &format!("[services.shop]\nproduces = [\"*\"]\n[backends.otlp]\n{SMALL}"));
    traced.collector.respond_after(Duration::from_secs(3600));
    fill(traced.resolver(), &traced.producer());
    let shed = traced.counters().shed;
    let tracer = traced.resolver().tracer_provider("shop").unwrap().tracer("web");
    for _ in 0..BEGUN {
        // What is below one that does not begin is no other trace.
        tracer.in_span("request", |_| tracer.in_span("work", |_| ()));
    }
    let shed = traced.counters().shed - shed;
    traced.collector.respond_after(Duration::ZERO);
    let spans = traced.spans();
    let kept = |name: &str| spans.iter().filter(|span| span.name == name).count() as u64;
    assert!(shed > 0 && kept("request") == kept("work"));
    assert_eq!(shed + kept("request"), BEGUN);
}

/// So many that some of them are shed, however few are.
const BEGUN: u64 = 2_000;

#[test]
fn what_a_commit_of_several_messages_would_have_begun_is_counted_too() {
    if !is_alone("what_a_commit_of_several_messages_would_have_begun_is_counted_too") {
        return;
    }
    let services = "[services.shop]\ntopics = [\"*\"]\ncommit_spans = true\n[backends.otlp]\n";
    let traced = Traced::start(&["orders"], &format!("{services}{SMALL}"));
    traced.collector.respond_after(Duration::from_secs(3600));
    fill(traced.resolver(), &traced.producer());
    let (consumer, shed) = (traced.consumer("orders"), traced.counters().shed);
    let mut commits = 0;
    while traced.counters().shed == shed {
        (0..2).for_each(|_| drop(poll(&consumer)));
        commits += 1;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("orders", 0, Offset::Offset(2 * commits)).unwrap();
        consumer.commit(&offsets, CommitMode::Sync).unwrap();
    }
    let shed = traced.counters().shed - shed;
    traced.collector.respond_after(Duration::ZERO);
    let seen = traced.spans().iter().filter(|span| span.name == "commit orders").count();
    assert_eq!((seen as i64, shed), (commits - 1, 1));
}

const CALLS: &str = "what_a_call_for_several_messages_would_have_begun_is_counted_too";

#[test]
fn what_a_call_for_several_messages_would_have_begun_is_counted_too() {
    if !child::is_child() {
        let services = "[services.shop]\ntopics = [\"*\"]\nrelation = \"batch\"\n[backends.otlp]\n";
        let traced = Traced::start(&["orders"], &format!("{services}{SMALL}"));
        traced.collector.respond_after(Duration::from_secs(3600));
        run(&mut traced.again(CALLS)).expect_success();
        return;
    }
    let mut config = child::kafka();
    tracer_resolver_rdkafka::instrument(&mut config).unwrap();
    let resolver = Resolver::global().unwrap();
    declared::declare();
    fill(resolver, &config.create().unwrap());
    let before = counters(resolver);
    for offset in 0..BEGUN {
        // Its own span is not there any more.
        let place = MessagePlace { topic: "orders", partition: 0, offset: i64::try_from(offset).unwrap() };
        declared::hand_over([(place, None)].into_iter());
    }
    assert!(counters(resolver).shed > before.shed);
    all_counted(resolver, &before, BEGUN);
}

#[test]
fn a_send_that_fails_is_not_seen_whose_trace_the_sampler_does_not_keep() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\nsampler = \"always_off\"\n");
    fail(&traced, 20);
    assert_eq!(traced.spans(), []);
}

#[test]
fn a_backend_that_takes_nothing_sheds_nothing_of_what_another_takes() {
    if !is_alone("a_backend_that_takes_nothing_sheds_nothing_of_what_another_takes") {
        return;
    }
    let file = "[services.shop]\nproduces = [\"*\"]\nexport = [\"otlp\", \"dead\"]\n[backends.otlp]\n[backends.dead]\nplugin = \"otlp\"\n\
         config = { endpoint = \"http://127.0.0.1:1\" }\nqueue_bytes = \"1MiB\"\n[batch]\ndelay = \"20ms\"\nmax_bytes = \"16KiB\"\n";
    let traced = Traced::start(&["orders"], file);
    let producer = traced.producer();
    for _ in 0..40 {
        for _ in 0..250 {
            assert!(producer.send(order()).is_ok());
        }
        producer.flush(LIMIT).unwrap();
    }
    let spans = traced.collector.wait_for(10_000, LIMIT);
    let stats = traced.resolver().stats();
    assert_eq!((spans.len(), stats.services[0].shed), (10_000, 0), "{stats:?}");
    let dead = stats.backends.iter().find(|of| of.name == "dead").unwrap();
    assert!(dead.services[0].dropped_total() > 0 && dead.share_of_traces < 1.0, "{stats:?}");
}

#[test]
fn where_the_file_says_so_batches_are_dropped_and_all_traces_begin() {
    if !is_alone("where_the_file_says_so_batches_are_dropped_and_all_traces_begin") {
        return;
    }
    let file = format!("[services.shop]\nproduces = [\"*\"]\n[backends.otlp]\nshed_traces = false\n{SMALL}");
    let traced = Traced::start(&["orders"], &file);
    traced.collector.respond_after(Duration::from_secs(3600));
    let producer = traced.producer();
    for _ in 0..60 {
        for _ in 0..250 {
            assert!(producer.send(order()).is_ok());
        }
        producer.flush(LIMIT).unwrap();
    }
    let stats = traced.resolver().stats();
    assert_eq!((stats.services[0].shed, stats.services[0].sampled_out, stats.services[0].spans), (0, 0, 15_000));
    assert!(stats.backends[0].services[0].dropped_total() > 0, "{stats:?}");
}

/// The queue that was full is its parent's.
#[test]
fn a_fork_s_child_sheds_nothing_yet() {
    if !is_alone("a_fork_s_child_sheds_nothing_yet") {
        return;
    }
    let traced = Traced::start(&["orders"], &format!("[services.shop]\nproduces = [\"*\"]\n[backends.otlp]\n{SMALL}"));
    traced.collector.respond_after(Duration::from_secs(3600));
    fill(traced.resolver(), &traced.producer());
    let kafka = Kafka::start(&["orders"]);
    let mut config = kafka.config();
    // SAFETY: the child makes clients of its own, uses nothing that another thread may have locked, and ends without destructors.
    let child = unsafe { libc::fork() };
    if child == 0 {
        config.set("message.timeout.ms", "10000");
        let producer: BaseProducer = traced_by(traced.resolver(), config).create().unwrap();
        (0..500).for_each(|_| producer.send(order()).unwrap());
        let arrived = producer.flush(LIMIT).is_ok();
        let is_right = arrived && traced.counters().shed == 0;
        // SAFETY: ends this process.
        unsafe { libc::_exit(if is_right { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}
