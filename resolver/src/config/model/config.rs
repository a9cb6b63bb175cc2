//! The configuration as a whole.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use super::backend::Backend;
use super::metrics::Metrics;
use super::plugins::Plugins;
use super::service::Service;
use super::settings::{Measuring, Settings};

/// Everything a file (or the environment) says, checked, with defaults < service < topic already merged.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it came from; errors and log lines name it.
    pub origin: Origin,
    /// In file order, which is the last tie-breaker of the matching rules.
    pub services: Vec<Service>,
    /// Index into `services`: receives the messages that no rule claims.
    pub default_service: Option<usize>,
    /// The settings of `[defaults]`, for services that exist only in code (`Resolver::tracer_provider`).
    pub defaults: Settings,
    /// In file order. `Settings::export` indexes into it.
    pub backends: Vec<Backend>,
    /// Where plugins are looked for, and their pins.
    pub plugins: Plugins,
    /// When finished spans leave for the backends.
    pub batch: Batch,
    /// What is measured beside spans.
    pub metrics: Metrics,
    /// Whether the file is looked at again.
    pub reload: Reload,
}

impl Config {
    /// Whether anything at all is measured.
    pub fn measures(&self) -> bool {
        let measures = |settings: &Settings| settings.metrics != Measuring::Off;
        let of_topics = |service: &Service| service.topic_settings.iter().any(|(_, settings)| measures(settings));
        self.metrics.own || self.services.iter().any(|service| measures(&service.settings) || of_topics(service))
    }
}

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A TOML file.
    File(PathBuf),
    /// The original JSON of 2019.
    LegacyFile(PathBuf),
    /// A pipe by this name, which is read to its end and gone; or what the process had open by a number that may be another
    /// file's by now.
    Once(PathBuf),
    /// `OTEL_*` variables, because no file was named.
    Environment,
}

/// `[batch]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// A finished span leaves at most this long after it ended.
    pub delay: Duration,
    /// A batch leaves when it has grown to this many bytes of OTLP.
    pub max_bytes: usize,
}

/// `[reload]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Whether the process looks if its file has changed.
    pub enabled: bool,
    /// How often.
    pub interval: Duration,
}

impl Reload {
    /// Never.
    pub const OFF: Self = Self { enabled: false, interval: Duration::from_secs(5) };
}

/// The backends of a text that is not used: what is left to check of it.
#[derive(Clone, Debug)]
pub struct Untrusted {
    /// Those that are complete.
    pub backends: Vec<Backend>,
    /// Where their plugins would be looked for.
    pub plugins: Plugins,
}
