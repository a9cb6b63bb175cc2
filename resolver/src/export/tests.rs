//! The queue with its threads, over a fake exporter.

mod outage;
mod signals;
mod spool;
mod starting;
mod states;
mod tries;
mod watchdog;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::test_words::{backend, batch_of, eventually, within};
use super::*;

/// A gate that exporter threads wait at.
#[derive(Default)]
struct Barrier {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Barrier {
    fn pass(&self) {
        let _open = self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap();
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

type Behaviour = Box<dyn Fn(&FinishedBatch, u32) -> Outcome + Send + Sync>;

#[derive(Default)]
struct Seen {
    exports: Mutex<Vec<(u64, u32)>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    flushes: AtomicUsize,
    shutdowns: AtomicUsize,
    shutdown_fails: AtomicBool,
}

struct Fake {
    seen: Arc<Seen>,
    concurrency: usize,
    behave: Behaviour,
}

impl Exporter for Fake {
    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn export(&self, batch: &FinishedBatch, this_try: &Try, _timeout: Duration, _watch: Watch<'_>) -> Outcome {
        let attempt = this_try.attempt;
        let at_once = self.seen.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        self.seen.exports.lock().unwrap().push((batch.id, attempt));
        let outcome = (self.behave)(batch, attempt);
        self.seen.at_once.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    fn flush(&self, _timeout: Duration, _watch: Watch<'_>) -> bool {
        self.seen.flushes.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn shutdown(&self, _timeout: Duration) -> bool {
        assert_eq!(self.seen.at_once.load(Ordering::SeqCst), 0, "no other call under way");
        self.seen.shutdowns.fetch_add(1, Ordering::SeqCst);
        !self.seen.shutdown_fails.load(Ordering::SeqCst)
    }
}

fn start(
    concurrency: usize,
    behave: impl Fn(&FinishedBatch, u32) -> Outcome + Send + Sync + 'static,
) -> (Arc<BackendQueue>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let fake = Fake { seen: Arc::clone(&seen), concurrency, behave: Box::new(behave) };
    let timing = Timing { grace: Duration::from_millis(50), ..Timing::default() };
    (BackendQueue::start_with(&backend("collector"), fake, timing), seen)
}

fn service(queue: &BackendQueue) -> ServiceCounters {
    queue.counters().services[0]
}

#[test]
fn what_is_offered_arrives_and_a_flush_waits_for_it() {
    let (queue, seen) = start(1, |_, _| Outcome::Exported);
    for id in 0..50 {
        queue.offer(batch_of(id, 10, &[(0, 2)]));
    }
    assert!(queue.flush(within(5000)));
    assert_eq!(service(&queue), ServiceCounters { offered: 100, exported: 100, ..ServiceCounters::default() });
    assert_eq!(seen.flushes.load(Ordering::SeqCst), 1);
    assert!(queue.shutdown(within(5000)));
}

#[test]
fn as_many_calls_run_at_once_as_both_sides_allow() {
    for (allowed, expected) in [(1, 1), (3, 3), (64, 4)] {
        let barrier = Arc::new(Barrier::default());
        let gate = Arc::clone(&barrier);
        let (queue, seen) = start(allowed, move |_, _| {
            gate.pass();
            Outcome::Exported
        });
        for id in 0..20 {
            queue.offer(batch_of(id, 10, &[(0, 1)]));
        }
        eventually("all threads busy", || seen.at_once.load(Ordering::SeqCst) == expected);
        barrier.open();
        assert!(queue.flush(within(5000)));
        assert_eq!(seen.most_at_once.load(Ordering::SeqCst), expected);
        assert!(queue.shutdown(within(5000)));
    }
}

#[test]
fn a_batch_is_retried_until_the_backend_takes_it() {
    let (queue, seen) = start(1, |_, attempt| {
        let busy = || Outcome::Retry { after: None, cookie: 0, may_be_stored: false, message: "busy".into() };
        if attempt < 4 { busy() } else { Outcome::Exported }
    });
    queue.offer(batch_of(7, 10, &[(0, 1)]));
    assert!(queue.flush(within(5000)));
    assert_eq!(*seen.exports.lock().unwrap(), [(7, 1), (7, 2), (7, 3), (7, 4)]);
    assert_eq!((service(&queue).exported, queue.counters().retries), (1, 3));
}

#[test]
fn offering_to_a_blocked_backend_does_not_block() {
    let barrier = Arc::new(Barrier::default());
    let gate = Arc::clone(&barrier);
    let (queue, _) = start(1, move |_, _| {
        gate.pass();
        Outcome::Exported
    });
    let started = Instant::now();
    for id in 0..10_000 {
        queue.offer(batch_of(id, 1000, &[(0, 1)]));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let counters = queue.counters();
    assert!(counters.held_bytes <= 1 << 20 && counters.services[0].dropped_for(DropReason::QueueFull) > 8000);
    barrier.open();
    assert!(queue.shutdown(within(10_000)));
    let service = service(&queue);
    assert_eq!((service.offered, service.waiting), (10_000, 0));
    assert_eq!(service.exported + service.dropped_total(), 10_000);
}

#[test]
fn a_stuck_call_is_found_costs_only_its_own_backend_and_service_resumes_when_it_comes_back() {
    let barrier = Arc::new(Barrier::default());
    let gate = Arc::clone(&barrier);
    let (stuck, _) = start(1, move |_, _| {
        gate.pass();
        Outcome::Exported
    });
    let (healthy, _) = start(1, |_, _| Outcome::Exported);
    for id in 0..3 {
        stuck.offer(batch_of(id, 10, &[(0, 1)]));
        healthy.offer(batch_of(id, 10, &[(0, 1)]));
    }
    eventually("the watchdog speaks", || {
        stuck.tick(Instant::now());
        stuck.counters().state == BackendState::Stuck
    });
    assert_eq!(service(&stuck).dropped_for(DropReason::Stuck), 3);
    assert!(stuck.flush(within(5000)), "nothing is on its way any more");
    assert!(healthy.flush(within(5000)));
    assert_eq!(service(&healthy).exported, 3);

    barrier.open();
    eventually("it comes back", || stuck.counters().state == BackendState::Healthy);
    stuck.offer(batch_of(9, 10, &[(0, 1)]));
    assert!(stuck.shutdown(within(5000)));
    assert_eq!(service(&stuck).exported, 1);
}

#[test]
fn a_stuck_call_does_not_hold_up_a_shutdown_and_the_exporter_is_not_ended_under_it() {
    let barrier = Arc::new(Barrier::default());
    let gate = Arc::clone(&barrier);
    let (queue, seen) = start(2, move |_, _| {
        gate.pass();
        Outcome::Exported
    });
    queue.offer(batch_of(1, 10, &[(0, 1)]));
    eventually("under way", || seen.at_once.load(Ordering::SeqCst) == 1);
    let started = Instant::now();
    assert!(!queue.flush(within(100)));
    assert!(!queue.shutdown(within(300)));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(service(&queue).dropped_for(DropReason::ShutDown), 1);
    assert!(!queue.shutdown(within(60_000)), "the same answer again, at once");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    barrier.open();
    eventually("it comes back", || seen.at_once.load(Ordering::SeqCst) == 0);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(seen.shutdowns.load(Ordering::SeqCst), 0);
    assert_eq!(service(&queue).exported, 0);
}

#[test]
fn known_stuck_a_backend_does_not_even_cost_the_deadline() {
    let barrier = Arc::new(Barrier::default());
    let gate = Arc::clone(&barrier);
    let (queue, _) = start(1, move |_, _| {
        gate.pass();
        Outcome::Exported
    });
    queue.offer(batch_of(1, 10, &[(0, 1)]));
    eventually("the watchdog speaks", || {
        queue.tick(Instant::now());
        queue.counters().state == BackendState::Stuck
    });
    let started = Instant::now();
    assert!(!queue.shutdown(within(60_000)));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    barrier.open();
}

#[test]
fn a_shutdown_drains_ends_the_exporter_once_and_may_be_repeated() {
    let (queue, seen) = start(3, |_, _| {
        std::thread::sleep(Duration::from_millis(2));
        Outcome::Exported
    });
    for id in 0..30 {
        queue.offer(batch_of(id, 10, &[(0, 1)]));
    }
    assert!(queue.shutdown(within(5000)));
    assert!(queue.shutdown(within(5000)));
    assert_eq!((service(&queue).exported, seen.shutdowns.load(Ordering::SeqCst)), (30, 1));
    queue.offer(batch_of(31, 10, &[(0, 1)]));
    assert_eq!(service(&queue).dropped_for(DropReason::ShutDown), 1);
    assert!(queue.flush(within(100)), "there is nothing to flush");
}

#[test]
fn a_pause_ends_when_the_queue_is_shut_down() {
    let seen = Arc::new(Seen::default());
    let fake = Fake {
        seen: Arc::clone(&seen),
        concurrency: 1,
        behave: Box::new(|_, _| Outcome::Retry {
            after: Some(Duration::from_secs(20)),
            cookie: 0,
            may_be_stored: false,
            message: "429".into(),
        }),
    };
    let queue = BackendQueue::start_with(&backend("collector"), fake, Timing::default());
    queue.offer(batch_of(1, 10, &[(0, 1)]));
    eventually("it failed", || queue.counters().state == BackendState::Retrying);
    let started = Instant::now();
    assert!(!queue.shutdown(within(10_000)), "a span was lost");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!((seen.exports.lock().unwrap().len(), seen.shutdowns.load(Ordering::SeqCst)), (3, 1));
}

#[test]
fn an_exporter_that_fails_to_shut_down_is_reported() {
    let (queue, seen) = start(1, |_, _| Outcome::Exported);
    seen.shutdown_fails.store(true, Ordering::SeqCst);
    assert!(!queue.shutdown(within(5000)));
}

#[test]
fn a_panic_on_our_side_of_a_call_costs_one_batch_and_no_thread() {
    let (queue, _) = start(1, |batch, _| if batch.id == 1 { panic!("a defect") } else { Outcome::Exported });
    queue.offer(batch_of(1, 10, &[(0, 1)]));
    queue.offer(batch_of(2, 10, &[(0, 1)]));
    assert!(queue.flush(within(5000)));
    let service = service(&queue);
    assert_eq!((service.exported, service.dropped_for(DropReason::Rejected)), (1, 1));
}

#[test]
fn a_queue_that_is_dropped_ends_its_threads_and_its_exporter() {
    let (queue, seen) = start(2, |_, _| Outcome::Exported);
    drop(queue);
    eventually("the exporter ends", || seen.shutdowns.load(Ordering::SeqCst) == 1);
    eventually("the exporter is gone", || Arc::strong_count(&seen) == 1);
}

#[test]
fn an_abandoned_queue_does_nothing_and_waits_for_nobody() {
    let barrier = Arc::new(Barrier::default());
    let gate = Arc::clone(&barrier);
    let (queue, seen) = start(1, move |_, _| {
        gate.pass();
        Outcome::Exported
    });
    queue.offer(batch_of(1, 10, &[(0, 1)]));
    eventually("under way", || seen.at_once.load(Ordering::SeqCst) == 1);
    queue.abandon();
    queue.offer(batch_of(2, 10, &[(0, 1)]));
    queue.tick(Instant::now());
    assert!(!queue.flush(within(60_000)) && !queue.shutdown(within(60_000)));
    assert_eq!((queue.counters(), queue.wish()), (BackendCounters::default(), Wish::default()));
    drop(queue);
    barrier.open();
}

#[test]
fn export_threads_carry_the_backends_name_and_leave_signals_to_the_application() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (queue, _) = start(1, move |_, _| {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        sender.send((std::thread::current().name().map(str::to_owned), status)).unwrap();
        Outcome::Exported
    });
    queue.offer(batch_of(1, 10, &[(0, 1)]));
    let (name, status) = receiver.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(name.as_deref(), Some("tr-collector"));
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
    // SIGINT, SIGPIPE, SIGTERM and SIGCHLD are 2, 13, 15 and 17.
    for signal in [2, 13, 15, 17] {
        assert_ne!(blocked & (1 << (signal - 1)), 0, "signal {signal} in {blocked:x}");
    }
    assert!(queue.shutdown(within(5000)));
}
