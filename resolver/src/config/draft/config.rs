//! All that a source says.

#![forbid(unsafe_code)]

use super::backend::BackendDraft;
use super::layer::Layer;
use super::service::ServiceDraft;
use crate::config::model::{Batch, Metrics, Plugins, Reload};
use crate::config::report::findings::Broken;

/// What a source says, whichever source it is.
pub(crate) struct ConfigDraft {
    /// Embedded defaults and `[defaults]`, merged.
    pub(crate) defaults: Layer,
    pub(crate) services: Vec<ServiceDraft>,
    pub(crate) default_service: Option<usize>,
    pub(crate) backends: Vec<BackendDraft>,
    pub(crate) plugins: Plugins,
    /// Plugins whose section has a reference that leads nowhere: a lost pin must not become no pin.
    pub(crate) broken_plugins: Vec<String>,
    pub(crate) batch: Result<Batch, Broken>,
    /// Its `export` has indices of `backends` here.
    pub(crate) metrics: Result<Metrics, Broken>,
    pub(crate) reload: Reload,
}
