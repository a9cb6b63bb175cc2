//! Backends, without a secret.

#![forbid(unsafe_code)]

use serde_json::Value as Json;
use tracer_resolver::config::{Backend, Config, Origin as Source, QueueBytes, written_bytes, written_duration};

use super::section::Section;
use crate::configuration::Configuration;
use crate::effective::{self, Origin};
use crate::toml_text;

pub(super) fn sections(
    configuration: &Configuration,
    config: &Config,
    with_plugins: bool,
    sections: &mut Vec<Section>,
) {
    let search = with_plugins.then(|| configuration.plugin_search());
    for backend in &config.backends {
        let plugin = search.as_ref().and_then(|search| search.load(&backend.plugin, &config.plugins).ok());
        let secrets = plugin.map(|plugin| plugin.secrets(&backend.config));
        let name = toml_text::key(&backend.name);
        sections
            .push(Section { title: format!("[backends.{name}]"), lines: host_lines(configuration, config, backend) });
        let shown = shown(configuration, config, backend, secrets.as_deref());
        let lines = shown.as_object().into_iter().flatten().map(|(key, value)| {
            let origin = effective::of_backend(configuration, config, backend, &["config", key]);
            (toml_text::key(key), toml_text::value(value), origin)
        });
        sections.push(Section { title: format!("[backends.{name}.config]"), lines: lines.collect() });
    }
}

/// The keys that the host reads.
fn host_lines(configuration: &Configuration, config: &Config, backend: &Backend) -> Vec<(String, String, Origin)> {
    let time = |value| toml_text::string(&written_duration(value));
    let retry = backend.retry;
    let queue_bytes = match backend.queue_bytes {
        QueueBytes::Fixed(bytes) => toml_text::string(&written_bytes(bytes as u64)),
        _ => toml_text::literal("auto"),
    };
    let spool = backend.spool.as_ref().map(|spool| {
        let folder = toml_text::literal(&spool.folder.display().to_string());
        [(&["spool"][..], folder), (&["spool_limit"], toml_text::string(&written_bytes(spool.limit)))]
    });
    let lines = [
        (&["plugin"][..], toml_text::literal(&backend.plugin)),
        (&["timeout"], time(backend.timeout)),
        (&["concurrency"], backend.concurrency.to_string()),
        (&["queue_bytes"], queue_bytes),
        (&["shed_traces"], backend.shed_traces.to_string()),
        (&["retry", "initial"], time(retry.initial)),
        (&["retry", "max"], time(retry.max)),
        (&["retry", "max_elapsed"], time(retry.max_elapsed)),
    ];
    let line = |(path, value): (&[&str], String)| {
        let whole: Vec<&str> = ["backends", backend.name.as_str()].into_iter().chain(path.iter().copied()).collect();
        let written = configuration.written.at(&whole).filter(|_| configuration.is_toml());
        let reference = written.and_then(|written| effective::said(configuration, written).1);
        (path.join("."), reference.unwrap_or(value), effective::of_backend(configuration, config, backend, path))
    };
    lines.into_iter().chain(spool.into_iter().flatten()).map(line).collect()
}

/// The plugin's settings as they may be shown. `secrets` are what the plugin calls so; `None` if it could not be asked.
fn shown(configuration: &Configuration, config: &Config, backend: &Backend, secrets: Option<&[String]>) -> Json {
    let path = ["backends", backend.name.as_str(), "config"];
    let mut shown = match (&config.origin, configuration.written.at(&path)) {
        // As written: references stand for themselves.
        (Source::File(_), Some(written)) => written.value.clone(),
        _ => backend.redacted_config(),
    };
    match secrets {
        Some(secrets) => {
            for pointer in secrets {
                if let Some(value) = shown.pointer_mut(pointer) {
                    hide(value);
                }
            }
            hide_passwords(&mut shown);
        }
        None => hide(&mut shown),
    }
    shown
}

/// Leaves nothing of a text but the references in it: what they stand for is not there to be seen.
fn hide(value: &mut Json) {
    match value {
        Json::String(text) if !is_one_reference(text) => *text = HIDDEN.to_owned(),
        Json::Array(items) => items.iter_mut().for_each(hide),
        Json::Object(members) => members.values_mut().for_each(hide),
        _ => {}
    }
}

/// Whether a text is one reference without a default, which could be a secret itself.
fn is_one_reference(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1) && !text.contains(":-")
}

/// User and password in an address are nobody's business, whatever a plugin says of the key; nor are the values of its query,
/// where many services want their key.
fn hide_passwords(value: &mut Json) {
    match value {
        Json::String(text) => {
            if let Some((scheme, rest)) = text.split_once("://") {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let at = rest.get(..end).and_then(|authority| authority.rfind('@'));
                if let Some(after) = at.and_then(|at| rest.get(at..)) {
                    *text = format!("{scheme}://{HIDDEN}{after}");
                }
                *text = without_values(text);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(hide_passwords),
        Json::Object(members) => members.values_mut().for_each(hide_passwords),
        _ => {}
    }
}

/// The address without what its parameters are, but for the one that Jaeger wants.
fn without_values(address: &str) -> String {
    let Some((before, rest)) = address.split_once('?') else { return address.to_owned() };
    let (query, fragment) = match rest.find('#').and_then(|at| rest.split_at_checked(at)) {
        Some(parts) => parts,
        None => (rest, ""),
    };
    let shown = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name != "format" && !is_one_reference(value) => format!("{name}={HIDDEN}"),
        _ => parameter.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(shown).collect();
    format!("{before}?{}{fragment}", query.join("&"))
}

const HIDDEN: &str = "(not shown)";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hidden_text_leaves_only_a_reference_without_a_default() {
        let mut value =
            json!({ "a": "hunter2", "b": "${env:T}", "c": "Bearer ${env:T}", "d": "${env:T:-hunter2}", "e": 1 });
        hide(&mut value);
        assert_eq!(value, json!({ "a": HIDDEN, "b": "${env:T}", "c": HIDDEN, "d": HIDDEN, "e": 1 }));
    }

    #[test]
    fn no_address_shows_a_password() {
        for (text, shown) in [
            ("http://u:hunter2@h:1/v1?q=a@b", "http://(not shown)@h:1/v1?q=(not shown)"),
            ("http://h?format=jaeger.thrift&key=hunter2&x#y", "http://h?format=jaeger.thrift&key=(not shown)&x#y"),
            ("http://h?key=${env:KEY}", "http://h?key=${env:KEY}"),
            ("http://h:1/@x", "http://h:1/@x"),
            ("no address", "no address"),
            ("https://u:p@ss@h", "https://(not shown)@h"),
        ] {
            let mut value = json!([text]);
            hide_passwords(&mut value);
            assert_eq!(value, json!([shown]));
        }
    }
}
