//! Batches whose messages may still be worked on when their own spans have left: the span of a late processing belongs below
//! that of the call that handed its message over too.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call_span::CallSpan;
use crate::batch::SpanOrigin;
use crate::per_process::PerProcess;

/// Messages of one batch that follow each other in a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handed {
    topic_hash: u64,
    partition: i32,
    first: i64,
    last: i64,
}

/// One batch.
#[derive(Debug)]
struct Kept {
    resolver: u64,
    service: u32,
    span: CallSpan,
    handed: Vec<Handed>,
}

/// Batches of a process that are remembered: the latest.
const MAX_KEPT: usize = 256;
/// Runs of one batch that are remembered. Where offsets have gaps, a run goes over them.
const MAX_RUNS: usize = 1_000;

static KEPT: PerProcess<Mutex<VecDeque<Kept>>> = PerProcess::new();

impl Handed {
    /// Adds a message to the places of a batch.
    pub(super) fn add(all: &mut Vec<Self>, topic_hash: u64, partition: i32, offset: i64) {
        let is_full = all.len() >= MAX_RUNS;
        let follows = |run: &&mut Self| run.topic_hash == topic_hash && run.partition == partition && offset > run.last;
        match all.last_mut().filter(follows) {
            Some(run) => run.last = offset,
            None if is_full => {}
            None => all.push(Self { topic_hash, partition, first: offset, last: offset }),
        }
    }

    fn has(&self, topic_hash: u64, partition: i32, offset: i64) -> bool {
        self.topic_hash == topic_hash && self.partition == partition && (self.first..=self.last).contains(&offset)
    }
}

/// A batch has been handed over. Called by the application's thread, after its call: it may lock.
pub(super) fn keep(origin: &SpanOrigin, span: CallSpan, handed: Vec<Handed>) {
    let mut kept = kept();
    if kept.len() >= MAX_KEPT {
        kept.pop_front();
    }
    kept.push_back(Kept { resolver: origin.backend_set().resolver(), service: origin.service(), span, handed });
}

/// The span of the call that handed over the message at this place last, to this service.
pub(super) fn batch_of(origin: &SpanOrigin, topic_hash: u64, partition: i32, offset: i64) -> Option<CallSpan> {
    let (resolver, service) = (origin.backend_set().resolver(), origin.service());
    let kept = kept();
    let is_its = |batch: &&Kept| {
        (batch.resolver, batch.service) == (resolver, service)
            && batch.handed.iter().any(|run| run.has(topic_hash, partition, offset))
    };
    kept.iter().rev().find(is_its).map(|batch| batch.span)
}

fn kept() -> MutexGuard<'static, VecDeque<Kept>> {
    KEPT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Handed;

    fn runs(places: &[(i32, i64)]) -> Vec<(i32, i64, i64)> {
        let mut all = Vec::new();
        places.iter().for_each(|&(partition, offset)| Handed::add(&mut all, 7, partition, offset));
        all.iter().map(|run| (run.partition, run.first, run.last)).collect()
    }

    #[test]
    fn messages_in_the_order_of_a_log_are_one_run_and_a_seek_back_or_another_partition_begins_one() {
        assert_eq!(runs(&[(0, 5), (0, 6), (0, 9)]), [(0, 5, 9)]);
        assert_eq!(runs(&[(0, 5), (1, 6), (1, 7), (0, 6)]), [(0, 5, 5), (1, 6, 7), (0, 6, 6)]);
        assert_eq!(runs(&[(0, 5), (0, 2)]), [(0, 5, 5), (0, 2, 2)]);
    }

    #[test]
    fn places_of_a_batch_are_bounded() {
        let places: Vec<_> = (0..5_000).map(|index| (index % 2, i64::from(index))).collect();
        assert_eq!(runs(&places).len(), super::MAX_RUNS);
    }
}
