//! The rules of all services, sorted once, most specific first.

use std::cmp::Reverse;

use super::rule::{PatternKind, TopicRank, any_matches, constraint_kind, matches};
use crate::config::{Config, Pattern, Service, Settings};

/// Gives each message to the service it belongs to.
///
/// Immutable; share it between threads as you like.
#[derive(Clone, Debug)]
pub struct ServiceMap {
    /// Most specific first; rules of equal rank in file order.
    rules: Vec<Rule>,
    /// In file order: an index here is an index into `Config::services`.
    services: Vec<ServiceRules>,
    default_service: Option<usize>,
    /// Every settings value a message can get: of each service its own, then its topics'.
    slots: Vec<Slot>,
}

/// A message's side: the client sends it or receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A producer is about to send it.
    Produce,
    /// A consumer hands it over.
    Consume,
}

/// What is known about a message when its service is sought. None of it changes while a client lives, apart from the topic.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which client has it in hand.
    pub side: Side,
    /// The topic's name, as the broker knows it.
    pub topic: &'a str,
    /// The client's `client.id`.
    pub client_id: &'a str,
    /// The consumer's `group.id`; a producer has none, and then no `group_ids` constraint is met.
    pub group_id: Option<&'a str>,
    /// The service that the program bound this client to, as an index into `Config::services`. Beats every rule.
    pub bound: Option<usize>,
}

/// Whose a message is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selection<'m> {
    /// It belongs to a service.
    Service {
        /// Index into `Config::services`.
        service: usize,
        /// Index into [`ServiceMap::client_handles`], dense: what is built once per `settings` (a sampler) is looked up by it.
        slot: usize,
        /// The service's settings, or those of the topic within it.
        settings: &'m Settings,
    },
    /// The service it would belong to never touches this topic: no span, headers as they are.
    Excluded,
    /// No rule claims it and there is no default service: its context passes through untouched.
    Unmatched,
}

impl ServiceMap {
    /// Compiles the rules of a configuration. Allocates; once per load or reload.
    pub fn new(config: &Config) -> Self {
        let mut rules: Vec<Rule> =
            config.services.iter().enumerate().flat_map(|(index, service)| rules_of(index, service)).collect();
        // Stable: what ranks equal stays in file order.
        rules.sort_by_key(|rule| Reverse(rule.rank));
        let mut slots = Vec::new();
        let services = config
            .services
            .iter()
            .enumerate()
            .map(|(index, service)| ServiceRules::new(index, service, &mut slots))
            .collect();
        Self { rules, services, default_service: config.default_service, slots }
    }

    /// Finds the service of a message.
    ///
    /// A binding in code wins, whatever `exclude` says. Then, most specific first: exact topic, glob, regex, a service
    /// that names no topic; a rule for one side before one for both; more literal characters; client id (exact, glob,
    /// regex, none); group id; file order. The winner's `exclude` is asked last: an excluded topic is not passed on to
    /// the next best service. What nobody claims goes to the default service. A binding to a service that does not
    /// exist is [`Selection::Unmatched`].
    ///
    /// Allocates nothing and takes no lock, save what a regex needs the first time a thread uses it. Microseconds: keep
    /// the answer per client and topic.
    pub fn select(&self, candidate: &Candidate<'_>) -> Selection<'_> {
        if let Some(bound) = candidate.bound {
            return self.selection(bound, candidate.topic);
        }
        let Some(service) = self.claimant(candidate).or(self.default_service) else { return Selection::Unmatched };
        let Some(rules) = self.services.get(service) else { return Selection::Unmatched };
        if any_matches(&rules.exclude, candidate.topic) {
            return Selection::Excluded;
        }
        self.selection(service, candidate.topic)
    }

    /// Every settings value that a [`Selection`] can carry, with the service (an index into `Config::services`) it is of.
    ///
    /// A service's own settings come first, its topics' directly after, and services follow each other in file order.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = (usize, &Settings)> {
        self.slots.iter().map(|slot| (slot.service, &slot.settings))
    }

    /// The service whose rules claim the message.
    fn claimant(&self, candidate: &Candidate<'_>) -> Option<usize> {
        let mut best: Option<(&Rule, ConstraintRank)> = None;
        for rule in &self.rules {
            // Client and group decide only between topic rules of equal rank.
            if best.is_some_and(|(best, _)| rule.rank < best.rank) {
                break;
            }
            if !rule.claims(candidate) {
                continue;
            }
            let Some(constraints) = self.services.get(rule.service).and_then(|service| service.constraints(candidate))
            else {
                continue;
            };
            if best.is_none_or(|(_, best)| constraints > best) {
                best = Some((rule, constraints));
            }
        }
        best.map(|(rule, _)| rule.service)
    }

    fn selection(&self, service: usize, topic: &str) -> Selection<'_> {
        let Some(rules) = self.services.get(service) else { return Selection::Unmatched };
        let topic_rule = rules.topics.iter().find(|rule| matches(&rule.pattern, topic));
        let slot = topic_rule.map_or(rules.own_slot, |rule| rule.slot);
        match self.slots.get(slot) {
            Some(Slot { settings, .. }) => Selection::Service { service, slot, settings },
            None => Selection::Unmatched,
        }
    }
}

/// One topic pattern of one service.
#[derive(Clone, Debug)]
struct Rule {
    rank: TopicRank,
    /// The only side it is about; `None` is both.
    side: Option<Side>,
    /// `None` is any topic.
    topic: Option<Pattern>,
    service: usize,
}

impl Rule {
    fn claims(&self, candidate: &Candidate<'_>) -> bool {
        self.side.is_none_or(|side| side == candidate.side)
            && self.topic.as_ref().is_none_or(|topic| matches(topic, candidate.topic))
    }
}

/// What a service says apart from its topics.
#[derive(Clone, Debug)]
struct ServiceRules {
    client_ids: Vec<Pattern>,
    group_ids: Vec<Pattern>,
    exclude: Vec<Pattern>,
    own_slot: usize,
    /// Most specific first; the first that matches wins.
    topics: Vec<TopicRule>,
}

/// Settings of one topic within a service.
#[derive(Clone, Debug)]
struct TopicRule {
    pattern: Pattern,
    slot: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    service: usize,
    settings: Settings,
}

/// How specific the client and group constraints are that a message met; the client decides before the group.
type ConstraintRank = (PatternKind, PatternKind);

impl ServiceRules {
    fn new(index: usize, service: &Service, slots: &mut Vec<Slot>) -> Self {
        let own_slot = slots.len();
        slots.push(Slot { service: index, settings: service.settings.clone() });
        let mut topics = Vec::with_capacity(service.topic_settings.len());
        for (pattern, settings) in &service.topic_settings {
            topics.push(TopicRule { pattern: pattern.clone(), slot: slots.len() });
            slots.push(Slot { service: index, settings: settings.clone() });
        }
        // Stable: what ranks equal stays in file order.
        topics.sort_by_key(|rule| Reverse(TopicRank::of(&rule.pattern, false)));
        Self {
            client_ids: service.client_ids.clone(),
            group_ids: service.group_ids.clone(),
            exclude: service.exclude.clone(),
            own_slot,
            topics,
        }
    }

    /// `None` when a constraint is not met.
    fn constraints(&self, candidate: &Candidate<'_>) -> Option<ConstraintRank> {
        let client = constraint_kind(&self.client_ids, Some(candidate.client_id))?;
        let group = constraint_kind(&self.group_ids, candidate.group_id)?;
        Some((client, group))
    }
}

fn rules_of(index: usize, service: &Service) -> Vec<Rule> {
    let of = |side: Option<Side>, patterns: &[Pattern]| -> Vec<Rule> {
        let rule = |pattern: &Pattern| Rule {
            rank: TopicRank::of(pattern, side.is_some()),
            side,
            topic: Some(pattern.clone()),
            service: index,
        };
        patterns.iter().map(rule).collect()
    };
    let mut rules = of(Some(Side::Produce), &service.produces);
    rules.extend(of(Some(Side::Consume), &service.consumes));
    rules.extend(of(None, &service.topics));
    let names_clients = !service.client_ids.is_empty() || !service.group_ids.is_empty();
    if rules.is_empty() && names_clients {
        rules.push(Rule { rank: TopicRank::ANY_TOPIC, side: None, topic: None, service: index });
    }
    rules
}

#[cfg(test)]
mod tests;
