//! Whether brokers refuse messages for having headers, learnt from what they refused: such messages go without ours.
//!
//! A broker whose topics still have a message format before headers (`message.format.version` below 0.11), or a proxy that
//! speaks for one, takes a message from a program of that time and refuses it once we have added a header. It names no
//! reason: an old broker's answer is `UNKNOWN_SERVER_ERROR`. So a refusal is taken for ours where it can be, and disproved by
//! what is delivered or refused afterwards: "How is it known that brokers refuse headers?" in `RATIONALE.md`.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::size_limit::SizeLimit;
use crate::per_process::PerProcess;

/// Of one topic of one cluster, for all producers of the process.
#[derive(Debug, Default)]
pub(crate) struct HeaderRefusals {
    /// Whether the next delivery could tell something: until a message with headers is delivered.
    in_doubt: AtomicBool,
    topic: String,
    cluster: Arc<Mutex<Cluster>>,
}

/// A message that a broker refused, in a way in which one that does not take headers does.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefusedMessage {
    /// What it answered.
    pub error: i32,
    /// Number of the answer, 0 where answers are not seen, and the partition.
    pub answer: (u64, i32),
    /// What it had.
    pub had: Had,
    /// When it was given to `produce()`, in nanoseconds of the clock that never goes back.
    pub produced: u64,
}

/// The headers that a message had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Had {
    None,
    /// Without us it would have had none.
    OnlyOurs,
    /// The application's own: with or without ours it would have been refused.
    ItsOwn,
}

/// What was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learnt {
    Nothing,
    /// Our headers are left out from now on: of all topics of the cluster, or of this one, for others have taken them.
    StopsForCluster,
    StopsForTopic,
    /// They were not the reason, or are no more: they are added again.
    GoesOn,
}

#[derive(Debug, Default)]
struct Cluster {
    /// Whether any topic has taken a message with headers.
    takes_headers: bool,
    stopped: Option<Stopped>,
    topics: HashMap<String, Topic>,
}

#[derive(Debug, Default)]
struct Topic {
    takes_headers: bool,
    stopped: Option<Stopped>,
    /// Answers that refused our headers since any were taken, and the last one of them.
    refusals: u32,
    last: (u64, i32),
    /// Errors that messages without any headers get here too.
    not_ours: Vec<i32>,
    limits: Vec<Weak<SizeLimit>>,
}

/// Our headers are left out.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    error: i32,
    since: u64,
}

/// Answers in a row that a topic which has taken headers must refuse: any broker may fail once.
const REFUSALS_OF_ONE_THAT_TOOK: u32 = 3;
/// Topics and clusters that are looked at; those of further ones learn alone.
const MAX_TOPICS: usize = 20_000;
const MAX_CLUSTERS: usize = 1_000;

impl HeaderRefusals {
    /// The one of this topic, whose messages go without our headers where `limit` says so.
    pub(super) fn of(cluster: &str, topic: &str, limit: &Arc<SizeLimit>) -> Self {
        static CLUSTERS: PerProcess<Mutex<HashMap<String, Arc<Mutex<Cluster>>>>> = PerProcess::new();
        let mut clusters = CLUSTERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let known = match clusters.get(cluster) {
            Some(known) => Arc::clone(known),
            None if clusters.len() < MAX_CLUSTERS => Arc::clone(clusters.entry(cluster.to_owned()).or_default()),
            None => Arc::default(),
        };
        drop(clusters);
        Self::among(known, topic, limit)
    }

    fn among(cluster: Arc<Mutex<Cluster>>, topic: &str, limit: &Arc<SizeLimit>) -> Self {
        let is_full = |all: &Cluster| all.topics.len() >= MAX_TOPICS && !all.topics.contains_key(topic);
        let cluster = if is_full(&locked(&cluster)) { Arc::default() } else { cluster };
        let refusals = Self { in_doubt: AtomicBool::new(true), topic: topic.to_owned(), cluster };
        let mut all = locked(&refusals.cluster);
        let cluster_is_stopped = all.stopped.is_some();
        let own = all.topics.entry(topic.to_owned()).or_default();
        own.limits.retain(|known| known.strong_count() > 0);
        if !own.limits.iter().any(|known| known.as_ptr() == Arc::as_ptr(limit)) {
            own.limits.push(Arc::downgrade(limit));
        }
        limit.stop(cluster_is_stopped || own.stopped.is_some());
        drop(all);
        refusals
    }

    /// Whether [`delivered`](Self::delivered) should be told.
    #[inline]
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// Whether our headers are left out.
    #[cold]
    pub(super) fn is_stopped(&self) -> bool {
        let all = locked(&self.cluster);
        all.stopped.is_some() || all.topics.get(&self.topic).is_some_and(|topic| topic.stopped.is_some())
    }

    /// A broker has taken a message, and it has headers: they are taken here.
    #[cold]
    pub(super) fn delivered(&self) -> Learnt {
        let mut all = locked(&self.cluster);
        let all = &mut *all;
        self.in_doubt.store(false, Ordering::Relaxed);
        let Some(topic) = all.topics.get_mut(&self.topic) else { return Learnt::Nothing };
        let (was_stopped, were_all) = (topic.stopped.take().is_some(), all.stopped.take().is_some());
        topic.takes_headers = true;
        topic.refusals = 0;
        all.takes_headers = true;
        // The first delivery of each of ten thousand topics comes here, and as a rule it says nothing new.
        if !was_stopped && !were_all {
            return Learnt::Nothing;
        }
        all.publish();
        Learnt::GoesOn
    }

    /// A broker refused this message. `now`: as [`RefusedMessage::produced`].
    #[cold]
    pub(super) fn refused(&self, message: RefusedMessage, now: u64) -> Learnt {
        let mut all = locked(&self.cluster);
        let all = &mut *all;
        let Some(topic) = all.topics.get_mut(&self.topic) else { return Learnt::Nothing };
        match message.had {
            Had::ItsOwn => Learnt::Nothing,
            Had::None => {
                let by = [topic.stopped, all.stopped].into_iter().flatten().find(|by| by.error == message.error);
                // One from before may have been refused for its company: a batch is refused as a whole.
                let is_alone = message.answer.0 != 0 && topic.last != message.answer;
                let Some(by) = by.filter(|by| is_alone && message.produced > by.since) else { return Learnt::Nothing };
                topic.not_ours.push(by.error);
                topic.refusals = 0;
                (topic.stopped, all.stopped) = (None, None);
                all.publish();
                Learnt::GoesOn
            }
            Had::OnlyOurs if topic.not_ours.contains(&message.error) => Learnt::Nothing,
            Had::OnlyOurs => {
                self.in_doubt.store(true, Ordering::Relaxed);
                if topic.refusals == 0 || message.answer.0 == 0 || topic.last != message.answer {
                    topic.refusals += 1;
                    topic.last = message.answer;
                }
                let needed = if topic.takes_headers { REFUSALS_OF_ONE_THAT_TOOK } else { 1 };
                if topic.stopped.is_some() || all.stopped.is_some() || topic.refusals < needed {
                    return Learnt::Nothing;
                }
                let stopped = Some(Stopped { error: message.error, since: now });
                let learnt = if all.takes_headers {
                    topic.stopped = stopped;
                    Learnt::StopsForTopic
                } else {
                    all.stopped = stopped;
                    Learnt::StopsForCluster
                };
                all.publish();
                learnt
            }
        }
    }
}

impl Cluster {
    /// What [`HeaderRefusals::refused`] and the like have changed, for those who send.
    fn publish(&self) {
        for topic in self.topics.values() {
            let stopped = self.stopped.is_some() || topic.stopped.is_some();
            topic.limits.iter().filter_map(Weak::upgrade).for_each(|limit| limit.stop(stopped));
        }
    }
}

fn locked(cluster: &Mutex<Cluster>) -> MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use Learnt::{GoesOn, Nothing, StopsForCluster, StopsForTopic};

    use super::*;

    const UNKNOWN: i32 = -1;
    const MAX: usize = 1_000_000;

    /// A topic, what is known of it, and whether its messages get our headers.
    struct Watched(HeaderRefusals, Arc<SizeLimit>);

    impl Watched {
        fn two() -> [Self; 2] {
            let cluster: Arc<Mutex<Cluster>> = Arc::default();
            ["orders", "payments"].map(|topic| {
                let limit = Arc::default();
                Self(HeaderRefusals::among(Arc::clone(&cluster), topic, &limit), limit)
            })
        }

        fn injects(&self) -> bool {
            self.1.of_producer(MAX) == MAX
        }

        /// Answer number `answer`, at that moment too, refuses a message that was produced just before.
        fn refuses(&self, answer: u64, had: Had) -> Learnt {
            self.refuses_with(UNKNOWN, answer, had)
        }

        fn refuses_with(&self, error: i32, answer: u64, had: Had) -> Learnt {
            let now = answer * 1000;
            self.0.refused(RefusedMessage { error, answer: (answer, 0), had, produced: now - 1 }, now)
        }
    }

    #[test]
    fn the_first_refusal_of_a_cluster_that_has_taken_no_headers_stops_them_for_all_its_topics() {
        let [orders, payments] = Watched::two();
        assert!(orders.injects() && payments.injects());
        assert_eq!(orders.refuses(1, Had::OnlyOurs), StopsForCluster);
        assert!(!orders.injects() && !payments.injects());
        assert_eq!(payments.refuses(2, Had::OnlyOurs), Nothing, "what was on its way is told of no more");
        let limit = Arc::default();
        let late = HeaderRefusals::among(Arc::clone(&orders.0.cluster), "late", &limit);
        assert!(late.is_stopped() && limit.of_producer(MAX) == 0, "a topic that is met later too");
    }

    #[test]
    fn where_another_topic_has_taken_them_they_are_stopped_for_the_one_that_refuses() {
        let [orders, payments] = Watched::two();
        assert_eq!(payments.0.delivered(), Nothing);
        assert_eq!(orders.refuses(1, Had::OnlyOurs), StopsForTopic);
        assert!(!orders.injects() && payments.injects());
    }

    #[test]
    fn a_topic_that_has_taken_them_must_refuse_three_answers_in_a_row() {
        let [orders, _] = Watched::two();
        orders.0.delivered();
        assert!(!orders.0.is_in_doubt());
        for _ in 0..50 {
            assert_eq!(orders.refuses(1, Had::OnlyOurs), Nothing, "a batch is one answer");
        }
        assert_eq!(orders.refuses(2, Had::OnlyOurs), Nothing);
        assert!(orders.0.is_in_doubt());
        orders.0.delivered();
        assert_eq!([3, 4].map(|answer| orders.refuses(answer, Had::OnlyOurs)), [Nothing; 2]);
        assert!(orders.injects());
        assert_eq!(orders.refuses(5, Had::OnlyOurs), StopsForTopic);
        assert!(!orders.injects());
    }

    #[test]
    fn a_message_with_headers_of_its_own_says_nothing_when_it_is_refused() {
        let [orders, _] = Watched::two();
        assert_eq!(orders.refuses(1, Had::ItsOwn), Nothing);
        assert_eq!(orders.refuses(2, Had::None), Nothing);
        assert!(orders.injects());
    }

    #[test]
    fn one_with_headers_that_is_taken_brings_them_back() {
        let [orders, payments] = Watched::two();
        orders.refuses(1, Had::OnlyOurs);
        assert_eq!(payments.0.delivered(), GoesOn);
        assert!(orders.injects() && payments.injects());
        assert_eq!(orders.refuses(2, Had::OnlyOurs), StopsForTopic, "one topic may be of an older format");
        assert_eq!(orders.0.delivered(), GoesOn);
        assert!(orders.injects());
    }

    #[test]
    fn one_without_headers_that_is_refused_alike_disproves_it_for_good() {
        let [orders, _] = Watched::two();
        orders.refuses(1, Had::OnlyOurs);
        assert_eq!(orders.refuses_with(43, 2, Had::None), Nothing, "another error");
        assert_eq!(orders.refuses(3, Had::None), GoesOn);
        assert!(orders.injects());
        assert_eq!([4, 5, 6].map(|answer| orders.refuses(answer, Had::OnlyOurs)), [Nothing; 3]);
        assert!(orders.injects());
        assert_eq!(orders.refuses_with(43, 7, Had::OnlyOurs), StopsForCluster, "that one was not disproved");
    }

    #[test]
    fn one_without_headers_disproves_nothing_where_its_batch_had_ours_or_it_was_made_before() {
        let [orders, _] = Watched::two();
        orders.refuses(1, Had::OnlyOurs);
        orders.refuses(2, Had::OnlyOurs);
        assert_eq!(orders.refuses(2, Had::None), Nothing, "the same batch");
        let old = RefusedMessage { error: UNKNOWN, answer: (3, 0), had: Had::None, produced: 1 };
        assert_eq!(orders.0.refused(old, 3000), Nothing, "it was on its way");
        let unseen = RefusedMessage { error: UNKNOWN, answer: (0, 0), had: Had::None, produced: 3999 };
        assert_eq!(orders.0.refused(unseen, 4000), Nothing, "which batch it was in is not known");
        assert!(!orders.injects());
    }

    #[test]
    fn producers_of_one_cluster_learn_together() {
        let limit = Arc::default();
        let of = |cluster: &str| HeaderRefusals::of(cluster, "orders", &limit);
        let message = RefusedMessage { error: UNKNOWN, answer: (1, 0), had: Had::OnlyOurs, produced: 1 };
        assert_eq!(of("old").refused(message, 2), StopsForCluster);
        assert!(of("old").is_stopped() && !of("new").is_stopped());
    }
}
