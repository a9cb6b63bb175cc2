//! The services of the file.

#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::draft_builder::DraftBuilder;
use super::jaeger_variables::JaegerVariables;
use super::object::Object;
use super::reporter::Reporter;
use super::sampler;
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::defaults::Defaults;
use crate::config::model::{Pattern, Sampler};
use crate::config::reading::field::Field;
use crate::config::reading::names;
use crate::config::reading::pattern::{self, PlacedPattern};
use crate::config::reading::topic_names;
use crate::config::reading::variable_reader::VariableReader;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::{Problem, Severity};
use crate::config::source::variables::Variables;
use crate::config::text::json_parser;
use crate::config::text::node::Node;

/// Reads the file; `None` when it is not even an object with services.
pub(crate) fn read(
    text: &str,
    variables: &Variables,
    defaults: Defaults,
    findings: &mut Findings,
) -> Option<ConfigDraft> {
    let root = json_parser::parse(text, findings)?;
    let root = Object::open(&root, "the file", &["services"], findings).ok()?;
    let Some(services) = root.field("services") else {
        let problem = Problem::error(code::MISSING_KEY, "the file has no `services`");
        findings.refuse(problem.at(root.node.span.start..root.node.span.start + 1, "").help(FORM));
        return None;
    };
    let note = Problem::note(code::OLD_FORMAT, "this is the JSON format of 2019; it is read, and stays as it is");
    let help = "TOML can do more: topics by pattern and by side, several backends, references; \
                see default-config.toml";
    findings.mention(note.at(services.key_span.clone(), "").help(help));
    let environment = JaegerVariables::read(&mut VariableReader { variables, findings });
    let mut builder = DraftBuilder::new(environment, defaults)?;
    for item in services.items("an array of services", findings).ok()? {
        // What is wrong is reported; the other services are read for their problems.
        let _ = service(&mut builder, item.node, findings);
    }
    Some(builder.finish(findings))
}

fn service(builder: &mut DraftBuilder, node: &Node, findings: &mut Findings) -> Result<(), Broken> {
    let known = ["service", "config", "traceConfig", "topics"];
    let object = Object::open(node, "a service", &known, findings)?;
    let name = name(object, findings);
    let topics = topics(object, findings);
    let (sampler, reporter) = config(object, findings)?;
    let (name, topics) = (name?, topics?);
    let layer = builder.layer(sampler, &reporter, &name.1.span());
    builder.add(name, topics, layer, findings);
    Ok(())
}

fn name<'n>(object: Object<'n>, findings: &mut Findings) -> Result<(&'n str, Field<'n>), Broken> {
    let Some(field) = object.field("service") else {
        let problem = Problem::error(code::MISSING_KEY, "this service has no name: `service` is missing");
        let start = object.node.span.start;
        return Err(findings.refuse(problem.at(start..start + 1, "").help(FORM)));
    };
    let name = field.text("a name", findings)?;
    if name.trim().is_empty() {
        let problem = Problem::error(code::OUT_OF_RANGE, "a service needs a name").at(field.span(), "this is empty");
        return Err(findings.refuse(problem));
    }
    if let Some(flaw) = names::flaw(name) {
        let problem = flaw.problem("the name of this service", name, &field.span(), findings);
        findings.mention(Problem { severity: Severity::Warning, ..problem });
    }
    Ok((name, field))
}

/// Exact names, whatever characters they have: this format knows no patterns.
fn topics(object: Object<'_>, findings: &mut Findings) -> Result<Vec<PlacedPattern>, Broken> {
    let Some(field) = object.field("topics") else { return Ok(Vec::new()) };
    let mut topics: Vec<PlacedPattern> = Vec::new();
    let mut seen = HashSet::new();
    let mut outcome = Ok(());
    for item in field.items("an array of names of topics", findings)? {
        match item.text("names of topics", findings) {
            Ok("") => {
                let problem = Problem::error(code::BAD_PATTERN, "a topic needs a name").at(item.span(), "");
                outcome = Err(findings.refuse(problem));
            }
            Ok(name) => {
                if seen.insert(name) {
                    let pattern = Pattern::Exact(name.into());
                    mention_flaws(name, &pattern, item, findings);
                    topics.push(PlacedPattern { pattern, span: item.span(), shown: Some(name.into()) });
                } else {
                    let problem = Problem::warning(code::REPEATED_ENTRY, "`topics` lists this twice");
                    findings.mention(problem.at(item.span(), "again"));
                }
            }
            Err(broken) => outcome = Err(broken),
        }
    }
    outcome.map(|()| topics)
}

/// What Kafka cannot have was let pass by the first reader, and never matched: it is told, and harms nothing else.
fn mention_flaws(name: &str, pattern: &Pattern, item: Field<'_>, findings: &mut Findings) {
    let problem = match names::flaw(name) {
        Some(flaw) => Some(flaw.problem("this name", name, &item.span(), findings)),
        None => topic_names::flaw(name, pattern).map(|flaw| {
            let problem = flaw.problem(name, &item.span(), findings);
            match pattern::from_text(name) {
                Pattern::Glob(_) => {
                    problem.help("this format knows no patterns, only whole names; the TOML format does")
                }
                _ => problem,
            }
        }),
    };
    if let Some(problem) = problem {
        findings.mention(Problem { severity: Severity::Warning, ..problem });
    }
}

/// `config`, or `traceConfig`, its earliest form.
fn config(object: Object<'_>, findings: &mut Findings) -> Result<(Option<Sampler>, Reporter), Broken> {
    if let Some(earliest) =
        object.object("traceConfig", "`traceConfig`", &["samplerType", "samplerParam", "logSpans"], findings)?
    {
        let sampler = sampler::read(earliest, "samplerType", "samplerParam", findings)?;
        let log_spans = earliest.field("logSpans").map(|field| field.boolean(findings)).transpose()?;
        return Ok((Some(sampler), Reporter { log_spans, ..Reporter::default() }));
    }
    let Some(config) = object.object("config", "`config`", &["sampler", "reporter"], findings)? else {
        return Ok((None, Reporter::default()));
    };
    let sampler = config.object("sampler", "`sampler`", &["type", "param", "managerHostPort"], findings);
    let sampler =
        sampler.and_then(|object| object.map(|object| sampler::read(object, "type", "param", findings)).transpose());
    let reporter = config.object("reporter", "`reporter`", Reporter::KEYS, findings);
    let reporter = reporter.and_then(|object| object.map(|object| Reporter::read(object, findings)).transpose());
    Ok((sampler?, reporter?.unwrap_or_default()))
}

const FORM: &str = "{ \"services\": [ { \"service\": \"NAME\", \"config\": { … }, \"topics\": [ \"TOPIC\" ] } ] }";
