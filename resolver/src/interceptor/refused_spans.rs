//! How many refused sends of one producer and topic get spans: of a program that tries again at once, not all.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RefusedSpans {
    /// The second of the monotonic clock, and in the lowest byte how many there were in it.
    latest: AtomicU64,
    /// Whether it was said that there were more.
    told: AtomicBool,
}

/// A program that tries again at once is refused a hundred thousand times in the time of these.
pub(super) const SPANS_A_SECOND: u64 = 10;

impl RefusedSpans {
    /// Whether one more may have a span now, in nanoseconds of the monotonic clock; it then counts.
    pub(super) fn has_room(&self, now: u64) -> bool {
        const COUNT: u64 = 0xff;
        let second = now / 1_000_000_000;
        let count = |latest: u64| match latest & COUNT {
            _ if latest >> 8 != second => Some(second << 8 | 1),
            SPANS_A_SECOND.. => None,
            _ => Some(latest + 1),
        };
        self.latest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
    }

    /// Whether nobody was told yet that there is none.
    pub(super) fn is_first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_second_have_spans_and_the_next_second_begins_anew() {
        let spans = RefusedSpans::default();
        let made_at = |now: u64| (0..1000).filter(|_| spans.has_room(now)).count() as u64;
        assert_eq!(made_at(0), SPANS_A_SECOND);
        assert_eq!(made_at(999_999_999), 0);
        assert_eq!((made_at(1_000_000_000), made_at(5_500_000_000)), (SPANS_A_SECOND, SPANS_A_SECOND));
    }
}
