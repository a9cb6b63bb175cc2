//! The top of the file: which version it is, and the way into every section.

#![forbid(unsafe_code)]

use std::path::Path;

use super::keys;
use super::reference;
use super::section::Section;
use super::sending;
use super::settings;
use super::{backends, metrics, plugins, services, upkeep};
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::defaults::Defaults;
use crate::config::draft::layer::Layer;
use crate::config::draft::metrics::MetricsLayer;
use crate::config::draft::sending::BatchLayer;
use crate::config::model::{Batch, Metrics};
use crate::config::reading::field::Field;
use crate::config::reading::names;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed};
use crate::config::source::variables::Variables;
use crate::config::text::node::{Entry, Table, Text, Value};
use crate::config::text::toml_parser;
use crate::config::text::written_key::written_key;

/// Reads `source`; `None` when it is not TOML, or its version says that no more of it can be understood.
///
/// `folder` is what relative plugin directories are relative to.
pub(crate) fn read(
    source: &str,
    folder: &Path,
    variables: &Variables,
    below: &Defaults,
    findings: &mut Findings,
) -> Option<ConfigDraft> {
    let mut table = toml_parser::parse(source, findings)?;
    // What `[[test]]` says is nothing to whoever traces: `expectations` reads it, as it stands.
    for entry in table.entries.iter_mut().filter(|entry| entry.key != "test") {
        reference::replace_all(&mut entry.node, source, variables, findings);
    }
    // Before anything else: the keys of a newer version are not unknown keys.
    check_version(&mut table, findings).ok()?;
    let top = Section::top(&table, findings);
    let backend_section = map(&top, "backends", findings);
    let names: Vec<&str> = backend_section.iter().flat_map(Section::fields).map(|field| field.key).collect();
    let defaults = defaults(&top, &names, findings).over(&below.layer);
    let service_section = map(&top, "services", findings);
    let services = services::read(service_section.as_ref(), &names, &defaults, findings);
    let default_service = top.field("default_service").and_then(|field| {
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        named_service(field, &names, findings).map_err(|Broken| findings.distrust()).ok()
    });
    let batch = batch(&top, below, findings);
    let metrics = metrics(&top, &names, below, findings);
    let backends = backends::read(backend_section.as_ref(), below, findings);
    let (mut plugins, broken_plugins) = plugins::read(&top, folder, findings);
    let reload = upkeep::reload(&top, below.reload, findings);
    plugins.allow_world_writable = upkeep::allows_world_writable(&top, findings);
    Some(ConfigDraft { defaults, services, default_service, backends, plugins, broken_plugins, batch, metrics, reload })
}

fn check_version(table: &mut Table, findings: &mut Findings) -> Result<(), Broken> {
    let Some(entry) = table.entry("version") else {
        if let Some((heading, entry)) = misplaced_version(table, "") {
            let message =
                format!("`version` stands below {heading} and so belongs to it: the file does not say its version");
            let problem = Problem::error(code::MISSING_KEY, message).at(entry.key_span, "");
            findings.refuse(problem.help("write `version = 1` at the top of the file, before the first [section]"));
            return Ok(());
        }
        let is_misspelled = |key: &str| !did_you_mean(key, &["version"]).is_empty();
        if table.entries.iter().any(|entry| is_misspelled(&entry.key) || names::flaw(&entry.key).is_some()) {
            // Reported as an unknown key, with the right one named.
            return Ok(());
        }
        let problem = Problem::error(code::MISSING_KEY, "the file does not say its version");
        findings.refuse(problem.at(0..0, "add `version = 1` here").help("it stands before the first [section]"));
        return Ok(());
    };
    let one = match &entry.node.value {
        Value::Text(Text::Written(text)) => text.trim() == "1",
        Value::Float(value) => (*value - 1.0).abs() < f64::EPSILON,
        _ => false,
    };
    if one {
        let problem = Problem::error(code::WRONG_TYPE, "`version` takes the whole number 1");
        findings.refuse(problem.at(entry.node.span.clone(), "write 1, without quotes and without a point"));
        return Ok(());
    }
    if let Value::Integer(version) = entry.node.value {
        if version > VERSION {
            let message = format!("this file is version {version}, and this library reads version {VERSION}");
            let problem = Problem::error(code::UNKNOWN_VERSION, message).at(entry.node.span.clone(), "");
            return Err(findings.refuse(problem.help("use a newer tracer-resolver, or write the file for version 1")));
        }
    }
    // What is wrong with it is reported; the rest is read as version 1 all the same.
    let _ = Field::of(entry).integer(VERSION..=VERSION, findings).map_err(|Broken| findings.distrust());
    Ok(())
}

/// The first `version = …` below a heading, taken out, so that it is not an unknown key of that section too.
fn misplaced_version(table: &mut Table, path: &str) -> Option<(String, Entry)> {
    let mut found = None;
    for entry in &mut table.entries {
        let Value::Table(inner) = &mut entry.node.value else { continue };
        // A plugin may have a key of that name.
        if entry.key == "config" || entry.key == "resource" {
            continue;
        }
        let path =
            if path.is_empty() { written_key(&entry.key) } else { format!("{path}.{}", written_key(&entry.key)) };
        let here = inner.entries.iter().position(|entry| {
            entry.key == "version" && matches!(entry.node.value, Value::Integer(_) | Value::Float(_) | Value::Text(_))
        });
        let candidate = match here {
            Some(index) => Some((format!("[{path}]"), inner.entries.remove(index))),
            None => misplaced_version(inner, &path),
        };
        found = found.or(candidate);
    }
    found
}

/// A table whose keys are names that the file makes up.
fn map<'n>(top: &Section<'n>, key: &str, findings: &mut Findings) -> Option<Section<'n>> {
    // One whose name has a slip is reported, and read all the same: what it defines is not missing elsewhere.
    let slip = || top.fields().find(|field| field.key != key && !did_you_mean(field.key, &[key]).is_empty());
    let meant = top.field(key).or_else(|| slip().filter(|field| !keys::TOP.contains(&field.key)))?;
    Section::open_map(meant, format!("[{key}.NAME]"), findings).ok()
}

fn defaults(top: &Section<'_>, backends: &[&str], findings: &mut Findings) -> Layer {
    let section =
        top.field("defaults").map(|field| Section::open(field, "[defaults]".into(), keys::DEFAULTS, findings));
    match section {
        Some(Ok(section)) => settings::read(&section, backends, findings),
        Some(Err(Broken)) | None => Layer::default(),
    }
}

fn named_service(field: Field<'_>, services: &[&str], findings: &mut Findings) -> Result<usize, Broken> {
    let name = field.name("this name", "the name of a service", findings)?;
    services.iter().position(|service| *service == name).ok_or_else(|| {
        let defined = listed(services);
        let problem = Problem::error(code::UNKNOWN_SERVICE, format!("there is no service {name:?}"))
            .at(field.span(), did_you_mean(name, services))
            .help(format!("defined: {defined}"));
        field.unacceptable(problem, &format!("the name of a service ({defined})"), findings)
    })
}

fn batch(top: &Section<'_>, below: &Defaults, findings: &mut Findings) -> Result<Batch, Broken> {
    let layer = match top.field("batch") {
        Some(field) => sending::read_batch(&Section::open(field, "[batch]".into(), keys::BATCH, findings)?, findings),
        None => BatchLayer::default(),
    };
    layer.over(&below.batch).in_effect()
}

fn metrics(top: &Section<'_>, backends: &[&str], below: &Defaults, findings: &mut Findings) -> Result<Metrics, Broken> {
    let layer = match top.field("metrics") {
        Some(field) => {
            metrics::read(&Section::open(field, "[metrics]".into(), keys::METRICS, findings)?, backends, findings)
        }
        None => MetricsLayer::default(),
    };
    layer.over(&below.metrics).in_effect()
}

/// The one version of the format.
const VERSION: i64 = 1;
