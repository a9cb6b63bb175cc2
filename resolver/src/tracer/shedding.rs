//! What share of new traces begins, when more comes than leaves: one threshold for the whole process.
//!
//! `RATIONALE.md`: "Why are whole traces shed, and by one threshold for the process?"

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::threshold::Threshold;
use crate::per_process::PerProcess;

/// The highest of what is asked for; 0: all traces begin. Every message that begins a trace reads it.
static THRESHOLD: AtomicU64 = AtomicU64::new(0);

/// What each asks for, by its number. A fork's child asks for nothing yet.
static ASKED: PerProcess<Mutex<BTreeMap<u64, u64>>> = PerProcess::new();

/// Who may ask that fewer traces begin; asks for nothing any more when it is gone.
#[derive(Debug)]
pub(crate) struct Asker(u64);

/// The threshold that a new trace's randomness has to reach at this moment; 0: any does.
#[inline]
pub(super) fn threshold() -> u64 {
    // Relaxed: the number is all there is, nothing else is published with it.
    THRESHOLD.load(Ordering::Relaxed)
}

/// What share of new traces begins at this moment, and by which threshold; `None`: all or none.
pub(crate) fn now() -> (f64, Option<Threshold>) {
    let threshold = threshold();
    let share = NONE_BEGINS.saturating_sub(threshold) as f64 / NONE_BEGINS as f64;
    (share, Some(threshold).filter(|threshold| (1..NONE_BEGINS).contains(threshold)).map(Threshold::at))
}

/// Whether sends that failed are still recorded although their traces were shed: not when next to nothing begins, because
/// then the last room is for what has begun.
pub(crate) fn has_room_for_failures() -> bool {
    threshold() <= NONE_BEGINS - (NONE_BEGINS >> 16)
}

/// The trace state of a span that is kept although its trace was shed: it counts for itself alone.
pub(crate) const COUNTS_FOR_ITSELF: &[u8] = b"ot=th:0";

impl Asker {
    /// One that asks for nothing.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Wants this share of all new traces, 0.0 to 1.0, to begin: the lowest share that anybody wants holds for all.
    pub(crate) fn ask(&self, share: f64) {
        let wanted = Threshold::of(share).map_or(NONE_BEGINS, Threshold::randomness);
        let mut asked = ASKED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if wanted == 0 {
            asked.remove(&self.0);
        } else {
            asked.insert(self.0, wanted);
        }
        THRESHOLD.store(asked.values().copied().max().unwrap_or(0), Ordering::Relaxed);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.ask(1.0);
    }
}

/// Called in a fork's child: the queues that were full are the parent's. Only stores to an atomic.
pub(crate) fn forget() {
    THRESHOLD.store(0, Ordering::Relaxed);
}

/// No randomness reaches it.
const NONE_BEGINS: u64 = 1 << 56;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::child_is_well;

    /// In a process of its own: all tests of this one sample by the same threshold.
    #[test]
    fn the_lowest_share_that_anybody_asks_for_holds_until_nobody_does() {
        assert!(child_is_well(|| {
            let (one, other) = (Asker::new(), Asker::new());
            one.ask(0.25);
            other.ask(0.5);
            let quarter = now().0 == 0.25;
            drop(one);
            let half = now().0 == 0.5 && has_room_for_failures();
            other.ask(1e-6);
            let is_full = !has_room_for_failures() && now().1.is_some();
            other.ask(0.0);
            let none = now() == (0.0, None);
            other.ask(1.0);
            quarter && half && is_full && none && now() == (1.0, None)
        }));
    }
}
