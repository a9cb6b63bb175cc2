//! The keys of the ladder, as `[defaults]`, `[services.NAME]` and `[services.NAME.topic."PATTERN"]` have them.

#![forbid(unsafe_code)]

use super::code;
use super::field::Field;
use super::findings::{Broken, Findings};
use super::keys;
use super::layer::Layer;
use super::model::{Ambient, ParentDecision, Propagator, Relation, Sampler, Trace};
use super::naming;
use super::node::{Text, Value};
use super::pattern;
use super::report::Problem;
use super::section::Section;
use super::suggestion::{did_you_mean, listed};

/// What `section` says. Keys that it may not have are absent, so one reader serves all three.
pub(crate) fn read(section: &Section<'_>, backends: &[&str], findings: &mut Findings) -> Layer {
    let mut layer = Layer {
        trace: section.field("trace").map(|field| field.choice(TRACES, findings)),
        sampler: section.field("sampler").map(|field| sampler(field, findings)),
        parent: section.field("parent").map(|field| field.choice(PARENTS, findings)),
        relation: section.field("relation").map(|field| field.choice(RELATIONS, findings)),
        ambient: section.field("ambient").map(|field| field.choice(AMBIENTS, findings)),
        reinject: section.field("reinject").map(|field| field.boolean(findings)),
        export: section.field("export").map(|field| export(field, backends, findings)),
        exclude: section.field("exclude").map(|field| {
            let (patterns, whole) = pattern::read_list(field, pattern::Of::Topics, findings);
            whole.map(|()| patterns)
        }),
        ..Layer::default()
    };
    if let Some(field) = section.field("propagators") {
        match Section::open(field, "propagators = { inject, extract }".into(), keys::PROPAGATORS, findings) {
            Ok(inner) => {
                layer.inject = inner.field("inject").map(|field| propagators(field, findings));
                layer.extract = inner.field("extract").map(|field| propagators(field, findings));
            }
            Err(broken) => (layer.inject, layer.extract) = (Some(Err(broken)), Some(Err(broken))),
        }
    }
    if let Some(field) = section.field("resource") {
        layer.resource = resource(field, findings);
    }
    layer
}

fn sampler(field: Field<'_>, findings: &mut Findings) -> Result<Sampler, Broken> {
    match &field.node.value {
        Value::Text(Text::Written(text)) => match meant_sampler(text) {
            Some(meant) => {
                let message = format!("`sampler` cannot be {text:?}");
                let problem = Problem::error(code::UNKNOWN_VALUE, message).at(field.span(), format!("write {meant}"));
                Err(findings.refuse(problem.help(format!("a sampler is {SAMPLER_WANTS}"))))
            }
            None => field.choice(SAMPLERS, findings),
        },
        Value::Text(_) => field.choice(SAMPLERS, findings),
        Value::Table(_) => sampler_table(field, findings),
        Value::Float(_) | Value::Integer(_) => {
            let number = findings.source(&field.span()).unwrap_or_default().to_owned();
            let problem = Problem::error(code::WRONG_TYPE, format!("`sampler` takes {SAMPLER_WANTS}"));
            let shown = if number.parse::<f64>().is_ok_and(|value| value <= 1.0) { number } else { "0.25".into() };
            Err(findings.refuse(problem.at(field.span(), format!("write {{ ratio = {shown} }}"))))
        }
        _ => Err(field.wrong_type(SAMPLER_WANTS, findings)),
    }
}

/// What others call it: `sampler = "ratio"` names a sampler whose share is missing.
fn meant_sampler(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let names = SAMPLERS.iter().map(|(name, _)| *name);
    if !did_you_mean(text, names).is_empty() {
        // One of them, or a slip.
        return None;
    }
    if let Ok(share) = word.parse::<f64>() {
        return (0.0..=1.0).contains(&share).then(|| format!("{{ ratio = {share:?} }}"));
    }
    if let Some(percent) = word.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok()) {
        return Some(format!("{{ ratio = {:?} }}", percent / 100.0));
    }
    let name = word.strip_prefix("parentbased_").unwrap_or(&word);
    Some(match name {
        "ratio"
        | "traceidratio"
        | "traceidratiobased"
        | "trace_id_ratio"
        | "trace_id_ratio_based"
        | "probabilistic"
        | "probability" => "{ ratio = 0.25 }".into(),
        "rate_limit" | "ratelimit" | "rate_limiting" | "ratelimiting" => "{ rate_limit = 100 }".into(),
        "always_on" | "always" | "on" | "all" => "\"always_on\"".into(),
        "always_off" | "never" | "off" | "none" => "\"always_off\"".into(),
        _ => return None,
    })
}

fn sampler_table(field: Field<'_>, findings: &mut Findings) -> Result<Sampler, Broken> {
    let section = Section::open(field, "sampler = { … }".into(), keys::SAMPLER, findings)?;
    match (section.field("ratio"), section.field("rate_limit")) {
        (Some(ratio), None) => {
            let wants = "a share of new traces from 0.0 to 1.0";
            let percent = match &ratio.node.value {
                Value::Integer(value) => i32::try_from(*value).ok().map(f64::from),
                Value::Float(value) => Some(*value),
                _ => None,
            };
            if let Some(percent) = percent.filter(|percent| (2.0..=100.0).contains(percent)) {
                let problem = Problem::error(code::OUT_OF_RANGE, format!("`ratio` takes {wants}"));
                let label = format!("out of range; {percent} percent is {}", percent / 100.0);
                return Err(findings.refuse(problem.at(ratio.span(), label)));
            }
            ratio.number(wants, |value| (0.0..=1.0).contains(&value), findings).map(Sampler::Ratio)
        }
        (None, Some(limit)) => {
            let wants = "a number of new traces per second, above 0 and up to 1000000";
            limit.number(wants, |value| value > 0.0 && value <= 1e6, findings).map(Sampler::RateLimit)
        }
        (Some(ratio), Some(limit)) => Err(findings.refuse(
            Problem::error(code::CONTRADICTION, "a sampler is a ratio or a rate limit, not both")
                .at(ratio.key_span.clone(), "one")
                .also(limit.key_span.clone(), "the other"),
        )),
        // Unknown keys have been reported.
        (None, None) if !section.is_empty() => Err(Broken),
        (None, None) => Err(findings.refuse(
            Problem::error(code::MISSING_KEY, format!("this sampler says nothing; it is {SAMPLER_WANTS}"))
                .at(field.span(), ""),
        )),
    }
}

fn propagators(field: Field<'_>, findings: &mut Findings) -> Result<Vec<Propagator>, Broken> {
    let wants = format!("a list of {}", listed(PROPAGATORS.iter().map(|(name, _)| *name)));
    let mut formats = Vec::new();
    let mut none = None;
    for item in field.items(&wants, findings)? {
        match item.choice(PROPAGATORS, findings)? {
            None => none = Some(item),
            Some(format) if formats.contains(&format) => repeated(item, findings),
            Some(format) => formats.push(format),
        }
    }
    match none {
        Some(item) if !formats.is_empty() => Err(findings.refuse(
            Problem::error(code::CONTRADICTION, format!("`{}` says \"none\" and names formats too", field.key))
                .at(item.span(), "take this out, or the others"),
        )),
        _ => Ok(formats),
    }
}

fn export(field: Field<'_>, backends: &[&str], findings: &mut Findings) -> Result<Vec<usize>, Broken> {
    let mut indices = Vec::new();
    let mut outcome = Ok(());
    for item in field.items("a list of names of [backends]", findings)? {
        let Ok(name) = item.name("this name", "a name of [backends]", findings) else {
            outcome = Err(Broken);
            continue;
        };
        match backends.iter().position(|backend| *backend == name) {
            Some(index) if indices.contains(&index) => repeated(item, findings),
            Some(index) => indices.push(index),
            None => {
                let defined = listed(backends.iter().copied());
                let problem = Problem::error(code::UNKNOWN_BACKEND, format!("there is no backend {name:?}"))
                    .at(item.span(), did_you_mean(name, backends.iter().copied()))
                    .help(format!("defined: {defined}; or add [backends.{}]", super::section::written_key(name)));
                outcome = Err(item.unacceptable(problem, &format!("the name of a backend ({defined})"), findings));
            }
        }
    }
    outcome.map(|()| indices)
}

fn resource(field: Field<'_>, findings: &mut Findings) -> Vec<(String, Result<String, Broken>)> {
    let Ok(section) = Section::open_map(field, "resource = { \"NAME\" = \"VALUE\" }".into(), findings) else {
        return Vec::new();
    };
    section.fields().map(|entry| (entry.key.to_owned(), attribute(entry, findings))).collect()
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
    naming::mention_hidden(text, entry.node, findings);
    Ok(text.to_owned())
}

fn repeated(item: Field<'_>, findings: &mut Findings) {
    let problem = Problem::warning(code::REPEATED_ENTRY, format!("`{}` lists this twice", item.key));
    findings.mention(problem.at(item.span(), "again"));
}

const TRACES: &[(&str, Trace)] = &[("spans", Trace::Spans), ("propagate", Trace::Propagate), ("off", Trace::Off)];
const PARENTS: &[(&str, ParentDecision)] = &[("respect", ParentDecision::Respect), ("ignore", ParentDecision::Ignore)];
const RELATIONS: &[(&str, Relation)] = &[("parent", Relation::Parent), ("link", Relation::Link)];
const AMBIENTS: &[(&str, Ambient)] = &[("thread", Ambient::Thread), ("off", Ambient::Off)];
const SAMPLERS: &[(&str, Sampler)] = &[("always_on", Sampler::AlwaysOn), ("always_off", Sampler::AlwaysOff)];
const SAMPLER_WANTS: &str = "\"always_on\", \"always_off\", { ratio = 0.25 } or { rate_limit = 100 }";

/// The names of the formats, here and in `OTEL_PROPAGATORS`.
pub(crate) const PROPAGATORS: &[(&str, Option<Propagator>)] = &[
    ("tracecontext", Some(Propagator::TraceContext)),
    ("baggage", Some(Propagator::Baggage)),
    ("b3", Some(Propagator::B3)),
    ("b3multi", Some(Propagator::B3Multi)),
    ("jaeger", Some(Propagator::Jaeger)),
    ("none", None),
];
