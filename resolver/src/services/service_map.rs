//! The rules of all services, sorted once, most specific first.

use std::cmp::Reverse;

use super::explanation::{ExplainedRule, Explanation, Verdict};
use super::rule::{PatternKind, RuleList, TopicRank, any_matches, constraint_kind, matches};
use super::selection::{Candidate, Selection};
use crate::config::{Config, Pattern, Service, Settings};

/// Gives each message to the service it belongs to.
///
/// Immutable; share it between threads as you like.
#[derive(Clone, Debug)]
pub struct ServiceMap {
    /// Most specific first; rules of equal rank in file order.
    rules: Vec<Rule>,
    /// The rules for exact topics, which are the first of `rules`, by name; those of one name in the order of `rules`.
    exact: Vec<usize>,
    /// In file order: an index here is an index into `Config::services`.
    services: Vec<ServiceRules>,
    default_service: Option<usize>,
    /// Every settings value a message can get: of each service its own, then its topics'.
    slots: Vec<Slot>,
}

impl ServiceMap {
    /// Compiles the rules of a configuration. Allocates; once per load or reload.
    pub fn new(config: &Config) -> Self {
        let mut rules: Vec<Rule> =
            config.services.iter().enumerate().flat_map(|(index, service)| rules_of(index, service)).collect();
        // Stable: what ranks equal stays in file order.
        rules.sort_by_key(|rule| Reverse(rule.rank));
        let mut exact: Vec<usize> = (0..rules.partition_point(|rule| rule.exact_topic().is_some())).collect();
        exact.sort_by_key(|index| rules.get(*index).and_then(Rule::exact_topic));
        let mut slots = Vec::new();
        let services = config
            .services
            .iter()
            .enumerate()
            .map(|(index, service)| ServiceRules::new(index, service, &mut slots))
            .collect();
        Self { rules, exact, services, default_service: config.default_service, slots }
    }

    /// Finds the service of a message.
    ///
    /// A binding in code wins, whatever `exclude` says. Then, most specific first: exact topic, glob, regex, a service
    /// that names no topic; a rule for one side before one for both; more literal characters; client id (exact, glob,
    /// regex, none); group id; file order. The winner's `exclude` is asked last: an excluded topic is not passed on to
    /// the next best service. What nobody claims goes to the default service. A binding to a service that does not
    /// exist is [`Selection::Unmatched`].
    ///
    /// Allocates nothing and takes no lock, save what a regex needs the first time a thread uses it. Services that name the
    /// topic exactly are looked up, globs and regexes asked one after the other: keep the answer per client and topic.
    pub fn select(&self, candidate: &Candidate<'_>) -> Selection<'_> {
        if let Some(bound) = candidate.bound {
            return self.selection(bound, candidate.topic);
        }
        let claimant = self.claimant(candidate).map(|rule| rule.service);
        let Some(service) = claimant.or(self.default_service) else { return Selection::Unmatched };
        let Some(rules) = self.services.get(service) else { return Selection::Unmatched };
        if any_matches(&rules.exclude, candidate.topic) {
            return Selection::Excluded;
        }
        self.selection(service, candidate.topic)
    }

    /// What [`ServiceMap::select`] answers, and why: what became of every rule, in the order in which they are asked, and
    /// which of the winner's other entries decided.
    ///
    /// For people who ask; allocates.
    pub fn explain(&self, candidate: &Candidate<'_>) -> Explanation<'_> {
        let selection = self.select(candidate);
        let winner = if candidate.bound.is_some() { None } else { self.claimant(candidate) };
        let rules = self.rules.iter().map(|rule| {
            let verdict = match (winner, self.judge(rule, candidate)) {
                (Some(winner), Ok(_)) if std::ptr::eq(winner, rule) => Verdict::Won,
                // The side is asked first, since that costs least; a reader wants to know of the topic first.
                (_, Err(Verdict::OtherSide)) if !rule.is_about(candidate.topic) => Verdict::OtherTopic,
                (_, Err(verdict)) => verdict,
                (Some(winner), Ok(constraints)) => self.outranked(rule, constraints, winner, candidate),
                // The program bound the client.
                (None, Ok(_)) => Verdict::Bound,
            };
            ExplainedRule {
                service: rule.service,
                list: rule.list,
                index: rule.index,
                pattern: rule.topic.as_ref(),
                verdict,
            }
        });
        let of = winner.map(|rule| rule.service).or(candidate.bound).or(self.default_service);
        let of = of.and_then(|service| self.services.get(service));
        let excluded_by = of
            .filter(|_| selection == Selection::Excluded)
            .and_then(|service| service.exclude.iter().position(|pattern| matches(pattern, candidate.topic)));
        let topic_settings = match selection {
            Selection::Service { .. } => {
                of.and_then(|service| service.topic_rule(candidate.topic)).map(|rule| rule.index)
            }
            Selection::Excluded | Selection::Unmatched => None,
        };
        Explanation {
            selection,
            rules: rules.collect(),
            default_service: self.default_service,
            excluded_by,
            topic_settings,
        }
    }

    /// The rule that claims the message, where one does: the one of [`ServiceMap::explain`] that won.
    pub(crate) fn winner(&self, candidate: &Candidate<'_>) -> Option<(RuleList, Option<&Pattern>)> {
        self.claimant(candidate).map(|rule| (rule.list, rule.topic.as_ref()))
    }

    /// Every settings value that a [`Selection`] can carry, with the service (an index into `Config::services`) it is of.
    ///
    /// A service's own settings come first, its topics' directly after, and services follow each other in file order.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = (usize, &Settings)> {
        self.slots.iter().map(|slot| (slot.service, &slot.settings))
    }

    /// The rule that claims the message.
    fn claimant(&self, candidate: &Candidate<'_>) -> Option<&Rule> {
        let mut best: Option<(&Rule, ConstraintRank)> = None;
        for rule in self.rules_about(candidate.topic) {
            // Client and group decide only between topic rules of equal rank.
            if best.is_some_and(|(best, _)| rule.rank < best.rank) {
                break;
            }
            let Ok(constraints) = self.judge(rule, candidate) else { continue };
            if best.is_none_or(|(_, best)| constraints > best) {
                best = Some((rule, constraints));
            }
        }
        best.map(|(rule, _)| rule)
    }

    /// The rules that can be about this topic, in the order of `rules`: with a thousand services, all but one name others.
    fn rules_about(&self, topic: &str) -> impl Iterator<Item = &Rule> {
        let name = |index: &usize| self.rules.get(*index).and_then(Rule::exact_topic);
        let first = self.exact.partition_point(|index| name(index) < Some(topic));
        let exact = self.exact.iter().skip(first).take_while(move |index| name(index) == Some(topic));
        exact.filter_map(|index| self.rules.get(*index)).chain(self.rules.iter().skip(self.exact.len()))
    }

    /// How specific a rule's clients and group are for a message that it claims; or why it does not claim it.
    fn judge(&self, rule: &Rule, candidate: &Candidate<'_>) -> Result<ConstraintRank, Verdict> {
        if rule.list.side().is_some_and(|side| side != candidate.side) {
            return Err(Verdict::OtherSide);
        }
        if !rule.is_about(candidate.topic) {
            return Err(Verdict::OtherTopic);
        }
        let Some(service) = self.services.get(rule.service) else { return Err(Verdict::OtherTopic) };
        let client = constraint_kind(&service.client_ids, Some(candidate.client_id)).ok_or(Verdict::OtherClient)?;
        let group = constraint_kind(&service.group_ids, candidate.group_id).ok_or(Verdict::OtherGroup)?;
        Ok((client, group))
    }

    /// What the winner has over a rule that claims the message too; the fields are compared as the order of `rules` and
    /// `claimant` do.
    fn outranked(&self, rule: &Rule, constraints: ConstraintRank, winner: &Rule, candidate: &Candidate<'_>) -> Verdict {
        let (ours, theirs) = (rule.rank, winner.rank);
        let winning = self.judge(winner, candidate).unwrap_or((PatternKind::None, PatternKind::None));
        if ours.kind != theirs.kind {
            Verdict::LessExactPattern
        } else if ours.names_a_side != theirs.names_a_side {
            Verdict::NoSide
        } else if ours.literal_characters != theirs.literal_characters {
            Verdict::FewerLiteralCharacters
        } else if constraints.0 != winning.0 {
            Verdict::LessExactClient
        } else if constraints.1 != winning.1 {
            Verdict::LessExactGroup
        } else {
            Verdict::Later
        }
    }

    fn selection(&self, service: usize, topic: &str) -> Selection<'_> {
        let Some(rules) = self.services.get(service) else { return Selection::Unmatched };
        let slot = rules.topic_rule(topic).map_or(rules.own_slot, |rule| rule.slot);
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
    /// Where it stands in the file: a list, and the place in it.
    list: RuleList,
    index: usize,
    /// `None` is any topic.
    topic: Option<Pattern>,
    service: usize,
}

impl Rule {
    /// The one topic that it is about, if it names one.
    fn exact_topic(&self) -> Option<&str> {
        match &self.topic {
            Some(Pattern::Exact(name)) => Some(name),
            Some(Pattern::Glob(_) | Pattern::Regex(_)) | None => None,
        }
    }

    fn is_about(&self, topic: &str) -> bool {
        self.topic.as_ref().is_none_or(|pattern| matches(pattern, topic))
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
    /// Among `Service::topic_settings`.
    index: usize,
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
        for (of, (pattern, settings)) in service.topic_settings.iter().enumerate() {
            topics.push(TopicRule { pattern: pattern.clone(), index: of, slot: slots.len() });
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

    /// The settings of one topic, if it has its own.
    fn topic_rule(&self, topic: &str) -> Option<&TopicRule> {
        self.topics.iter().find(|rule| matches(&rule.pattern, topic))
    }
}

fn rules_of(service: usize, says: &Service) -> Vec<Rule> {
    let of = |list: RuleList, patterns: &[Pattern]| -> Vec<Rule> {
        let rule = |(index, pattern): (usize, &Pattern)| Rule {
            rank: TopicRank::of(pattern, list.side().is_some()),
            list,
            index,
            topic: Some(pattern.clone()),
            service,
        };
        patterns.iter().enumerate().map(rule).collect()
    };
    let mut rules = of(RuleList::Produces, &says.produces);
    rules.extend(of(RuleList::Consumes, &says.consumes));
    rules.extend(of(RuleList::Topics, &says.topics));
    let names_clients = !says.client_ids.is_empty() || !says.group_ids.is_empty();
    if rules.is_empty() && names_clients {
        rules.push(Rule { rank: TopicRank::ANY_TOPIC, list: RuleList::NoTopics, index: 0, topic: None, service });
    }
    rules
}

#[cfg(test)]
mod tests;
