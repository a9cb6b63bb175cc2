//! A configuration that has been read but not yet judged as a whole: values with their places.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::findings::Broken;
use super::layer::Layer;
use super::model::{Backend, Batch, Plugins};
use super::pattern::Spotted;

/// What a source says, whichever source it is.
pub(crate) struct Draft {
    /// Embedded defaults and `[defaults]`, merged.
    pub(crate) defaults: Layer,
    pub(crate) services: Vec<ServiceDraft>,
    pub(crate) default_service: Option<usize>,
    pub(crate) backends: Vec<BackendDraft>,
    pub(crate) plugins: Plugins,
    /// Plugins whose section has a reference that leads nowhere: a lost pin must not become no pin.
    pub(crate) broken_plugins: Vec<String>,
    pub(crate) batch: Result<Batch, Broken>,
}

pub(crate) struct ServiceDraft {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    pub(crate) produces: Vec<Spotted>,
    pub(crate) consumes: Vec<Spotted>,
    pub(crate) topics: Vec<Spotted>,
    pub(crate) client_ids: Vec<Spotted>,
    pub(crate) group_ids: Vec<Spotted>,
    /// Whether every entry of the three topic lists could be had.
    pub(crate) rules: Result<(), Broken>,
    /// Whether every entry of `client_ids` and `group_ids` could be had.
    pub(crate) constraints: Result<(), Broken>,
    /// With the defaults merged in.
    pub(crate) layer: Layer,
    /// Per-topic settings with the service's merged in; in file order.
    pub(crate) overrides: Vec<(Spotted, Layer)>,
}

pub(crate) struct BackendDraft {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    pub(crate) backend: Result<Backend, Broken>,
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
    pub(crate) fn sides(&self) -> [(&'static str, &[Spotted]); 3] {
        [("produces", &self.produces), ("consumes", &self.consumes), ("topics", &self.topics)]
    }

    /// Every pattern of the three lists.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = &Spotted> {
        self.produces.iter().chain(&self.consumes).chain(&self.topics)
    }
}
