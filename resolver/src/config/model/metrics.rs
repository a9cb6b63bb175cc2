//! `[metrics]`.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is measured beside spans, and how it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `self`: whether the library tells how it is itself.
    pub own: bool,
    /// How often metrics go to the backends and into the file.
    pub interval: Duration,
    /// Indices of the backends that get them. `None`: all that are exported to, and whose plugins take metrics.
    pub export: Option<Arc<[usize]>>,
    /// Where Prometheus may ask.
    pub prometheus: Option<SocketAddr>,
    /// Absolute; `{pid}` in it stands for the process's number.
    pub textfile: Option<PathBuf>,
}

impl Default for Metrics {
    /// Off.
    fn default() -> Self {
        Self { own: false, interval: Duration::from_secs(60), export: None, prometheus: None, textfile: None }
    }
}
