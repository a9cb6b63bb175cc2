//! What a commit of offsets settles: the spans of the messages that were handed over since the commit before.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::propagation::{OtMember, SpanContext};

/// Messages of one client that no commit has settled yet, by topic and partition.
///
/// A lock guards them: threads that are handed messages take it for some fifty instructions, and `rdk:main`, when a commit
/// has ended, for a copy of the links of one partition. Only clients whose commits get spans have such a table.
#[derive(Debug, Default)]
pub(super) struct Settled {
    partitions: Mutex<HashMap<(u64, i32), Partition>>,
    /// Messages of further partitions, for which there was no room.
    turned_away: TurnedAway,
}

/// A topic's messages, as far as a commit settles them.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Their spans; [`MAX_LINKS`] at most.
    pub(super) spans: Vec<Delivered>,
    /// How many there are beside these. Where a partition's offsets have gaps, at the most.
    pub(super) left_out: u64,
    /// How many of the messages have no span, because they are not sampled; as well at the most.
    pub(super) unsampled: u64,
}

/// The span of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub offset: i64,
    pub context: SpanContext,
    /// For how many it stands.
    pub ot: OtMember,
}

#[derive(Debug)]
struct Partition {
    topic: Box<str>,
    sampled: Waiting,
    /// Whether a commit settles just one message does not depend on which are sampled.
    unsampled: Waiting,
}

/// Messages of a partition, in the order of their offsets.
#[derive(Debug, Default)]
struct Waiting {
    kept: VecDeque<Delivered>,
    /// Those behind `kept`, which were too many.
    more: Option<Counted>,
}

/// Messages of which only the number is known.
#[derive(Clone, Copy, Debug)]
struct Counted {
    first: i64,
    last: i64,
    count: u64,
}

/// Links of one span: as many as fit into a record beside everything else.
pub(super) const MAX_LINKS: usize = 100;
/// Partitions of one client whose messages are remembered. Of further ones, those are while others have nothing that waits.
const MAX_PARTITIONS: usize = 10_000;
/// Those that a full table has no room for. To look at all that it has for what may go is much for each of them.
#[derive(Debug, Default)]
pub(super) struct TurnedAway(AtomicU32);

impl TurnedAway {
    /// From one look to the next.
    pub(super) const A_LOOK: u32 = 1_000;

    /// One more; whether the table is to be looked through for it.
    pub(super) fn looks(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(Self::A_LOOK)
    }
}

impl Settled {
    /// The message at this place is handed over, and has this span, which may not be sampled.
    ///
    /// Allocates for the first messages of a partition only.
    pub(super) fn delivered(&self, topic: (&str, u64), partition: i32, span: Delivered) {
        let mut partitions = self.partitions();
        let key = (topic.1, partition);
        if partitions.len() >= MAX_PARTITIONS && !partitions.contains_key(&key) {
            if self.turned_away.looks() {
                partitions.retain(|_, partition| !partition.is_settled());
            }
            if partitions.len() >= MAX_PARTITIONS {
                return;
            }
        }
        let new = || Partition { topic: topic.0.into(), sampled: Waiting::default(), unsampled: Waiting::default() };
        let partition = partitions.entry(key).or_insert_with(new);
        if *partition.topic == *topic.0 {
            partition.delivered(span);
        }
    }

    /// Adds what a commit up to `offset` settles of one partition to `links`. `forget`: it was, and no commit will again.
    pub(super) fn settle(&self, topic: (&str, u64), partition: i32, offset: i64, forget: bool, links: &mut Links) {
        let mut partitions = self.partitions();
        if let Some(partition) = partitions.get_mut(&(topic.1, partition)).filter(|known| *known.topic == *topic.0) {
            partition.settle(offset, forget, links);
        }
    }

    /// The span of a message that was handed over is in another trace now; that may be sampled where the one before was not.
    pub(super) fn change(&self, topic: (&str, u64), partition: i32, span: Delivered) {
        let mut partitions = self.partitions();
        if let Some(partition) = partitions.get_mut(&(topic.1, partition)).filter(|known| *known.topic == *topic.0) {
            partition.change(span);
        }
    }

    /// The last of a partition's messages before `offset` that no commit has settled: `Some(None)` if there is none. `None`:
    /// the client was never handed a message of it.
    pub(super) fn last_before(&self, topic: (&str, u64), partition: i32, offset: i64) -> Option<Option<i64>> {
        let partitions = self.partitions();
        let partition = partitions.get(&(topic.1, partition)).filter(|known| *known.topic == *topic.0)?;
        Some(partition.sampled.last_before(offset).max(partition.unsampled.last_before(offset)))
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<(u64, i32), Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partition {
    fn is_settled(&self) -> bool {
        [&self.sampled, &self.unsampled].into_iter().all(|waiting| waiting.kept.is_empty() && waiting.more.is_none())
    }

    fn delivered(&mut self, span: Delivered) {
        // After a seek, or when the partition comes back: what follows this message is handed over anew.
        self.sampled.forget_from(span.offset);
        self.unsampled.forget_from(span.offset);
        if span.context.is_sampled() {
            self.sampled.add(span);
        } else {
            self.unsampled.add(span);
        }
    }

    fn change(&mut self, span: Delivered) {
        if self.sampled.remove(&span) || self.unsampled.remove(&span) {
            if span.context.is_sampled() { self.sampled.insert(span) } else { self.unsampled.insert(span) }
        }
    }

    fn settle(&mut self, offset: i64, forget: bool, links: &mut Links) {
        let keep_link = |link: &Delivered| {
            let has_room = links.spans.len() < MAX_LINKS;
            if has_room {
                links.spans.push(*link);
            }
            has_room
        };
        links.left_out += self.sampled.settle(offset, forget, keep_link);
        links.unsampled += self.unsampled.settle(offset, forget, |_| false);
    }
}

impl Waiting {
    fn forget_from(&mut self, offset: i64) {
        while self.kept.back().is_some_and(|last| last.offset >= offset) {
            self.kept.pop_back();
        }
        self.more = self.more.and_then(|more| more.before(offset));
    }

    fn add(&mut self, message: Delivered) {
        let offset = message.offset;
        match &mut self.more {
            None if self.kept.len() < MAX_LINKS => self.kept.push_back(message),
            None => self.more = Some(Counted { first: offset, last: offset, count: 1 }),
            Some(more) => (more.last, more.count) = (offset, more.count + 1),
        }
    }

    /// Whether this very span was kept: a message of the same place may have been handed over to another client too.
    fn remove(&mut self, span: &Delivered) -> bool {
        let is_it = |one: &Delivered| one.offset == span.offset && one.context.span_id == span.context.span_id;
        self.kept.iter().position(is_it).and_then(|index| self.kept.remove(index)).is_some()
    }

    fn insert(&mut self, span: Delivered) {
        let index = self.kept.partition_point(|one| one.offset < span.offset);
        self.kept.insert(index, span);
    }

    /// How many lie before `offset`, beside those that `take` takes.
    fn settle(&mut self, offset: i64, forget: bool, mut take: impl FnMut(&Delivered) -> bool) -> u64 {
        let settled = self.kept.iter().take_while(|one| one.offset < offset).count();
        let not_taken = self.kept.iter().take(settled).filter(|one| !take(one)).count() as u64;
        let remains = self.more.and_then(|more| more.from(offset));
        let count = |more: Option<Counted>| more.map_or(0, |more| more.count);
        let of_more = count(self.more) - count(remains);
        if forget {
            self.kept.drain(..settled);
            self.more = remains;
        }
        not_taken + of_more
    }

    fn last_before(&self, offset: i64) -> Option<i64> {
        let counted = self.more.and_then(|more| more.before(offset)).map(|more| more.last);
        counted.max(self.kept.iter().rev().map(|one| one.offset).find(|of| *of < offset))
    }
}

impl Counted {
    /// Those of them that lie before `offset`.
    fn before(self, offset: i64) -> Option<Self> {
        let last = self.last.min(offset - 1);
        (last >= self.first).then(|| Self { last, count: self.count.min(last.abs_diff(self.first) + 1), ..self })
    }

    /// Those of them that do not.
    fn from(self, offset: i64) -> Option<Self> {
        let settled = offset.saturating_sub(self.first).max(0).unsigned_abs();
        let count = self.count.saturating_sub(settled).max(1);
        (offset <= self.last).then(|| Self { first: self.first.max(offset), count, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: (&str, u64) = ("orders", 7);

    fn delivered(settled: &Settled, offsets: impl IntoIterator<Item = i64>) {
        offsets.into_iter().for_each(|offset| with_flags(settled, offset, SpanContext::SAMPLED));
    }

    fn with_flags(settled: &Settled, offset: i64, flags: u8) {
        let context = SpanContext { trace_id: [1; 16], span_id: offset.to_be_bytes(), flags };
        settled.delivered(TOPIC, 0, Delivered { offset, context, ot: OtMember::of(None) });
    }

    /// The offsets that a commit up to `offset` settles, and how many more.
    fn committed(settled: &Settled, offset: i64) -> (Vec<i64>, u64) {
        let mut links = Links::default();
        settled.settle(TOPIC, 0, offset, true, &mut links);
        (links.spans.iter().map(|one| one.offset).collect(), links.left_out)
    }

    #[test]
    fn a_commit_settles_what_lies_before_its_offset_and_nothing_twice() {
        let settled = Settled::default();
        delivered(&settled, 3..8);
        assert_eq!(committed(&settled, 5), (vec![3, 4], 0));
        assert_eq!(committed(&settled, 5), (vec![], 0));
        assert_eq!(committed(&settled, 100), (vec![5, 6, 7], 0));
    }

    #[test]
    fn a_commit_that_failed_settles_nothing() {
        let settled = Settled::default();
        delivered(&settled, [1, 2]);
        let mut links = Links::default();
        settled.settle(TOPIC, 0, 3, false, &mut links);
        assert_eq!(links.spans.len(), 2);
        assert_eq!(committed(&settled, 3), (vec![1, 2], 0));
    }

    #[test]
    fn messages_beyond_the_bound_are_counted() {
        let settled = Settled::default();
        delivered(&settled, 0..250);
        assert_eq!(committed(&settled, 120), ((0..100).collect(), 20));
        assert_eq!(committed(&settled, 120), (vec![], 0));
        delivered(&settled, 250..260);
        assert_eq!(committed(&settled, 260), (vec![], 140), "only their number is known");
        delivered(&settled, [260]);
        assert_eq!(committed(&settled, 261), (vec![260], 0));
    }

    #[test]
    fn links_of_several_partitions_share_the_bound() {
        let settled = Settled::default();
        delivered(&settled, 0..80);
        let mut links = Links::default();
        settled.settle(TOPIC, 0, 80, false, &mut links);
        settled.settle(TOPIC, 0, 80, true, &mut links);
        assert_eq!((links.spans.len(), links.left_out), (100, 60));
    }

    #[test]
    fn what_is_handed_over_again_after_a_seek_is_settled_once() {
        let settled = Settled::default();
        delivered(&settled, 0..150);
        delivered(&settled, 98..101);
        assert_eq!(committed(&settled, 200), ((0..100).collect(), 1));
        delivered(&settled, 0..150);
        delivered(&settled, 120..130);
        assert_eq!(committed(&settled, 200), ((0..100).collect(), 30));
    }

    #[test]
    fn what_is_not_sampled_is_counted_and_takes_no_link_s_place() {
        let settled = Settled::default();
        let of_commit = |offset| {
            let mut links = Links::default();
            settled.settle(TOPIC, 0, offset, true, &mut links);
            (links.spans.len(), links.left_out, links.unsampled)
        };
        let is_sampled = |offset: i64| offset % 3 == 0;
        (0..300).for_each(|offset| with_flags(&settled, offset, u8::from(is_sampled(offset))));
        assert_eq!(settled.last_before(TOPIC, 0, 300), Some(Some(299)));
        assert_eq!(settled.last_before(TOPIC, 0, 2), Some(Some(1)));
        assert_eq!([1, 2, 3, 6].map(of_commit), [(1, 0, 0), (0, 0, 1), (0, 0, 1), (1, 0, 2)]);
        assert_eq!(of_commit(300), (98, 0, 196));
        // Sampled now, or no longer.
        delivered(&settled, 300..310);
        (300..305).for_each(|offset| with_flags(&settled, offset, 0));
        delivered(&settled, 303..304);
        assert_eq!(of_commit(400), (1, 0, 3));
    }

    #[test]
    fn a_span_that_is_in_another_trace_now_is_linked_to_there_if_that_is_sampled_and_no_other_client_s_is() {
        let settled = Settled::default();
        delivered(&settled, 0..3);
        (3..5).for_each(|offset| with_flags(&settled, offset, 0));
        let change = |offset: i64, span: i64, flags| {
            let context = SpanContext { trace_id: [2; 16], span_id: span.to_be_bytes(), flags };
            settled.change(TOPIC, 0, Delivered { offset, context, ot: OtMember::of(None) });
        };
        change(3, 3, 1);
        change(1, 1, 1);
        change(2, 2, 0);
        change(0, 99, 1);
        change(4, 99, 1);
        change(9, 9, 1);
        let mut links = Links::default();
        settled.settle(TOPIC, 0, 9, true, &mut links);
        let traces: Vec<_> = links.spans.iter().map(|one| (one.offset, one.context.trace_id[0])).collect();
        assert_eq!((traces, links.unsampled), (vec![(0, 1), (1, 2), (3, 2)], 2));
    }

    #[test]
    fn partitions_beyond_the_bound_are_not_remembered() {
        let settled = Settled::default();
        let context = SpanContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
        let bound = MAX_PARTITIONS as i32;
        for partition in (0..=bound).chain([0]) {
            settled.delivered(TOPIC, partition, Delivered { offset: 1, context, ot: OtMember::of(None) });
        }
        assert_eq!(settled.last_before(TOPIC, 0, 9), Some(Some(1)));
        assert_eq!(settled.last_before(TOPIC, bound, 9), None);
        // A partition of which nothing waits any more makes room, at a look.
        settled.settle(TOPIC, 7, 9, true, &mut Links::default());
        for _ in 0..TurnedAway::A_LOOK {
            settled.delivered(TOPIC, bound, Delivered { offset: 1, context, ot: OtMember::of(None) });
        }
        assert_eq!((settled.last_before(TOPIC, bound, 9), settled.last_before(TOPIC, 7, 9)), (Some(Some(1)), None));
    }

    #[test]
    fn another_partition_and_a_topic_of_the_same_hash_are_apart() {
        let settled = Settled::default();
        delivered(&settled, [1]);
        let mut links = Links::default();
        settled.settle(("bills", 7), 0, 9, true, &mut links);
        settled.settle(TOPIC, 1, 9, true, &mut links);
        assert!(links.spans.is_empty());
        let context = SpanContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
        settled.delivered(("bills", 7), 0, Delivered { offset: 2, context, ot: OtMember::of(None) });
        assert_eq!(committed(&settled, 9), (vec![1], 0));
    }
}
