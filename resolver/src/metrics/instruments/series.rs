//! What is measured of the messages of one topic, by the clients of one service, on one side.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bounds::TIMES_IN_QUEUE;
use super::exemplar_slot::InSpan;
use super::histogram::Histogram;
use super::outcomes::{Failure, FailureRoom, Outcomes};

/// Whose messages they are: what all attributes come from that do not depend on the message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesKey {
    /// By the number that no reload changes.
    pub service: usize,
    pub is_consumer: bool,
    pub topic: String,
    /// Consumers only.
    pub group: Option<String>,
    /// The one broker of `bootstrap.servers`, when there is just one.
    pub server: Option<(String, Option<u16>)>,
}

/// See the module. Any thread adds to it, without waiting.
#[derive(Debug)]
pub(crate) struct Series {
    pub(super) is_consumer: bool,
    /// `None`: of all for which there was no room.
    pub(super) key: Option<SeriesKey>,
    /// A producer's sends, a consumer's processings.
    pub(super) operations: Outcomes,
    /// Consumed messages with a timestamp, by the time since then.
    pub(super) queue: Histogram,
    /// Consumed messages without one.
    pub(super) undated: AtomicU64,
    room: Arc<FailureRoom>,
    /// Where goes what has no room here.
    overflow: Option<Arc<Series>>,
}

impl Series {
    /// One of its own, beside that for which there was no room.
    pub(super) fn new(key: SeriesKey, room: Arc<FailureRoom>, overflow: Arc<Self>) -> Self {
        let is_consumer = key.is_consumer;
        Self { key: Some(key), overflow: Some(overflow), ..Self::beyond(is_consumer, room) }
    }

    /// That of all for which there is no room.
    pub(super) fn beyond(is_consumer: bool, room: Arc<FailureRoom>) -> Self {
        Self {
            is_consumer,
            key: None,
            operations: Outcomes::new(),
            queue: Histogram::new(&TIMES_IN_QUEUE),
            undated: AtomicU64::new(0),
            room,
            overflow: None,
        }
    }

    /// A message was acknowledged, or given up with this error code, so long after it was produced; `name` names the error.
    #[inline]
    pub(crate) fn sent(&self, nanos: u64, code: i32, name: impl FnOnce() -> String, within: Option<&InSpan>) {
        if code == 0 {
            self.operations.fine().record(nanos, within);
        } else {
            self.failed(Failure::Code(code), name, nanos, within);
        }
    }

    /// A message was handed to the application, so long after the time that it carries.
    #[inline]
    pub(crate) fn consumed(&self, since: Option<u64>, within: Option<&InSpan>) {
        match since {
            Some(nanos) => self.queue.record(nanos, within),
            None => drop(self.undated.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The application has processed a message, for so long; the error is its own word.
    pub(crate) fn processed(&self, nanos: u64, error_type: Option<&str>, within: Option<&InSpan>) {
        match error_type {
            None => self.operations.fine().record(nanos, within),
            Some(error) => self.failed(Failure::Named(error), || error.to_owned(), nanos, within),
        }
    }

    #[cold]
    fn failed(&self, failure: Failure<'_>, name: impl FnOnce() -> String, nanos: u64, within: Option<&InSpan>) {
        let own = self.key.as_ref().and_then(|_| self.operations.of(failure, &self.room, name));
        let beyond = || self.overflow.as_ref().map_or(self.operations.fine(), |overflow| overflow.operations.fine());
        own.unwrap_or_else(beyond).record(nanos, within);
    }
}
