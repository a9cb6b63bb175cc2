//! `[[test]]`: what the file itself says that it is to mean. Whoever traces passes it over; the command `check` asks.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::keys;
use super::sampler;
use super::section::Section;
use super::settings::{self, TRACES};
use crate::config::model::{Sampler, Trace};
use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed};
use crate::config::text::node::Value;
use crate::config::text::toml_parser;

/// One `[[test]]`: a message, and what is to become of it. What is `None` is not asked.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The topic, and where it is named.
    pub topic: Placed<String>,
    /// `None`: whichever side, it is to come out the same.
    pub side: Option<ExpectedSide>,
    /// The client's `client.id`; librdkafka's own default if the test names none.
    pub client_id: Option<String>,
    /// The consumer's `group.id`.
    pub group_id: Option<String>,
    /// The service that it is to belong to, by name; `None` within: to none.
    pub service: Option<Placed<Option<String>>>,
    /// Whether it is to have a span.
    pub trace: Option<Placed<Trace>>,
    /// The sampler in effect.
    pub sampler: Option<Placed<Sampler>>,
    /// The names of the backends that its span goes to, in any order.
    pub export: Option<Placed<Vec<String>>>,
}

/// A value, and the bytes of the file that say it.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// What is said.
    pub value: T,
    /// Where.
    pub span: Range<usize>,
}

/// `side = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedSide {
    /// A producer sends it.
    Produce,
    /// A consumer receives it.
    Consume,
}

/// The `[[test]]` blocks of a TOML file, and what is wrong with them themselves. `services` and `backends` are the names
/// that the file defines.
pub fn expectations(text: &str, services: &[&str], backends: &[&str]) -> (Vec<Expectation>, Vec<Problem>) {
    let names = Names { services, backends };
    let mut findings = Findings::new("", text);
    // What is no TOML was refused when the file was read.
    let table = toml_parser::parse(text, &mut Findings::new("", text));
    let tests = table.as_ref().and_then(|table| table.entry("test")).map(Field::of);
    let read = tests.map_or_else(Vec::new, |field| all(field, &names, &mut findings));
    (read, findings.into_report().problems)
}

/// What the file defines.
struct Names<'a> {
    services: &'a [&'a str],
    backends: &'a [&'a str],
}

fn all(field: Field<'_>, names: &Names<'_>, findings: &mut Findings) -> Vec<Expectation> {
    if let Value::Table(_) = field.node.value {
        let problem = Problem::error(code::WRONG_TYPE, "`test` holds an array of tables, one for each test");
        findings.refuse(problem.at(field.key_span.clone(), "write [[test]], with double brackets"));
        return Vec::new();
    }
    let Ok(items) = field.items("an array of tables: [[test]]", findings) else { return Vec::new() };
    // Each is read for its problems, whatever the others have.
    items.into_iter().filter_map(|item| one(item, names, findings).ok()).collect()
}

fn one(item: Field<'_>, names: &Names<'_>, findings: &mut Findings) -> Result<Expectation, Broken> {
    let section = Section::open(item, "[[test]]".into(), keys::TEST, findings)?;
    let name = |key: &str, wants: &str, findings: &mut Findings| -> Result<Option<Placed<String>>, Broken> {
        let Some(field) = section.field(key) else { return Ok(None) };
        let value = field.name("this name", wants, findings)?.to_owned();
        Ok(Some(Placed { value, span: field.span() }))
    };
    let topic = name("topic", "the name of a topic", findings);
    let side = section.field("side").map(|field| field.choice(SIDES, findings)).transpose();
    let client_id = name("client_id", "a client id", findings);
    let group_id = name("group_id", "the name of a group", findings);
    let service = name("service", "the name of a service, or \"none\"", findings);
    let service = service.and_then(|named| named.map(|named| expected_service(named, names, findings)).transpose());
    let placed = |field: Field<'_>| field.span();
    let trace = section.field("trace");
    let trace =
        trace.map(|field| Ok(Placed { value: field.choice(TRACES, findings)?, span: placed(field) })).transpose();
    let sampler = section.field("sampler");
    let sampler =
        sampler.map(|field| Ok(Placed { value: sampler::read(field, findings)?, span: placed(field) })).transpose();
    let export = section.field("export").map(|field| {
        let indices = settings::export(field, names.backends, findings)?;
        let names = indices.iter().filter_map(|index| names.backends.get(*index).map(|name| (*name).to_owned()));
        Ok(Placed { value: names.collect(), span: placed(field) })
    });
    let export = export.transpose();
    let test = Expectation {
        topic: topic?.ok_or_else(|| {
            let problem = Problem::error(code::MISSING_KEY, "this test does not say its `topic`");
            findings.refuse(problem.at(item.span(), ""))
        })?,
        side: side?,
        client_id: client_id?.map(|placed| placed.value),
        group_id: group_id?.map(|placed| placed.value),
        service: service?,
        trace: trace?,
        sampler: sampler?,
        export: export?,
    };
    test.expecting_something(&section, findings)
}

impl Expectation {
    /// A test that asks nothing passes whatever the file means, and a producer has no group.
    fn expecting_something(self, section: &Section<'_>, findings: &mut Findings) -> Result<Self, Broken> {
        if self.service.is_none() && self.trace.is_none() && self.sampler.is_none() && self.export.is_none() {
            let problem = Problem::error(code::MISSING_KEY, "this test expects nothing");
            let help = "say what is to become of the message: service, trace, sampler or export";
            return Err(findings.refuse(problem.at(self.topic.span.clone(), "").help(help)));
        }
        match (section.field("group_id"), self.side) {
            (Some(group), Some(ExpectedSide::Produce)) => {
                let problem = Problem::error(code::CONTRADICTION, "a producer has no group");
                Err(findings.refuse(problem.at(group.key_span.clone(), "take this out, or write side = \"consume\"")))
            }
            _ => Ok(self),
        }
    }
}

/// A name that the file does not define is a mistake of the test.
fn expected_service(
    named: Placed<String>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Result<Placed<Option<String>>, Broken> {
    let names = names.services;
    let Placed { value, span } = named;
    if names.contains(&value.as_str()) {
        return Ok(Placed { value: Some(value), span });
    }
    if value == "none" {
        return Ok(Placed { value: None, span });
    }
    let problem = Problem::error(code::UNKNOWN_SERVICE, format!("there is no service {value:?}"));
    let help = format!("defined: {}; for a message that is to belong to no service write \"none\"", listed(names));
    Err(findings.refuse(problem.at(span, did_you_mean(&value, names)).help(help)))
}

const SIDES: &[(&str, ExpectedSide)] = &[("produce", ExpectedSide::Produce), ("consume", ExpectedSide::Consume)];
