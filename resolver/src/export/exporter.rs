//! What a queue needs of a backend.

use std::time::{Duration, SystemTime};

use super::FinishedBatch;

/// A backend as the queue sees it. Implemented by a plugin instance, and by fakes in tests.
///
/// All calls but [`Exporter::counted`] and [`Exporter::tick`] come from the queue's worker threads, at most [`Exporter::concurrency`] at once.
pub(crate) trait Exporter: Send + Sync + 'static {
    /// Calls of `export` that may be under way at once; at least 1.
    fn concurrency(&self) -> usize;

    /// Ships one batch. May block for `timeout`; one that blocks longer is called stuck.
    ///
    /// Which try of the batch it is, `this_try` says. What else of the backend's it calls meanwhile, and how long that may take, it
    /// tells `watch` before.
    fn export(&self, batch: &FinishedBatch, this_try: &Try, timeout: Duration, watch: Watch<'_>) -> Outcome;

    /// Pushes out what the backend itself still holds. False when it could not within `timeout`. `watch` is as in `export`.
    fn flush(&self, timeout: Duration, watch: Watch<'_>) -> bool;

    /// Ends the backend; called once, when no other call is under way. False when it did not end within `timeout`.
    fn shutdown(&self, timeout: Duration) -> bool;

    /// Asks the backend what it has counted. Should not block; one that does is called stuck.
    fn count(&self) {}

    /// What the backend itself had counted when it was asked last, those before it that it has replaced included; `None` if it does
    /// not count, or was not asked yet. Any thread; asks nobody.
    fn counted(&self) -> Option<PluginCounts> {
        None
    }

    /// Tells what the backend has said. Called by the batch thread every 100 ms or so, and by a worker after each of its calls.
    fn tick(&self) {}
}

/// Is told which function of the backend's is about to be called, and within what time it is to come back.
pub(crate) type Watch<'a> = &'a dyn Fn(&'static str, Duration);

/// What a plugin counts of itself: `tracer_stats`. All but `in_flight` only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginCounts {
    /// Batches being exported at this moment.
    pub in_flight: u32,
    /// Spans and data points that the backend has taken.
    pub items_sent: u64,
    /// Those that it refused.
    pub items_rejected: u64,
    /// Exports that ended well or in part.
    pub batches_sent: u64,
    /// Exports that failed.
    pub batches_failed: u64,
    /// Bytes on the wire, after compression, retries included.
    pub bytes_sent: u64,
    /// Connections opened after the first one.
    pub reconnects: u64,
}

impl PluginCounts {
    /// Those of two that came one after the other, or that work side by side.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            in_flight: self.in_flight.saturating_add(other.in_flight),
            items_sent: self.items_sent.saturating_add(other.items_sent),
            items_rejected: self.items_rejected.saturating_add(other.items_rejected),
            batches_sent: self.batches_sent.saturating_add(other.batches_sent),
            batches_failed: self.batches_failed.saturating_add(other.batches_failed),
            bytes_sent: self.bytes_sent.saturating_add(other.bytes_sent),
            reconnects: self.reconnects.saturating_add(other.reconnects),
        }
    }

    /// Whether one that only grows has become less: it began anew.
    pub(crate) fn began_anew_since(&self, before: &Self) -> bool {
        let grows = |of: &Self| {
            [of.items_sent, of.items_rejected, of.batches_sent, of.batches_failed, of.bytes_sent, of.reconnects]
        };
        grows(self).iter().zip(grows(before)).any(|(now, before)| *now < before)
    }
}

/// One try of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    /// 1 for the first, and one more with every retry of the same batch.
    pub(crate) attempt: u32,
    /// What the try before left in [`Outcome::Retry`]; 0 on the first.
    pub(crate) cookie: u64,
    /// When the first try began.
    pub(crate) first_at: SystemTime,
    /// No further one is meant to follow.
    pub(crate) is_last: bool,
    /// The process, or the queue, is about to end.
    pub(crate) is_leaving: bool,
}

impl Try {
    /// The first one of a batch, at this moment.
    pub(crate) fn first() -> Self {
        Self { attempt: 1, cookie: 0, first_at: SystemTime::now(), is_last: false, is_leaving: false }
    }
}

/// What became of one `export` call. Messages are for people; they hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All items arrived.
    Exported,
    /// The batch arrived, but the backend refused some of its items; sending them again would not help.
    Partial {
        /// Refused items.
        rejected_items: u32,
        /// The backend's reason.
        message: String,
    },
    /// Not now: a later try of the same batch may succeed.
    Retry {
        /// The server's wish (`Retry-After`): not before this has passed.
        after: Option<Duration>,
        /// What the next try is to be told, a number of the backend's; 0 if nothing.
        cookie: u64,
        /// Whether something of the batch may be there all the same.
        may_be_stored: bool,
        /// What went wrong.
        message: String,
    },
    /// Never: this batch is lost, the next may succeed.
    Rejected {
        /// What went wrong.
        message: String,
    },
    /// Never again: the backend is finished for this process.
    OutOfService {
        /// What went wrong.
        message: String,
    },
}

impl Outcome {
    /// What went wrong, if anything did.
    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Exported => None,
            Self::Partial { message, .. }
            | Self::Retry { message, .. }
            | Self::Rejected { message }
            | Self::OutOfService { message } => Some(message),
        }
    }
}
