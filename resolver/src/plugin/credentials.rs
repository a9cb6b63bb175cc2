//! A backend's secrets from files: read again when the backend refuses them.
//!
//! `RATIONALE.md`: "Why are files read again only when a backend refuses what they said?"

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use serde_json::Value;

use super::PluginLibrary;
use super::secrets::Secrets;
use crate::config;

/// See the module.
pub(super) struct Credentials {
    backend: config::Backend,
    /// What the files said when the latest instance was made.
    made_with: Value,
    /// What they said last, and no instance was made with yet.
    tried: Option<Value>,
    tried_at: Option<Instant>,
}

/// What the files say now.
pub(super) enum Look {
    /// The same as before.
    Unchanged,
    /// Something else, but one was tried only just now: not before this has passed.
    TooSoon(Duration),
    /// A file cannot be read, or its content does not fit.
    Unfit(String),
    /// Settings that passed all checks, and what must not be printed of them.
    Renewed(Value, Secrets),
}

impl Credentials {
    /// `None` if nothing in the settings comes from a file.
    pub(super) fn of(backend: &config::Backend) -> Option<Self> {
        (!backend.config_files.is_empty()).then(|| Self {
            backend: backend.clone(),
            made_with: backend.config.clone(),
            tried: None,
            tried_at: None,
        })
    }

    /// Reads the files. May ask the plugin about what it finds: on a thread of the host's, for a limited time.
    pub(super) fn look(&mut self, library: &PluginLibrary, now: Instant) -> Look {
        let config = match self.backend.config_with_files_read_anew() {
            Err(why) => return Look::Unfit(why),
            Ok(config) => config,
        };
        if config == self.made_with {
            return Look::Unchanged;
        }
        let wait = self.tried_at.map_or(Duration::ZERO, |last| (last + PAUSE).saturating_duration_since(now));
        if !wait.is_zero() {
            return Look::TooSoon(wait);
        }
        self.tried = Some(config.clone());
        self.tried_at = Some(now);
        let settings = library.typed_settings(&config, &self.backend.config_references);
        if let Some(complaint) = library.check(&settings, &self.backend.config_secrets).into_iter().next() {
            return Look::Unfit(complaint.message);
        }
        let secrets = Secrets::marked(library.schema(), &settings);
        let secrets = secrets.with_values_at(&settings, &self.backend.config_secrets);
        Look::Renewed(settings, secrets)
    }

    /// An instance was made with what was found. Until then it is tried again: what has kept it from that may pass.
    pub(super) fn are_used(&mut self) {
        if let Some(tried) = self.tried.take() {
            self.made_with = tried;
        }
    }
}

/// Between two tries to make a new instance of a backend.
const PAUSE: Duration = Duration::from_secs(10);
