//! `[backends.NAME]`: the host's keys, and the plugin's own under `config`.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::keys;
use super::section::Section;
use super::sending;
use crate::config::draft::backend::{BackendDraft, pointer_below};
use crate::config::draft::defaults::Defaults;
use crate::config::model::from_files::FromFiles;
use crate::config::model::{Backend, Spool};
use crate::config::reading::field::Field;
use crate::config::reading::names;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed};
use crate::config::text::node::{Node, Text, Value};
use crate::config::text::written_key::written_key;

/// All backends, in file order: the position is the index that `export` uses.
pub(super) fn read(section: Option<&Section<'_>>, defaults: &Defaults, findings: &mut Findings) -> Vec<BackendDraft> {
    let fields = section.into_iter().flat_map(Section::fields);
    fields
        .map(|field| BackendDraft {
            name: field.key.to_owned(),
            span: field.key_span.clone(),
            backend: backend(field, defaults, findings),
        })
        .collect()
}

fn backend(field: Field<'_>, defaults: &Defaults, findings: &mut Findings) -> Result<Backend, Broken> {
    let title = format!("[backends.{}]", written_key(field.key));
    let section = Section::open(field, title, keys::BACKEND, findings)?;
    let sending = sending::in_effect(&section, &defaults.sending, findings);
    let plugin = plugin(&section, findings);
    let config = config(&section, findings);
    let spool = section.field("spool").map(|field| spool(field, findings)).transpose();
    let (sending, (plugin, plugin_span), config, spool) = (sending?, plugin?, config?, spool?);
    Ok(Backend {
        name: field.key.to_owned(),
        span: field.key_span.clone(),
        plugin,
        plugin_span,
        config: config.json,
        config_spans: config.spans,
        config_references: config.references,
        config_secrets: config.secrets,
        config_files: config.files,
        timeout: sending.timeout,
        concurrency: sending.concurrency,
        queue_bytes: sending.queue_bytes,
        shed_traces: sending.shed_traces,
        spool: spool.map(|folder| Spool { folder, limit: sending.spool_limit as u64 }),
        retry: sending.retry,
    })
}

/// The folder of the spool.
fn spool(field: Field<'_>, findings: &mut Findings) -> Result<PathBuf, Broken> {
    let wants = "an absolute path of a folder, such as \"/var/spool/tracer-resolver\"";
    let path = PathBuf::from(field.text(wants, findings)?);
    if path.is_absolute() {
        return Ok(path);
    }
    let problem = Problem::error(code::BAD_NOTATION, format!("`spool` takes {wants}"));
    Err(field.unacceptable(problem.at(field.span(), "a program may change its folder"), wants, findings))
}

fn plugin(section: &Section<'_>, findings: &mut Findings) -> Result<(String, std::ops::Range<usize>), Broken> {
    let Some(field) = section.field("plugin") else {
        if section.is_cut_name(keys::BACKEND, findings) {
            // Reported: this is not the backend's name.
            return Err(Broken);
        }
        let problem = Problem::error(code::MISSING_KEY, format!("{} does not say its `plugin`", section.title));
        let shipped = listed(SHIPPED);
        let help = format!("add for example `plugin = \"otlp\"`; shipped: {shipped}");
        return Err(findings.refuse(problem.at(section.span.clone(), "").help(help)));
    };
    let name = field.name("the name of the plugin", "the name of a plugin", findings)?;
    if name.trim().is_empty() {
        let problem = Problem::error(code::OUT_OF_RANGE, "the name of the plugin is empty").at(field.span(), "");
        return Err(field.unacceptable(problem, "the name of a plugin", findings));
    }
    if name.starts_with(['/', '.', '~']) || name.contains('\\') || name.contains(".so") {
        let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let short = file.strip_prefix("libtracer_plugin_").and_then(|rest| rest.strip_suffix(".so"));
        let label = short.map_or(String::new(), |short| format!("write \"{short}\""));
        let message = "`plugin` takes the name of a plugin, and this is the path of a file";
        let known_as = short.unwrap_or("NAME");
        let help = format!(
            "the plugin `{known_as}` is the file libtracer_plugin_{known_as}.so in one of the folders that \
             [plugins] dirs = [\"/a/folder\"] names; for a file elsewhere, or of another name, write \
             [plugins.{known_as}] file = \"/the/whole/path.so\" and here plugin = \"{known_as}\""
        );
        let problem = Problem::error(code::OUT_OF_RANGE, message).at(field.span(), label).help(help);
        return Err(field.unacceptable(problem, "the name of a plugin, which is no path", findings));
    }
    let is_fair = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    if !is_fair {
        let lower = name.to_ascii_lowercase();
        let label = match SHIPPED.iter().find(|shipped| lower.starts_with(**shipped)) {
            Some(shipped) => format!("did you mean `{shipped}`?"),
            None => did_you_mean(&lower, SHIPPED),
        };
        let message = format!("no plugin has the name {name:?}");
        let help = format!("a name is in small letters, digits, `_` and `-`; shipped: {}", listed(SHIPPED));
        let problem = Problem::error(code::OUT_OF_RANGE, message).at(field.span(), label).help(help);
        return Err(field.unacceptable(problem, "the name of a plugin, in small letters", findings));
    }
    Ok((name.to_owned(), field.span()))
}

/// The plugins of this project.
const SHIPPED: &[&str] = &["otlp", "otlp_grpc", "jaeger", "zipkin", "kafka", "file"];

/// The plugin's own settings, on the way to JSON.
struct PluginConfig {
    json: Json,
    spans: Vec<(String, std::ops::Range<usize>)>,
    references: Vec<String>,
    secrets: Vec<String>,
    files: Vec<(String, FromFiles)>,
}

fn config(section: &Section<'_>, findings: &mut Findings) -> Result<PluginConfig, Broken> {
    let mut config = PluginConfig {
        json: Json::Object(Map::new()),
        spans: Vec::new(),
        references: Vec::new(),
        secrets: Vec::new(),
        files: Vec::new(),
    };
    let Some(field) = section.field("config") else {
        config.spans.push((String::new(), section.span.clone()));
        return Ok(config);
    };
    // Opened for its type only: which keys there are is for the plugin to say.
    Section::open_map(field, "the plugin's own keys".into(), findings)?;
    config.json = config.json(field.node, String::new(), findings)?;
    Ok(config)
}

impl PluginConfig {
    /// `node` as JSON; every problem below it is reported before it counts as broken.
    fn json(&mut self, node: &Node, pointer: String, findings: &mut Findings) -> Result<Json, Broken> {
        self.spans.push((pointer.clone(), node.span.clone()));
        match &node.value {
            Value::Text(Text::Written(text)) => {
                names::mention_hidden(text, node, findings);
                Ok(Json::String(text.clone()))
            }
            Value::Text(Text::Referenced { value, whole, files }) => {
                names::mention_hidden(value, node, findings);
                if *whole {
                    self.references.push(pointer.clone());
                }
                if let Some(files) = files {
                    self.files.push((pointer.clone(), files.clone()));
                }
                self.secrets.push(pointer);
                Ok(Json::String(value.clone()))
            }
            Value::Text(Text::Broken) => Err(Broken),
            Value::Integer(value) => Ok(Json::from(*value)),
            Value::Float(value) => serde_json::Number::from_f64(*value).map(Json::Number).ok_or_else(|| {
                findings.refuse(Problem::error(code::OUT_OF_RANGE, "not a finite number").at(node.span.clone(), ""))
            }),
            Value::Boolean(value) => Ok(Json::Bool(*value)),
            Value::Null => Ok(Json::Null),
            Value::Datetime => Err(findings.refuse(
                Problem::error(code::WRONG_TYPE, "no plugin takes a date").at(node.span.clone(), "put it into quotes"),
            )),
            Value::Array(items) => {
                let (mut values, mut whole) = (Vec::with_capacity(items.len()), Ok(()));
                for (index, item) in items.iter().enumerate() {
                    match self.json(item, format!("{pointer}/{index}"), findings) {
                        Ok(value) => values.push(value),
                        Err(broken) => whole = Err(broken),
                    }
                }
                whole.map(|()| Json::Array(values))
            }
            Value::Table(table) => {
                let (mut members, mut whole) = (Map::new(), Ok(()));
                for entry in &table.entries {
                    match self.json(&entry.node, pointer_below(&pointer, &entry.key), findings) {
                        Ok(value) => drop(members.insert(entry.key.clone(), value)),
                        Err(broken) => whole = Err(broken),
                    }
                }
                whole.map(|()| Json::Object(members))
            }
        }
    }
}
