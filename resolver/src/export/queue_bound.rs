//! How many bytes may wait for a backend: what the file says, or what the memory of the process has room for at this moment.
//!
//! `resolver/RATIONALE.md`: "How much may wait where the file does not say it?"

use std::time::{Duration, Instant};

use super::memory::Limit;
use crate::config::QueueBytes;

/// See the module.
#[derive(Debug)]
pub(super) struct QueueBound {
    said: QueueBytes,
    /// Where the file does not say it: what it is at the moment.
    now: usize,
    looked_at: Option<Instant>,
}

impl QueueBound {
    pub(super) fn new(said: QueueBytes) -> Self {
        Self { said, now: ALWAYS, looked_at: None }
    }

    /// Memory was looked at, while so many bytes waited.
    pub(super) fn look(&mut self, limits: &[Limit], held: usize, now: Instant) {
        let room = limits.iter().map(|limit| room(*limit, held)).min().unwrap_or(WHERE_NOTHING_IS_KNOWN);
        self.now = room.clamp(ALWAYS, MOST);
        self.looked_at = Some(now);
    }

    /// Whether memory is to be looked at before so many bytes are let in.
    pub(super) fn is_to_look(&self, bytes: usize, now: Instant) -> bool {
        let is_old = |looked_at: Instant| now.saturating_duration_since(looked_at) >= LOOK_AGAIN;
        self.is_auto() && bytes > ALWAYS && self.looked_at.is_none_or(is_old)
    }

    /// Whether it follows from what memory there is.
    pub(super) fn is_auto(&self) -> bool {
        self.said == QueueBytes::Auto
    }

    /// How many bytes may wait.
    pub(super) fn bytes(&self) -> usize {
        match self.said {
            QueueBytes::Fixed(bytes) => bytes,
            QueueBytes::Auto => self.now,
        }
    }

    /// Whether so many bytes may wait beside those `held`. Where the file says no number, any batch may, if it is alone.
    pub(super) fn admits(&self, bytes: usize, held: usize) -> bool {
        held.saturating_add(bytes) <= self.bytes() || held == 0 && self.is_auto()
    }
}

/// What a queue may have by one limit: an eighth of all there is, but nothing of the last eighth that is free.
fn room(limit: Limit, held: usize) -> usize {
    let share = limit.total / SHARE;
    let more = limit.free.saturating_sub(share);
    usize::try_from(share.min(more.saturating_add(held as u64))).unwrap_or(usize::MAX)
}

/// One part in so many.
const SHARE: u64 = 8;
/// May always wait, however little memory there is.
const ALWAYS: usize = 8 << 20;
/// Nobody wants more of a machine, however large, to be old spans.
const MOST: usize = 512 << 20;
const WHERE_NOTHING_IS_KNOWN: usize = 64 << 20;
/// What memory had room for does not hold for longer. A burst brings some 40 MB meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bytes(limits: &[Limit], held: u64) -> u64 {
        let mut bound = QueueBound::new(QueueBytes::Auto);
        bound.look(limits, usize::try_from(held).unwrap(), Instant::now());
        bound.bytes() as u64
    }

    #[test]
    fn a_queue_has_an_eighth_of_the_memory_and_nothing_of_the_last_eighth_that_is_free() {
        let machine = Limit { total: 16_384 * MIB, free: 9_000 * MIB };
        for (limit, held, expected) in [
            (Limit { total: 1024 * MIB, free: 900 * MIB }, 0, 128),
            (Limit { total: 1024 * MIB, free: 148 * MIB }, 0, 20),
            (Limit { total: 1024 * MIB, free: 148 * MIB }, 30 * MIB, 50),
            (Limit { total: 1024 * MIB, free: 100 * MIB }, 30 * MIB, 30),
            (Limit { total: 1024 * MIB, free: 0 }, 0, 8),
            (Limit { total: 32 * MIB, free: 30 * MIB }, 0, 8),
        ] {
            assert_eq!(bytes(&[machine, limit], held), expected * MIB, "{limit:?}");
        }
        assert_eq!((bytes(&[machine], 0), bytes(&[], 0)), (512 * MIB, 64 * MIB));
    }

    #[test]
    fn memory_is_looked_at_only_where_much_waits_and_not_at_every_batch() {
        let now = Instant::now();
        let mut bound = QueueBound::new(QueueBytes::Auto);
        assert!(!bound.is_to_look(ALWAYS, now) && bound.is_to_look(ALWAYS + 1, now));
        bound.look(&[], 0, now);
        assert!(!bound.is_to_look(ALWAYS + 1, now + LOOK_AGAIN / 2) && bound.is_to_look(ALWAYS + 1, now + LOOK_AGAIN));
        assert!(!QueueBound::new(QueueBytes::Fixed(1)).is_to_look(usize::MAX, now), "the file has said it");
    }

    #[test]
    fn a_batch_of_any_size_may_wait_alone_where_the_file_says_no_number() {
        let huge = 64 << 20;
        assert!(QueueBound::new(QueueBytes::Auto).admits(huge, 0));
        assert!(!QueueBound::new(QueueBytes::Auto).admits(huge, 1));
        assert!(!QueueBound::new(QueueBytes::Fixed(1 << 20)).admits(huge, 0));
    }
}
