//! Where a plugin's settings stand, and backends that no TOML describes: from variables, or from the JSON of 2019.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Range;

use serde_json::Value as Json;

use super::host_section::HostSettings;
use super::model::Backend;

impl Backend {
    /// Bytes of the file that a complaint about `pointer` (RFC 6901, into `config`) is about.
    ///
    /// A pointer to something that is not there, a missing key for example, gives the nearest table around it; at
    /// last the backend's name. Empty when no file describes the backend.
    pub fn place_of(&self, pointer: &str) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some((_, span)) = self.config_spans.iter().find(|(known, _)| known == pointer) {
                return span.clone();
            }
            let Some((around, _)) = pointer.rsplit_once('/') else { return self.span.clone() };
            pointer = around;
        }
    }

    /// `config` as it may be shown: every value of `config_secrets` is replaced by a mark.
    pub fn redacted_config(&self) -> Json {
        let mut config = self.config.clone();
        for pointer in &self.config_secrets {
            if let Some(value) = config.pointer_mut(pointer) {
                *value = Json::from(REDACTED);
            }
        }
        config
    }

    /// A backend with these settings of its plugin, every string of which counts as a secret.
    ///
    /// `span` is what it is the consequence of in the text; empty when there is none.
    pub(crate) fn named(name: &str, plugin: &str, config: Json, host: HostSettings, span: Range<usize>) -> Self {
        let mut secrets = Vec::new();
        strings(&config, String::new(), &mut secrets);
        Self {
            name: name.into(),
            span: span.clone(),
            plugin: plugin.into(),
            plugin_span: span,
            config,
            config_spans: Vec::new(),
            config_references: Vec::new(),
            config_secrets: secrets,
            timeout: host.timeout,
            concurrency: host.concurrency,
            queue_bytes: host.queue_bytes,
            retry: host.retry,
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("name", &self.name)
            .field("plugin", &self.plugin)
            .field("config", &self.redacted_config())
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("queue_bytes", &self.queue_bytes)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// The pointers of all strings below `value`.
fn strings(value: &Json, pointer: String, out: &mut Vec<String>) {
    match value {
        Json::String(_) => out.push(pointer),
        Json::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                strings(member, format!("{pointer}/{name}"), out);
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                strings(item, format!("{pointer}/{index}"), out);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Stands where a value came from a reference or from the environment.
const REDACTED: &str = "(not shown)";
