//! What an application's own commits show of its processing.
//!
//! An application that commits by itself does so for what it has processed: the message before the committed offset had
//! been processed for so long, at least, when the commit was asked for. When that was, the broker's answer tells, which
//! comes right before `on_commit`: its arrival less its round trip. Commits that librdkafka makes by itself, every few
//! seconds, show nothing, and consumers with these are not asked.

use std::ffi::CStr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::kafka_api::{RdKafkaError, RdKafkaTopicPartition, RdKafkaTopicPartitionList};
use super::route::topic_hash;
use crate::batch::{EndedBy, Pipeline, Place};
use crate::clock;

/// The answers to commits that no `on_commit` has followed yet.
#[derive(Debug)]
pub(super) struct Commits {
    /// Whether they are the application's own, and nothing else says what it processes.
    shows_processing: bool,
    answers: AtomicU32,
    /// When the one that was answered last was asked for, by a clock that nobody sets: [`clock::monotonic_nanos`].
    asked: AtomicU64,
    /// The round trip of an answer that was told of once; 0 when there is none.
    told_once: AtomicI64,
    /// Messages handed over since the last commit.
    handed: AtomicU32,
}

/// `OffsetCommit` in the Kafka protocol.
pub(super) const OFFSET_COMMIT: i16 = 8;

impl Commits {
    pub(super) fn new(shows_processing: bool) -> Self {
        Self {
            shows_processing,
            answers: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            told_once: AtomicI64::new(0),
            handed: AtomicU32::new(0),
        }
    }

    /// A message is handed to the application.
    pub(super) fn handed_over(&self) {
        self.handed.fetch_add(1, Ordering::Relaxed);
    }

    /// A broker has answered a commit; `rtt` in microseconds.
    ///
    /// librdkafka tells of one answer twice, with the same round trip: on the broker's thread, when it comes, and on
    /// `rdk:main`, when it is dealt with (`rd_kafka_buf_callback` in rdkafka_buf.c). The first time counts.
    pub(super) fn answered(&self, rtt: i64) {
        let Ok(micros) = u64::try_from(rtt) else { return };
        if self.told_once.swap(rtt, Ordering::Relaxed) == rtt {
            self.told_once.store(0, Ordering::Relaxed);
            return;
        }
        // Wrapping: that clock may have begun later.
        let asked = clock::monotonic_nanos().wrapping_sub(micros.saturating_mul(1000));
        self.asked.store(asked, Ordering::Relaxed);
        // Release: pairs with the acquire in `asked_ago`.
        self.answers.fetch_add(1, Ordering::Release);
    }

    /// How long ago, in nanoseconds, the commit that ends now was asked for; to be asked once for each.
    ///
    /// `None` after several answers, to retries or to commits that overtake each other: it cannot be said which one this is.
    pub(super) fn asked_ago(&self) -> Option<u64> {
        // Acquire: pairs with the release in `answered`.
        let is_one = self.answers.swap(0, Ordering::Acquire) == 1;
        is_one.then(|| clock::monotonic_nanos().wrapping_sub(self.asked.load(Ordering::Relaxed)))
    }

    /// Offsets were committed by the client of this number, which asked for it so many nanoseconds `ago`. Runs on `rdk:main`.
    pub(super) fn committed<'a>(
        &self,
        ordinal: usize,
        err: RdKafkaError,
        ago: Option<u64>,
        offsets: impl Iterator<Item = Committed<'a>>,
    ) {
        // A commit after several messages, which one call may have handed over, is none of the last one alone.
        let handed = self.handed.swap(0, Ordering::Relaxed);
        let Some(ago) = ago.filter(|_| self.shows_processing && err == 0 && handed == 1) else { return };
        let received_spans = Pipeline::current().received_spans();
        for committed in offsets.filter(|committed| committed.err == 0) {
            let (Some(received_spans), Ok(topic)) = (received_spans, committed.topic.to_str()) else { continue };
            let (partition, offset) = (committed.partition, committed.offset - 1);
            let place = Place { topic, topic_hash: topic_hash(topic), partition, offset };
            received_spans.prolong_message(&place, ordinal, ago, EndedBy::Commit);
        }
    }
}

/// One partition's new committed offset, or what was to be one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed<'a> {
    pub(super) topic: &'a CStr,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The partition's own error.
    pub(super) err: RdKafkaError,
}

/// What a commit was of.
///
/// # Safety
///
/// `list` is null, or a list of librdkafka that lives, unchanged, for `'a`.
pub(super) unsafe fn committed<'a>(
    list: *const RdKafkaTopicPartitionList,
) -> impl Iterator<Item = Committed<'a>> + Clone {
    // SAFETY: as the caller says.
    let list = unsafe { list.as_ref() }.filter(|list| !list.elems.is_null());
    // SAFETY: a list has as many elements as it says.
    let elements: &'a [RdKafkaTopicPartition] = list
        .map_or(&[], |list| unsafe { std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0)) });
    elements.iter().filter(|element| element.offset > 0 && !element.topic.is_null()).map(|element| {
        // SAFETY: librdkafka ends a topic's name with a NUL, and keeps it as long as the element.
        let topic = unsafe { CStr::from_ptr(element.topic) };
        Committed { topic, partition: element.partition, offset: element.offset, err: element.err }
    })
}
