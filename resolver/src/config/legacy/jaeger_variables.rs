//! The `JAEGER_*` variables, which say what the file does not.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::sampler::{KINDS, Kind};
use super::sender::Sender;
use crate::config::model::{Propagator, Sampler};
use crate::config::reading::variable_reader::VariableReader;
use crate::config::report::code;
use crate::config::report::problem::Problem;

/// What the variables say; a bad value is a warning and counts as unset.
pub(super) struct JaegerVariables {
    pub(super) sampler: Option<Sampler>,
    pub(super) log_spans: bool,
    pub(super) flush_interval: Option<Duration>,
    pub(super) sender: Sender,
    pub(super) inject: Vec<Propagator>,
    pub(super) extract: Vec<Propagator>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) allows_ksql_topics: bool,
}

impl JaegerVariables {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> Self {
        let (inject, extract) = propagation(reader);
        let interval = reader.milliseconds("JAEGER_REPORTER_FLUSH_INTERVAL");
        Self {
            sampler: sampler(reader),
            log_spans: reader.is_true("JAEGER_REPORTER_LOG_SPANS"),
            flush_interval: interval.map(Duration::from_millis),
            sender: Sender {
                agent_host: reader.text("JAEGER_AGENT_HOST"),
                agent_port: reader.number("JAEGER_AGENT_PORT", "a port number", |_| true).filter(|port| *port > 0),
                endpoint: reader.text("JAEGER_ENDPOINT"),
                token: reader.text("JAEGER_AUTH_TOKEN"),
                user: reader.text("JAEGER_USER"),
                password: reader.text("JAEGER_PASSWORD"),
            },
            inject,
            extract,
            tags: tags(reader),
            allows_ksql_topics: reader.is_true("ALLOW_KSQL_INTERNAL_TOPICS"),
        }
    }
}

fn sampler(reader: &mut VariableReader<'_>) -> Option<Sampler> {
    let word = reader.text("JAEGER_SAMPLER_TYPE")?;
    let kind = reader.choice("JAEGER_SAMPLER_TYPE", &word, KINDS)?;
    let param = reader.number("JAEGER_SAMPLER_PARAM", "a number", |param: &f64| param.is_finite());
    if kind == Kind::Remote {
        let message = "JAEGER_SAMPLER_TYPE is remote, but no sampler is fetched from a server here: \
                       every trace is kept";
        reader.findings.mention(Problem::warning(code::OLD_REMOTE_SAMPLER, message));
    }
    match kind.sampler(param.unwrap_or_else(|| kind.param_by_default())) {
        Ok(sampler) => Some(sampler),
        Err(wants) => {
            reader.warn("JAEGER_SAMPLER_PARAM", &format!("is not {wants}"));
            None
        }
    }
}

/// The original did not trim, so that `jaeger, b3` lost its second half.
fn propagation(reader: &mut VariableReader<'_>) -> (Vec<Propagator>, Vec<Propagator>) {
    let text = reader.text("JAEGER_PROPAGATION").unwrap_or_else(|| "jaeger".into());
    let mut formats: Vec<(Propagator, Propagator)> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match reader.choice("JAEGER_PROPAGATION", word, PROPAGATION) {
            Some(format) if !formats.contains(&format) => formats.push(format),
            _ => {}
        }
    }
    if formats.is_empty() {
        formats.push((Propagator::Jaeger, Propagator::Jaeger));
    }
    formats.into_iter().unzip()
}

/// `name = value,…`, where a value may be `${VARIABLE:default}`.
fn tags(reader: &mut VariableReader<'_>) -> Vec<(String, String)> {
    let variable = "JAEGER_TAGS";
    let Some(text) = reader.text(variable) else { return Vec::new() };
    let mut tags = Vec::new();
    for (name, value) in reader.pairs(variable, &text) {
        let Some(inside) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            tags.push((name, value));
            continue;
        };
        let (source, default) = inside.split_once(':').map_or((inside, None), |(name, default)| (name, Some(default)));
        match reader.text(source.trim()).or(default.map(str::to_owned)) {
            Some(value) => tags.push((name, value)),
            // The original sent the text "null".
            None => reader.warn(variable, &format!("takes {name:?} from {source}, which is not set; it is left out")),
        }
    }
    tags.retain(|(name, _)| name != "service.name");
    tags
}

/// Written and read. Java's `b3` wrote the many-header form only; here both forms are read.
const PROPAGATION: &[(&str, (Propagator, Propagator))] = &[
    ("jaeger", (Propagator::Jaeger, Propagator::Jaeger)),
    ("b3", (Propagator::B3Multi, Propagator::B3)),
    ("w3c", (Propagator::TraceContext, Propagator::TraceContext)),
];
