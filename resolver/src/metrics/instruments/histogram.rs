//! How often what was measured fell between which bounds.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::bounds::{BUCKETS, Bounds, PLACES};
use super::exemplar_slot::{ExemplarSlot, Exemplars, InSpan};
use crate::metrics::model::{Attributes, Distribution};

/// Only ever grows; any number of threads add to it, and none waits for another.
///
/// A collection reads while others add: counts and sum may differ by what is being added at that very moment.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static Bounds,
    /// By bucket; the last place is not used.
    counts: [AtomicU64; PLACES],
    /// The sum is both: whole seconds are apart, so that hours of waiting messages do not overflow it.
    nanos: AtomicU64,
    seconds: AtomicU64,
    /// By bucket.
    exemplars: [ExemplarSlot; BUCKETS],
}

/// What is less is added as it is: four thousand million times before it might overflow.
const LARGE: u64 = 1 << 32;
const NANOS_A_SECOND: u64 = 1_000_000_000;

impl Histogram {
    pub(super) fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            counts: Default::default(),
            nanos: AtomicU64::new(0),
            seconds: AtomicU64::new(0),
            exemplars: Default::default(),
        }
    }

    /// `within` is asked for only where an exemplar is wanted.
    #[inline]
    pub(super) fn record(&self, nanos: u64, within: impl FnOnce() -> Option<InSpan>) {
        let bucket = self.bounds.bucket(nanos);
        if let Some(count) = self.counts.get(bucket % PLACES) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if nanos < LARGE {
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
        } else {
            self.add_large(nanos);
        }
        if let Some(slot) = self.exemplars.get(bucket).filter(|slot| slot.is_wanted()) {
            if let Some(within) = within() {
                slot.note(nanos, &within);
            }
        }
    }

    #[cold]
    fn add_large(&self, nanos: u64) {
        self.seconds.fetch_add(nanos / NANOS_A_SECOND, Ordering::Relaxed);
        self.nanos.fetch_add(nanos % NANOS_A_SECOND, Ordering::Relaxed);
    }

    /// What it has counted until now; `None` if that is nothing.
    pub(super) fn collect(&self, attributes: Attributes, exemplars: Exemplars) -> Option<Distribution> {
        let counts: Vec<_> = self.counts.iter().take(BUCKETS).map(|count| count.load(Ordering::Relaxed)).collect();
        if counts.iter().all(|count| *count == 0) {
            return None;
        }
        let (seconds, nanos) = (self.seconds.load(Ordering::Relaxed), self.nanos.load(Ordering::Relaxed));
        Some(Distribution {
            attributes,
            counts,
            sum: seconds as f64 + nanos as f64 / NANOS_A_SECOND as f64,
            exemplars: self.exemplars.iter().filter_map(|slot| slot.collect(exemplars)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::bounds::DURATIONS;
    use super::*;

    #[test]
    fn counts_and_sum_are_those_of_what_many_threads_measured() {
        let histogram = Histogram::new(&DURATIONS);
        assert!(histogram.collect(Vec::new(), Exemplars::New).is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| histogram.record(5_000_000, || None)));
            }
        });
        histogram.record(5_000_001, || None);
        let found = histogram.collect(Vec::new(), Exemplars::New).unwrap();
        assert_eq!((found.counts[0], found.counts[1], found.counts.iter().sum::<u64>()), (4_000, 1, 4_001));
        assert!((found.sum - 20.005_000_001).abs() < 1e-9, "{}", found.sum);
        assert!(found.exemplars.is_empty());
    }

    #[test]
    fn a_sum_of_decades_does_not_overflow() {
        let histogram = Histogram::new(&DURATIONS);
        let decades = 50 * 365 * 86_400 * NANOS_A_SECOND + 7;
        (0..1_000).for_each(|_| histogram.record(decades, || None));
        let found = histogram.collect(Vec::new(), Exemplars::New).unwrap();
        assert_eq!(found.counts.last(), Some(&1_000));
        let expected = 1_000.0 * 50.0 * 365.0 * 86_400.0;
        assert!((found.sum - expected).abs() < 1e-3 * expected, "{}", found.sum);
    }
}
