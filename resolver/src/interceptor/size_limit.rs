//! What a topic takes, learnt from what it refused: messages that come near are sent without our headers.
//!
//! A topic's own `max.message.bytes` may be below the producer's `message.max.bytes`, and no client is told. So a message
//! that had just fitted may be refused because of our headers: once, for then its size is known.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::per_process::PerProcess;

/// Of one topic of one cluster, for all producers of the process.
#[derive(Debug)]
pub(crate) struct SizeLimit {
    /// A message that would have so many bytes with our headers, or more, goes without: what was learnt, or 0 while brokers
    /// are believed to take no headers at all.
    below: AtomicUsize,
    batch: Mutex<RefusedBatch>,
}

/// What was learnt, and the batch that is being refused: a broker refuses it as a whole, and librdkafka tells so for each of
/// its messages.
#[derive(Debug)]
struct RefusedBatch {
    /// Only ever sinks, but while a refused batch is told message by message.
    learnt: usize,
    is_stopped: bool,
    /// Number of the answer that refused it, and the partition; an answer may be to several.
    answer: (u64, i32),
    /// [`learnt`](Self::learnt) when it began.
    before: usize,
    bytes: usize,
    largest: Refused,
}

/// A message that was refused for its size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refused {
    /// Bytes that it had.
    pub size: usize,
    /// Bytes that it would have had without our headers; `None`: it had none of ours.
    pub without_ours: Option<usize>,
}

/// By cluster and topic.
#[derive(Default)]
struct Limits(HashMap<(String, String), Arc<SizeLimit>>);

/// `Produce` in the Kafka protocol.
pub(super) const PRODUCE: i16 = 0;
/// Topics whose limit is shared by the producers of the process; those of further ones learn alone.
const MAX_TOPICS: usize = 20_000;

// Which answer to a `Produce` request the calling thread got last; 0 where answers are not seen.
thread_local!(static ANSWER: Cell<u64> = const { Cell::new(0) });

/// A broker has answered a `Produce` request, on its thread, which acknowledges the messages next.
pub(super) fn answered() {
    static ANSWERS: AtomicU64 = AtomicU64::new(1);
    let _ = ANSWER.try_with(|answer| answer.set(ANSWERS.fetch_add(1, Ordering::Relaxed)));
}

/// The answer to a `Produce` request that the calling thread got last; 0 where answers are not seen.
pub(super) fn last_answer() -> u64 {
    ANSWER.try_with(Cell::get).unwrap_or(0)
}

impl Limits {
    fn of(&mut self, cluster: &str, topic: &str) -> Arc<SizeLimit> {
        let key = (cluster.to_owned(), topic.to_owned());
        match self.0.get(&key) {
            Some(limit) => Arc::clone(limit),
            None if self.0.len() < MAX_TOPICS => Arc::clone(self.0.entry(key).or_default()),
            None => Arc::default(),
        }
    }
}

impl SizeLimit {
    /// The one of this topic. `cluster` tells equal topics of several clusters apart, as far as is known.
    pub(super) fn of(cluster: &str, topic: &str) -> Arc<Self> {
        static LIMITS: PerProcess<Mutex<Limits>> = PerProcess::new();
        LIMITS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner).of(cluster, topic)
    }

    /// How large a message may be with our headers, of a producer that takes `max_bytes`.
    #[inline]
    pub(super) fn of_producer(&self, max_bytes: usize) -> usize {
        max_bytes.min(self.below.load(Ordering::Relaxed).saturating_sub(1))
    }

    /// A broker refused this message, alone or in a batch. Whether less will be sent with our headers than before.
    ///
    /// Where one message is most of the batch, it was that one: it might have fitted without ours, and what is smaller
    /// with ours than it was without will fit. Else the batch was too large for the topic, and with every header it
    /// grows: then none of the topic's messages gets ours any more.
    pub(super) fn refused(&self, partition: i32, answer: u64, message: Refused) -> bool {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let known = batch.learnt;
        if answer == 0 || batch.answer != (answer, partition) {
            let (learnt, is_stopped) = (batch.learnt, batch.is_stopped);
            *batch =
                RefusedBatch { learnt, is_stopped, answer: (answer, partition), before: known, ..Default::default() };
        }
        batch.bytes = batch.bytes.saturating_add(message.size);
        if message.size > batch.largest.size {
            batch.largest = message;
        }
        let learnt = match batch.largest.without_ours {
            _ if batch.largest.size <= batch.bytes / 2 => 0,
            Some(size) => size,
            None => usize::MAX,
        };
        batch.learnt = batch.before.min(learnt);
        self.publish(&batch);
        known == usize::MAX && batch.learnt != usize::MAX
    }

    /// From now on no message gets our headers, whatever its size; or again those that are small enough.
    pub(super) fn stop(&self, is_stopped: bool) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.is_stopped = is_stopped;
        self.publish(&batch);
    }

    fn publish(&self, batch: &RefusedBatch) {
        self.below.store(if batch.is_stopped { 0 } else { batch.learnt }, Ordering::Relaxed);
    }
}

impl Default for SizeLimit {
    fn default() -> Self {
        Self { below: AtomicUsize::new(usize::MAX), batch: Mutex::default() }
    }
}

impl Default for RefusedBatch {
    fn default() -> Self {
        Self {
            learnt: usize::MAX,
            is_stopped: false,
            answer: (0, 0),
            before: usize::MAX,
            bytes: 0,
            largest: Refused::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1_000_000;

    fn ours(size: usize) -> Refused {
        Refused { size: size + 80, without_ours: Some(size) }
    }

    fn not_ours(size: usize) -> Refused {
        Refused { size, without_ours: None }
    }

    /// What may be sent after these answers, each with the messages of its batch.
    fn after(answers: &[&[Refused]]) -> usize {
        let limit = SizeLimit::default();
        for (number, batch) in (1..).zip(answers) {
            for message in *batch {
                limit.refused(0, number, *message);
            }
        }
        limit.of_producer(MAX)
    }

    #[test]
    fn a_message_alone_says_what_fits_for_certain_and_the_smallest_one_counts() {
        assert_eq!(after(&[]), MAX);
        assert_eq!(after(&[&[ours(5000)]]), 4999);
        assert_eq!(after(&[&[ours(5000)], &[ours(900)], &[ours(7000)]]), 899);
    }

    #[test]
    fn what_had_none_of_our_headers_says_nothing() {
        assert_eq!(after(&[&[not_ours(5000)], &[not_ours(100)]]), MAX);
    }

    #[test]
    fn a_huge_message_takes_nothing_from_small_ones_in_its_batch() {
        assert_eq!(after(&[&[ours(100), ours(100), ours(90_000)]]), 89_999);
        assert_eq!(after(&[&[ours(90_000), ours(100), ours(100)]]), 89_999);
        assert_eq!(after(&[&[ours(100), not_ours(90_000), ours(100)]]), MAX);
    }

    #[test]
    fn a_batch_of_many_that_was_too_large_ends_our_headers_for_the_topic() {
        assert_eq!(after(&[&[ours(100); 9]]), 0);
        assert_eq!(after(&[&[ours(100)], &[ours(100)]]), 99, "two batches");
        let limit = SizeLimit::default();
        (0..9).for_each(|partition| _ = limit.refused(partition, 1, ours(100)));
        assert_eq!(limit.of_producer(MAX), 99, "nine batches in one request");
        let limit = SizeLimit::default();
        (0..9).for_each(|_| _ = limit.refused(0, 0, ours(100)));
        assert_eq!(limit.of_producer(MAX), 99, "where answers are not seen each message counts for itself");
    }

    #[test]
    fn what_was_learnt_of_sizes_is_there_again_after_a_stop() {
        let limit = SizeLimit::default();
        limit.refused(0, 1, ours(5000));
        limit.stop(true);
        assert_eq!(limit.of_producer(MAX), 0);
        limit.refused(0, 2, ours(900));
        assert_eq!(limit.of_producer(MAX), 0);
        limit.stop(false);
        assert_eq!(limit.of_producer(MAX), 899);
    }

    #[test]
    fn it_is_told_once() {
        let limit = SizeLimit::default();
        assert!(!limit.refused(0, 1, not_ours(100)));
        assert!(limit.refused(0, 2, ours(5000)));
        assert!(!limit.refused(0, 3, ours(500)));
    }

    #[test]
    fn producers_of_one_cluster_learn_together() {
        let mut limits = Limits::default();
        limits.of("east", "orders").refused(0, 1, ours(500));
        assert_eq!(limits.of("east", "orders").of_producer(MAX), 499);
        assert_eq!(limits.of("west", "orders").of_producer(MAX), MAX);
        assert_eq!(limits.of("east", "payments").of_producer(MAX), MAX);
    }
}
