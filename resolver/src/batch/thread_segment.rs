//! The batch thread's view of one thread that finishes spans: which segment the thread fills. And the segments that are filled
//! by the threads which keep none.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::record::FinishedSpan;
use super::segments::{Claim, Segments};

/// Written by its thread, read by the batch thread.
pub(crate) struct ThreadSegment {
    /// The segment being filled, `NONE` between two.
    current: AtomicU32,
    /// The thread has ended; its last segment was handed over.
    ended: AtomicBool,
}

const NONE: u32 = u32::MAX;

impl ThreadSegment {
    pub(super) fn new() -> Self {
        Self { current: AtomicU32::new(NONE), ended: AtomicBool::new(false) }
    }

    /// From here on its thread fills `segment`.
    fn fills(&self, segment: Option<u32>) {
        // Release: pairs with the acquire in `segment`.
        self.current.store(segment.unwrap_or(NONE), Ordering::Release);
    }

    /// `full` leaves, and a fresh one comes, if any is free; whether the batch thread should look, too. Handed over first: a drain
    /// finds a segment here, or there, or in both places, but never in none.
    pub(super) fn exchange(&self, segments: &Segments, full: Option<Claim>) -> (Option<Claim>, bool) {
        let many = full.is_some_and(|full| segments.submit(full));
        let fresh = segments.claim();
        self.fills(fresh.as_ref().map(Segments::index_of));
        (fresh, many)
    }

    /// Its thread ends, and has handed its last segment over.
    pub(super) fn ends(&self) {
        self.fills(None);
        // Release: pairs with the acquire in `has_ended`.
        self.ended.store(true, Ordering::Release);
    }

    /// The segment that its thread fills.
    pub(super) fn segment(&self) -> Option<u32> {
        // Acquire: pairs with the release in `fills`.
        let current = self.current.load(Ordering::Acquire);
        (current != NONE).then_some(current)
    }

    /// Whether its thread has ended: its last segment is among the full ones then.
    pub(super) fn has_ended(&self) -> bool {
        // Acquire: pairs with the release in `ends`.
        self.ended.load(Ordering::Acquire)
    }
}

/// A segment that threads fill one after the other.
pub(super) struct SharedSegment {
    /// Never waited for: a thread that finds it locked takes another.
    claim: Mutex<Option<Claim>>,
    shown: Arc<ThreadSegment>,
}

/// What became of a span that was to be put there.
pub(super) enum Shared {
    /// It is there. `wake`: the batch thread should look.
    Pushed { wake: bool },
    /// No segment is free.
    Full,
    /// Another thread is at it, or the one that this signal handler has interrupted.
    Locked,
}

impl SharedSegment {
    pub(super) fn new() -> Self {
        Self { claim: Mutex::new(None), shown: Arc::new(ThreadSegment::new()) }
    }

    /// What the batch thread looks at.
    pub(super) fn shown(&self) -> Arc<ThreadSegment> {
        Arc::clone(&self.shown)
    }

    pub(super) fn push(&self, segments: &Segments, span: &FinishedSpan, extra: &[u8]) -> Shared {
        let Ok(mut place) = self.claim.try_lock() else { return Shared::Locked };
        if place.as_mut().is_some_and(|claim| segments.push(claim, span, extra)) {
            return Shared::Pushed { wake: false };
        }
        let wake;
        (*place, wake) = self.shown.exchange(segments, place.take());
        let pushed = place.as_mut().is_some_and(|claim| segments.push(claim, span, extra));
        if pushed { Shared::Pushed { wake } } else { Shared::Full }
    }
}
