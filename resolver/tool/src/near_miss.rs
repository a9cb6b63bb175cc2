//! Rules that nearly claimed a message: what a person most likely meant.

#![forbid(unsafe_code)]

use tracer_resolver::config::{Config, Pattern};
use tracer_resolver::services::{Candidate, ExplainedRule, Explanation, Side, Verdict};

use crate::toml_text;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct NearMiss<'m> {
    pub(crate) rule: ExplainedRule<'m>,
    /// What was in the way: `the "s"`.
    pub(crate) but_for: String,
    /// How much that is; the nearest have least.
    distance: usize,
}

impl NearMiss<'_> {
    /// `"orders" (produces of service checkout) would have matched but for the "s"`.
    pub(crate) fn words(&self, config: &Config) -> String {
        let service = config.services.get(self.rule.service).map_or("", |service| service.name.as_str());
        let rule = match self.rule.pattern {
            Some(pattern) => {
                format!("{} in `{}` of service `{service}`", shown(pattern), self.rule.list.key())
            }
            None => format!("service `{service}`"),
        };
        format!("{rule} would have matched but for {}", self.but_for)
    }
}

/// The nearest misses, nearest first: at most three.
pub(crate) fn nearest<'m>(
    config: &Config,
    candidate: &Candidate<'_>,
    explanation: &Explanation<'m>,
) -> Vec<NearMiss<'m>> {
    let mut near: Vec<_> = explanation
        .rules
        .iter()
        .filter_map(|rule| {
            let (distance, but_for) = miss(config, candidate, rule)?;
            Some(NearMiss { rule: *rule, but_for, distance })
        })
        .collect();
    near.sort_by_key(|near| near.distance);
    near.truncate(3);
    near
}

/// What was in the way of a rule, if it was little.
fn miss(config: &Config, candidate: &Candidate<'_>, rule: &ExplainedRule<'_>) -> Option<(usize, String)> {
    let service = config.services.get(rule.service)?;
    let list = |patterns: &[Pattern]| patterns.iter().map(shown).collect::<Vec<_>>().join(", ");
    match rule.verdict {
        Verdict::OtherSide => Some((
            0,
            match candidate.side {
                Side::Produce => "the side: it is about messages that are received".to_owned(),
                Side::Consume => "the side: it is about messages that are sent".to_owned(),
            },
        )),
        Verdict::OtherClient => Some((
            0,
            format!("the client id: {:?} is none of `client_ids`, {}", candidate.client_id, list(&service.client_ids)),
        )),
        Verdict::OtherGroup => {
            let group = match (candidate.side, candidate.group_id) {
                (Side::Produce, _) => "a producer has none".to_owned(),
                (Side::Consume, None) => "this consumer has none".to_owned(),
                (Side::Consume, Some(group)) => format!("{group:?} is none of them"),
            };
            Some((0, format!("the group: {group}, and `group_ids` asks for {}", list(&service.group_ids))))
        }
        Verdict::OtherTopic if rule.list.side().is_none_or(|side| side == candidate.side) => {
            difference(rule.pattern?, candidate.topic)
        }
        _ => None,
    }
}

/// How far a topic is from a pattern, if that is little enough to be a slip.
fn difference(pattern: &Pattern, topic: &str) -> Option<(usize, String)> {
    match pattern {
        Pattern::Exact(name) => {
            if name.to_lowercase() == topic.to_lowercase() {
                return Some((1, "capital letters".to_owned()));
            }
            let distance = strsim::osa_distance(name, topic);
            (distance <= tolerated(name.chars().count())).then(|| (distance, between(name, topic)))
        }
        Pattern::Glob(glob) => {
            let distance = glob_distance(glob, topic);
            if distance > 0 && glob_distance(&glob.to_lowercase(), &topic.to_lowercase()) == 0 {
                return Some((1, "capital letters".to_owned()));
            }
            let literals = glob.chars().filter(|c| !matches!(c, '*' | '?')).count();
            let words = if distance == 1 { "one character".to_owned() } else { format!("{distance} characters") };
            (distance <= tolerated(literals)).then_some((distance, words))
        }
        // What is near to an expression is anybody's guess.
        Pattern::Regex(_) => None,
    }
}

/// The part in which two names differ, in words.
fn between(name: &str, topic: &str) -> String {
    let (name, topic): (Vec<char>, Vec<char>) = (name.chars().collect(), topic.chars().collect());
    let same = name.iter().zip(&topic).take_while(|(one, other)| one == other).count();
    let rests = (name.get(same..).unwrap_or_default(), topic.get(same..).unwrap_or_default());
    let tail = rests.0.iter().rev().zip(rests.1.iter().rev()).take_while(|(one, other)| one == other).count();
    let middle = |rest: &[char]| rest.iter().take(rest.len() - tail).collect::<String>();
    match (middle(rests.0).as_str(), middle(rests.1).as_str()) {
        ("", more) => format!("the {more:?} that this topic has more"),
        (less, "") => format!("the {less:?} that this topic has not"),
        (theirs, ours) => format!("{theirs:?}, where this topic has {ours:?}"),
    }
}

/// How many characters would have to be put in, taken out or changed for the glob to match.
fn glob_distance(glob: &str, topic: &str) -> usize {
    let topic: Vec<char> = topic.chars().collect();
    // By the number of the topic's characters that are used up.
    let mut row: Vec<usize> = (0..=topic.len()).collect();
    for wanted in glob.chars() {
        let mut next = Vec::with_capacity(row.len());
        let mut before: Option<(usize, usize)> = None;
        for (used, above) in row.iter().copied().enumerate() {
            let found = used.checked_sub(1).and_then(|at| topic.get(at));
            let cost = match (wanted, before, found) {
                // A star takes nothing, or one more than it took before.
                ('*', Some((_, left)), _) => above.min(left),
                ('*', None, _) => above,
                (wanted, Some((diagonal, left)), Some(found)) => {
                    let change = usize::from(wanted != '?' && wanted != *found);
                    (diagonal + change).min(left + 1).min(above + 1)
                }
                _ => above + 1,
            };
            next.push(cost);
            before = Some((above, cost));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// As `did you mean` has it.
fn tolerated(characters: usize) -> usize {
    (characters / 3).clamp(1, 3)
}

fn shown(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Regex(_) => toml_text::pattern(pattern),
        Pattern::Exact(text) | Pattern::Glob(text) => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(name: &str) -> Pattern {
        Pattern::Exact(name.into())
    }

    #[test]
    fn a_slip_is_near_and_said_in_words() {
        let of = |name: &str, topic: &str| difference(&exact(name), topic).map(|(_, words)| words);
        assert_eq!(of("order", "orders").unwrap(), "the \"s\" that this topic has more");
        assert_eq!(of("orders", "order").unwrap(), "the \"s\" that this topic has not");
        assert_eq!(of("orders.eu", "orders-eu").unwrap(), "\".\", where this topic has \"-\"");
        assert_eq!(of("Orders", "orders").unwrap(), "capital letters");
        assert_eq!(of("orders", "payments"), None);
    }

    #[test]
    fn a_glob_is_near_where_few_characters_are_in_the_way() {
        let of = |glob: &str, topic: &str| difference(&Pattern::Glob(glob.into()), topic).map(|(_, words)| words);
        assert_eq!(of("payments.*", "payment.card").unwrap(), "one character");
        assert_eq!(of("Payments.*", "payments.card").unwrap(), "capital letters");
        assert_eq!(of("stock.*", "orders.eu"), None);
    }

    proptest! {
        #[test]
        fn a_glob_without_wildcards_is_as_far_as_its_text_and_one_that_is_its_topic_is_not_far(
            glob in "[ab]{0,6}", topic in "[ab]{0,6}", any in "[ab]{0,4}[*?][ab]{0,3}",
        ) {
            prop_assert_eq!(glob_distance(&glob, &topic), strsim::levenshtein(&glob, &topic));
            prop_assert_eq!(glob_distance(&any, &any.replace('*', "xyz").replace('?', "x")), 0);
        }
    }
}
