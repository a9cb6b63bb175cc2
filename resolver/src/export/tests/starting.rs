//! A backend that takes its time to start, or never does.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::super::queue_state::QueueState;
use super::*;
use crate::config;

/// A queue whose exporter comes when the test says so, and what it has seen.
struct Late {
    queue: Arc<BackendQueue>,
    answer: Sender<Result<(), String>>,
    seen: Arc<Seen>,
}

const TIMING: Timing = Timing {
    grace: Duration::from_secs(5),
    patience: Duration::from_millis(30),
    first_words: Duration::from_millis(30),
};

fn late(queue_bytes: usize, pause: Duration) -> Late {
    let (answer, comes): (_, Receiver<Result<(), String>>) = channel();
    let seen = Arc::new(Seen::default());
    let fake = Fake { seen: Arc::clone(&seen), concurrency: 4, behave: Box::new(|_, _| Outcome::Exported) };
    let settings = config::Backend { queue_bytes: config::QueueBytes::Fixed(queue_bytes), ..backend("late") };
    let queue = BackendQueue::start(&settings, TIMING, pause, move || {
        comes.recv().map_err(|_| "nobody answers".to_owned())?.map(|()| Box::new(fake) as Box<dyn Exporter>)
    });
    Late { queue, answer, seen }
}

#[test]
fn batches_wait_for_a_backend_that_starts_late_and_none_is_lost() {
    let Late { queue, answer, seen } = late(1 << 20, Duration::ZERO);
    (1..6).for_each(|id| queue.offer(batch_of(id, 10, &[(0, 2)])));
    assert_eq!((queue.counters().state, queue.counters().services[0].waiting), (BackendState::Starting, 10));
    assert!(!queue.wait_for_start(within(20)));
    answer.send(Ok(())).unwrap();
    assert!(queue.wait_for_start(within(10_000)));
    assert!(queue.flush(within(10_000)));
    assert_eq!((queue.counters().services[0].exported, queue.lost()), (10, 0));
    eventually("as many threads as it may have", || queue.counters().state == BackendState::Healthy);
    assert_eq!(seen.exports.lock().unwrap().len(), 5);
    assert!(queue.shutdown(within(10_000)));
    assert_eq!(seen.shutdowns.load(Ordering::SeqCst), 1);
}

#[test]
fn what_waits_for_a_start_is_bounded_and_counted() {
    let Late { queue, answer, .. } = late(1000, Duration::ZERO);
    (1..100).for_each(|id| queue.offer(batch_of(id, 100, &[(0, 1)])));
    let counters = queue.counters();
    assert!(counters.held_bytes <= 1000);
    let waiting = counters.services[0].waiting;
    assert_eq!(counters.services[0].dropped_for(DropReason::QueueFull), 99 - waiting);
    answer.send(Ok(())).unwrap();
    assert!(queue.flush(within(10_000)));
    assert_eq!(queue.counters().services[0].exported, waiting);
}

#[test]
fn a_backend_that_cannot_start_loses_its_spans_and_holds_nobody_up() {
    let Late { queue, answer, .. } = late(1 << 20, Duration::ZERO);
    queue.offer(batch_of(1, 10, &[(0, 2)]));
    answer.send(Err("no such file".to_owned())).unwrap();
    assert!(queue.wait_for_start(within(10_000)) && queue.has_failed_to_start());
    queue.offer(batch_of(2, 10, &[(0, 3)]));
    let counters = queue.counters();
    assert_eq!(
        (counters.state, counters.services[0].dropped_for(DropReason::NoBackend)),
        (BackendState::OutOfService, 5)
    );
    assert_eq!(counters.last_error.unwrap().0, "no such file");
    assert!(queue.flush(within(0)) && queue.shutdown(within(10_000)));
}

#[test]
fn a_start_that_panics_on_our_side_is_one_that_failed() {
    let queue = BackendQueue::start(&backend("panics"), TIMING, Duration::ZERO, || panic!("a defect"));
    assert!(queue.wait_for_start(within(10_000)) && queue.has_failed_to_start());
}

#[test]
fn the_end_of_the_process_waits_for_spans_that_wait_and_else_for_the_first_words_only() {
    let Late { queue, answer, .. } = late(1 << 20, Duration::ZERO);
    let leave = |deadline| {
        let began = Instant::now();
        queue.begin_leaving(deadline, true);
        queue.finish_leaving(deadline, true);
        began.elapsed()
    };
    assert!(leave(within(60_000)) < Duration::from_secs(50));
    queue.offer(batch_of(1, 10, &[(0, 2)]));
    assert!(leave(within(200)) >= Duration::from_millis(200));
    assert_eq!(queue.counters().services[0].dropped_for(DropReason::NotStarted), 2);
    drop(answer);
}

#[test]
fn a_queue_that_is_shut_down_before_it_started_says_so_and_lets_the_start_be() {
    let Late { queue, answer, seen } = late(1 << 20, Duration::ZERO);
    queue.offer(batch_of(1, 10, &[(0, 2)]));
    assert!(!queue.shutdown(within(20)));
    assert_eq!(queue.counters().services[0].dropped_for(DropReason::NotStarted), 2);
    answer.send(Ok(())).unwrap();
    eventually("its thread has left", || queue.wait_for_start(within(10)));
    assert_eq!(seen.exports.lock().unwrap().len(), 0);
}

/// It holds the lock that every new thread waits for, may be; here nobody else would make it for an hour.
#[test]
fn who_waits_for_a_start_does_not_wait_for_its_pause() {
    let Late { queue, answer, .. } = late(1 << 20, Duration::from_secs(3600));
    answer.send(Ok(())).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(queue.counters().state, BackendState::Starting);
    assert!(queue.wait_for_start(within(10_000)));
    let Late { queue, answer, .. } = late(1 << 20, Duration::from_secs(3600));
    queue.offer(batch_of(1, 10, &[(0, 2)]));
    answer.send(Ok(())).unwrap();
    assert!(queue.flush(within(10_000)));
}

#[test]
fn a_start_that_takes_long_is_told_once_and_so_is_its_end() {
    let mut state = QueueState::starting(&backend("slow"), TIMING, Instant::now(), Duration::ZERO);
    let (begun, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
    assert!(state.tick(begun).is_empty());
    let told: Vec<_> = state.tick(later).into_iter().chain(state.tick(later)).collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].level == log::Level::Warn && told[0].text.starts_with("has not started after 30ms; its spans wait")
    );
    assert!(state.counters().last_error.is_some());
    let note = state.started(1, later).unwrap();
    assert!(note.level == log::Level::Info && note.text.starts_with("has started, after 60.0 s"), "{note:?}");
}
