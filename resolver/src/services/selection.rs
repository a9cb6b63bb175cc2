//! The question whose a message is, and the answer.

#![forbid(unsafe_code)]

use super::rule::Side;
use crate::config::Settings;

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
        /// Index into [`ServiceMap::slots`](super::ServiceMap::slots), dense: what is built once per `settings` (a sampler) is looked up by it.
        slot: usize,
        /// The service's settings, or those of the topic within it.
        settings: &'m Settings,
    },
    /// The service it would belong to never touches this topic: no span, headers as they are.
    Excluded,
    /// No rule claims it and there is no default service: its context passes through untouched.
    Unmatched,
}
