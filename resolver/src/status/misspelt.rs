//! Topics that are nobody's by a slip: the file, or the program, spells the name of a rule's topic otherwise.
//!
//! Whether a rule is met at all is known only when the clients have met what they work with, so a topic is judged some time
//! after it was met, or at the end. `RATIONALE.md`: "When is a topic called misspelt?"

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::spelling::{Respelt, respelt};
use super::topics_counted::{MOST_COUNTED, TopicsCounted};
use super::who::Who;
use super::whose::{Rules, lists_of};
use crate::config::{Pattern, Service, Trace};
use crate::services::{Candidate, RuleList, Selection, pattern_matches as matches};

/// What is nobody's in one process, until it is judged.
#[derive(Default)]
pub(super) struct Misspelt(Mutex<Topics>);

#[derive(Default)]
struct Topics {
    /// In the order in which they were met.
    waiting: Vec<(String, Who, Instant)>,
    told: Vec<String>,
}

/// The rule that a misspelt topic was meant for.
#[derive(Clone, Debug)]
pub(crate) struct Meant<'a> {
    /// Its service's index.
    pub(crate) service: usize,
    pub(crate) list: RuleList,
    /// Its place in the list.
    pub(crate) index: usize,
    pub(crate) pattern: &'a Pattern,
    /// For a sentence: `differs by upper and lower case`.
    pub(super) how: String,
}

/// A topic is judged so long after it was met: what else a program uses it has met by then, most likely.
const PATIENCE: Duration = Duration::from_secs(60);
/// Topics that wait to be judged; a program that makes up its topics has no rules for them.
const MOST_WAITING: usize = 200;
/// Topics that are told.
const MOST_TOLD: usize = 20;

impl Misspelt {
    /// A topic was met that is nobody's. Any thread; it is judged later.
    pub(super) fn met(&self, topic: &str, who: &Who, now: Instant) {
        let mut topics = self.lock();
        let is_known = topics
            .waiting
            .iter()
            .any(|(known, of, _)| known == topic && of.side == who.side && of.client_id == who.client_id);
        if !is_known && topics.waiting.len() < MOST_WAITING {
            topics.waiting.push((topic.to_owned(), who.clone(), now));
        }
    }

    /// Those whose time has come by `now`; all of them without one. Each is given once.
    pub(super) fn due(&self, now: Option<Instant>) -> Vec<(String, Who)> {
        let mut topics = self.lock();
        let is_due = |since: Instant| now.is_none_or(|now| now.saturating_duration_since(since) >= PATIENCE);
        let count = topics.waiting.iter().take_while(|(_, _, since)| is_due(*since)).count();
        topics.waiting.drain(..count).map(|(topic, who, _)| (topic, who)).collect()
    }

    /// Whether a topic is told now: each is once.
    pub(super) fn is_first(&self, topic: &str) -> bool {
        let mut topics = self.lock();
        let is_first = topics.told.len() < MOST_TOLD && !topics.told.iter().any(|told| told == topic);
        if is_first {
            topics.told.push(topic.to_owned());
        }
        is_first
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules<'_> {
    /// The rule that a topic, which is nobody's, was most likely meant for; nothing where it may be a topic of its own.
    pub(super) fn meant(&self, topic: &str, who: &Who, met: &TopicsCounted) -> Option<Meant<'_>> {
        if self.config.services.iter().any(|service| names(service, topic)) {
            return None;
        }
        let rules = self.config.services.iter().enumerate().flat_map(|(service, of)| {
            let lists = lists_of(of).into_iter().filter(|(list, _)| list.side().is_none_or(|side| side == who.side));
            lists.flat_map(move |(list, patterns)| {
                patterns.iter().enumerate().map(move |(index, pattern)| (service, list, index, pattern))
            })
        });
        for (service, list, index, pattern) in rules {
            let Some(Respelt { topic, how }) = respelt(pattern, topic) else { continue };
            if self.would_trace(service, list, pattern, &topic, who) && !is_met(pattern, met) {
                return Some(Meant { service, list, index, pattern, how });
            }
        }
        None
    }

    /// Whether this very rule would make the service trace such a topic of this client.
    fn would_trace(&self, service: usize, list: RuleList, pattern: &Pattern, topic: &str, who: &Who) -> bool {
        let (client_id, group_id) = (who.client_id.as_str(), who.group_id.as_deref());
        let candidate = Candidate { side: who.side, topic, client_id, group_id, bound: None };
        let is_traced = match self.services.select(&candidate) {
            Selection::Service { service: of, settings, .. } => of == service && settings.trace != Trace::Off,
            Selection::Excluded | Selection::Unmatched => false,
        };
        let winner = || self.services.winner(&candidate);
        is_traced
            && winner().is_some_and(|(of, winner)| of == list && winner.map(Pattern::text) == Some(pattern.text()))
    }
}

/// Whether the file knows a topic by this name, on whatever side and for whichever client.
fn names(service: &Service, topic: &str) -> bool {
    let rules = [&service.produces, &service.consumes, &service.topics, &service.exclude].into_iter().flatten();
    let all = rules.chain(service.topic_settings.iter().map(|(pattern, _)| pattern));
    all.into_iter().any(|pattern| matches(pattern, topic))
}

/// Whether any client of this process, or of the one that it is a fork of, has met a topic that the rule is about. Where not
/// all are known that were met, it may be so.
fn is_met(pattern: &Pattern, met: &TopicsCounted) -> bool {
    met.topics().count() >= MOST_COUNTED || met.topics().any(|topic| matches(pattern, &topic.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source, load};
    use crate::services::{ServiceMap, Side};
    use crate::status::Owner;

    const FILE: &str = r#"
        version = 1
        [services.shop]
        produces = ["order", "payments.*"]
        exclude = ["__*", "invoices"]
        [services.bill]
        consumes = ["invoice"]
        topics = ["bill", "beats"]
        client_ids = ["biller-*"]
        [services.bill.topic."beats"]
        trace = "off"
        [services.mail]
        consumes = ["welcome", "parcels"]
        produces = ["parcel"]
        group_ids = ["mailers"]
    "#;

    fn config() -> Config {
        load(Source::Text { name: "t.toml".to_owned(), text: FILE.to_owned() }).config.unwrap()
    }

    fn who(side: Side, client: &str, group: Option<&str>) -> Who {
        Who { side, client_id: client.to_owned(), group_id: group.map(str::to_owned), bound: None }
    }

    /// The rule that the topic was meant for, in a process that has met these.
    fn meant(topic: &str, who: &Who, met: &[&str]) -> Option<String> {
        let config = config();
        let services = ServiceMap::new(&config);
        let counted = TopicsCounted::new();
        for topic in met {
            counted.of(topic, &Who { side: Side::Consume, ..who.clone() }, Owner::Nobody, 0);
        }
        let rules = Rules { config: &config, services: &services, hidden: &[] };
        rules.meant(topic, who, &counted).map(|meant| meant.pattern.text().to_owned())
    }

    #[test]
    fn a_rule_is_meant_where_its_side_client_and_group_are_those_of_who_met_the_topic() {
        let shop = who(Side::Produce, "c", None);
        assert_eq!(meant("orders", &shop, &["orders"]).as_deref(), Some("order"));
        assert_eq!(meant("payment.eu", &shop, &[]).as_deref(), Some("payments.*"));
        assert_eq!(meant("orders", &who(Side::Consume, "c", None), &[]), None, "the other side");
        assert_eq!(meant("bills", &shop, &[]), None, "another client");
        assert_eq!(meant("bills", &who(Side::Produce, "biller-1", None), &[]).as_deref(), Some("bill"));
        assert_eq!(meant("Welcome", &who(Side::Consume, "c", Some("others")), &[]), None, "another group");
        assert_eq!(meant("Welcome", &who(Side::Consume, "c", Some("mailers")), &[]).as_deref(), Some("welcome"));
    }

    #[test]
    fn a_topic_that_the_file_knows_is_not_misspelt_and_neither_is_one_whose_rule_traces_nothing() {
        let biller = who(Side::Consume, "biller-1", None);
        assert_eq!(meant("invoices", &biller, &[]), None, "excluded, be it by another service");
        assert_eq!(meant("parcels", &who(Side::Produce, "c", None), &[]), None, "named, be it for the other side");
        assert_eq!(meant("beat", &biller, &[]), None, "trace = \"off\" is what it would get");
    }

    #[test]
    fn a_rule_that_was_met_and_one_that_may_have_been_is_not_meant() {
        let shop = who(Side::Produce, "c", None);
        assert_eq!(meant("orders", &shop, &["order"]), None, "be it by another client, on the other side");
        assert_eq!(meant("payment.eu", &shop, &["payments.us"]), None);
        let many: Vec<_> = (0..MOST_COUNTED).map(|n| format!("t{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(meant("orders", &shop, &many), None);
    }

    #[test]
    fn a_topic_is_judged_when_its_time_has_come_or_at_the_end_and_told_once() {
        let (misspelt, start) = (Misspelt::default(), Instant::now());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        let names = |due: Vec<(String, Who)>| due.into_iter().map(|(topic, _)| topic).collect::<Vec<_>>();
        let shop = who(Side::Produce, "c", None);
        misspelt.met("a", &shop, start);
        misspelt.met("a", &shop, later(1));
        misspelt.met("b", &shop, later(30));
        assert_eq!(names(misspelt.due(Some(later(59)))), [""; 0]);
        assert_eq!(names(misspelt.due(Some(later(60)))), ["a"]);
        assert_eq!(names(misspelt.due(None)), ["b"], "the end waits for nothing");
        assert_eq!((misspelt.is_first("a"), misspelt.is_first("a"), misspelt.is_first("b")), (true, false, true));
    }
}
