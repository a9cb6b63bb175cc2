//! How many messages of each topic got a span, and what became of the others: one bounded table for each resolver.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::stats::TopicStats;
use super::who::{Belongs, Who, word};
use super::whose::Rules;
use crate::batch::{TopicCounters, TopicCounts};
use crate::config::Settings;

/// Filled by whatever thread meets a topic, read by whoever asks. It takes no lock, so a fork leaves none behind: the
/// topics stay, their numbers begin at zero.
pub(crate) struct TopicsCounted {
    topics: Box<[OnceLock<Box<CountedTopic>>]>,
    /// Places that were given to somebody, who fills it, and nobody else does.
    claimed: AtomicUsize,
    /// Of the topics for which there is no place: by service, and at last those that are no service's.
    beyond: Box<[Arc<TopicCounters>]>,
}

/// One topic on one side, with one answer to whose it is.
pub(crate) struct CountedTopic {
    pub(crate) name: String,
    pub(crate) belongs: Belongs,
    /// Who met it first.
    pub(crate) who: Who,
    pub(crate) counters: Arc<TopicCounters>,
}

/// Topics that are counted each by itself.
pub(crate) const MOST_COUNTED: usize = 512;

impl TopicsCounted {
    pub(crate) fn new(services: usize) -> Self {
        Self {
            topics: (0..MOST_COUNTED).map(|_| OnceLock::new()).collect(),
            claimed: AtomicUsize::new(0),
            beyond: (0..=services).map(|_| Arc::default()).collect(),
        }
    }

    /// What is counted for a topic, from its first message on. Microseconds; asked once for each client and topic.
    pub(crate) fn of(&self, name: &str, who: Who, belongs: Belongs) -> Arc<TopicCounters> {
        let is_it = |topic: &&CountedTopic| topic.is(name, &who, belongs);
        if let Some(known) = self.topics().find(is_it) {
            return Arc::clone(&known.counters);
        }
        // Relaxed: whoever claims a place is alone in filling it, and the cell itself publishes what is in it. Two threads
        // that meet a topic at the same moment fill two places: see `merged`.
        let place = self.claimed.fetch_add(1, Ordering::Relaxed);
        let Some(place) = self.topics.get(place) else {
            // It must not come round to the first place.
            self.claimed.store(MOST_COUNTED, Ordering::Relaxed);
            return self.beyond_of(belongs.service());
        };
        let counters = Arc::<TopicCounters>::default();
        let topic = CountedTopic { name: name.to_owned(), belongs, who, counters: Arc::clone(&counters) };
        let _ = place.set(Box::new(topic));
        counters
    }

    /// All that have a place, in the order in which they were met.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &CountedTopic> {
        self.topics.iter().filter_map(OnceLock::get).map(|topic| &**topic)
    }

    /// As they are shown: each topic once.
    pub(crate) fn stats<'a>(
        &self,
        rules: &Rules<'_>,
        settings_of: impl Fn(Belongs) -> Option<&'a Settings>,
    ) -> Vec<TopicStats> {
        let mut shown: Vec<(&CountedTopic, TopicStats)> = Vec::new();
        for topic in self.topics() {
            // A fork counts for itself; what only its parent has met is not its own.
            let Some(counts) = topic.counters.counted() else { continue };
            if let Some((_, stats)) =
                shown.iter_mut().find(|(known, _)| known.is(&topic.name, &topic.who, topic.belongs))
            {
                add(stats, counts);
                continue;
            }
            let mut stats = TopicStats {
                name: topic.name.clone(),
                side: word(topic.who.side),
                service: topic.belongs.service().map(|service| rules.name(service).to_owned()),
                is_traced: matches!(topic.belongs, Belongs::Traced { .. }),
                why: rules.reason(&topic.name, &topic.who, topic.belongs, settings_of(topic.belongs)),
                ..TopicStats::default()
            };
            add(&mut stats, counts);
            shown.push((topic, stats));
        }
        shown.into_iter().map(|(_, stats)| stats).collect()
    }

    /// The sums of those that have no place.
    pub(crate) fn beyond_stats(&self) -> TopicStats {
        let mut stats = TopicStats::default();
        self.beyond.iter().filter_map(|beyond| beyond.counted()).for_each(|counts| add(&mut stats, counts));
        stats
    }

    /// Spans of a service that were not recorded because their trace is not sampled.
    pub(crate) fn sampled_out(&self, service: usize) -> u64 {
        let own = self.topics().filter(|topic| topic.belongs.service() == Some(service));
        let own = own.filter_map(|topic| topic.counters.counted());
        let beyond = self.beyond.get(service).and_then(|beyond| beyond.counted());
        own.chain(beyond).map(|counts| counts.sampled_out.sum()).sum()
    }

    fn beyond_of(&self, service: Option<usize>) -> Arc<TopicCounters> {
        let place = service.unwrap_or(self.beyond.len().saturating_sub(1));
        self.beyond.get(place).map(Arc::clone).unwrap_or_default()
    }
}

impl CountedTopic {
    /// Whether it is the topic, seen from the same side and with the same answer.
    pub(crate) fn is(&self, name: &str, who: &Who, belongs: Belongs) -> bool {
        self.who.side == who.side && self.belongs == belongs && self.name == name
    }
}

fn add(stats: &mut TopicStats, counts: &TopicCounts) {
    stats.spans += counts.spans();
    stats.sampled_out += counts.sampled_out.sum();
    stats.not_injected += counts.not_injected.load(Ordering::Relaxed);
    stats.without_span += counts.without_span.sum();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Side;

    fn who(side: Side) -> Who {
        Who { side, client_id: "c".to_owned(), group_id: None, is_bound: false }
    }

    #[test]
    fn a_topic_has_one_count_for_each_side_and_answer() {
        let counted = TopicsCounted::new(1);
        let sent = counted.of("orders", who(Side::Produce), Belongs::Traced { service: 0, slot: 0 });
        let again = counted.of("orders", who(Side::Produce), Belongs::Traced { service: 0, slot: 0 });
        let got = counted.of("orders", who(Side::Consume), Belongs::Nobody);
        assert!(Arc::ptr_eq(&sent, &again) && !Arc::ptr_eq(&sent, &got));
        sent.sampled_out.raise();
        assert_eq!((counted.sampled_out(0), counted.topics().count()), (1, 2));
    }

    #[test]
    fn topics_beyond_the_bound_are_counted_together_by_service() {
        let counted = TopicsCounted::new(2);
        let shop = Belongs::Traced { service: 1, slot: 1 };
        for topic in 0..MOST_COUNTED + 3 {
            counted.of(&format!("t{topic}"), who(Side::Produce), shop).sampled_out.raise();
        }
        counted.of("nobodys", who(Side::Consume), Belongs::Nobody).without_span.raise();
        assert_eq!(counted.topics().count(), MOST_COUNTED);
        assert_eq!((counted.sampled_out(1), counted.sampled_out(0)), (MOST_COUNTED as u64 + 3, 0));
        let beyond = counted.beyond_stats();
        assert_eq!((beyond.sampled_out, beyond.without_span), (3, 1));
        assert_eq!(counted.claimed.load(Ordering::Relaxed), MOST_COUNTED, "it does not come round");
    }
}
