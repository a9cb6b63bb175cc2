//! What is counted for one topic on one side: what became of its messages before they were spans in a batch.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use super::service_counters::ManyHands;
use crate::per_process::PerProcess;

/// What is counted for one topic in this process; a fork begins at zero.
#[derive(Default)]
pub(crate) struct TopicCounters(PerProcess<Box<TopicCounts>>);

/// Every number only ever grows, but for that of what was not recorded: it may be decided anew.
#[derive(Debug, Default)]
pub(crate) struct TopicCounts {
    /// Spans that were put into batches. Only the batch thread writes it: a message costs its own thread nothing.
    spans: AtomicU64,
    /// Spans that were not recorded, because their trace is not sampled.
    pub sampled_out: ManyHands,
    /// Messages that were sent without our header.
    pub not_injected: AtomicU64,
    /// Messages that get no span by what the file says: nobody's, excluded, off, or passed on. And sends that were refused too often.
    pub without_span: ManyHands,
}

impl TopicCounters {
    /// What was counted in this process; nothing is made for it.
    pub(crate) fn counted(&self) -> Option<&TopicCounts> {
        self.0.get().map(|counts| &**counts)
    }

    /// A span has come into a batch. For the batch thread alone.
    pub(super) fn count_span(&self) {
        let spans = &self.spans;
        spans.store(spans.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl TopicCounts {
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }
}

impl Deref for TopicCounters {
    type Target = TopicCounts;

    fn deref(&self) -> &TopicCounts {
        self.0.get_or_init(Box::default)
    }
}

impl fmt::Debug for TopicCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counted().fmt(f)
    }
}
