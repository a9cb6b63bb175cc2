//! "At most this many a second", without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// A token bucket that holds one second's worth of tokens, and at least one. Full when new.
///
/// It remembers one number, the moment at which the bucket will be full again (the generic cell rate algorithm): a
/// refusal is one load, a grant one compare-and-swap. Alone on its cache line, since every thread of a service writes it.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct RateLimit {
    /// In ticks. Only ever grows, unless the clock went back.
    full_at: AtomicU64,
    /// Ticks that one token takes to grow back.
    interval: u64,
    /// How far `full_at` may lie ahead for a token to be there: what the other tokens of a full bucket take to grow.
    tolerance: u64,
}

impl RateLimit {
    /// `per_second` may be a fraction: 0.5 is one token every two seconds. Zero, negative and NaN grant nothing.
    pub(super) fn new(per_second: f64) -> Self {
        // A NaN is not greater either.
        let interval = if per_second > 0.0 { (TICKS_PER_SECOND as f64 / per_second) as u64 } else { NEVER };
        Self { full_at: AtomicU64::new(0), interval, tolerance: TICKS_PER_SECOND.saturating_sub(interval) }
    }

    /// Takes a token, if there is one.
    ///
    /// `now` is in nanoseconds of a clock that does not go back, from any origin. Should it go back all the same, by more
    /// than ten seconds, the bucket starts anew, full.
    pub(super) fn take(&self, now: u64) -> bool {
        if self.interval == NEVER {
            return false;
        }
        let now = now.saturating_mul(TICKS_PER_NANOSECOND);
        // Relaxed: the number is all there is, nothing else is published with it.
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let mut from = full_at.max(now);
            if from - now > self.tolerance {
                // Threads read the clock a little before they get here, hence the slack: no bucket is legitimately further ahead.
                if from - now <= self.interval.saturating_add(CLOCK_WENT_BACK) {
                    return false;
                }
                from = now;
            }
            let next = from.saturating_add(self.interval);
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(current) => full_at = current,
            }
        }
    }
}

/// Finer than a nanosecond, so that a rate of millions a second is not rounded noticeably; 2^64 ticks are 36 years.
const TICKS_PER_NANOSECOND: u64 = 16;
const TICKS_PER_SECOND: u64 = 1_000_000_000 * TICKS_PER_NANOSECOND;
/// One second, which is the most that `tolerance` can be, and nine of slack.
const CLOCK_WENT_BACK: u64 = 10 * TICKS_PER_SECOND;
/// An interval that no positive rate a file can carry comes to.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    /// Where the clock stands when a test begins.
    const START: u64 = 77 * SECOND;

    #[test]
    fn a_full_bucket_holds_one_seconds_worth() {
        let limit = RateLimit::new(100.0);
        assert_eq!((0..1_000).filter(|_| limit.take(START)).count(), 100);
        assert!(!limit.take(START + SECOND / 100 - 1));
        assert!(limit.take(START + SECOND / 100));
        assert!(!limit.take(START + SECOND / 100));
    }

    #[test]
    fn a_bucket_does_not_grow_beyond_one_second() {
        let limit = RateLimit::new(10.0);
        assert_eq!((0..100).filter(|_| limit.take(START)).count(), 10);
        assert_eq!((0..100).filter(|_| limit.take(START + 3_600 * SECOND)).count(), 10);
    }

    #[test]
    fn half_a_token_a_second_is_one_every_two_seconds() {
        let limit = RateLimit::new(0.5);
        let granted: Vec<u64> = (0..10_000).filter(|ms| limit.take(START + ms * 1_000_000)).collect();
        assert_eq!(granted, [0, 2_000, 4_000, 6_000, 8_000]);
    }

    #[test]
    fn a_rate_that_is_no_rate_grants_nothing() {
        for rate in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(!RateLimit::new(rate).take(START), "{rate}");
        }
    }

    #[test]
    fn a_tiny_rate_grants_its_first_token_and_an_endless_one_all() {
        let tiny = RateLimit::new(1e-6);
        assert!(tiny.take(START));
        assert!(!tiny.take(START + 900_000 * SECOND));
        assert!(tiny.take(START + 1_000_001 * SECOND));
        let endless = RateLimit::new(f64::INFINITY);
        assert!((0..1_000).all(|_| endless.take(START)));
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_stop_sampling() {
        let limit = RateLimit::new(5.0);
        assert_eq!((0..100).filter(|_| limit.take(START + 3_600 * SECOND)).count(), 5);
        assert_eq!((0..100).filter(|_| limit.take(START)).count(), 5);
    }

    #[test]
    fn a_thread_that_read_the_clock_late_gets_no_extra_tokens() {
        let limit = RateLimit::new(5.0);
        assert_eq!((0..100).filter(|_| limit.take(START + 5 * SECOND)).count(), 5);
        assert!(!limit.take(START));
    }

    #[test]
    fn threads_share_one_budget() {
        let limit = RateLimit::new(1_000.0);
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..5_000).filter(|_| limit.take(START)).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, 1_000);
    }

    proptest! {
        #[test]
        fn no_window_grants_more_than_its_length_and_one_bucket(rate in 0.1..5_000.0f64, steps in prop::collection::vec(0..2_000_000_000u64, 1..200)) {
            let limit = RateLimit::new(rate);
            let (mut now, mut granted) = (START, 0u64);
            for step in steps {
                now += step;
                granted += (0..50).filter(|_| limit.take(now)).count() as u64;
            }
            let seconds = (now - START) as f64 / SECOND as f64;
            // Ticks round the interval down, by less than one part in three million at this rate.
            prop_assert!(granted as f64 <= (rate * seconds + rate.max(1.0)) * 1.000_001 + 1e-6);
        }
    }
}
