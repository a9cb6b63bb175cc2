//! Where the buckets of a histogram end.

#![forbid(unsafe_code)]

/// The upper bounds of a histogram, each of them part of its bucket.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Filled up with what nothing is above.
    nanos: [u64; PLACES],
    /// By the number of bits of a value: how many bounds are below all such values. Of those above, two at most have as
    /// many bits.
    below: [u8; 65],
    seconds: [f64; BOUNDS],
}

const BOUNDS: usize = 14;
/// A power of two, above the number of buckets.
pub(super) const PLACES: usize = 16;
pub(super) const BUCKETS: usize = BOUNDS + 1;

/// Those of the semantic conventions, for durations.
pub(super) static DURATIONS: Bounds =
    Bounds::of_millis([5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000]);

/// For the time between a message's timestamp and its delivery, which is milliseconds or, after an outage, hours.
pub(super) static TIMES_IN_QUEUE: Bounds = Bounds::of_millis([
    10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000,
]);

impl Bounds {
    #[expect(clippy::indexing_slicing, reason = "runs in the compiler only, where it would be an error")]
    const fn of_millis(millis: [u64; BOUNDS]) -> Self {
        let (mut nanos, mut seconds) = ([u64::MAX; PLACES], [0.0; BOUNDS]);
        let mut at = 0;
        while at < BOUNDS {
            nanos[at] = millis[at] * 1_000_000;
            // A division of two whole numbers is rounded once, as the literal is.
            seconds[at] = millis[at] as f64 / 1_000.0;
            at += 1;
        }
        let mut below = [0; 65];
        let (mut bits, mut at) = (1, 0);
        while bits < below.len() {
            while nanos[at] < 1 << (bits - 1) {
                at += 1;
            }
            below[bits] = at as u8;
            assert!(at + 2 >= PLACES || nanos[at + 2] >> (bits - 1) > 1, "two bounds are looked at");
            bits += 1;
        }
        Self { nanos, below, seconds }
    }

    /// The place of the bucket that a value falls into.
    #[inline]
    pub(super) fn bucket(&self, nanos: u64) -> usize {
        let bits = (u64::BITS - nanos.leading_zeros()) as usize;
        let first = self.below.get(bits).map_or(0, |below| usize::from(*below));
        let is_above = |place: usize| usize::from(self.nanos.get(place % PLACES).is_some_and(|bound| nanos > *bound));
        first + is_above(first) + is_above(first + 1)
    }

    pub(super) fn seconds(&'static self) -> &'static [f64] {
        &self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_durations_are_those_of_the_conventions() {
        let theirs = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
        assert_eq!(DURATIONS.seconds(), theirs);
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it_and_what_is_a_nanosecond_above_does_not() {
        for bounds in [&DURATIONS, &TIMES_IN_QUEUE] {
            assert_eq!(bounds.bucket(0), 0);
            for (place, bound) in bounds.nanos.iter().take(BOUNDS).enumerate() {
                assert_eq!((bounds.bucket(bound - 1), bounds.bucket(*bound)), (place, place), "{bound}");
                assert_eq!(bounds.bucket(bound + 1), place + 1, "{bound}");
            }
            assert_eq!(bounds.bucket(u64::MAX), BUCKETS - 1);
        }
    }
}
