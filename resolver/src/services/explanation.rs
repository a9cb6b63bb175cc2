//! Why a message belongs to a service, or to none, for people who ask.

#![forbid(unsafe_code)]

use super::rule::RuleList;
use super::selection::Selection;
use crate::config::Pattern;

/// See [`ServiceMap::explain`](super::ServiceMap::explain).
#[derive(Clone, Debug)]
pub struct Explanation<'m> {
    /// What `select` answers.
    pub selection: Selection<'m>,
    /// Every rule of every service, in the order in which they are asked.
    pub rules: Vec<ExplainedRule<'m>>,
    /// Gets what no rule claims: an index into `Config::services`.
    pub default_service: Option<usize>,
    /// The entry of the service's `exclude` that the topic matches, where that decided.
    pub excluded_by: Option<usize>,
    /// The entry of `Service::topic_settings` that the settings are of; `None` when they are the service's own.
    pub topic_settings: Option<usize>,
}

/// One rule, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct ExplainedRule<'m> {
    /// Index into `Config::services`.
    pub service: usize,
    /// The list of the service that it stands in.
    pub list: RuleList,
    /// Its place in that list.
    pub index: usize,
    /// `None` is any topic.
    pub pattern: Option<&'m Pattern>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a rule. The reasons stand in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message is its own.
    Won,
    /// It is about other topics.
    OtherTopic,
    /// The topic matches, and it is about the other side.
    OtherSide,
    /// Topic and side match, and the service's `client_ids` do not.
    OtherClient,
    /// As above, and the service's `group_ids` do not match.
    OtherGroup,
    /// It matches, and the program itself said whose the client is.
    Bound,
    /// It matches, and the winner's pattern is of a more exact kind.
    LessExactPattern,
    /// It matches, and the winner is about this side only.
    NoSide,
    /// It matches, and the winner's pattern has more characters that stand for themselves.
    FewerLiteralCharacters,
    /// It matches, and the winner's `client_ids` are more exact about this client.
    LessExactClient,
    /// It matches, and the winner's `group_ids` are more exact about this group.
    LessExactGroup,
    /// It matches as well as the winner, which stands first.
    Later,
}
