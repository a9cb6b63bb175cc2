//! `[metrics]`, as one source says it.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::layer::{Said, said};
use crate::config::model::Metrics;
use crate::config::report::findings::Broken;

/// What a source says; places are indices of the backends as declared.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetricsLayer {
    pub(crate) own: Said<bool>,
    pub(crate) interval: Said<Duration>,
    pub(crate) export: Said<Arc<[usize]>>,
    pub(crate) prometheus: Said<SocketAddr>,
    pub(crate) textfile: Said<PathBuf>,
}

impl MetricsLayer {
    /// This laid over `below`.
    #[must_use]
    pub(crate) fn over(&self, below: &Self) -> Self {
        Self {
            own: self.own.or(below.own),
            interval: self.interval.or(below.interval),
            export: self.export.clone().or_else(|| below.export.clone()),
            prometheus: self.prometheus.or(below.prometheus),
            textfile: self.textfile.clone().or_else(|| below.textfile.clone()),
        }
    }

    /// What it comes to, if it says everything that has a default.
    pub(crate) fn in_effect(self) -> Result<Metrics, Broken> {
        Ok(Metrics {
            own: said(self.own)?,
            interval: said(self.interval)?,
            export: self.export.transpose()?,
            prometheus: self.prometheus.transpose()?,
            textfile: self.textfile.transpose()?,
        })
    }
}
