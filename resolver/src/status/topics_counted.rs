//! How many messages of each topic got a span, and what became of the others: one bounded table for each resolver.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::stats::TopicStats;
use super::who::{Owner, Who, word};
use crate::batch::{TopicCounters, TopicCounts};
use crate::services::Side;
use crate::swap::Swap;

/// Filled by whatever thread meets a topic, read by whoever asks. It takes no lock that a fork could leave behind: the
/// topics stay, their numbers begin at zero. A reload leaves both as they are.
pub(crate) struct TopicsCounted {
    topics: Box<[OnceLock<Box<CountedTopic>>]>,
    /// Places that were given to somebody, who fills it, and nobody else does.
    claimed: AtomicUsize,
    /// Of the topics for which there is no place: by service's number.
    beyond: Swap<Vec<Arc<TopicCounters>>>,
    /// Of those that are no service's.
    nobodys_beyond: Arc<TopicCounters>,
}

/// One topic on one side, with one answer to whose it is.
pub(crate) struct CountedTopic {
    pub(crate) name: String,
    pub(crate) owner: Owner,
    side: Side,
    /// Who met it first by the latest rules, and the generation of these.
    met: Swap<(Who, u64)>,
    /// What [`CountedTopic::why`] has found, and by which rules, met under which.
    why: Swap<Option<(u64, u64, Option<String>)>>,
    pub(crate) counters: Arc<TopicCounters>,
}

/// Why a topic was whose it was before a reload.
const REPLACED: &str = "by rules that a reload has replaced";
/// Topics that are counted each by itself.
pub(crate) const MOST_COUNTED: usize = 512;

impl TopicsCounted {
    pub(crate) fn new() -> Self {
        Self {
            topics: (0..MOST_COUNTED).map(|_| OnceLock::new()).collect(),
            claimed: AtomicUsize::new(0),
            beyond: Swap::new(Arc::default()),
            nobodys_beyond: Arc::default(),
        }
    }

    /// There are so many services from now on. One thread at a time.
    pub(crate) fn make_room(&self, services: usize) {
        let mut beyond = Vec::clone(&self.beyond.load());
        if beyond.len() < services {
            beyond.resize_with(services, Arc::default);
            self.beyond.store(Arc::new(beyond));
        }
    }

    /// What is counted for a topic, from its first message on. Microseconds; asked once for each client, topic and generation
    /// of rules.
    pub(crate) fn of(&self, name: &str, who: &Who, owner: Owner, rules: u64) -> Arc<TopicCounters> {
        if let Some(known) = self.topics().find(|topic| topic.is(name, who.side, owner)) {
            if known.met.load().1 < rules {
                known.met.store(Arc::new((who.clone(), rules)));
            }
            return Arc::clone(&known.counters);
        }
        // Relaxed: whoever claims a place is alone in filling it, and the cell itself publishes what is in it. Two threads
        // that meet a topic at the same moment fill two places: see `merged`.
        let place = self.claimed.fetch_add(1, Ordering::Relaxed);
        let Some(place) = self.topics.get(place) else {
            // It must not come round to the first place.
            self.claimed.store(MOST_COUNTED, Ordering::Relaxed);
            return self.beyond_of(owner.service());
        };
        let counters = Arc::<TopicCounters>::default();
        let met = Swap::new(Arc::new((who.clone(), rules)));
        let (name, why, side) = (name.to_owned(), Swap::new(Arc::default()), who.side);
        let topic = CountedTopic { name, owner, side, met, why, counters: Arc::clone(&counters) };
        let _ = place.set(Box::new(topic));
        counters
    }

    /// All that have a place, in the order in which they were met.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &CountedTopic> {
        self.topics.iter().filter_map(OnceLock::get).map(|topic| &**topic)
    }

    /// As they are shown: each topic once. `services`: their names, by number. `reason`: why the answer is so; `None` where by
    /// the rules of now it is another.
    pub(crate) fn stats(
        &self,
        services: &[String],
        reason: impl Fn(&CountedTopic) -> Option<String>,
    ) -> Vec<TopicStats> {
        let mut shown: Vec<(&CountedTopic, TopicStats)> = Vec::new();
        for topic in self.topics() {
            // A fork counts for itself; what only its parent has met is not its own.
            let Some(counts) = topic.counters.counted() else { continue };
            if let Some((_, stats)) = shown.iter_mut().find(|(known, _)| known.is(&topic.name, topic.side, topic.owner))
            {
                add(stats, counts);
                continue;
            }
            let why = reason(topic);
            let mut stats = TopicStats {
                name: topic.name.clone(),
                side: word(topic.side),
                service: topic.owner.service().and_then(|service| services.get(service).cloned()),
                is_traced: why.is_some() && matches!(topic.owner, Owner::Traced(_)),
                why: why.unwrap_or_else(|| REPLACED.to_owned()),
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
        let beyond = self.beyond.load();
        let all = beyond.iter().chain([&self.nobodys_beyond]);
        all.filter_map(|beyond| beyond.counted()).for_each(|counts| add(&mut stats, counts));
        stats
    }

    /// Spans of a service that were not recorded because their trace is not sampled.
    pub(crate) fn sampled_out(&self, service: usize) -> u64 {
        let own = self.topics().filter(|topic| topic.owner.service() == Some(service));
        let own = own.filter_map(|topic| topic.counters.counted());
        let beyond = self.beyond.load();
        let beyond = beyond.get(service).and_then(|beyond| beyond.counted());
        own.chain(beyond).map(|counts| counts.sampled_out.sum()).sum()
    }

    fn beyond_of(&self, service: Option<usize>) -> Arc<TopicCounters> {
        let Some(service) = service else { return Arc::clone(&self.nobodys_beyond) };
        self.beyond.load().get(service).map(Arc::clone).unwrap_or_default()
    }
}

impl CountedTopic {
    /// Whether it is the topic, seen from the same side and with the same answer.
    fn is(&self, name: &str, side: Side, owner: Owner) -> bool {
        self.side == side && self.owner == owner && self.name == name
    }

    /// Why it is whose it is, by the rules of this generation, for who met it by the latest rules. Found once: where there are
    /// a thousand rules that are like it, that takes milliseconds, and it is asked for all topics every second.
    pub(crate) fn why(&self, rules: u64, find: impl FnOnce(&Who) -> Option<String>) -> Option<String> {
        let met = self.met.load();
        let known = self.why.load();
        match &*known {
            Some((by, under, why)) if (*by, *under) == (rules, met.1) => why.clone(),
            _ => {
                let why = find(&met.0);
                self.why.store(Arc::new(Some((rules, met.1, why.clone()))));
                why
            }
        }
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

    fn who(side: Side) -> Who {
        Who { side, client_id: "c".to_owned(), group_id: None, bound: None }
    }

    fn counted(services: usize) -> TopicsCounted {
        let counted = TopicsCounted::new();
        counted.make_room(services);
        counted
    }

    #[test]
    fn a_topic_goes_on_counting_by_other_rules_and_is_known_by_who_met_it_last() {
        let counted = counted(1);
        let before = counted.of("orders", &who(Side::Produce), Owner::Traced(0), 0);
        counted.make_room(2);
        let other = Who { client_id: "d".to_owned(), ..who(Side::Produce) };
        let after = counted.of("orders", &other, Owner::Traced(0), 1);
        let taken = counted.of("orders", &other, Owner::Traced(1), 2);
        assert!(Arc::ptr_eq(&before, &after) && !Arc::ptr_eq(&before, &taken));
        counted.of("orders", &who(Side::Produce), Owner::Traced(0), 0);
        let why = |rules, found: &str| {
            let find = |who: &Who| Some(format!("{found} {}", who.client_id));
            counted.topics().next().unwrap().why(rules, find).unwrap()
        };
        assert_eq!(why(1, "first"), "first d", "rules of before bring nobody back");
        assert_eq!((why(1, "second"), why(2, "third")), ("first d".to_owned(), "third d".to_owned()), "found once");
        counted.of("orders", &who(Side::Produce), Owner::Traced(0), 2);
        assert_eq!(why(2, "fourth"), "fourth c");
        before.sampled_out.raise();
        let stats = counted.stats(&["shop".to_owned(), "mail".to_owned()], |_| Some(String::new()));
        assert_eq!(stats.iter().map(|of| of.service.as_deref()).collect::<Vec<_>>(), [Some("shop")]);
        taken.without_span.raise();
        let stats = counted.stats(&["shop".to_owned(), "mail".to_owned()], |_| Some(String::new()));
        assert_eq!((stats.len(), stats[1].service.as_deref(), stats[1].without_span), (2, Some("mail"), 1));
    }

    #[test]
    fn a_topic_has_one_count_for_each_side_and_answer() {
        let counted = counted(1);
        let sent = counted.of("orders", &who(Side::Produce), Owner::Traced(0), 0);
        let again = counted.of("orders", &who(Side::Produce), Owner::Traced(0), 0);
        let got = counted.of("orders", &who(Side::Consume), Owner::Nobody, 0);
        assert!(Arc::ptr_eq(&sent, &again) && !Arc::ptr_eq(&sent, &got));
        sent.sampled_out.raise();
        assert_eq!((counted.sampled_out(0), counted.topics().count()), (1, 2));
    }

    #[test]
    fn topics_beyond_the_bound_are_counted_together_by_service() {
        let counted = counted(2);
        let shop = Owner::Traced(1);
        for topic in 0..MOST_COUNTED + 3 {
            counted.of(&format!("t{topic}"), &who(Side::Produce), shop, 0).sampled_out.raise();
        }
        counted.of("nobodys", &who(Side::Consume), Owner::Nobody, 0).without_span.raise();
        assert_eq!(counted.topics().count(), MOST_COUNTED);
        assert_eq!((counted.sampled_out(1), counted.sampled_out(0)), (MOST_COUNTED as u64 + 3, 0));
        let beyond = counted.beyond_stats();
        assert_eq!((beyond.sampled_out, beyond.without_span), (3, 1));
        assert_eq!(counted.claimed.load(Ordering::Relaxed), MOST_COUNTED, "it does not come round");
    }
}
