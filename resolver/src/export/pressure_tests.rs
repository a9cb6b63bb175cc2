//! The share of traces that begins while more comes than a backend takes, with a clock that moves by hand.

use std::collections::VecDeque;
use std::time::Duration;

use super::pressure::{Halvings, Pressure};
use super::queue_state::Next;
use super::queue_state_tests::Bench;
use super::test_words::batch_of;
use super::*;

/// A process whose traces have four spans each, and a backend that takes one batch at a time.
struct Load {
    queue_bytes: usize,
    batch_bytes: usize,
    traces_per_second: u64,
    /// Of all that comes while every trace begins, how much the backend takes: one part in so many.
    overload: u64,
    /// From the begin of a trace to its last span, in milliseconds: the others come in between.
    lasts: u64,
}

#[derive(Debug, Default)]
struct Seen {
    begun: u64,
    kept: u64,
    /// Of how many traces those that were kept say that they stand for.
    reckoned: f64,
    lost: u64,
    /// The lowest and the highest share of the second half.
    lowest: f64,
    highest: f64,
}

const SPANS: u64 = 4;
const SPAN_BYTES: u64 = 420;
const MILLISECOND: Duration = Duration::from_millis(1);

/// One process, its queue and its backend.
struct Run {
    bench: Bench,
    load: Load,
    /// Spans of kept traces that come in so many milliseconds from now.
    to_come: VecDeque<u64>,
    random: u64,
    buffered: u64,
    batches: u64,
    share: f64,
    /// When the export under way is over.
    busy_until: Option<u64>,
    now: u64,
}

impl Run {
    fn new(load: Load) -> Self {
        let bench = Bench::with_capacity(1, load.queue_bytes);
        let to_come = (0..=load.lasts).map(|_| 0).collect();
        Self { bench, load, to_come, random: 7, buffered: 0, batches: 0, share: 1.0, busy_until: None, now: 0 }
    }

    /// Uniform in 0..1.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `traces` begin in this millisecond.
    fn step(&mut self, traces: u64, seen: &mut Seen) {
        self.to_come.push_back(0);
        for _ in 0..traces {
            seen.begun += 1;
            if self.random() < 1.0 - self.share {
                continue;
            }
            seen.kept += 1;
            seen.reckoned += 1.0 / self.share;
            for span in 0..SPANS {
                let place = self.load.lasts * span / (SPANS - 1);
                self.to_come[usize::try_from(place).unwrap()] += 1;
            }
        }
        self.buffered += self.to_come.pop_front().unwrap_or(0);
        let full = self.load.batch_bytes as u64 / SPAN_BYTES;
        while self.buffered >= full || self.now % 200 == 0 && self.buffered > 0 {
            let spans = u32::try_from(self.buffered.min(full)).unwrap();
            self.buffered -= u64::from(spans);
            self.batches += 1;
            let batch = batch_of(self.batches, usize::try_from(u64::from(spans) * SPAN_BYTES).unwrap(), &[(0, spans)]);
            self.bench.state.offer(batch, None, self.bench.now);
            self.look();
        }
        if self.now % 100 == 0 {
            self.look();
        }
        self.export();
        self.now += 1;
        self.bench.now += MILLISECOND;
    }

    fn look(&mut self) {
        self.share = self.bench.state.wish(None, self.bench.now).halvings.share();
    }

    fn export(&mut self) {
        if self.busy_until.is_some_and(|until| until > self.now) {
            return;
        }
        if self.busy_until.take().is_some() {
            assert_eq!(self.bench.returns(0, Outcome::Exported), []);
        }
        if let Next::Export { batch, .. } = self.bench.state.next(0, self.bench.now) {
            let per_second = self.load.traces_per_second * SPANS / self.load.overload;
            self.busy_until = Some(self.now + u64::from(batch.item_count) * 1000 / per_second.max(1));
        }
    }

    fn lost(&self) -> u64 {
        self.bench.state.lost()
    }
}

fn run(load: Load, seconds: u64) -> (Run, Seen) {
    let mut run = Run::new(load);
    let mut seen = Seen { lowest: 1.0, ..Seen::default() };
    for millisecond in 0..seconds * 1000 {
        run.step(run.load.traces_per_second / 1000, &mut seen);
        if millisecond > seconds * 500 {
            seen.lowest = seen.lowest.min(run.share);
            seen.highest = seen.highest.max(run.share);
        }
    }
    seen.lost = run.lost();
    (run, seen)
}

#[test]
fn at_ten_times_what_a_backend_takes_every_trace_is_whole_and_the_rate_is_told_within_two_percent() {
    for lasts in [0, 50, 300, 1_000] {
        let load =
            Load { queue_bytes: 64 << 20, batch_bytes: 512 << 10, traces_per_second: 20_000, overload: 10, lasts };
        let (_, seen) = run(load, 60);
        assert_eq!(seen.lost, 0, "a lost batch has parts of traces in it: {lasts} {seen:?}");
        let error = seen.reckoned / seen.begun as f64 - 1.0;
        assert!(error.abs() < 0.02, "{lasts} {error} {seen:?}");
        assert!(seen.kept < seen.begun / 5 && seen.kept > seen.begun / 20, "{lasts} {seen:?}");
        assert!(seen.lowest > 0.1 / 4.0 && seen.highest < 0.1 * 4.0, "it swings: {lasts} {seen:?}");
    }
}

#[test]
fn what_is_too_much_may_be_twice_or_a_thousand_times_too_much() {
    for (overload, traces_per_second) in [(2, 20_000), (100, 50_000), (1_000, 100_000)] {
        let load = Load { queue_bytes: 64 << 20, batch_bytes: 64 << 10, traces_per_second, overload, lasts: 20 };
        let (_, seen) = run(load, 60);
        assert_eq!(seen.lost, 0, "{overload} {seen:?}");
        assert!(seen.lowest < 1.0, "{overload} {seen:?}");
    }
}

#[test]
fn a_small_queue_of_few_batches_keeps_traces_whole_too() {
    let load = Load { queue_bytes: 8 << 20, batch_bytes: 512 << 10, traces_per_second: 2_000, overload: 10, lasts: 50 };
    let (_, seen) = run(load, 120);
    assert_eq!(seen.lost, 0, "{seen:?}");
    let error = seen.reckoned / seen.begun as f64 - 1.0;
    assert!(error.abs() < 0.05, "fewer traces say less: {error} {seen:?}");
}

#[test]
fn while_a_backend_keeps_up_all_traces_begin_and_after_too_much_they_do_again() {
    let load =
        || Load { queue_bytes: 16 << 20, batch_bytes: 512 << 10, traces_per_second: 5_000, overload: 1, lasts: 500 };
    let mut run = Run::new(load());
    let mut seen = Seen::default();
    (0..60_000).for_each(|_| run.step(4, &mut seen));
    assert_eq!((seen.kept, run.lost()), (seen.begun, 0), "four in five of what it can take: {seen:?}");
    let mut run = Run::new(Load { overload: 4, ..load() });
    let mut seen = Seen::default();
    for _ in 0..60_000 {
        run.step(5, &mut seen);
    }
    assert!(run.share < 0.5);
    let mut calm = Seen::default();
    for _ in 0..60_000 {
        run.step(1, &mut calm);
    }
    assert_eq!((run.share, run.lost()), (1.0, 0));
    let mut after = Seen::default();
    (0..10_000).for_each(|_| run.step(1, &mut after));
    assert_eq!((after.kept, after.reckoned), (after.begun, after.begun as f64));
}

#[test]
fn nothing_is_asked_for_until_the_last_quarter_and_nothing_begins_at_the_bound() {
    let share = |held| Halvings::of(held, 1 << 20, 1 << 18).share();
    assert_eq!([share(0), share(3 << 18)], [1.0, 1.0]);
    assert!(share((3 << 18) + 64) < 1.0);
    assert_eq!(share((3 << 18) + (1 << 17)), 0.5_f64.powi(4), "in the middle of the last quarter");
    assert!(share((1 << 20) - 1) < 1e-11 && share(2 << 20) < 1e-11);
    assert_eq!(Halvings::of(0, 0, 0), Halvings::default(), "nothing may wait, and nothing does");
}

#[test]
fn what_is_in_the_spool_asks_for_nothing_until_the_spool_is_nearly_full_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings = crate::config::Spool { folder: folder.path().to_owned(), limit: 1 << 20 };
    let store = spool::Store::new("collector", &settings);
    let slot = || store.keep(&batch_of(1, 800, &[(0, 1)]), std::time::Instant::now()).unwrap();
    let mut bench = Bench::with_capacity(1, 1_000);
    bench.state.offer(batch_of(1, 800, &[(0, 1)]), Some(slot()), bench.now);
    bench.state.offer(batch_of(2, 800, &[(0, 1)]), Some(slot()), bench.now);
    assert!(bench.state.wish(Some((10, 100)), bench.now).halvings.is_none());
    assert!(!bench.state.wish(Some((99, 100)), bench.now).halvings.is_none());
    bench.state.offer(batch_of(3, 10, &[(0, 1)]), None, bench.now);
    assert!(!bench.state.wish(Some((10, 100)), bench.now).halvings.is_none(), "it takes no more");
    assert_eq!(bench.state.wish(None, bench.now).bound, 1_000);
}

#[test]
fn a_backend_that_is_not_to_shed_asks_for_nothing_and_one_that_fails_is_not_heard() {
    let mut bench = Bench::with_capacity(1, 1_000);
    bench.offer(1);
    (2..20).for_each(|id| bench.offer(id));
    let wish = bench.state.wish(None, bench.now);
    assert!(wish.is_heard && !wish.halvings.is_none());
    bench.export(0);
    bench.returns(0, Outcome::Retry { after: None, cookie: 0, may_be_stored: false, message: "503".to_owned() });
    let wish = bench.state.wish(None, bench.now);
    assert!(!wish.is_heard && !wish.halvings.is_none());
    let mut settings = super::test_words::backend("b");
    (settings.queue_bytes, settings.shed_traces) = (crate::config::QueueBytes::Fixed(1_000), false);
    let mut state = super::queue_state::QueueState::new(&settings, Timing::default(), 1);
    (0..20).for_each(|id| state.offer(batch_of(id, 100, &[(0, 1)]), None, bench.now));
    assert!(state.wish(None, bench.now).halvings.is_none() && state.lost() > 0);
}

#[test]
fn room_is_left_for_as_much_as_came_in_the_last_second_from_a_quarter_to_half_of_the_queue() {
    let start = std::time::Instant::now();
    // What is asked for where so much came before, so many milliseconds ago, and so much waits.
    let asked = |came, ago, held| {
        let mut pressure = Pressure::default();
        pressure.came(came, 0, 1_000, start);
        pressure.came(0, held, 1_000, start + ago * MILLISECOND);
        pressure.halvings()
    };
    assert_eq!([asked(0, 0, 750), asked(300, 0, 700), asked(5_000, 0, 500)], [Halvings::default(); 3]);
    assert!([asked(0, 0, 760), asked(300, 0, 710), asked(5_000, 0, 510)].iter().all(|halvings| !halvings.is_none()));
    assert!(asked(300, 800, 750) > Halvings::default());
    assert_eq!(asked(300, 1_100, 750), Halvings::default(), "that was before");
}

#[test]
fn the_share_falls_at_once_and_rises_with_what_leaves() {
    let mut pressure = Pressure::default();
    pressure.came(0, 875, 1_000, std::time::Instant::now());
    let least = pressure.halvings();
    assert_eq!(least.share(), 1.0 / 16.0, "at once");
    pressure.came(0, 800, 1_000, std::time::Instant::now());
    assert_eq!(pressure.halvings(), least, "not because less waits");
    pressure.left(100, 775, 1_000);
    let share = pressure.halvings().share();
    assert!(
        (share.log2() + 4.0 - 1.6).abs() < 0.01,
        "{share}: a tenth of the queue has left, of sixteen halvings as much"
    );
    pressure.left(1_000, 800, 1_000);
    assert_eq!(pressure.halvings(), Halvings::of(800, 1_000, 250), "no higher than what waits allows");
    pressure.left(1, 501, 1_000);
    assert!(!pressure.halvings().is_none());
    pressure.left(1, 499, 1_000);
    assert!(pressure.halvings().is_none(), "half of it is room enough for all");
}

#[test]
fn however_full_a_queue_was_it_lets_traces_begin_again_as_soon_as_it_empties() {
    let mut pressure = Pressure::default();
    pressure.came(0, 2_000, 1_000, std::time::Instant::now());
    pressure.left(2_500, 600, 1_000);
    assert!(pressure.halvings().is_none(), "{:?}", pressure.halvings());
}

#[test]
fn a_batch_for_which_there_is_no_room_asks_for_fewer_traces_and_one_that_is_refused_otherwise_does_not() {
    let large = |id| batch_of(id, 2_000, &[(0, 1)]);
    let mut bench = Bench::with_capacity(1, 1_000);
    bench.state.offer(large(1), None, bench.now);
    assert_eq!(bench.state.lost(), 1);
    assert!(!bench.state.wish(None, bench.now).halvings.is_none());
    let mut bench = Bench::with_capacity(1, 1_000);
    bench.offer(1);
    bench.export(0).unwrap();
    bench.returns(0, Outcome::OutOfService { message: String::new() });
    bench.state.offer(large(2), None, bench.now);
    assert_eq!(bench.state.lost(), 5);
    assert!(bench.state.wish(None, bench.now).halvings.is_none());
}

#[test]
fn where_memory_has_become_scarce_fewer_traces_begin_although_nothing_more_has_come() {
    let mut settings = super::test_words::backend("b");
    settings.queue_bytes = crate::config::QueueBytes::Auto;
    let mut state = super::queue_state::QueueState::new(&settings, Timing::default(), 1);
    let now = std::time::Instant::now();
    let memory = |free| [super::memory::Limit { total: 1 << 30, free }];
    state.has_memory(&memory(1 << 30), now);
    state.offer(batch_of(1, 20 << 20, &[(0, 1)]), None, now);
    assert!(state.wish(None, now).halvings.is_none());
    state.has_memory(&memory(0), now);
    assert!(!state.wish(None, now).halvings.is_none());
}

#[test]
fn a_backend_that_is_not_there_has_no_say_beside_others_and_one_that_ends_wants_nothing() {
    let full = || {
        let mut bench = Bench::with_capacity(1, 1_000);
        (0..20).for_each(|id| bench.offer(id));
        bench
    };
    let (settings, now) = (super::test_words::backend("b"), std::time::Instant::now());
    let starting = super::queue_state::QueueState::starting(&settings, Timing::default(), now, Duration::ZERO);
    assert!(!Bench { state: starting, now, ticked: now }.state.wish(None, now).is_heard, "it is being started");
    let mut bench = full();
    bench.export(0).unwrap();
    bench.wait(16);
    bench.tick();
    assert!(!bench.state.wish(None, bench.now).is_heard, "it does not come back");
    let mut bench = full();
    bench.export(0).unwrap();
    bench.returns(0, Outcome::OutOfService { message: String::new() });
    assert!(!bench.state.wish(None, bench.now).is_heard, "it has broken too often");
    let mut bench = full();
    assert!(!bench.state.wish(None, bench.now).halvings.is_none());
    bench.state.begin_shutdown(bench.now, bench.now);
    assert!(bench.state.wish(None, bench.now).halvings.is_none());
}
