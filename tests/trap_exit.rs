//! Promise: a process that ends normally exports what it has in hand, within a deadline, and what is sent in its last
//! moments, or in those of a thread, too.
//!
//! Without `exit_handlers::register` in `resolver/src/ends/at_exit.rs` the first two tests find no span. Without the deadline
//! there, the one with a blocking plugin takes as long as that, and the watchdog of `words::child` ends it. Without
//! `.fini_array` in `resolver/src/host.rs`, the handler's span is not there.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver::{EXIT_DEADLINE, Resolver};
use words::kafka::{Kafka, assign, next_message};
use words::receivers::{OtlpReceiver, Reply};
use words::{Ended, LIMIT, ONE_SERVICE, Traced, child, draw_traces, is_child, run, traced_by};

/// Sends a message and consumes it: a span that was pushed, and a delivery that waits for a guard.
fn work(resolver: &Resolver) {
    let kafka = Kafka::start(&["orders"]);
    let producer = producer_of(resolver, &kafka);
    producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    producer.flush(LIMIT).unwrap();
    let consumer = assign(&traced_by(resolver, kafka.consumer_config("shop")), "orders");
    next_message(&consumer);
    // As in a program that ends without care: nothing is dropped.
    std::mem::forget((producer, consumer, kafka));
}

const EXPECTED: &str = "app: send orders\n  app: receive orders\n";

/// Runs this test as a process that ends; what it exported is `traces`.
fn expect_traces(test: &str, traces: &str) -> Ended {
    let traced = Traced::start(&[], ONE_SERVICE);
    let ended = run(&mut traced.again(test));
    ended.expect_success();
    assert_eq!(traced.traces(), traces);
    ended
}

#[test]
fn returning_from_main_exports_what_is_in_hand() {
    if let Some(resolver) = child::resolver() {
        return work(&resolver);
    }
    expect_traces("returning_from_main_exports_what_is_in_hand", EXPECTED);
}

#[test]
fn exit_exports_what_is_in_hand() {
    if let Some(resolver) = child::resolver() {
        work(&resolver);
        std::process::exit(0);
    }
    expect_traces("exit_exports_what_is_in_hand", EXPECTED);
}

static PRODUCER: OnceLock<BaseProducer> = OnceLock::new();

extern "C" fn send_late() {
    let producer = PRODUCER.get().unwrap();
    producer.send(BaseRecord::<str, str>::to("orders").payload("late")).unwrap();
    producer.flush(LIMIT).unwrap();
}

fn producer_of(resolver: &Resolver, kafka: &Kafka) -> BaseProducer {
    traced_by(resolver, kafka.config()).create().unwrap()
}

#[test]
fn what_a_handler_sends_that_runs_after_ours_is_exported_too() {
    if is_child() {
        // SAFETY: a function of this program. Registered first, it runs last.
        unsafe { libc::atexit(send_late) };
        let resolver = child::resolver().unwrap();
        let kafka = Kafka::start(&["orders"]);
        PRODUCER.get_or_init(|| producer_of(&resolver, &kafka));
        std::mem::forget((resolver, kafka));
        std::process::exit(0);
    }
    expect_traces("what_a_handler_sends_that_runs_after_ours_is_exported_too", "app: send orders\n");
}

/// Sends when its thread is ending.
struct LastWord;

impl Drop for LastWord {
    fn drop(&mut self) {
        PRODUCER.get().unwrap().send(BaseRecord::<str, str>::to("orders").payload("last")).unwrap();
    }
}

thread_local!(static LAST_WORD: RefCell<Option<LastWord>> = const { RefCell::new(None) });

#[test]
fn a_thread_that_sends_when_its_locals_are_gone_has_its_spans() {
    if let Some(resolver) = child::resolver() {
        let kafka = Kafka::start(&["orders"]);
        let producer = PRODUCER.get_or_init(|| producer_of(&resolver, &kafka));
        for _ in 0..10 {
            let thread = std::thread::spawn(|| {
                let _ = LAST_WORD.try_with(|last| *last.borrow_mut() = Some(LastWord));
                drop(opentelemetry::Context::new().attach());
                PRODUCER.get().unwrap().send(BaseRecord::<str, str>::to("orders").payload("first")).unwrap();
            });
            thread.join().unwrap();
        }
        producer.flush(LIMIT).unwrap();
        assert!(resolver.flush(LIMIT));
        return;
    }
    let test = "a_thread_that_sends_when_its_locals_are_gone_has_its_spans";
    let ended = expect_traces(test, &"app: send orders\n".repeat(20));
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// The end of a process whose collector, at its first request, does what `refuse` makes it, and then is well again.
fn end_with_a_refusal(test: &str, prepare: impl Fn(&OtlpReceiver), refuse: impl Fn(&OtlpReceiver) + Send + Sync) {
    let traced = Traced::start(&[], ONE_SERVICE);
    let collector = &traced.collector;
    prepare(collector);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while collector.server().requests().is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            refuse(collector);
        });
        run(&mut traced.again(test)).expect_success();
    });
    assert!(collector.server().requests().len() > 1, "it refused nothing");
    assert_eq!(traced.traces(), EXPECTED);
}

#[test]
fn a_collector_that_is_busy_at_the_end_is_asked_again_when_it_said() {
    if let Some(resolver) = child::resolver() {
        return work(&resolver);
    }
    let busy = |collector: &OtlpReceiver| {
        collector.server().fail_with(Some(Reply::status(503).header("retry-after", "1")));
    };
    let well = |collector: &OtlpReceiver| collector.server().fail_with(None);
    end_with_a_refusal("a_collector_that_is_busy_at_the_end_is_asked_again_when_it_said", busy, well);
}

#[test]
fn a_collector_that_closes_the_connection_at_the_end_is_asked_again() {
    if let Some(resolver) = child::resolver() {
        return work(&resolver);
    }
    // It takes nothing, and has said nothing when it closes the connection.
    let slow = |collector: &OtlpReceiver| {
        collector.server().fail_with(Some(Reply::status(503)));
        collector.respond_after(Duration::from_millis(300));
    };
    let close = |collector: &OtlpReceiver| {
        collector.server().fail_with(None);
        collector.respond_after(Duration::ZERO);
        collector.server().close_connections();
    };
    end_with_a_refusal("a_collector_that_closes_the_connection_at_the_end_is_asked_again", slow, close);
}

#[test]
fn a_collector_that_was_well_may_be_started_again_during_the_end() {
    let mut traced = Traced::start(&[], ONE_SERVICE);
    let port = traced.collector.server().address().port();
    work(traced.resolver());
    assert_eq!(traced.traces(), EXPECTED);
    traced.collector.stop();
    work(traced.resolver());
    let back = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_500));
        OtlpReceiver::start_on(port).unwrap()
    });
    assert!(traced.resolver().shutdown(EXIT_DEADLINE * 4));
    assert_eq!(draw_traces(&back.join().unwrap().spans()), EXPECTED);
}

#[test]
fn a_backend_that_is_not_there_delays_the_end_by_the_deadline_at_most() {
    if let Some(resolver) = child::resolver() {
        work(&resolver);
        std::process::exit(0);
    }
    let mut traced = Traced::start(&[], ONE_SERVICE);
    traced.collector.stop();
    let ended = run(&mut traced.again("a_backend_that_is_not_there_delays_the_end_by_the_deadline_at_most"));
    ended.expect_success();
    assert!(ended.took < EXIT_DEADLINE * 4, "{:?}", ended.took);
}

#[test]
fn a_backend_that_never_answers_delays_the_end_by_the_deadline_at_most() {
    if let Some(resolver) = child::resolver() {
        work(&resolver);
        std::process::exit(0);
    }
    let traced = Traced::start(&[], ONE_SERVICE);
    traced.collector.respond_after(Duration::from_secs(45));
    let ended = run(&mut traced.again("a_backend_that_never_answers_delays_the_end_by_the_deadline_at_most"));
    ended.expect_success();
    assert!(ended.took < EXIT_DEADLINE * 4, "{:?}", ended.took);
    assert!(!traced.collector.server().requests().is_empty(), "it was tried");
}

#[test]
fn a_plugin_that_blocks_for_ever_delays_the_end_by_the_deadline_at_most() {
    if let Some(resolver) = child::resolver() {
        return work(&resolver);
    }
    let traced = Traced::start(
        &[],
        r#"
        [services.app]
        topics = ["*"]
        export = ["bad"]
        [backends.bad]
        plugin = "misbehaving"
        timeout = "1h"
        config = { mode = "block", until = "/nowhere/at/all" }
        "#,
    );
    let ended = run(&mut traced.again("a_plugin_that_blocks_for_ever_delays_the_end_by_the_deadline_at_most"));
    ended.expect_success();
    assert!(ended.took < EXIT_DEADLINE * 4, "{:?}", ended.took);
}

#[test]
fn an_end_that_runs_no_handlers_exports_what_is_in_hand_where_a_way_in_sees_it_coming() {
    let test = "an_end_that_runs_no_handlers_exports_what_is_in_hand_where_a_way_in_sees_it_coming";
    if let Some(resolver) = child::resolver() {
        work(&resolver);
        tracer_resolver::before_exit();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    expect_traces(test, EXPECTED);
}

/// Ends a process that has its parent's memory, as `vfork()` makes it: what launches programs does when it finds none.
extern "C" fn end_in_the_parent_s_memory(_: *mut libc::c_void) -> libc::c_int {
    tracer_resolver::before_exit();
    0
}

#[test]
fn a_child_that_has_its_parent_s_memory_does_not_end_its_parent_s_tracing() {
    let test = "a_child_that_has_its_parent_s_memory_does_not_end_its_parent_s_tracing";
    if let Some(resolver) = child::resolver() {
        resolver.flush(LIMIT); // Its threads are there.
        let mut stack = vec![0_u8; 256 * 1024];
        // SAFETY: the child runs on a stack of its own, while this thread waits for its end (`CLONE_VFORK`).
        unsafe {
            let top = stack.as_mut_ptr_range().end.cast();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let process = libc::clone(end_in_the_parent_s_memory, top, flags, std::ptr::null_mut());
            assert!(process > 0);
            assert_eq!(libc::waitpid(process, std::ptr::null_mut(), 0), process);
        }
        work(&resolver);
        std::process::exit(0);
    }
    expect_traces(test, EXPECTED);
}
