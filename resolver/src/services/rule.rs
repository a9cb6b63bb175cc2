//! One compiled pattern and its place in the order of precedence.

use super::glob;
use crate::config::Pattern;

/// A message's side: the client sends it or receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A producer is about to send it.
    Produce,
    /// A consumer hands it over.
    Consume,
}

/// The list of a service's section that a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleList {
    /// `produces`.
    Produces,
    /// `consumes`.
    Consumes,
    /// `topics`.
    Topics,
    /// None: the service names only clients or groups.
    NoTopics,
}

impl RuleList {
    /// How the file calls it; what has no list is about any topic.
    pub fn key(self) -> &'static str {
        match self {
            Self::Produces => "produces",
            Self::Consumes => "consumes",
            Self::Topics => "topics",
            Self::NoTopics => "any topic",
        }
    }

    /// The only side that its rules are about; `None` is both.
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Produces => Some(Side::Produce),
            Self::Consumes => Some(Side::Consume),
            Self::Topics | Self::NoTopics => None,
        }
    }
}

/// How specific a topic rule is. Greater is more specific, field by field from the top.
///
/// It depends on the rule alone, never on the message, so rules are sorted once and the first that matches wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TopicRank {
    pub(super) kind: PatternKind,
    /// From `produces` or `consumes`, not from `topics`.
    pub(super) names_a_side: bool,
    /// Characters that stand for themselves; of a regex none, since its text says little about what it matches.
    pub(super) literal_characters: usize,
}

/// What a pattern is, from the least specific to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PatternKind {
    /// No pattern: anything goes.
    None,
    Regex,
    Glob,
    Exact,
}

impl TopicRank {
    /// The rank of a service that names no topics, only clients or groups.
    pub(super) const ANY_TOPIC: Self = Self { kind: PatternKind::None, names_a_side: false, literal_characters: 0 };

    pub(super) fn of(pattern: &Pattern, names_a_side: bool) -> Self {
        let literal_characters = match pattern {
            Pattern::Exact(name) => name.chars().count(),
            Pattern::Glob(glob) => glob::literal_characters(glob),
            Pattern::Regex(_) => 0,
        };
        Self { kind: kind(pattern), names_a_side, literal_characters }
    }
}

/// Whether all of `name` matches.
pub(crate) fn matches(pattern: &Pattern, name: &str) -> bool {
    match pattern {
        Pattern::Exact(exact) => exact == name,
        Pattern::Glob(pattern) => glob::matches(pattern, name),
        Pattern::Regex(regex) => regex.is_match(name),
    }
}

/// Whether one pattern of the list matches.
pub(super) fn any_matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

/// The most specific kind in `constraint` that matches `name`; `None` when the constraint forbids the name.
///
/// An empty list is no constraint. An absent name meets no other one.
pub(super) fn constraint_kind(constraint: &[Pattern], name: Option<&str>) -> Option<PatternKind> {
    if constraint.is_empty() {
        return Some(PatternKind::None);
    }
    let name = name?;
    constraint.iter().filter(|pattern| matches(pattern, name)).map(kind).max()
}

fn kind(pattern: &Pattern) -> PatternKind {
    match pattern {
        Pattern::Exact(_) => PatternKind::Exact,
        Pattern::Glob(_) => PatternKind::Glob,
        Pattern::Regex(_) => PatternKind::Regex,
    }
}
