//! The batch thread's view of one thread that finishes spans: which segment the thread fills.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
    pub(super) fn fills(&self, segment: Option<u32>) {
        // Release: pairs with the acquire in `segment`.
        self.current.store(segment.unwrap_or(NONE), Ordering::Release);
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
