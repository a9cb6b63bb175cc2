//! Whose a topic's messages are and why, in words: the rule that won, or the one that came nearest.

#![forbid(unsafe_code)]

use super::who::{Belongs, Who};
use crate::config::{Config, ParentDecision, Pattern, Sampler, Service, Settings, Trace};
use crate::counted::{counted, verb};
use crate::services::{Candidate, RuleList, ServiceMap, pattern_matches as matches};

/// The services as whoever wrote the file has to see them.
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a Config,
    /// The same, as it decides whose a message is.
    pub(crate) services: &'a ServiceMap,
    /// Texts of patterns that came from a reference: they are not shown.
    pub(crate) hidden: &'a [String],
}

impl Rules<'_> {
    /// What is true of a topic, in half a sentence.
    pub(crate) fn explain(&self, topic: &str, who: &Who, belongs: Belongs, settings: Option<&Settings>) -> String {
        let reason = self.reason(topic, who, belongs, settings);
        match belongs {
            Belongs::Traced { service, .. } => format!("belongs to service `{}`: {reason}", self.name(service)),
            Belongs::Untraced(service) => {
                format!("belongs to service `{}`, which does not trace it ({reason})", self.name(service))
            }
            Belongs::Excluded => "is excluded by its service, and not traced".to_owned(),
            Belongs::Nobody => format!("belongs to no service, and is not traced; {reason}"),
        }
    }

    /// Why that is so: the rule that won and what it leads to, or what stood against it.
    pub(crate) fn reason(&self, topic: &str, who: &Who, belongs: Belongs, settings: Option<&Settings>) -> String {
        match (belongs, settings) {
            (Belongs::Traced { .. }, None) => self.rule(topic, who),
            (Belongs::Traced { .. }, Some(settings)) => {
                let rule = self.rule(topic, who);
                format!("{rule}, {}, to {}", treatment(settings), self.backends(settings))
            }
            (Belongs::Untraced(_), _) => "trace = \"off\"".to_owned(),
            (Belongs::Excluded, _) => "excluded by its service".to_owned(),
            (Belongs::Nobody, _) => self.nearest(topic, who).unwrap_or_else(|| "no rule is like it".to_owned()),
        }
    }

    pub(crate) fn name(&self, service: usize) -> &str {
        self.config.services.get(service).map_or("", |service| service.name.as_str())
    }

    /// The rule by which a service got the topic.
    pub(crate) fn rule(&self, topic: &str, who: &Who) -> String {
        if who.bound.is_some() {
            return "bound by the program".to_owned();
        }
        let candidate = Candidate {
            side: who.side,
            topic,
            client_id: &who.client_id,
            group_id: who.group_id.as_deref(),
            bound: None,
        };
        match self.services.winner(&candidate) {
            Some((list, Some(pattern))) => format!("{} = {}", list.key(), self.show(pattern)),
            Some((_, None)) => "its client_ids or group_ids".to_owned(),
            None => "default_service".to_owned(),
        }
    }

    /// The rule that would have to be changed least, and how.
    pub(crate) fn nearest(&self, topic: &str, who: &Who) -> Option<String> {
        let services = &self.config.services;
        let all = services.iter().flat_map(|service| {
            lists_of(service)
                .into_iter()
                .flat_map(move |(list, all)| all.iter().map(move |pattern| (service, list, pattern)))
        });
        let near = all.filter_map(|(service, list, pattern)| {
            let right_side = list.side().is_none_or(|side| side == who.side);
            let (distance, why) = match (matches(pattern, topic), right_side) {
                // The constraints were not met, or it would be the service's.
                (true, true) => (0, format!("but only for its {}", self.constraints(service, who))),
                (true, false) => (1, "but that is the other side".to_owned()),
                (false, _) => {
                    let (distance, why) = misspelt(pattern, topic)?;
                    (distance + 2 * usize::from(!right_side) + 1, why)
                }
            };
            Some((distance, service, list.key(), pattern, why))
        });
        let (_, service, key, pattern, why) = near.min_by_key(|(distance, ..)| *distance)?;
        Some(format!("nearest: service `{}` has {key} = {}, {why}", service.name, self.show(pattern)))
    }

    fn show(&self, pattern: &Pattern) -> String {
        as_written(pattern, self.hidden)
    }

    fn backends(&self, settings: &Settings) -> String {
        let names: Vec<_> = settings.export.iter().filter_map(|index| self.config.backends.get(*index)).collect();
        let names: Vec<_> = names.iter().map(|backend| format!("`{}`", backend.name)).collect();
        if names.is_empty() { "no backend".to_owned() } else { names.join(", ") }
    }

    fn constraints(&self, service: &Service, who: &Who) -> String {
        let unmet = |patterns: &[Pattern], name: Option<&str>| {
            !patterns.is_empty() && !name.is_some_and(|name| patterns.iter().any(|pattern| matches(pattern, name)))
        };
        let shown = |key: &str, patterns: &[Pattern]| {
            let patterns: Vec<_> = patterns.iter().take(MOST_SHOWN).map(|pattern| self.show(pattern)).collect();
            format!("{key} = [{}]", patterns.join(", "))
        };
        let mut parts = Vec::new();
        if unmet(&service.client_ids, Some(&who.client_id)) {
            parts.push(shown("client_ids", &service.client_ids));
        }
        if unmet(&service.group_ids, who.group_id.as_deref()) {
            parts.push(shown("group_ids", &service.group_ids));
        }
        parts.join(" and ")
    }
}

pub(super) fn lists_of(service: &Service) -> [(RuleList, &[Pattern]); 3] {
    [
        (RuleList::Produces, &service.produces),
        (RuleList::Consumes, &service.consumes),
        (RuleList::Topics, &service.topics),
    ]
}

/// How the messages of such settings are treated.
pub(crate) fn treatment(settings: &Settings) -> String {
    if settings.trace == Trace::Propagate {
        return "passed on without spans (trace = \"propagate\")".to_owned();
    }
    if settings.trace_in_effect() == Trace::Propagate {
        return "passed on without spans (measure = \"only\")".to_owned();
    }
    let sampler = match settings.sampler {
        Sampler::AlwaysOn => "sampler always_on".to_owned(),
        Sampler::AlwaysOff => "sampler always_off".to_owned(),
        Sampler::Ratio(ratio) => format!("sampler ratio {ratio}"),
        Sampler::ConsistentProbability(share) => format!("sampler consistent_probability {share}"),
        Sampler::RateLimit(limit) => format!("sampler rate_limit {limit}"),
    };
    match settings.parent {
        ParentDecision::Respect => sampler,
        ParentDecision::Ignore => format!("{sampler} (parent ignored)"),
    }
}

/// A pattern as the file has it, unless its text is one of the hidden ones.
pub(super) fn as_written(pattern: &Pattern, hidden: &[String]) -> String {
    let text = pattern.text();
    if hidden.iter().any(|hidden| hidden == text) {
        return "(a pattern that is not shown)".to_owned();
    }
    match pattern {
        Pattern::Exact(_) | Pattern::Glob(_) => format!("\"{text}\""),
        Pattern::Regex(_) => format!("{{ regex = '{text}' }}"),
    }
}

/// How far a pattern is from a name that it does not match; nothing where they have little in common.
fn misspelt(pattern: &Pattern, topic: &str) -> Option<(usize, String)> {
    let (Pattern::Exact(text) | Pattern::Glob(text)) = pattern else { return None };
    if text.to_lowercase() == topic.to_lowercase() {
        return Some((1, "but upper and lower case differ".to_owned()));
    }
    if text.trim() == topic.trim() {
        return Some((1, "but a blank at an end is one too many".to_owned()));
    }
    // Of long names a part is enough to tell them apart; reading all of them is not worth its time.
    if text.len().max(topic.len()) > LONGEST_COMPARED {
        return None;
    }
    let (length, other) = (text.chars().count(), topic.chars().count());
    let most = 1.max(length.min(other) / 3);
    if length.abs_diff(other) > most {
        return None;
    }
    let distance = strsim::osa_distance(text, topic);
    let differ = verb(distance as u64, "differs", "differ");
    (distance <= most).then(|| (distance, format!("but {} {differ}", counted(distance as u64, "character"))))
}

/// Patterns of a constraint that are named.
const MOST_SHOWN: usize = 5;
/// Names longer than this are compared only for being the same.
const LONGEST_COMPARED: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};
    use crate::services::Side;

    const FILE: &str = r#"
        version = 1
        [services.shop]
        produces = ["order", "pay.*", "pay.in.*"]
        topics = [{ regex = 'stock-\d+' }]
        [services.mail]
        consumes = ["Welcome"]
        group_ids = ["mailers"]
        [services.bill]
        topics = ["bills"]
        client_ids = ["biller-*"]
    "#;

    fn nearest(topic: &str, side: Side) -> Option<String> {
        let config = load(Source::Text { name: "t.toml".to_owned(), text: FILE.to_owned() }).config.unwrap();
        let who = Who { side, client_id: "c".to_owned(), group_id: Some("g".to_owned()), bound: None };
        Rules { config: &config, services: &ServiceMap::new(&config), hidden: &[] }.nearest(topic, &who)
    }

    #[test]
    fn the_nearest_rule_is_named_with_what_is_wrong() {
        for (topic, side, expected) in [
            ("orders", Side::Produce, "nearest: service `shop` has produces = \"order\", but 1 character differs"),
            ("order", Side::Consume, "nearest: service `shop` has produces = \"order\", but that is the other side"),
            (
                "ORDER",
                Side::Produce,
                "nearest: service `shop` has produces = \"order\", but upper and lower case differ",
            ),
            ("welcome", Side::Consume, "nearest: service `mail` has consumes = \"Welcome\", but upper and lower case"),
            (
                "Welcome",
                Side::Consume,
                "service `mail` has consumes = \"Welcome\", but only for its group_ids = [\"mailers\"]",
            ),
            ("bills", Side::Produce, "but only for its client_ids = [\"biller-*\"]"),
        ] {
            let found = nearest(topic, side).unwrap_or_default();
            assert!(found.contains(expected), "{topic}: {found}");
        }
        assert_eq!(nearest("something-else-altogether", Side::Produce), None);
        assert_eq!(nearest(&"order".repeat(60), Side::Produce), None);
    }

    #[test]
    fn the_rule_that_won_is_named_as_the_file_has_it() {
        let config = load(Source::Text { name: "t.toml".to_owned(), text: FILE.to_owned() }).config.unwrap();
        let hidden = ["bills".to_owned()];
        let services = ServiceMap::new(&config);
        let rules = Rules { config: &config, services: &services, hidden: &hidden };
        let who = Who { side: Side::Produce, client_id: "biller-1".to_owned(), group_id: None, bound: None };
        assert_eq!(rules.rule("pay.in", &who), "produces = \"pay.*\"");
        assert_eq!(rules.rule("pay.in.eu", &who), "produces = \"pay.in.*\"", "as the rules are ranked");
        assert_eq!(rules.rule("stock-7", &who), "topics = { regex = 'stock-\\d+' }");
        assert_eq!(rules.rule("bills", &who), "topics = (a pattern that is not shown)");
        assert_eq!(rules.rule("others", &who), "default_service");
        assert_eq!(rules.rule("others", &Who { bound: Some(0), ..who }), "bound by the program");
    }
}
