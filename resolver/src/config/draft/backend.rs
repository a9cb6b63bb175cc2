//! A backend that has been read, and how one is made that no TOML describes.

#![forbid(unsafe_code)]

use std::ops::Range;

use serde_json::Value as Json;

use super::sending::SendingSettings;
use crate::config::model::Backend;
use crate::config::report::findings::Broken;

/// A backend that is declared, whether or not it can be had.
pub(crate) struct BackendDraft {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    pub(crate) backend: Result<Backend, Broken>,
}

impl From<Backend> for BackendDraft {
    fn from(backend: Backend) -> Self {
        Self { name: backend.name.clone(), span: backend.span.clone(), backend: Ok(backend) }
    }
}

/// A backend from variables, or from the JSON of 2019: every string of its plugin's settings counts as a secret.
///
/// `span` is what it is the consequence of in the text; empty when there is none.
pub(crate) fn implied(name: &str, plugin: &str, config: Json, sending: SendingSettings, span: Range<usize>) -> Backend {
    let mut secrets = Vec::new();
    strings(&config, String::new(), &mut secrets);
    Backend {
        name: name.into(),
        span: span.clone(),
        plugin: plugin.into(),
        plugin_span: span,
        config,
        config_spans: Vec::new(),
        config_references: Vec::new(),
        config_secrets: secrets,
        config_files: Vec::new(),
        timeout: sending.timeout,
        concurrency: sending.concurrency,
        queue_bytes: sending.queue_bytes,
        shed_traces: sending.shed_traces,
        spool: None,
        retry: sending.retry,
    }
}

/// The JSON pointer (RFC 6901) of the member `name` of what `pointer` points at.
pub(crate) fn pointer_below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The pointers of all strings below `value`.
fn strings(value: &Json, pointer: String, out: &mut Vec<String>) {
    match value {
        Json::String(_) => out.push(pointer),
        Json::Object(members) => {
            for (name, member) in members {
                strings(member, pointer_below(&pointer, name), out);
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
