//! Promise: a process may fork at any time; parent and child each export their own spans, once, and nothing hangs.
//!
//! Without `forget_the_parent` (`Pipeline::watch_forks` in `resolver/src/batch/process_pipeline.rs`) a child has no batch
//! thread and no export threads, and its spans never arrive; without its call in `Resolver::load` this happens to servers that
//! read the file, then fork their workers. Without `ids::reseed` there, parent and child give out the same ids.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver::Resolver;
use words::foreign::plugin_in_go;
use words::receivers::ReceivedSpan;
use words::{LIMIT, ONE_SERVICE, Traced, child, run, traced_by};

/// What a part of a test needs; the cluster and the collector are in the test, where no fork touches them.
struct Given {
    resolver: Resolver,
    config: ClientConfig,
}

/// `None` in the test itself.
fn given() -> Option<Given> {
    let resolver = child::resolver()?;
    let config = traced_by(&resolver, child::kafka());
    Some(Given { resolver, config })
}

fn send(producer: &BaseProducer, topic: &str, count: usize) {
    for _ in 0..count {
        producer.send(BaseRecord::<str, str>::to(topic).payload("an order")).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

/// Forks; `work` runs in the child, which then ends by `exit()`. The process id of the child.
fn fork(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this thread goes on alone in the child; glibc's allocator works there.
    match unsafe { libc::fork() } {
        -1 => panic!("no fork: {}", std::io::Error::last_os_error()),
        0 => {
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
            // SAFETY: ends the child, running what is registered for its exit.
            unsafe { libc::exit(if worked { 0 } else { 1 }) }
        }
        child => child,
    }
}

/// Waits for the child to end well; kills it and panics when it hangs.
fn wait(child: libc::pid_t) {
    let started = Instant::now();
    let mut status = 0;
    // SAFETY: our own child, and a place for its status.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if started.elapsed() > Duration::from_secs(40) {
            // SAFETY: as above; it was not waited for, so the id is still its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(status, 0, "the child's status");
}

/// Runs `test` as a part of its own, and gives the spans that arrived.
fn spans_of(test: &str) -> Vec<ReceivedSpan> {
    let traced = Traced::start(&["parent", "child", "grandchild"], ONE_SERVICE);
    run(&mut traced.again(test)).expect_success();
    let spans = traced.spans();
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    let traces: HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!((ids.len(), traces.len()), (spans.len(), spans.len()), "no id twice");
    spans
}

fn count(spans: &[ReceivedSpan], topic: &str) -> usize {
    spans.iter().filter(|span| span.name == format!("send {topic}")).count()
}

#[test]
fn spans_in_hand_at_a_fork_are_exported_once_and_the_child_exports_its_own() {
    if let Some(Given { resolver, config }) = given() {
        let producer: BaseProducer = config.create().unwrap();
        send(&producer, "parent", 10);
        let child = fork(|| {
            send(&config.create().unwrap(), "child", 10);
            let grandchild = fork(|| send(&config.create().unwrap(), "grandchild", 10));
            wait(grandchild);
        });
        send(&producer, "parent", 10);
        wait(child);
        assert!(resolver.flush(LIMIT));
        return;
    }
    let spans = spans_of("spans_in_hand_at_a_fork_are_exported_once_and_the_child_exports_its_own");
    let counts = ["parent", "child", "grandchild"].map(|topic| count(&spans, topic));
    assert_eq!(counts, [20, 10, 10]);
    let processes: HashSet<_> = spans.iter().map(|span| span.resource["process.pid"].to_string()).collect();
    let instances: HashSet<_> = spans.iter().map(|span| span.resource["service.instance.id"].to_string()).collect();
    assert_eq!((processes.len(), instances.len()), (3, 3), "each span tells its own process");
}

#[test]
fn a_server_that_reads_the_file_and_then_forks_its_workers_traces_in_each() {
    if let Some(Given { config, .. }) = given() {
        let workers: Vec<_> = (0..3).map(|_| fork(|| send(&config.create().unwrap(), "child", 5))).collect();
        workers.into_iter().for_each(wait);
        return;
    }
    let spans = spans_of("a_server_that_reads_the_file_and_then_forks_its_workers_traces_in_each");
    assert_eq!(count(&spans, "child"), 15);
}

#[test]
fn a_child_that_traces_nothing_ends_at_once() {
    if let Some(Given { config, .. }) = given() {
        let producer: BaseProducer = config.create().unwrap();
        send(&producer, "parent", 10);
        let started = Instant::now();
        for _ in 0..20 {
            wait(fork(|| ()));
        }
        // Twenty children that wait for the exit's deadline of 5 seconds would take 100.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        return;
    }
    let spans = spans_of("a_child_that_traces_nothing_ends_at_once");
    assert_eq!((count(&spans, "parent"), spans.len()), (10, 10));
}

#[test]
fn forks_while_other_threads_send_and_instrument_hang_nothing_of_ours() {
    if let Some(Given { resolver, config }) = given() {
        let producer: BaseProducer = config.create().unwrap();
        let done = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) {
                    send(&producer, "parent", 20);
                    sent += 20;
                }
                sent
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(config.create_native_config().unwrap());
                    drop(traced_by(&resolver, ClientConfig::new()));
                }
            });
            for _ in 0..20 {
                // Only what is ours: librdkafka and the C library's look-up of host names, whose locks a fork may leave
                // locked in its child, make no promise about forks of programs with threads.
                wait(fork(|| {
                    drop(traced_by(&resolver, ClientConfig::new()).create_native_config().unwrap());
                    let provider = resolver.tracer_provider("app").unwrap();
                    for _ in 0..3 {
                        provider.tracer("shop").start("send child").end();
                    }
                }));
            }
            done.store(true, Ordering::Relaxed);
            sender.join().unwrap()
        });
        assert!(resolver.flush(LIMIT));
        println!("sent={sent}");
        // Said by the parent's own count: nothing of it was lost.
        assert_eq!(words::counters(&resolver).spans, sent);
        return;
    }
    let spans = spans_of("forks_while_other_threads_send_and_instrument_hang_nothing_of_ours");
    assert_eq!(count(&spans, "child"), 60);
    assert_eq!(count(&spans, "parent") + 60, spans.len());
}

/// The host sees what it is written in. Without `PluginLibrary::is_go` a child waits for ever for an instance, whose runtime's
/// threads are its parent's.
#[test]
fn a_plugin_in_go_that_says_nothing_of_forks_is_left_alone_in_every_child() {
    if let Some(Given { resolver, config }) = given() {
        let producer: BaseProducer = config.create().unwrap();
        send(&producer, "parent", 10);
        assert!(resolver.flush(LIMIT));
        let children: Vec<_> = (0..4)
            .map(|_| {
                fork(|| {
                    send(&config.create().unwrap(), "child", 5);
                    assert!(resolver.flush(LIMIT), "nothing waits for it");
                    let stats = resolver.stats();
                    let go = stats.backends.iter().find(|backend| backend.name == "go").unwrap();
                    assert_eq!(go.services[0].dropped, [(tracer_resolver::DropReason::NoBackend, 5)]);
                })
            })
            .collect();
        children.into_iter().for_each(wait);
        let exported = resolver.stats().backends.iter().map(|backend| backend.services[0].exported).collect::<Vec<_>>();
        assert_eq!(exported, [10, 10]);
        return;
    }
    let Some(folder) = plugin_in_go("mine") else { return };
    let configuration = format!(
        "[plugins]\ndirs = [{folder:?}]\n[services.shop]\ntopics = [\"*\"]\nexport = [\"otlp\", \"go\"]\n\
         [backends.go]\nplugin = \"mine\"\n"
    );
    let traced = Traced::start(&["parent", "child"], &configuration);
    let ended = run(&mut traced.again("a_plugin_in_go_that_says_nothing_of_forks_is_left_alone_in_every_child"));
    ended.expect_success();
    let spans = traced.spans();
    assert_eq!((count(&spans, "parent"), count(&spans, "child")), (10, 20));
    let said = "backend `go`: plugin `mine` cannot start: it is written in Go";
    assert_eq!(ended.stderr.matches(said).count(), 4, "{}", ended.stderr);
}
