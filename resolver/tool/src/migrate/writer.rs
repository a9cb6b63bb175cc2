//! A configuration as a file, with no more than what it needs.

#![forbid(unsafe_code)]

use serde_json::Value as Json;
use tracer_resolver::config::{Backend, Config, Outline, Pattern, Service, Settings, written_duration};

use super::legacy_names;
use crate::effective;
use crate::toml_text;

/// `config` as TOML. `secretless` is the same without the variables that hold secrets; `manual` says the defaults, and
/// `variables` are those that are set.
pub(super) fn write(
    config: &Config,
    secretless: Option<&Config>,
    manual: &Outline,
    variables: &[String],
    notes: &mut Vec<String>,
) -> String {
    let mut out = "version = 1\n".to_owned();
    section(&mut out, "[defaults]", &defaults(config, manual));
    for service in &config.services {
        self::service(config, service, notes, &mut out);
    }
    for (index, backend) in config.backends.iter().enumerate() {
        let other = secretless.and_then(|config| config.backends.get(index));
        self::backend(backend, other, variables, notes, &mut out);
    }
    let delay = toml_text::string(&written_duration(config.batch.delay));
    if is_other(manual, &["batch", "delay"], &delay) {
        section(&mut out, "[batch]", &[("delay".to_owned(), delay)]);
    }
    let old: Vec<_> = variables.iter().map(String::as_str).filter(|name| name.starts_with("JAEGER_")).collect();
    if !old.is_empty() {
        notes.push(format!(
            "kept: what these variables say here and now is in the TOML, which does not read them: {}",
            old.join(", ")
        ));
    }
    notes
        .push("kept: reinject = true, for programs of that time read the consumer's context in the headers".to_owned());
    out
}

/// What holds for every service and differs from the manual.
fn defaults(config: &Config, manual: &Outline) -> Vec<(String, String)> {
    let mut lines: Vec<_> = effective::values(&config.defaults, config)
        .into_iter()
        .filter(|(key, value)| {
            let path: Vec<&str> = ["defaults"].into_iter().chain(key.split('.')).collect();
            is_other(manual, &path, value)
        })
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    if let Some(first) = config.services.first() {
        let exclude = toml_text::list(first.exclude.iter().map(toml_text::pattern));
        lines.push(("exclude".to_owned(), exclude));
        let attribute = |(name, value): &(String, String)| {
            (format!("resource.{}", toml_text::key(name)), toml_text::literal(value))
        };
        lines.extend(first.resource.iter().map(attribute));
    }
    lines
}

fn service(config: &Config, service: &Service, notes: &mut Vec<String>, out: &mut String) {
    let name = legacy_names::service(&service.name);
    if name != service.name {
        notes.push(format!(
            "mended: the name of service {:?} is {name:?} now: nobody sees what else it had",
            service.name
        ));
    }
    let title = format!("services.{}", toml_text::key(&name));
    let mut lines = Vec::new();
    let topics: Vec<String> = service.topics.iter().filter_map(|topic| self::topic(topic, &name, notes)).collect();
    if !topics.is_empty() {
        lines.push(("topics".to_owned(), toml_text::list(topics.into_iter())));
    }
    lines.extend(differences(config, &service.settings, &config.defaults));
    section(out, &format!("[{title}]"), &lines);
    for (pattern, settings) in &service.topic_settings {
        let own = differences(config, settings, &service.settings);
        if let (Some(topic), false) = (legacy_names::topic(pattern), own.is_empty()) {
            section(out, &format!("[{title}.topic.{topic}]"), &own);
        }
    }
}

fn topic(pattern: &Pattern, service: &str, notes: &mut Vec<String>) -> Option<String> {
    let written = legacy_names::topic(pattern);
    if written.is_none() {
        let text = pattern.text();
        notes.push(format!(
            "dropped: topic {text:?} of service `{service}`: no topic of Kafka's has such a name, so it never matched"
        ));
    }
    written
}

/// The keys in which two layers differ.
fn differences(config: &Config, settings: &Settings, below: &Settings) -> Vec<(String, String)> {
    let (own, below) = (effective::values(settings, config), effective::values(below, config));
    let differ = own.into_iter().zip(below).filter(|((_, own), (_, below))| own != below);
    differ.map(|((key, value), _)| (key.to_owned(), value)).collect()
}

fn backend(
    backend: &Backend,
    secretless: Option<&Backend>,
    variables: &[String],
    notes: &mut Vec<String>,
    out: &mut String,
) {
    let mut config = backend.config.clone();
    let headers = |backend: Option<&Backend>| backend.and_then(|backend| backend.config.get("headers").cloned());
    if headers(Some(backend)) != headers(secretless) {
        let by_token = variables.iter().any(|name| name == "JAEGER_AUTH_TOKEN")
            && config
                .pointer("/headers/authorization")
                .and_then(Json::as_str)
                .is_some_and(|value| value.starts_with("Bearer "));
        let name = &backend.name;
        if by_token {
            if let Some(value) = config.pointer_mut("/headers/authorization") {
                *value = Json::from(TOKEN_MARK);
            }
            notes.push(format!("kept: backend `{name}` takes the token of JAEGER_AUTH_TOKEN by a reference"));
        } else if let Some(members) = config.as_object_mut() {
            members.remove("headers");
            notes.push(format!(
                "dropped: user and password of JAEGER_USER and JAEGER_PASSWORD, which a file should not hold: give backend \
                 `{name}` config.headers = {{ authorization = \"${{env:…}}\" }} of a variable with `Basic …`"
            ));
        }
    }
    let lines: Vec<_> = config
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (format!("config.{}", toml_text::key(key)), toml_text::value(&literal(value))))
        .collect();
    let mut all = vec![("plugin".to_owned(), toml_text::string(&backend.plugin))];
    all.extend(lines);
    section(out, &format!("[backends.{}]", toml_text::key(&backend.name)), &all);
}

/// Texts as they are not taken for references, but for the one that is meant as one.
fn literal(value: &Json) -> Json {
    match value {
        Json::String(text) if text == TOKEN_MARK => value.clone(),
        Json::String(text) => Json::from(text.replace('$', "$$")),
        Json::Array(items) => items.iter().map(literal).collect(),
        Json::Object(members) => members.iter().map(|(key, value)| (key.clone(), literal(value))).collect(),
        other => other.clone(),
    }
}

fn section(out: &mut String, title: &str, lines: &[(String, String)]) {
    out.push_str(&format!("\n{title}\n"));
    for (key, value) in lines {
        out.push_str(&format!("{key} = {value}\n"));
    }
}

/// Whether the manual says something else.
fn is_other(manual: &Outline, path: &[&str], value: &str) -> bool {
    manual.at(path).is_none_or(|written| toml_text::value(&written.value) != value)
}

const TOKEN_MARK: &str = "Bearer ${env:JAEGER_AUTH_TOKEN}";
