//! What counts where a source says nothing.

#![forbid(unsafe_code)]

use super::layer::Layer;
use super::metrics::MetricsLayer;
use super::sending::{BatchLayer, SendingLayer};
use crate::config::model::Reload;

/// The lowest layer, whichever source is laid over it.
pub(crate) struct Defaults {
    pub(crate) layer: Layer,
    pub(crate) sending: SendingLayer,
    pub(crate) batch: BatchLayer,
    pub(crate) metrics: MetricsLayer,
    pub(crate) reload: Reload,
}
