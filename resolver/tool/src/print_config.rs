//! `print-config`: all that is in effect, as a file that would mean the same, each value with where it comes from.

#![forbid(unsafe_code)]

mod backends;
mod section;

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_resolver::config::{Config, Origin as Source, Pattern, written_bytes, written_duration};

use crate::command_line::Format;
use crate::configuration::Configuration;
use crate::effective::{self, Layer, Origin};
use crate::failure::Failure;
use crate::output;
use crate::plugin_warnings;
use crate::toml_text;
use section::Section;

pub(crate) fn print(file: Option<&Path>, with_plugins: bool, format: Format) -> Result<ExitCode, Failure> {
    plugin_warnings::collect();
    let configuration = Configuration::of(file);
    let Some(config) = &configuration.loaded.config else {
        let report = &configuration.loaded.report;
        return match format {
            Format::Json => output::json(&json!({ "source": report.name, "sections": null }), false),
            Format::Text => {
                let shown = report.render(output::has_colors());
                output::text(&format!("{shown}{}: nothing is traced\n", report.name), false)
            }
        };
    };
    let sections = sections(&configuration, config, with_plugins);
    plugin_warnings::tell();
    match format {
        Format::Json => {
            let sections: Vec<Json> = sections.iter().map(Section::as_json).collect();
            output::json(&json!({ "source": configuration.name(), "sections": sections }), true)
        }
        Format::Text => output::text(&text(&configuration, &sections), true),
    }
}

fn text(configuration: &Configuration, sections: &[Section]) -> String {
    let mut out = format!("# All that is in effect by {}.\n", configuration.name());
    if configuration.loaded.report.has_errors() {
        out.push_str("# It has errors, and parts of it are off: see `tracer-interceptors check`.\n");
    }
    for section in sections {
        out.push('\n');
        if !section.title.is_empty() {
            out.push_str(&format!("{}\n", section.title));
        }
        let lines: Vec<_> = section.lines.iter().map(|(key, value, _)| format!("{key} = {value}")).collect();
        let width =
            lines.iter().map(|line| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or_default();
        for (line, (.., origin)) in lines.iter().zip(&section.lines) {
            out.push_str(&format!("{line:width$}  # {origin}\n"));
        }
    }
    out
}

fn sections(configuration: &Configuration, config: &Config, with_plugins: bool) -> Vec<Section> {
    let mut sections = vec![top(configuration, config), defaults(configuration, config)];
    for index in 0..config.services.len() {
        services(configuration, config, index, &mut sections);
    }
    backends::sections(configuration, config, with_plugins, &mut sections);
    let batch = |key: &str, value: String| (key.to_owned(), value, at(configuration, config, &["batch", key], "delay"));
    sections.push(Section {
        title: "[batch]".to_owned(),
        lines: vec![
            batch("delay", toml_text::string(&written_duration(config.batch.delay))),
            batch("max_bytes", toml_text::string(&written_bytes(config.batch.max_bytes as u64))),
        ],
    });
    sections.push(metrics(configuration, config));
    sections.extend(plugins(configuration, config));
    sections.extend(upkeep(configuration, config));
    sections
}

fn metrics(configuration: &Configuration, config: &Config) -> Section {
    let line = |key: &str, value: String| {
        let variables = matches!(config.origin, Source::Environment) && config.metrics.own;
        let origin = if variables {
            Origin::Variable("OTEL_METRICS_EXPORTER".to_owned())
        } else {
            at(configuration, config, &["metrics", key], "")
        };
        (key.to_owned(), value, origin)
    };
    let of = &config.metrics;
    let name = |index: &usize| config.backends.get(*index).map(|backend| toml_text::literal(&backend.name));
    let mut lines = vec![
        line("self", toml_text::string(if of.own { "on" } else { "off" })),
        line("interval", toml_text::string(&written_duration(of.interval))),
    ];
    lines.extend(
        of.export.as_ref().map(|export| {
            line("export", format!("[{}]", export.iter().filter_map(name).collect::<Vec<_>>().join(", ")))
        }),
    );
    if let Some(address) = of.prometheus {
        lines.push(line("prometheus", toml_text::string(&address.to_string())));
        if !address.ip().is_loopback() {
            lines.push(line("prometheus_open", "true".to_owned()));
        }
    }
    lines.extend(of.textfile.as_ref().map(|path| line("textfile", toml_text::literal(&path.display().to_string()))));
    Section { title: "[metrics]".to_owned(), lines }
}

/// Where a key comes from that has one place only; `variable` is what stands for it without a file.
fn at(configuration: &Configuration, config: &Config, path: &[&str], variable: &str) -> Origin {
    match (&config.origin, configuration.written.at(path)) {
        (Source::File(_), Some(written)) => effective::said(configuration, written).0,
        (Source::File(_), None) => Origin::Default,
        _ if path.last() == Some(&variable) => effective::origin(configuration, config, Layer::Defaults, variable).0,
        _ => Origin::Default,
    }
}

fn top(configuration: &Configuration, config: &Config) -> Section {
    let version = match configuration.written.at(&["version"]) {
        Some(written) => effective::said(configuration, written).0,
        None => Origin::Default,
    };
    let mut lines = vec![("version".to_owned(), "1".to_owned(), version)];
    if let Some(service) = config.default_service.and_then(|index| config.services.get(index)) {
        let origin = match configuration.written.at(&["default_service"]) {
            Some(written) => effective::said(configuration, written).0,
            None => Origin::Implied("the only service there is"),
        };
        lines.push(("default_service".to_owned(), toml_text::literal(&service.name), origin));
    }
    Section { title: String::new(), lines }
}

fn defaults(configuration: &Configuration, config: &Config) -> Section {
    let mut lines = setting_lines(configuration, config, Layer::Defaults);
    let path = ["defaults", "exclude"];
    let (written, origin) = match (configuration.written.at(&path), configuration.defaults.at(&path)) {
        (Some(written), _) if configuration.is_toml() => (Some(written), effective::said(configuration, written).0),
        (_, default) => (default, Origin::Default),
    };
    if let (Some(written), true) = (written, configuration.is_toml()) {
        lines.push(("exclude".to_owned(), toml_text::value(&written.value), origin));
    }
    Section { title: "[defaults]".to_owned(), lines }
}

fn services(configuration: &Configuration, config: &Config, index: usize, sections: &mut Vec<Section>) {
    let Some(service) = config.services.get(index) else { return };
    let section = format!("services.{}", toml_text::key(&service.name));
    let mut lines = Vec::new();
    let lists = [
        ("produces", &service.produces),
        ("consumes", &service.consumes),
        ("topics", &service.topics),
        ("client_ids", &service.client_ids),
        ("group_ids", &service.group_ids),
        ("exclude", &service.exclude),
    ];
    for (key, patterns) in lists {
        lines.push(patterns_line(configuration, config, index, key, patterns));
    }
    lines.extend(setting_lines(configuration, config, Layer::Service(index)));
    for (name, value) in &service.resource {
        let places = [&["services", service.name.as_str(), "resource", name][..], &["defaults", "resource", name]];
        let written = places.into_iter().find_map(|path| configuration.written.at(path));
        let (origin, reference) = match (&config.origin, written) {
            (Source::File(_), Some(written)) => effective::said(configuration, written),
            _ => (effective::origin(configuration, config, Layer::Service(index), "resource").0, None),
        };
        let key = format!("resource.{}", toml_text::key(name));
        lines.push((key, reference.unwrap_or_else(|| toml_text::literal(value)), origin));
    }
    sections.push(Section { title: format!("[{section}]"), lines });
    for (topic, (pattern, _)) in service.topic_settings.iter().enumerate() {
        let title = format!("[{section}.topic.{}]", toml_text::key(pattern.text()));
        sections.push(Section { title, lines: setting_lines(configuration, config, Layer::Topic(index, topic)) });
    }
}

fn patterns_line(
    configuration: &Configuration,
    config: &Config,
    index: usize,
    key: &str,
    patterns: &[Pattern],
) -> (String, String, Origin) {
    let (origin, reference) = match &config.origin {
        Source::LegacyFile(_) if key != "exclude" && patterns.is_empty() => (Origin::Default, None),
        Source::Environment if key != "exclude" => (Origin::Default, None),
        _ => effective::origin(configuration, config, Layer::Service(index), key),
    };
    let value = reference.unwrap_or_else(|| toml_text::list(patterns.iter().map(toml_text::pattern)));
    (key.to_owned(), value, origin)
}

fn setting_lines(configuration: &Configuration, config: &Config, layer: Layer) -> Vec<(String, String, Origin)> {
    let settings = effective::settings(configuration, config, layer);
    settings.into_iter().map(|setting| (setting.key.to_owned(), setting.value, setting.origin)).collect()
}

/// `[reload]` and `[trust]`.
fn upkeep(configuration: &Configuration, config: &Config) -> [Section; 2] {
    let origin = |section: &str, key: &str| at(configuration, config, &[section, key], "");
    let is_section = configuration.written.at(&["reload"]).is_some();
    let enabled = match origin("reload", "enabled") {
        Origin::Default if is_section && config.reload.enabled => Origin::Implied("the section is there"),
        other => other,
    };
    let trusts = config.plugins.allow_world_writable;
    let trust = match origin("trust", "allow_world_writable") {
        Origin::Default if trusts => Origin::Variable("INTERCEPTORS_ALLOW_WORLD_WRITABLE".to_owned()),
        other => other,
    };
    [
        Section {
            title: "[reload]".to_owned(),
            lines: vec![
                ("enabled".to_owned(), config.reload.enabled.to_string(), enabled),
                (
                    "interval".to_owned(),
                    toml_text::string(&written_duration(config.reload.interval)),
                    origin("reload", "interval"),
                ),
            ],
        },
        Section {
            title: "[trust]".to_owned(),
            lines: vec![("allow_world_writable".to_owned(), trusts.to_string(), trust)],
        },
    ]
}

fn plugins(configuration: &Configuration, config: &Config) -> Vec<Section> {
    let origin = |path: &[&str]| at(configuration, config, path, "");
    let dirs = config.plugins.dirs.iter().map(|dir| toml_text::literal(&dir.to_string_lossy()));
    let dirs = match configuration.written.at(&["plugins", "dirs"]) {
        Some(written) if effective::has_reference(&written.value) => toml_text::value(&written.value),
        _ => toml_text::list(dirs),
    };
    let mut sections = vec![Section {
        title: "[plugins]".to_owned(),
        lines: vec![("dirs".to_owned(), dirs, origin(&["plugins", "dirs"]))],
    }];
    for entry in &config.plugins.entries {
        let mut lines = Vec::new();
        let mut line = |key: &str, value: String| {
            let path = ["plugins", entry.name.as_str(), key];
            let written = configuration.written.at(&path);
            let reference = written.and_then(|written| effective::said(configuration, written).1);
            lines.push((key.to_owned(), reference.unwrap_or(value), origin(&path)));
        };
        if let Some(file) = &entry.file {
            line("file", toml_text::literal(&file.to_string_lossy()));
        }
        if let Some(sha256) = entry.sha256 {
            line("sha256", toml_text::string(&hex::encode(sha256)));
        }
        sections.push(Section { title: format!("[plugins.{}]", toml_text::key(&entry.name)), lines });
    }
    sections
}
