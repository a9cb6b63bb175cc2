//! From a draft to the configuration that everyone works from.
//!
//! What a broken reference touches is switched off in its place, not taken out: a service that vanished would leave
//! its messages to a less specific one, and they would be traced under a wrong name.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::whole;
use crate::config::draft::backend::BackendDraft;
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::layer::{Layer, said, untouched};
use crate::config::draft::service::ServiceDraft;
use crate::config::model::{Backend, Config, Metrics, Origin, Pattern, Service, Settings, Untrusted};
use crate::config::reading::pattern::PlacedPattern;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;

/// The configuration, or, when the findings say that nothing of it can be trusted, what is left to check of it.
pub(crate) fn config(draft: ConfigDraft, origin: Origin, findings: &mut Findings) -> Result<Config, Option<Untrusted>> {
    whole::check(&draft, findings);
    let Ok(batch) = draft.batch else {
        // A broken value here concerns every span.
        findings.distrust();
        return Err(None);
    };
    if findings.is_distrusted() {
        let backends = draft.backends.into_iter().filter_map(|draft| draft.backend.ok()).collect();
        return Err(Some(Untrusted { backends, plugins: draft.plugins }));
    }
    let metrics = draft.metrics.unwrap_or_else(|Broken| {
        let message = "metrics are off";
        findings.mention(Problem::warning(code::SWITCHED_OFF, message).help(WHY).follows());
        Metrics::default()
    });
    let (backends, survivors) = backends(draft.backends, &draft.broken_plugins, findings);
    let export = metrics.export.as_ref().map(|export| surviving(export, &survivors));
    let metrics = Metrics { export, ..metrics };
    let services: Vec<Service> =
        draft.services.into_iter().map(|service| self::service(service, &survivors, findings)).collect();
    let defaults = settings(&draft.defaults, &survivors).unwrap_or_else(|Broken| {
        // Where a service of the file is off for the same reason, that says it already.
        if services.iter().all(|service| service.settings != untouched()) {
            let message = "services that are not in this file, but only in the program's code, are not traced";
            findings.mention(Problem::warning(code::SWITCHED_OFF, message).help(WHY).follows());
        }
        untouched()
    });
    let config = Config {
        origin,
        services,
        default_service: draft.default_service,
        defaults,
        backends,
        plugins: draft.plugins,
        batch,
        metrics,
        reload: draft.reload,
    };
    let leave = &config.metrics;
    if !config.measures()
        && (leave.prometheus.is_some()
            || leave.textfile.is_some()
            || leave.export.as_ref().is_some_and(|to| !to.is_empty()))
    {
        let message = "[metrics] says where metrics are to go, and nothing is measured";
        findings.mention(
            Problem::warning(code::NOTHING_MEASURED, message)
                .help("add `self = \"on\"` there, or `measure = \"on\"` to [defaults] or a service"),
        );
    }
    Ok(config)
}

/// The backends that can be had, and for each declared one its place among them.
fn backends(
    drafts: Vec<BackendDraft>,
    broken_plugins: &[String],
    findings: &mut Findings,
) -> (Vec<Backend>, Vec<Option<usize>>) {
    let mut backends: Vec<Backend> = Vec::with_capacity(drafts.len());
    let mut survivors = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match draft.backend {
            Ok(backend) if !broken_plugins.contains(&backend.plugin) => {
                survivors.push(Some(backends.len()));
                backends.push(backend);
            }
            _ => {
                survivors.push(None);
                let message = format!("backend `{}` is off", draft.name);
                findings.mention(Problem::warning(code::SWITCHED_OFF, message).at(draft.span, "").help(WHY).follows());
            }
        }
    }
    (backends, survivors)
}

fn service(draft: ServiceDraft, survivors: &[Option<usize>], findings: &mut Findings) -> Service {
    let parts = draft.rules.and(draft.constraints).and_then(|()| {
        Ok((settings(&draft.layer, survivors)?, draft.layer.resource()?, said(draft.layer.exclude.clone())?))
    });
    let is_off = parts.is_err();
    let (settings, resource, exclude) = parts.unwrap_or_else(|Broken| {
        let message = format!("service `{}` is off: its messages pass untouched", draft.name);
        findings.mention(Problem::warning(code::SWITCHED_OFF, message).at(draft.span.clone(), "").help(WHY).follows());
        (untouched(), Vec::new(), Arc::default())
    });
    let topic_settings = if is_off { Vec::new() } else { overrides(draft.overrides, survivors, findings) };
    // With a constraint lost, its rules would claim messages that were never meant for it.
    let rules = |list: Vec<PlacedPattern>| if draft.constraints.is_ok() { patterns(list) } else { Vec::new() };
    let (client_ids, group_ids) = (rules(draft.client_ids), rules(draft.group_ids));
    Service {
        produces: rules(draft.produces),
        consumes: rules(draft.consumes),
        topics: rules(draft.topics),
        client_ids,
        group_ids,
        name: draft.name,
        span: draft.span,
        exclude: exclude.iter().map(|placed| placed.pattern.clone()).collect(),
        settings,
        topic_settings,
        resource,
    }
}

fn overrides(
    drafts: Vec<(PlacedPattern, Layer)>,
    survivors: &[Option<usize>],
    findings: &mut Findings,
) -> Vec<(Pattern, Settings)> {
    drafts
        .into_iter()
        .map(|(placed, layer)| {
            let settings = settings(&layer, survivors).unwrap_or_else(|Broken| {
                let problem = Problem::warning(code::SWITCHED_OFF, "these topics are off: messages pass untouched");
                findings.mention(problem.at(placed.span.clone(), "").help(WHY).follows());
                untouched()
            });
            (placed.pattern, settings)
        })
        .collect()
}

/// The settings in effect; broken too when every backend that was asked for is off.
fn settings(layer: &Layer, survivors: &[Option<usize>]) -> Result<Settings, Broken> {
    let mut settings = layer.settings()?;
    let asked = settings.export.len();
    settings.export = surviving(&settings.export, survivors);
    if asked > 0 && settings.export.is_empty() { Err(Broken) } else { Ok(settings) }
}

/// Those of the declared backends that can be had, by their places.
fn surviving(declared: &Arc<[usize]>, survivors: &[Option<usize>]) -> Arc<[usize]> {
    let place = |index: &usize| survivors.get(*index).copied().flatten();
    if declared.iter().all(|index| place(index) == Some(*index)) {
        return declared.clone();
    }
    declared.iter().filter_map(place).collect()
}

fn patterns(list: Vec<PlacedPattern>) -> Vec<Pattern> {
    list.into_iter().map(|placed| placed.pattern).collect()
}

const WHY: &str = "it uses a reference that could not be resolved: see the errors above";
