//! From variables to one service, or to nothing.

#![forbid(unsafe_code)]

use super::exporters;
use super::names::SWITCHES_ON;
use super::read::{Reader, percent_decoded};
use super::settings;
use crate::config::build;
use crate::config::code;
use crate::config::defaults::{self, Base};
use crate::config::draft::{BackendDraft, Draft, ServiceDraft};
use crate::config::findings::Findings;
use crate::config::legacy;
use crate::config::load::Loaded;
use crate::config::model::{Batch, Origin, Plugins, Trace};
use crate::config::naming;
use crate::config::report::Problem;
use crate::config::variables::{Variable, Variables};

/// The one service that the variables describe; none when nothing says that there is to be tracing.
pub(crate) fn resolve(variables: &Variables) -> Loaded {
    let mut findings = Findings::new("environment", "");
    let config = match off(variables) {
        Some(note) => {
            findings.mention(note);
            None
        }
        None => defaults::base(&mut findings).ok().and_then(|base| {
            let draft = if is_any_set(SWITCHES_ON, variables) {
                Some(draft(&base, &mut Reader { variables, findings: &mut findings }))
            } else {
                legacy::from_variables(base, variables, &mut findings)
            };
            build::config(draft?, Origin::Environment, &mut findings)
        }),
    };
    let (report, untrusted) = findings.into_parts();
    Loaded { config, report, untrusted }
}

/// Why there is no tracing, if there is none.
fn off(variables: &Variables) -> Option<Problem> {
    let is = |name, words: &[&str]| match variables.text(name) {
        Variable::Text(text) => words.iter().any(|word| text.trim().eq_ignore_ascii_case(word)),
        Variable::Unset | Variable::NotText => false,
    };
    for (name, words) in [("OTEL_SDK_DISABLED", &["true"][..]), ("TRACERRESOLVER_DISABLED", &["true", "1"][..])] {
        if is(name, words) {
            return Some(Problem::note(code::SWITCHED_OFF_BY_VARIABLE, format!("tracing is off: {name} says so")));
        }
    }
    if is_any_set(SWITCHES_ON, variables) || is_any_set(&["JAEGER_SERVICE_NAME"], variables) {
        return None;
    }
    let help = "point INTERCEPTORS_CONFIG_FILE at a file, or set OTEL_SERVICE_NAME or another OTEL_* variable";
    Some(Problem::note(code::NOTHING_CONFIGURED, "tracing is off: nothing configures it").help(help))
}

fn is_any_set(names: &[&str], variables: &Variables) -> bool {
    names.iter().any(|name| variables.text(name) != Variable::Unset)
}

fn draft(base: &Base, reader: &mut Reader<'_>) -> Draft {
    let host = base.host.in_effect();
    let backends = exporters::read(host, reader);
    let mut layer = settings::read(reader);
    if backends.is_empty() {
        // OTEL_TRACES_EXPORTER=none: spans would go nowhere, the context still has to pass on.
        layer.trace = Some(Ok(Trace::Propagate));
    }
    layer.export = Some(Ok((0..backends.len()).collect()));
    let (name, resource) = identity(reader);
    layer.resource = resource.into_iter().map(|(key, value)| (key, Ok(value))).collect();
    let layer = layer.over(&base.layer);
    let batch = base.batch.settings(&base.batch).map(|batch| with_delay(batch, reader));
    let named =
        |backend: crate::config::Backend| BackendDraft { name: backend.name.clone(), span: 0..0, backend: Ok(backend) };
    Draft {
        defaults: layer.clone(),
        services: vec![ServiceDraft::without_rules(name, 0..0, layer)],
        default_service: Some(0),
        backends: backends.into_iter().map(named).collect(),
        plugins: Plugins::default(),
        broken_plugins: Vec::new(),
        batch,
    }
}

/// `OTEL_SERVICE_NAME` wins over `service.name` of `OTEL_RESOURCE_ATTRIBUTES`.
fn identity(reader: &mut Reader<'_>) -> (String, Vec<(String, String)>) {
    let variable = "OTEL_RESOURCE_ATTRIBUTES";
    let text = reader.text(variable).unwrap_or_default();
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut name = None;
    for (key, value) in reader.pairs(variable, &text) {
        let Some(value) = percent_decoded(&value) else {
            reader
                .warn(variable, &format!("has an attribute {key:?} that is not percent-encoded text; it is left out"));
            continue;
        };
        if key == "service.name" {
            name = Some(value);
        } else {
            attributes.retain(|(other, _)| *other != key);
            attributes.push((key, value));
        }
    }
    let name = reader.text("OTEL_SERVICE_NAME").or(name.filter(|name| !name.is_empty()));
    if let Some(flaw) = name.as_deref().and_then(naming::flaw) {
        reader.warn("the name of the service", &format!("has {}", flaw.what()));
    }
    (name.unwrap_or_else(|| "unknown_service".into()), attributes)
}

fn with_delay(batch: Batch, reader: &mut Reader<'_>) -> Batch {
    let wants = "a number of milliseconds from 1 to 3600000";
    let delay = reader.number("OTEL_BSP_SCHEDULE_DELAY", wants, |ms: &u64| (1..=3_600_000).contains(ms));
    Batch { delay: delay.map_or(batch.delay, std::time::Duration::from_millis), ..batch }
}
