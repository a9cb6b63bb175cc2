//! The settings that are in effect, each with where it comes from.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Range;

use serde_json::Value as Json;
use tracer_resolver::config::{Backend, Config, Origin as Source, Settings, Written};

use crate::configuration::Configuration;
use crate::place;
use crate::toml_text;

/// One setting.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// As the file writes it: `sampler`, `propagators.inject`.
    pub(crate) key: &'static str,
    /// As TOML: the value in effect, or, where that is what a reference stands for, the reference.
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing says it.
    Default,
    /// A line of the file, `tracing.toml:12`.
    File(String),
    /// The same, and what stands there is a reference.
    Reference(String),
    /// A variable.
    Variable(String),
    /// What the source is, says it by itself; in words.
    Implied(&'static str),
    /// It does not hold: part of what it needs could not be had.
    SwitchedOff,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => f.write_str(place),
            Self::Reference(place) => write!(f, "{place}, by a reference"),
            Self::Variable(name) => f.write_str(name),
            Self::Implied(why) => f.write_str(why),
            Self::SwitchedOff => f.write_str("switched off: see `tracer-interceptors check`"),
        }
    }
}

/// Where settings stand: a section of the three layers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layer {
    /// `[defaults]`.
    Defaults,
    /// `[services.NAME]`, by its index.
    Service(usize),
    /// `[services.NAME.topic."PATTERN"]`, by the index among `topic_settings`.
    Topic(usize, usize),
}

/// All settings that hold in a layer.
pub(crate) fn settings(configuration: &Configuration, config: &Config, layer: Layer) -> Vec<Setting> {
    let service = |index: usize| config.services.get(index);
    let found = match layer {
        Layer::Defaults => Some(&config.defaults),
        Layer::Service(index) => service(index).map(|service| &service.settings),
        Layer::Topic(index, topic) => {
            service(index).and_then(|service| service.topic_settings.get(topic)).map(|(_, settings)| settings)
        }
    };
    let Some(found) = found else { return Vec::new() };
    let setting = |(key, value): (&'static str, String)| {
        let (origin, reference) = origin(configuration, config, layer, key);
        Setting { key, value: reference.unwrap_or(value), origin }
    };
    values(found, config).into_iter().map(setting).collect()
}

/// Every key of `settings` with its value, in the order of the manual.
pub(crate) fn values(settings: &Settings, config: &Config) -> Vec<(&'static str, String)> {
    let names = settings.export.iter().filter_map(|index| config.backends.get(*index));
    vec![
        ("trace", toml_text::trace(settings.trace).to_owned()),
        ("measure", toml_text::measure(settings.measure).to_owned()),
        ("sampler", toml_text::sampler(settings.sampler)),
        ("parent", toml_text::parent(settings.parent).to_owned()),
        ("relation", toml_text::relation(settings.relation).to_owned()),
        ("ambient", toml_text::ambient(settings.ambient).to_owned()),
        ("reinject", settings.reinject.to_string()),
        ("commit_spans", settings.commit_spans.to_string()),
        ("export", toml_text::list(names.map(|backend| toml_text::literal(&backend.name)))),
        ("capture_headers", toml_text::texts(&settings.attributes.capture_headers)),
        ("redact_headers", toml_text::texts(&settings.attributes.redact_headers)),
        ("redact_values", toml_text::texts(&settings.attributes.redact_values)),
        ("message_key", toml_text::message_key(settings.attributes.message_key).to_owned()),
        ("conventions", toml_text::conventions(settings.attributes.conventions).to_owned()),
        ("propagators.inject", toml_text::formats(&settings.inject)),
        ("propagators.extract", toml_text::formats(&settings.extract)),
    ]
}

/// Where a key of a layer comes from, and its text if that has a reference.
pub(crate) fn origin(
    configuration: &Configuration,
    config: &Config,
    layer: Layer,
    key: &str,
) -> (Origin, Option<String>) {
    let service = match layer {
        Layer::Defaults => None,
        Layer::Service(index) | Layer::Topic(index, _) => config.services.get(index),
    };
    match &config.origin {
        Source::File(_) | Source::Once(_) => {
            if is_switched_off(configuration, config, layer) {
                return (Origin::SwitchedOff, None);
            }
            let key: Vec<&str> = key.split('.').collect();
            let written = sections(config, layer).into_iter().find_map(|section| {
                let path: Vec<&str> = section.iter().map(String::as_str).chain(key.iter().copied()).collect();
                configuration.written.at(&path)
            });
            written.map_or((Origin::Default, None), |written| said(configuration, written))
        }
        Source::LegacyFile(_) => (legacy(configuration, service.map(|service| service.name.as_str()), key), None),
        Source::Environment => (by_variable(configuration, key), None),
    }
}

/// Where a key of a backend comes from, by its path within the backend.
pub(crate) fn of_backend(configuration: &Configuration, config: &Config, backend: &Backend, path: &[&str]) -> Origin {
    let whole: Vec<&str> = ["backends", backend.name.as_str()].into_iter().chain(path.iter().copied()).collect();
    let is_plugins = matches!(path.first(), Some(&("plugin" | "config")));
    match (&config.origin, configuration.written.at(&whole)) {
        (Source::Environment, _) if path == ["plugin"] => origin(configuration, config, Layer::Defaults, "export").0,
        (Source::File(_), Some(written)) => said(configuration, written).0,
        (Source::File(_), None) => Origin::Default,
        (Source::LegacyFile(_), _) if is_plugins => Origin::Implied("the `reporter`, or JAEGER_ variables"),
        (Source::Environment, _) if is_plugins => Origin::Implied("OTEL_ or JAEGER_ variables"),
        _ => Origin::Default,
    }
}

/// Where a written value stands, and its text if that has a reference.
pub(crate) fn said(configuration: &Configuration, written: &Written) -> (Origin, Option<String>) {
    let place = file_and_line(configuration, &written.span);
    if has_reference(&written.value) {
        (Origin::Reference(place), Some(toml_text::value(&written.value)))
    } else {
        (Origin::File(place), None)
    }
}

pub(crate) fn file_and_line(configuration: &Configuration, span: &Range<usize>) -> String {
    place::file_and_line(configuration.name(), configuration.text(), span)
}

/// Whether a text of `value` has a reference.
pub(crate) fn has_reference(value: &Json) -> bool {
    match value {
        Json::String(text) => text.replace("$$", "").contains("${"),
        Json::Array(items) => items.iter().any(has_reference),
        Json::Object(members) => members.values().any(has_reference),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// The sections that may say it, the first to be asked first.
fn sections(config: &Config, layer: Layer) -> Vec<Vec<String>> {
    let defaults = vec!["defaults".to_owned()];
    let of = |index: usize| {
        let name = config.services.get(index).map(|service| service.name.clone()).unwrap_or_default();
        vec!["services".to_owned(), name]
    };
    match layer {
        Layer::Defaults => vec![defaults],
        Layer::Service(index) => vec![of(index), defaults],
        Layer::Topic(index, topic) => {
            let pattern = config.services.get(index).and_then(|service| service.topic_settings.get(topic));
            let mut section = of(index);
            section.push("topic".to_owned());
            section.push(pattern.map_or(String::new(), |(pattern, _)| pattern.text().to_owned()));
            vec![section, of(index), defaults]
        }
    }
}

/// Whether the engine put settings that trace nothing in the place of some that it could not have.
fn is_switched_off(configuration: &Configuration, config: &Config, layer: Layer) -> bool {
    let off = |span: &Range<usize>| {
        let mut problems = configuration.loaded.report.problems.iter();
        problems.any(|problem| problem.code == SWITCHED_OFF && problem.span.as_ref() == Some(span))
    };
    let service = |index: usize| config.services.get(index).is_some_and(|service| off(&service.span));
    match layer {
        Layer::Defaults => false,
        Layer::Service(index) => service(index),
        Layer::Topic(index, _) => {
            let section = sections(config, layer).into_iter().next().unwrap_or_default();
            let path: Vec<&str> = section.iter().map(String::as_str).collect();
            service(index) || configuration.written.at(&path).is_some_and(|written| off(&written.key_span))
        }
    }
}

/// Without a file: the first variable of those that say such a thing.
fn by_variable(configuration: &Configuration, key: &str) -> Origin {
    let names: &[&str] = match key {
        "sampler" => &["OTEL_TRACES_SAMPLER", "JAEGER_SAMPLER_TYPE"],
        "parent" => &["OTEL_TRACES_SAMPLER"],
        "trace" | "export" => &["OTEL_TRACES_EXPORTER"],
        "propagators.inject" | "propagators.extract" => &["OTEL_PROPAGATORS", "JAEGER_PROPAGATION"],
        "conventions" => &["OTEL_SEMCONV_STABILITY_PREVIEW", "OTEL_SEMCONV_STABILITY_OPT_IN"],
        "resource" => &["OTEL_RESOURCE_ATTRIBUTES", "JAEGER_TAGS"],
        "name" => &["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "JAEGER_SERVICE_NAME"],
        "delay" => &["OTEL_BSP_SCHEDULE_DELAY", "JAEGER_REPORTER_FLUSH_INTERVAL"],
        _ => &[],
    };
    let is_old = configuration.variables.iter().any(|name| name.starts_with("JAEGER_"));
    match names.iter().find(|name| is_set(configuration, name)) {
        Some(name) => Origin::Variable((*name).to_owned()),
        None if key == "reinject" && is_old => Origin::Implied(OLD),
        None => Origin::Default,
    }
}

/// Of the JSON of 2019: the service's own entry, else a variable, else what the format means by itself.
fn legacy(configuration: &Configuration, service: Option<&str>, key: &str) -> Origin {
    let written = |path: &[&str]| {
        let entry = (0..).map_while(|index: usize| {
            let index = index.to_string();
            configuration.written.at(&["services", &index])?;
            Some(index)
        });
        let named = entry.filter(|index| {
            let name = configuration.written.at(&["services", index, "service"]);
            name.is_some_and(|name| name.value.as_str() == service)
        });
        let mut places = named.filter_map(|index| {
            let whole: Vec<&str> = ["services", index.as_str()].into_iter().chain(path.iter().copied()).collect();
            configuration
                .written
                .at(&whole)
                .map(|written| Origin::File(file_and_line(configuration, &written.key_span)))
        });
        places.next()
    };
    let variable = |names: &[&str]| {
        names.iter().find(|name| is_set(configuration, name)).map(|name| Origin::Variable((*name).to_owned()))
    };
    let said = match key {
        "sampler" => written(&["config", "sampler"])
            .or_else(|| written(&["traceConfig"]))
            .or_else(|| variable(&["JAEGER_SAMPLER_TYPE"])),
        "export" => written(&["config", "reporter"])
            .or_else(|| variable(&["JAEGER_ENDPOINT", "JAEGER_AGENT_HOST", "JAEGER_AGENT_PORT"])),
        "propagators.inject" | "propagators.extract" => variable(&["JAEGER_PROPAGATION"]),
        "resource" => variable(&["JAEGER_TAGS"]),
        "exclude" => variable(&["ALLOW_KSQL_INTERNAL_TOPICS"]),
        "delay" => variable(&["JAEGER_REPORTER_FLUSH_INTERVAL"]),
        "trace" | "measure" | "relation" | "ambient" | "commit_spans" | "capture_headers" | "redact_headers"
        | "redact_values" | "message_key" | "conventions" => Some(Origin::Default),
        _ => None,
    };
    said.unwrap_or(Origin::Implied(OLD))
}

fn is_set(configuration: &Configuration, name: &str) -> bool {
    configuration.variables.iter().any(|known| known == name)
        && std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

const OLD: &str = "the format of 2019";
/// The engine's code for what is off because of something else.
const SWITCHED_OFF: &str = "C114";
