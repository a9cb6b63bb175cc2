//! A service that has been read.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::layer::Layer;
use crate::config::reading::pattern::PlacedPattern;
use crate::config::report::findings::Broken;

/// A service: its rules, and its settings with the defaults merged in.
pub(crate) struct ServiceDraft {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    pub(crate) produces: Vec<PlacedPattern>,
    pub(crate) consumes: Vec<PlacedPattern>,
    pub(crate) topics: Vec<PlacedPattern>,
    pub(crate) client_ids: Vec<PlacedPattern>,
    pub(crate) group_ids: Vec<PlacedPattern>,
    /// Whether every entry of the three topic lists could be had.
    pub(crate) rules: Result<(), Broken>,
    /// Whether every entry of `client_ids` and `group_ids` could be had.
    pub(crate) constraints: Result<(), Broken>,
    /// With the defaults merged in.
    pub(crate) layer: Layer,
    /// Per-topic settings with the service's merged in; in file order.
    pub(crate) overrides: Vec<(PlacedPattern, Layer)>,
}

impl ServiceDraft {
    /// A service that no rule gives anything to: as the default service it takes all that no other claims.
    pub(crate) fn without_rules(name: String, span: Range<usize>, layer: Layer) -> Self {
        Self {
            name,
            span,
            produces: Vec::new(),
            consumes: Vec::new(),
            topics: Vec::new(),
            client_ids: Vec::new(),
            group_ids: Vec::new(),
            rules: Ok(()),
            constraints: Ok(()),
            layer,
            overrides: Vec::new(),
        }
    }

    /// The three lists of topics by key; rules of different keys never tie.
    pub(crate) fn sides(&self) -> [(&'static str, &[PlacedPattern]); 3] {
        [("produces", &self.produces), ("consumes", &self.consumes), ("topics", &self.topics)]
    }

    /// Every pattern of the three lists.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = &PlacedPattern> {
        self.produces.iter().chain(&self.consumes).chain(&self.topics)
    }
}
