//! `[services.NAME]`.

#![forbid(unsafe_code)]

use super::keys;
use super::patterns::{self, PatternsOf};
use super::section::Section;
use super::settings;
use crate::config::draft::layer::Layer;
use crate::config::draft::service::ServiceDraft;
use crate::config::reading::field::Field;
use crate::config::reading::names;
use crate::config::reading::pattern::{self, PlacedPattern};
use crate::config::reading::topic_names;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::text::node::{Text, Value};
use crate::config::text::written_key::written_key;

/// All services, in file order.
pub(super) fn read(
    section: Option<&Section<'_>>,
    backends: &[&str],
    defaults: &Layer,
    findings: &mut Findings,
) -> Vec<ServiceDraft> {
    let fields = section.into_iter().flat_map(Section::fields);
    fields.filter_map(|field| service(field, backends, defaults, findings).ok()).collect()
}

fn service(
    field: Field<'_>,
    backends: &[&str],
    defaults: &Layer,
    findings: &mut Findings,
) -> Result<ServiceDraft, Broken> {
    let title = format!("[services.{}]", written_key(field.key));
    let section = Section::open(field, title, keys::SERVICE, findings)?;
    if field.key.trim().is_empty() {
        let problem = Problem::error(code::OUT_OF_RANGE, "a service needs a name");
        findings.refuse(problem.at(field.key_span.clone(), "this one is empty"));
    }
    let layer = settings::read(&section, backends, findings).over(defaults);
    let mut rules = Ok(());
    let mut constraints = Ok(());
    let list = |key: &str, of: PatternsOf, outcome: &mut Result<(), Broken>, findings: &mut Findings| {
        let Some(field) = section.field(key) else { return Vec::new() };
        let (patterns, whole) = patterns::read_list(field, of, findings);
        *outcome = outcome.and(whole);
        patterns
    };
    let produces = list("produces", PatternsOf::Topics, &mut rules, findings);
    let consumes = list("consumes", PatternsOf::Topics, &mut rules, findings);
    let topics = list("topics", PatternsOf::Topics, &mut rules, findings);
    let client_ids = list("client_ids", PatternsOf::Clients, &mut constraints, findings);
    let group_ids = list("group_ids", PatternsOf::Clients, &mut constraints, findings);
    let overrides = overrides(&section, backends, &layer, findings);
    Ok(ServiceDraft {
        name: field.key.to_owned(),
        span: field.key_span.clone(),
        produces,
        consumes,
        topics,
        client_ids,
        group_ids,
        rules,
        constraints,
        layer,
        overrides,
    })
}

fn overrides(
    service: &Section<'_>,
    backends: &[&str],
    layer: &Layer,
    findings: &mut Findings,
) -> Vec<(PlacedPattern, Layer)> {
    let Some(field) = service.field("topic") else { return Vec::new() };
    if let Value::Text(Text::Written(_)) | Value::Array(_) = field.node.value {
        let problem = Problem::error(code::WRONG_TYPE, "`topic` holds tables, one for each pattern");
        let help = "for the topics of the service write `topics = […]`; \
                    for settings of some of them [services.NAME.topic.\"PATTERN\"]";
        findings.refuse(problem.at(field.key_span.clone(), format!("this is {}", field.node.kind())).help(help));
        return Vec::new();
    }
    let title = format!("{}.topic.\"PATTERN\"]", service.title.trim_end_matches(']'));
    let Ok(section) = Section::open_map(field, title, findings) else { return Vec::new() };
    section.fields().filter_map(|field| one_override(service, field, backends, layer, findings).ok()).collect()
}

fn one_override(
    service: &Section<'_>,
    field: Field<'_>,
    backends: &[&str],
    layer: &Layer,
    findings: &mut Findings,
) -> Result<(PlacedPattern, Layer), Broken> {
    let title = format!("{}.topic.{}]", service.title.trim_end_matches(']'), written_key(field.key));
    let section = Section::open(field, title, keys::TOPIC, findings)?;
    if field.key.is_empty() {
        let problem = Problem::error(code::BAD_PATTERN, "an empty pattern matches nothing");
        return Err(findings.refuse(problem.at(field.key_span.clone(), "")));
    }
    let pattern = pattern::from_text(field.key);
    if names::flaw(field.key).is_some() {
        // That has been reported with the other names of the section.
        return Err(Broken);
    }
    if let Some(flaw) = topic_names::flaw(field.key, &pattern) {
        let problem = flaw.problem(field.key, field.key_span, findings);
        return Err(findings.refuse(problem));
    }
    let placed = PlacedPattern { pattern, span: field.key_span.clone(), shown: Some(field.key.to_owned()) };
    Ok((placed, settings::read(&section, backends, findings).over(layer)))
}
