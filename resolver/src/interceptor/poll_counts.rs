//! Calls for messages, counted by the address that is asked: whether a thread's last call was the source's last one too.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

/// One call for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Poll {
    /// The address of the client, topic or queue that was asked.
    pub source: usize,
    /// How many calls for messages there had been, of it and of whatever shares its counter.
    pub count: u64,
}

impl Poll {
    /// The call that begins now.
    pub(super) fn begin(source: usize) -> Self {
        Self { source, count: count_of(source).fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// Whether nobody has asked the same source since.
    pub(super) fn is_latest(self) -> bool {
        count_of(self.source).load(Ordering::Relaxed) == self.count
    }
}

fn count_of(source: usize) -> &'static AtomicU64 {
    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    &COUNTS[(source >> 4 ^ source >> 12) % COUNTS.len()]
}

/// Calls for messages, by the address that was asked. Where two share a counter, each looks like another thread to the
/// other, and then no end is claimed: of two consumers that happens to one pair in 16,384. Only ever grow. Memory is
/// taken by the pages that are used.
static COUNTS: [AtomicU64; COUNTERS] = [const { AtomicU64::new(0) }; COUNTERS];
const COUNTERS: usize = 16_384;
