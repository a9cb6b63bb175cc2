//! Backends that no file describes: from variables, or from the JSON of 2019.

#![forbid(unsafe_code)]

use serde_json::Value as Json;

use super::host_section::HostSettings;
use super::model::Backend;

impl Backend {
    /// A backend with these settings of its plugin, every string of which counts as a secret.
    pub(crate) fn named(name: &str, plugin: &str, config: Json, host: HostSettings) -> Self {
        let mut secrets = Vec::new();
        strings(&config, String::new(), &mut secrets);
        Self {
            name: name.into(),
            span: 0..0,
            plugin: plugin.into(),
            plugin_span: 0..0,
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
