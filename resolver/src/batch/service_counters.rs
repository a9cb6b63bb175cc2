//! What is counted for a service beside what its backends make of its spans.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::per_process::PerProcess;

/// What is counted for one service in this process; a fork begins at zero.
#[derive(Default)]
pub(crate) struct ServiceCounters(PerProcess<Box<Counts>>);

/// Every number but one only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Spans that were put into batches.
    pub spans: AtomicU64,
    /// Spans lost before they came into a batch. Those of each backend are counted there too, by reason.
    pub lost: AtomicU64,
    /// Messages sent without our header, because it might have made them too large, because they have too many,
    /// or because brokers refuse headers.
    pub not_injected: AtomicU64,
    /// Spans exported without their parent, because too many messages were in flight.
    pub parents_lost: AtomicU64,
    /// Spans that were not recorded, because their trace is not sampled.
    pub sampled_out: ManyHands,
    /// Traces that would have begun, and did not because more comes than leaves. Their spans are among the ones that were not
    /// recorded.
    pub shed: ManyHands,
    /// Messages that were sent, and of which librdkafka has not said yet what became of them: their spans are still open.
    pub unacknowledged: ManyHands,
}

impl ServiceCounters {
    /// Adds what others have counted in this process, which count no more.
    pub(crate) fn add(&self, others: &Self) {
        let numbers = [
            (&self.spans, &others.spans),
            (&self.lost, &others.lost),
            (&self.not_injected, &others.not_injected),
            (&self.parents_lost, &others.parents_lost),
        ];
        for (sum, more) in numbers {
            sum.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sampled_out.add(others.sampled_out.sum());
        self.shed.add(others.shed.sum());
        self.unacknowledged.add(others.unacknowledged.sum());
    }
}

impl Deref for ServiceCounters {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        self.0.get_or_init(Box::default)
    }
}

impl std::fmt::Debug for ServiceCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// A number that many threads change for every message: each has a place of its own, so that none waits for another's. What one
/// raises another may lower, so that only the sum means anything.
#[derive(Debug, Default)]
pub(crate) struct ManyHands([Place; PLACES]);

const PLACES: usize = 8;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Place(AtomicU64);

impl ManyHands {
    #[inline]
    pub(crate) fn raise(&self) {
        if let Some(place) = self.0.get(own_place()) {
            place.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn add(&self, many: u64) {
        if let Some(place) = self.0.get(own_place()) {
            place.0.fetch_add(many, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn lower(&self) {
        if let Some(place) = self.0.get(own_place()) {
            place.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        let sum = self.0.iter().fold(0, |sum: u64, place| sum.wrapping_add(place.0.load(Ordering::Relaxed)));
        // What was lowered before it was raised, as the reader saw it: an instant ago it was none.
        if sum > u64::MAX / 2 { 0 } else { sum }
    }
}

/// How many threads have a place.
static TURNS: AtomicUsize = AtomicUsize::new(0);

/// The place of the calling thread; threads take turns at them.
fn own_place() -> usize {
    thread_local!(static OWN: Cell<usize> = const { Cell::new(PLACES) });
    // It has no destructor, so it is there to the thread's last moment.
    OWN.try_with(|own| {
        if own.get() == PLACES {
            own.set(TURNS.fetch_add(1, Ordering::Relaxed) % PLACES);
        }
        own.get()
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let counters = ServiceCounters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| (0..1_000).for_each(|_| counters.sampled_out.raise()));
            }
        });
        assert_eq!(counters.sampled_out.sum(), 16_000);
    }

    #[test]
    fn what_one_thread_raises_another_may_lower() {
        let number = ManyHands::default();
        number.raise();
        std::thread::scope(|scope| drop(scope.spawn(|| (0..3).for_each(|_| number.lower()))));
        assert_eq!(number.sum(), 0, "it is seen before what raised it");
        (0..4).for_each(|_| number.raise());
        assert_eq!(number.sum(), 2);
    }
}
