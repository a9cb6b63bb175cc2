//! The keys that all three layers of settings have: `[defaults]`, `[services.NAME]`, `[services.NAME.topic."PATTERN"]`.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::header_names;
use super::keys;
use super::patterns::{self, PatternsOf};
use super::sampler;
use super::section::Section;
use crate::config::draft::layer::Layer;
use crate::config::model::{Ambient, Conventions, Measuring, MessageKey, ParentDecision, Propagator, Relation, Trace};
use crate::config::reading::field::{Field, meant_list};
use crate::config::reading::names;
use crate::config::reading::propagators::PROPAGATORS;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed, names_of};
use crate::config::text::node::{Text, Value};
use crate::config::text::written_key::written_key;

/// What `section` says. Keys that it may not have are absent, so one reader serves all three.
pub(crate) fn read(section: &Section<'_>, backends: &[&str], findings: &mut Findings) -> Layer {
    let mut layer = Layer {
        trace: section.field("trace").map(|field| field.choice(TRACES, findings)),
        measure: section.field("measure").map(|field| field.choice(MEASURE, findings)),
        sampler: section.field("sampler").map(|field| sampler::read(field, findings)),
        parent: section.field("parent").map(|field| field.choice(PARENTS, findings)),
        relation: section.field("relation").map(|field| field.choice(RELATIONS, findings)),
        ambient: section.field("ambient").map(|field| field.choice(AMBIENTS, findings)),
        reinject: section.field("reinject").map(|field| field.boolean(findings)),
        commit_spans: section.field("commit_spans").map(|field| field.boolean(findings)),
        export: section.field("export").map(|field| export(field, backends, findings)),
        capture_headers: section.field("capture_headers").map(|field| header_names::read(field, findings)),
        redact_headers: section.field("redact_headers").map(|field| header_names::redactions(field, findings)),
        redact_values: section.field("redact_values").map(|field| header_names::redactions(field, findings)),
        message_key: section.field("message_key").map(|field| field.choice(MESSAGE_KEYS, findings)),
        conventions: section.field("conventions").map(|field| field.choice(CONVENTIONS, findings)),
        exclude: section.field("exclude").map(|field| {
            let (patterns, whole) = patterns::read_list(field, PatternsOf::Topics, findings);
            whole.map(|()| patterns.into())
        }),
        ..Layer::default()
    };
    if let Some(field) = section.field("propagators") {
        match propagators_table(field, findings) {
            Ok(inner) => {
                layer.inject = inner.field("inject").map(|field| propagators(field, FormatsTo::Write, findings));
                layer.extract = inner.field("extract").map(|field| propagators(field, FormatsTo::Read, findings));
            }
            Err(broken) => (layer.inject, layer.extract) = (Some(Err(broken)), Some(Err(broken))),
        }
    }
    if let Some(field) = section.field("resource") {
        layer.resource = resource(field, findings);
    }
    layer
}

/// Who writes one list means both.
fn propagators_table<'n>(field: Field<'n>, findings: &mut Findings) -> Result<Section<'n>, Broken> {
    let list = match &field.node.value {
        Value::Array(_) => Some(findings.source(&field.span()).unwrap_or("[]").to_owned()),
        Value::Text(Text::Written(text)) => Some(meant_list(text)),
        _ => None,
    };
    if let Some(list) = list {
        let problem = Problem::error(code::WRONG_TYPE, "`propagators` says what is written and what is read");
        let label = format!("write {{ inject = {list}, extract = {list} }}");
        return Err(findings.refuse(problem.at(field.span(), label)));
    }
    Section::open(field, "propagators = { inject, extract }".into(), keys::PROPAGATORS, findings)
}

/// What formats are listed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FormatsTo {
    Write,
    Read,
}

fn propagators(field: Field<'_>, to: FormatsTo, findings: &mut Findings) -> Result<Arc<[Propagator]>, Broken> {
    let wants = format!("a list of {}", listed(&names_of(PROPAGATORS)));
    let mut formats = Vec::new();
    let mut none = None;
    for item in field.items(&wants, findings)? {
        match item.choice(PROPAGATORS, findings)? {
            None => none = Some(item),
            Some(format) if to == FormatsTo::Write && !format.is_written() => {
                return Err(only_read(item, findings));
            }
            Some(format) if formats.contains(&format) => item.mention_repeated(findings),
            Some(format) => formats.push(format),
        }
    }
    match none {
        Some(item) if !formats.is_empty() => Err(findings.refuse(
            Problem::error(code::CONTRADICTION, format!("`{}` says \"none\" and names formats too", field.key))
                .at(item.span(), "take this out, or the others"),
        )),
        _ => Ok(formats.into()),
    }
}

fn only_read(item: Field<'_>, findings: &mut Findings) -> Broken {
    let message = format!("`{}` names a format that can only be read", item.key);
    let problem = Problem::error(code::UNKNOWN_VALUE, message).at(item.span(), "take this out");
    let help = "its header says of the sender what no span of ours has, such as a segment; `extract` may name it";
    item.unacceptable(problem.help(help), "the name of a format that can be written", findings)
}

/// The names of backends, as indices.
pub(super) fn export(field: Field<'_>, backends: &[&str], findings: &mut Findings) -> Result<Arc<[usize]>, Broken> {
    let mut indices = Vec::new();
    let mut outcome = Ok(());
    for item in field.items("a list of names of [backends]", findings)? {
        let Ok(name) = item.name("this name", "a name of [backends]", findings) else {
            outcome = Err(Broken);
            continue;
        };
        match backends.iter().position(|backend| *backend == name) {
            Some(index) if indices.contains(&index) => item.mention_repeated(findings),
            Some(index) => indices.push(index),
            None => {
                let defined = listed(backends);
                // Who has one backend most likely gave its plugin's name.
                let label = match (did_you_mean(name, backends), backends) {
                    (label, [only]) if label.is_empty() => format!("did you mean `{only}`, the only one?"),
                    (label, _) => label,
                };
                let problem = Problem::error(code::UNKNOWN_BACKEND, format!("there is no backend {name:?}"))
                    .at(item.span(), label)
                    .help(format!("defined: {defined}; or add [backends.{}]", written_key(name)));
                outcome = Err(item.unacceptable(problem, &format!("the name of a backend ({defined})"), findings));
            }
        }
    }
    outcome.map(|()| indices.into())
}

fn resource(field: Field<'_>, findings: &mut Findings) -> Vec<(String, Result<String, Broken>)> {
    let title = "resource = { \"NAME\" = \"VALUE\" }";
    if let Some(meant) = meant_attributes(&field.node.value) {
        let problem = Problem::error(code::WRONG_TYPE, format!("`resource` takes a table: {title}"));
        findings.refuse(problem.at(field.span(), format!("write {{ {meant} }}")));
        return Vec::new();
    }
    let Ok(section) = Section::open_map(field, title.into(), findings) else { return Vec::new() };
    section.fields().map(|entry| (entry.key.to_owned(), attribute(entry, findings))).collect()
}

/// For attributes as `OTEL_RESOURCE_ATTRIBUTES` has them, `a=b,c=d`, in one text or a list of them.
fn meant_attributes(value: &Value) -> Option<String> {
    let texts = match value {
        Value::Text(Text::Written(text)) => text.split(',').collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| match &item.value {
                Value::Text(Text::Written(text)) => Some(text.as_str()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    let pairs = texts.into_iter().map(|text| {
        let (name, value) = text.split_once('=')?;
        Some(format!("{:?} = {:?}", name.trim(), value.trim()))
    });
    let pairs: Option<Vec<_>> = pairs.collect();
    Some(pairs?.join(", ")).filter(|pairs| !pairs.is_empty())
}

fn attribute(entry: Field<'_>, findings: &mut Findings) -> Result<String, Broken> {
    if entry.key == "service.name" {
        let problem = Problem::error(code::RESERVED_ATTRIBUTE, "`service.name` is the name of the service's section");
        let help = "name the section itself: [services.NAME]";
        return Err(findings.refuse(problem.at(entry.key_span.clone(), "take this out").help(help)));
    }
    if let (Value::Table(_), false) = (&entry.node.value, entry.key.is_empty()) {
        let message = format!("the attribute `{}` takes a string", entry.key);
        let problem = Problem::error(code::WRONG_TYPE, message).at(entry.key_span.clone(), "this became a table");
        return Err(findings.refuse(problem.help("put a name with dots into quotes: \"service.version\" = \"1.0\"")));
    }
    if let Value::Text(Text::Broken) = entry.node.value {
        return Err(Broken);
    }
    let text = entry.text("a string: every attribute is one", findings)?;
    names::mention_hidden(text, entry.node, findings);
    Ok(text.to_owned())
}

/// What `trace` may be.
pub(super) const TRACES: &[(&str, Trace)] =
    &[("spans", Trace::Spans), ("propagate", Trace::Propagate), ("off", Trace::Off)];
const MEASURE: &[(&str, Measuring)] = &[("off", Measuring::Off), ("on", Measuring::On), ("only", Measuring::Only)];
const PARENTS: &[(&str, ParentDecision)] = &[("respect", ParentDecision::Respect), ("ignore", ParentDecision::Ignore)];
const RELATIONS: &[(&str, Relation)] =
    &[("parent", Relation::Parent), ("link", Relation::Link), ("batch", Relation::Batch)];
const MESSAGE_KEYS: &[(&str, MessageKey)] =
    &[("off", MessageKey::Off), ("hash", MessageKey::Hash), ("plain", MessageKey::Plain)];
const CONVENTIONS: &[(&str, Conventions)] =
    &[("messaging", Conventions::Messaging), ("messaging/dup", Conventions::MessagingDup)];
const AMBIENTS: &[(&str, Ambient)] = &[("thread", Ambient::Thread), ("off", Ambient::Off)];
