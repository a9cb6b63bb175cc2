//! The queue's decisions, without threads: time is what the test says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use proptest::prelude::*;

use super::queue_state::{Next, QueueState};
use super::test_words::{backend, batch_of};
use super::*;

const GRACE: Duration = Duration::from_secs(5);

/// A queue and a clock that moves by hand.
pub(super) struct Bench {
    pub(super) state: QueueState,
    pub(super) now: Instant,
    /// When the watchdog looked last.
    pub(super) ticked: Instant,
}

impl Bench {
    pub(super) fn new(workers: usize) -> Self {
        Self::with_capacity(workers, 1 << 20)
    }

    pub(super) fn with_capacity(workers: usize, queue_bytes: usize) -> Self {
        let mut settings = backend("collector");
        settings.queue_bytes = crate::config::QueueBytes::Fixed(queue_bytes);
        settings.timeout = Duration::from_secs(10);
        settings.retry = crate::config::Retry {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(8),
            max_elapsed: Duration::from_secs(60),
        };
        let now = Instant::now();
        Self {
            state: QueueState::new(&settings, Timing { grace: GRACE, ..Timing::default() }, workers),
            now,
            ticked: now,
        }
    }

    pub(super) fn offer(&mut self, id: u64) {
        self.state.offer(batch_of(id, 100, &[(0, 3), (1, 1)]), None, self.now);
    }

    /// The batch and attempt that `worker` is told to export.
    pub(super) fn export(&mut self, worker: usize) -> Option<(u64, u32)> {
        match self.state.next(worker, self.now) {
            Next::Export { batch, this_try, .. } => {
                self.state.call_begins(worker, "export_batch", Duration::from_secs(10), self.now);
                Some((batch.id, this_try.attempt))
            }
            _ => None,
        }
    }

    pub(super) fn returns(&mut self, worker: usize, outcome: Outcome) -> Vec<(Level, String)> {
        let notes = self.state.export_returned(worker, outcome, self.now);
        assert!(self.state.count_returned(worker).is_empty());
        notes.into_iter().map(|note| (note.level, note.text)).collect()
    }

    /// All looks of the watchdog that have been due since the last.
    pub(super) fn tick(&mut self) -> Vec<(Level, String)> {
        let mut notes = Vec::new();
        loop {
            self.ticked = self.now.min(self.ticked + Duration::from_secs(1));
            notes.extend(self.state.tick(self.ticked));
            if self.ticked == self.now {
                return notes.into_iter().map(|note| (note.level, note.text)).collect();
            }
        }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.state.counters().services.iter().map(|service| service.dropped_for(reason)).sum()
    }

    pub(super) fn exported(&self) -> u64 {
        self.state.counters().services.iter().map(|service| service.exported).sum()
    }
}

pub(super) fn busy() -> Outcome {
    Outcome::Retry { after: None, cookie: 0, may_be_stored: false, message: "503".to_owned() }
}

pub(super) fn busy_for(seconds: u64) -> Outcome {
    let after = Some(Duration::from_secs(seconds));
    Outcome::Retry { after, cookie: 0, may_be_stored: false, message: "429".to_owned() }
}

pub(super) fn assert_adds_up(state: &QueueState, capacity: usize) {
    let counters = state.counters();
    for service in &counters.services {
        assert_eq!(
            service.offered,
            service.exported + service.rejected + service.dropped_total() + service.waiting,
            "{counters:?}"
        );
    }
    let lost: u64 = counters.services.iter().map(|service| service.dropped_total() + service.rejected).sum();
    assert_eq!(state.lost(), lost, "{counters:?}");
    assert!(counters.held_bytes <= capacity, "{counters:?}");
}

#[test]
fn batches_leave_in_the_order_they_came() {
    let mut bench = Bench::new(2);
    (1..=3).for_each(|id| bench.offer(id));
    assert_eq!((bench.export(0), bench.export(1)), (Some((1, 1)), Some((2, 1))));
    assert!(bench.returns(1, Outcome::Exported).is_empty());
    assert_eq!(bench.export(1), Some((3, 1)));
}

#[test]
fn a_full_queue_drops_the_new_batch_and_counts_it() {
    let one = batch_of(1, 100, &[(0, 3), (1, 1)]);
    let mut bench = Bench::with_capacity(1, one.weight() * 2);
    bench.offer(1);
    bench.offer(2);
    bench.state.offer(Arc::clone(&one), None, bench.now);
    assert_eq!(bench.state.lost(), 4);
    bench.offer(4);
    assert_eq!(bench.dropped(DropReason::QueueFull), 8);
    // What is in a call still takes its room.
    assert_eq!(bench.export(0), Some((1, 1)));
    bench.offer(5);
    assert_eq!(bench.dropped(DropReason::QueueFull), 12);
    bench.returns(0, Outcome::Exported);
    bench.offer(6);
    assert_eq!(bench.dropped(DropReason::QueueFull), 12);
    assert_adds_up(&bench.state, one.weight() * 2);
}

#[test]
fn a_retried_batch_keeps_its_id_raises_its_attempt_and_goes_before_younger_ones() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    for attempt in 1..=3 {
        assert_eq!(bench.export(0), Some((1, attempt)));
        bench.returns(0, busy());
        assert_eq!(bench.export(0), None, "the pause");
        bench.wait(10);
    }
    assert_eq!(bench.export(0), Some((1, 4)));
    assert_eq!(bench.state.counters().retries, 3);
}

#[test]
fn a_batch_older_than_max_elapsed_is_dropped_and_counted() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    let mut attempts = 0;
    for _ in 0..100 {
        if bench.export(0).is_some() {
            attempts += 1;
            bench.returns(0, busy());
        }
        bench.wait(1);
    }
    assert!((7..=20).contains(&attempts), "{attempts}");
    assert_eq!(bench.dropped(DropReason::RetriesExhausted), 4);
    assert_adds_up(&bench.state, 1 << 20);
}

#[test]
fn while_a_backend_fails_old_batches_do_not_hold_up_young_ones() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    assert_eq!(bench.export(0), Some((1, 1)));
    bench.returns(0, busy());
    bench.wait(61);
    bench.offer(3);
    assert_eq!(bench.export(0), Some((3, 1)));
    assert_eq!(bench.dropped(DropReason::RetriesExhausted), 8);
}

#[test]
fn a_slow_but_healthy_backend_gets_batches_however_old_they_are() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.wait(3600);
    assert_eq!(bench.export(0), Some((1, 1)));
}

#[test]
fn retry_after_is_respected() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.export(0).unwrap();
    bench.returns(0, busy_for(30));
    bench.wait(29);
    assert_eq!(bench.export(0), None);
    bench.wait(1);
    assert_eq!(bench.export(0), Some((1, 2)));
}

#[test]
fn a_failing_backend_is_probed_by_one_worker_at_a_time() {
    let mut bench = Bench::new(4);
    (1..=8).for_each(|id| bench.offer(id));
    for worker in 0..4 {
        bench.export(worker).unwrap();
    }
    for worker in 0..4 {
        bench.returns(worker, busy());
    }
    bench.wait(10);
    let probes: Vec<_> = (0..4).filter_map(|worker| bench.export(worker)).collect();
    assert_eq!(probes, [(1, 2)]);
    bench.returns(0, Outcome::Exported);
    assert_eq!((0..4).filter_map(|worker| bench.export(worker)).count(), 4, "recovered: all work again");
}

#[test]
fn an_outage_is_one_warning_and_one_recovery() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    let mut notes = Vec::new();
    for _ in 0..5 {
        bench.export(0).unwrap();
        notes.extend(bench.returns(0, busy()));
        bench.wait(8);
    }
    bench.export(0).unwrap();
    notes.extend(bench.returns(0, Outcome::Exported));
    assert_eq!(
        notes,
        [
            (Level::Warn, "export failed, and will be retried for 60s: 503".to_owned()),
            (Level::Info, "takes batches again, after 40.0 s; no span was lost meanwhile".to_owned()),
        ]
    );
}

#[test]
fn a_recovery_says_what_the_outage_has_cost() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    bench.export(0).unwrap();
    bench.returns(0, busy());
    bench.wait(61);
    bench.offer(3);
    bench.export(0).unwrap();
    let notes = bench.returns(0, Outcome::Exported);
    assert_eq!(notes, [(Level::Warn, "takes batches again, after 61.0 s; 8 spans were lost meanwhile".to_owned())]);
}

#[test]
fn a_backend_that_comes_and_goes_cannot_flood_the_log() {
    let mut bench = Bench::new(1);
    let mut notes = 0;
    for id in 0..100 {
        bench.offer(id);
        bench.export(0).unwrap();
        notes += bench.returns(0, busy()).len();
        bench.wait(1);
        bench.export(0).unwrap();
        notes += bench.returns(0, Outcome::Exported).len();
    }
    assert_eq!(notes, 4, "two minutes, a warning and a recovery in each");
}

#[test]
fn a_partial_success_is_shared_out_in_proportion_and_never_over_counted() {
    let mut bench = Bench::new(1);
    bench.state.offer(batch_of(1, 10, &[(0, 3), (1, 1)]), None, bench.now);
    bench.export(0).unwrap();
    let notes = bench.returns(0, Outcome::Partial { rejected_items: 2, message: "too long".to_owned() });
    assert_eq!(notes.len(), 1);
    let counters = bench.state.counters();
    assert_eq!(counters.services.iter().map(|service| service.rejected).collect::<Vec<_>>(), [1, 1]);
    // More than there were: a garbage number.
    bench.offer(2);
    bench.export(0).unwrap();
    bench.returns(0, Outcome::Partial { rejected_items: u32::MAX, message: String::new() });
    let counters = bench.state.counters();
    assert_eq!(counters.services.iter().map(|service| service.rejected).collect::<Vec<_>>(), [4, 2]);
    assert_adds_up(&bench.state, 1 << 20);
}

#[test]
fn a_rejected_batch_is_dropped_and_the_next_goes_out() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    bench.export(0).unwrap();
    let notes = bench.returns(0, Outcome::Rejected { message: "400 bad request".to_owned() });
    assert_eq!(notes[0].1, "it refused a batch: 400 bad request (reasons are said at most once a minute)");
    assert_eq!(bench.dropped(DropReason::Rejected), 4);
    assert_eq!(bench.export(0), Some((2, 1)));
    assert!(bench.returns(0, Outcome::Rejected { message: "400".to_owned() }).is_empty(), "said once a minute");
}

#[test]
fn a_backend_out_of_service_drops_everything_and_says_so_once() {
    let mut bench = Bench::new(2);
    (1..=3).for_each(|id| bench.offer(id));
    bench.export(0).unwrap();
    bench.export(1).unwrap();
    let broken = Outcome::OutOfService { message: "panicked 4 times".to_owned() };
    let notes = bench.returns(0, broken.clone());
    assert_eq!(
        notes,
        [(
            Level::Error,
            "out of service until the process restarts, and its spans are lost: panicked 4 times".to_owned()
        )]
    );
    assert!(bench.returns(1, broken).is_empty());
    bench.offer(4);
    assert_eq!(bench.dropped(DropReason::OutOfService), 16);
    assert_eq!(bench.state.counters().state, BackendState::OutOfService);
    assert_adds_up(&bench.state, 1 << 20);
}

#[test]
fn a_flush_covers_what_came_before_it_and_not_what_came_after() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    let id = bench.state.request_flush(bench.now + Duration::from_secs(30));
    bench.offer(2);
    assert_eq!(bench.export(0), Some((1, 1)));
    assert_eq!(bench.state.flush_result(id), None);
    bench.returns(0, Outcome::Exported);
    assert!(matches!(bench.state.next(0, bench.now), Next::Flush { .. }), "before batch 2");
    assert_eq!(bench.state.flush_result(id), None);
    bench.state.flush_returned(0, false);
    bench.state.count_returned(0);
    assert_eq!(bench.state.flush_result(id), Some(false), "the exporter's own verdict");
}

#[test]
fn a_flush_waits_for_calls_of_other_workers() {
    let mut bench = Bench::new(2);
    bench.offer(1);
    bench.export(0).unwrap();
    let id = bench.state.request_flush(bench.now + Duration::from_secs(30));
    assert!(matches!(bench.state.next(1, bench.now), Next::Wait(None)));
    bench.returns(0, Outcome::Exported);
    assert!(matches!(bench.state.next(1, bench.now), Next::Flush { .. }));
    assert_eq!(bench.state.flush_result(id), None);
}

#[test]
fn shutting_down_gives_a_failing_backend_one_last_try_without_a_pause() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    bench.export(0).unwrap();
    bench.returns(0, busy());
    assert_eq!(bench.export(0), None, "the pause");
    bench.wait(1);
    assert_eq!(bench.export(0), Some((1, 2)));
    bench.returns(0, busy_for(20));
    assert_eq!(bench.export(0), None, "the pause that the server wants");
    bench.state.begin_shutdown(bench.now + Duration::from_secs(4), bench.now + Duration::from_secs(5));
    assert_eq!(bench.export(0), Some((1, 3)));
    bench.returns(0, busy());
    assert_eq!(bench.dropped(DropReason::ShutDown), 8, "nobody waits for its recovery");
    assert!(matches!(bench.state.next(0, bench.now), Next::ShutDownExporter { timeout } if timeout.as_secs() == 5));
    bench.state.shutdown_returned(0, true);
    assert!(bench.state.all_left());
    assert_eq!(bench.state.lost_at_shutdown(), 8);
}

#[test]
fn the_last_worker_to_leave_and_only_it_ends_the_exporter() {
    let mut bench = Bench::new(3);
    bench.offer(1);
    bench.export(1).unwrap();
    bench.state.begin_shutdown(bench.now + Duration::from_secs(4), bench.now + Duration::from_secs(5));
    assert!(matches!(bench.state.next(0, bench.now), Next::Exit));
    assert!(matches!(bench.state.next(2, bench.now), Next::Exit));
    bench.returns(1, Outcome::Exported);
    assert!(matches!(bench.state.next(1, bench.now), Next::ShutDownExporter { .. }));
    bench.state.shutdown_returned(1, true);
    assert!(bench.state.all_left() && bench.state.lost_at_shutdown() == 0);
}

#[test]
fn calls_still_out_when_the_time_is_over_are_counted_as_lost_and_let_go() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    bench.export(0).unwrap();
    bench.state.begin_shutdown(bench.now, bench.now);
    bench.state.abandon_calls();
    assert_eq!(bench.dropped(DropReason::ShutDown), 8);
    bench.returns(0, Outcome::Exported);
    assert_eq!(bench.exported(), 0);
    assert!(matches!(bench.state.next(0, bench.now), Next::Exit), "and nobody ends the exporter");
    assert_adds_up(&bench.state, 1 << 20);
}

#[test]
fn nothing_offered_after_the_shutdown_began_goes_out() {
    let mut bench = Bench::new(1);
    bench.state.begin_shutdown(bench.now + Duration::from_secs(4), bench.now + Duration::from_secs(5));
    bench.offer(1);
    assert_eq!(bench.dropped(DropReason::ShutDown), 4);
}

#[test]
fn without_any_thread_the_backend_is_out_of_service() {
    let mut bench = Bench::new(2);
    let notes = bench.state.worker_missing(0, "EAGAIN");
    assert_eq!((notes.len(), notes[0].level), (1, Level::Warn));
    let notes = bench.state.worker_missing(1, "EAGAIN");
    assert_eq!((notes.len(), notes[0].level), (1, Level::Error));
    bench.offer(1);
    assert_eq!(bench.dropped(DropReason::OutOfService), 4);
}

#[test]
fn spans_of_a_service_that_came_later_are_counted_under_its_number() {
    let mut bench = Bench::new(1);
    bench.state.offer(batch_of(1, 10, &[(7, 5)]), None, bench.now);
    let counters = bench.state.counters();
    assert_eq!((counters.services.len(), counters.services[7].offered, counters.services[7].waiting), (8, 5, 5));
}

#[test]
fn every_drop_reason_has_a_counter_and_a_name_of_its_own() {
    let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    for (place, reason) in DropReason::ALL.into_iter().enumerate() {
        assert_eq!(place, reason as usize, "the order of `ServiceCounters::dropped`");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DropReason::ALL.len());
}

/// Something that may happen to a queue.
#[derive(Clone, Debug)]
enum Event {
    Offer(usize, Vec<(u32, u32)>),
    Step(usize, Outcome),
    Wait(u64),
    Tick,
    Flush,
    Hurry,
    StopHurrying { last: bool },
    BeginShutdown,
    Abandon,
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Exported),
        2 => any::<u32>().prop_map(|rejected_items| Outcome::Partial { rejected_items, message: String::new() }),
        4 => prop::option::of((0..100_u64).prop_map(Duration::from_secs))
            .prop_map(|after| Outcome::Retry { after, cookie: 0, may_be_stored: false, message: String::new() }),
        2 => Just(Outcome::Rejected { message: String::new() }),
        1 => Just(Outcome::OutOfService { message: String::new() }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let services = prop::collection::vec((0..2_u32, 1..50_u32), 1..4);
    prop_oneof![
        20 => (0..400_usize, services).prop_map(|(bytes, services)| Event::Offer(bytes, services)),
        40 => (0..3_usize, any_outcome()).prop_map(|(worker, outcome)| Event::Step(worker, outcome)),
        10 => (0..20_u64).prop_map(Event::Wait),
        10 => Just(Event::Tick),
        3 => Just(Event::Flush),
        2 => Just(Event::Hurry),
        2 => any::<bool>().prop_map(|last| Event::StopHurrying { last }),
        1 => Just(Event::BeginShutdown),
        1 => Just(Event::Abandon),
    ]
}

/// What a worker of the property test has in hand.
#[derive(Clone, Copy, PartialEq)]
enum Hand {
    Empty,
    Export,
    Flush,
    Shutdown,
    Gone,
}

proptest! {
    #[test]
    fn whatever_happens_every_span_is_accounted_for_and_memory_stays_bounded(
        events in prop::collection::vec(any_event(), 1..200),
    ) {
        let capacity = 2000;
        let mut bench = Bench::with_capacity(3, capacity);
        let mut hands = [Hand::Empty; 3];
        for (id, event) in events.into_iter().enumerate() {
            match event {
                Event::Offer(bytes, services) => {
                    bench.state.offer(batch_of(id as u64, bytes, &services), None, bench.now);
                }
                Event::Step(worker, outcome) => match hands[worker] {
                    Hand::Export => {
                        bench.state.export_returned(worker, outcome, bench.now);
                        bench.state.count_returned(worker);
                        hands[worker] = Hand::Empty;
                    }
                    Hand::Flush => {
                        bench.state.flush_returned(worker, outcome == Outcome::Exported);
                        bench.state.count_returned(worker);
                        hands[worker] = Hand::Empty;
                    }
                    Hand::Shutdown => {
                        bench.state.shutdown_returned(worker, outcome == Outcome::Exported);
                        hands[worker] = Hand::Gone;
                    }
                    Hand::Gone => {}
                    Hand::Empty => {
                        hands[worker] = match bench.state.next(worker, bench.now) {
                            Next::Export { .. } => {
                                bench.state.call_begins(worker, "export_batch", Duration::from_secs(10), bench.now);
                                Hand::Export
                            }
                            Next::Flush { timeout } => {
                                bench.state.call_begins(worker, "flush", timeout, bench.now);
                                Hand::Flush
                            }
                            Next::ShutDownExporter { .. } => {
                                prop_assert!(hands.iter().enumerate().all(|(other, hand)| other == worker || *hand == Hand::Gone));
                                Hand::Shutdown
                            }
                            Next::Exit => Hand::Gone,
                            Next::Wait(_) => Hand::Empty,
                        };
                    }
                },
                Event::Wait(seconds) => bench.wait(seconds),
                Event::Tick => drop(bench.tick()),
                Event::Flush => drop(bench.state.request_flush(bench.now)),
                Event::Hurry => {
 let seconds = Duration::from_secs(1);
 bench.state.hurry(bench.now + 3 * seconds, bench.now + 4 * seconds, id % 2 == 0);
 }
Event::StopHurrying { last } => bench.state.stop_hurrying(last),
                Event::BeginShutdown => {
                    bench.state.begin_shutdown(bench.now + Duration::from_secs(3), bench.now + Duration::from_secs(4));
                }
                Event::Abandon => bench.state.abandon_calls(),
            }
            assert_adds_up(&bench.state, capacity);
        }
        // And at the end nothing is left behind.
        bench.state.abandon_calls();
        for (worker, hand) in hands.into_iter().enumerate() {
            if hand == Hand::Export {
                bench.state.export_returned(worker, Outcome::Exported, bench.now);
                bench.state.count_returned(worker);
            }
        }
        let counters = bench.state.counters();
        prop_assert_eq!(counters.held_bytes, 0);
        prop_assert!(counters.services.iter().all(|service| service.waiting == 0));
    }
}
