//! Backends and plugins against what uses them.

#![forbid(unsafe_code)]

use crate::config::draft::config::ConfigDraft;
use crate::config::model::{Backend, Measuring, QueueBytes, Trace};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// A backend's queue that could not take even one batch.
pub(super) fn queues_hold_a_batch(draft: &ConfigDraft, findings: &mut Findings) {
    let Ok(batch) = draft.batch else { return };
    for backend in draft.backends.iter().filter_map(|draft| draft.backend.as_ref().ok()) {
        // The other kind always has room for one.
        let QueueBytes::Fixed(queue_bytes) = backend.queue_bytes else { continue };
        if queue_bytes < batch.max_bytes {
            let message = format!(
                "backend `{}`: no full batch fits its queue: `queue_bytes` is {} and `batch.max_bytes` is {}",
                backend.name, queue_bytes, batch.max_bytes
            );
            findings.refuse(
                Problem::error(code::CONTRADICTION, message)
                    .at(backend.span.clone(), "")
                    .help("make the queue larger, or the batch smaller"),
            );
        }
    }
}

/// OTLP over HTTP at the port that is gRPC's everywhere, and the other way round.
pub(super) fn ports_fit(draft: &ConfigDraft, findings: &mut Findings) {
    for backend in draft.backends.iter().filter_map(|draft| draft.backend.as_ref().ok()) {
        let (port, speaks, other, own_port) = match backend.plugin.as_str() {
            "otlp" => ("4317", "OTLP over gRPC", "otlp_grpc", "4318"),
            "otlp_grpc" => ("4318", "OTLP over HTTP", "otlp", "4317"),
            _ => continue,
        };
        for key in ["endpoint", "traces_endpoint", "metrics_endpoint"] {
            let endpoint = backend.config.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
            let host = after_scheme.split('/').next().unwrap_or_default().trim_end();
            if host.rsplit_once(':').is_none_or(|(_, given)| given != port) {
                continue;
            }
            let pointer = format!("/{key}");
            // Without a file the protocol has a variable of its own, and what is doubtful there is said where it is read.
            let Some((_, span)) = backend.config_spans.iter().find(|(at, _)| *at == pointer) else { continue };
            let message = format!("`{key}` has port {port}, where {speaks} is spoken as a rule");
            let help = format!("write plugin = {other:?}, or the port of `{}`, {own_port} as a rule", backend.plugin);
            findings.mention(Problem::warning(code::PORT_OF_THE_OTHER, message).at(span.clone(), "").help(help));
        }
    }
}

/// Backends of one `export` that are the same in all: every span is sent twice. Two services may well have one each, for
/// queues of their own.
pub(super) fn twins(draft: &ConfigDraft, findings: &mut Findings) {
    let ready = |index: &usize| draft.backends.get(*index)?.backend.as_ref().ok();
    let mut pairs = Vec::new();
    for list in exports(draft) {
        for (place, index) in list.iter().enumerate() {
            let Some(backend) = ready(index) else { continue };
            let is_same = |other: &Backend| other.plugin == backend.plugin && other.config == backend.config;
            let earlier = list.iter().take(place).find(|other| *other != index && ready(other).is_some_and(is_same));
            if let Some(other) = earlier {
                pairs.push((*index.min(other), *index.max(other)));
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    for (first, second) in pairs.iter().filter_map(|(first, second)| Some((ready(first)?, ready(second)?))) {
        let message = format!("the backends `{}` and `{}` are the same", first.name, second.name);
        let help = "an `export` names both, and sends every span twice: name one of them there";
        let problem = Problem::warning(code::SAME_BACKEND_TWICE, message).at(second.span.clone(), "");
        findings.mention(problem.also(first.span.clone(), "first here").help(help));
    }
}

/// Services whose spans go nowhere.
pub(super) fn services_have_backends(draft: &ConfigDraft, findings: &mut Findings) {
    for service in &draft.services {
        let makes_spans =
            service.layer.trace == Some(Ok(Trace::Spans)) && service.layer.measure != Some(Ok(Measuring::Only));
        if let (true, Some(Ok([]))) = (makes_spans, service.layer.export.as_ref().map(|list| list.as_deref())) {
            let message = format!("service `{}` exports to no backend: its spans go nowhere", service.name);
            let help = "name one in `export`, or say trace = \"propagate\" if only context is to pass on";
            findings.mention(Problem::warning(code::NO_BACKEND, message).at(service.span.clone(), "").help(help));
        }
    }
}

/// Backends and plugins that nobody names.
pub(super) fn unused(draft: &ConfigDraft, findings: &mut Findings) {
    let mut is_used = vec![false; draft.backends.len()];
    for index in exports(draft).flatten() {
        if let Some(is_used) = is_used.get_mut(*index) {
            *is_used = true;
        }
    }
    for (backend, _) in draft.backends.iter().zip(is_used).filter(|(_, is_used)| !is_used) {
        let problem = Problem::warning(code::UNUSED_BACKEND, format!("no service exports to `{}`", backend.name));
        findings.mention(problem.at(backend.span.clone(), "").help("name it in an `export`, or take it out"));
    }
    let plugins: Vec<&str> =
        draft.backends.iter().filter_map(|draft| Some(draft.backend.as_ref().ok()?.plugin.as_str())).collect();
    let all_known = draft.backends.iter().all(|backend| backend.backend.is_ok());
    for entry in draft.plugins.entries.iter().filter(|entry| all_known && !plugins.contains(&entry.name.as_str())) {
        let problem = Problem::warning(code::UNUSED_PLUGIN, format!("no backend uses the plugin `{}`", entry.name));
        findings.mention(problem.at(entry.span.clone(), "").help("the name here is the one of `plugin = \"…\"`"));
    }
}

/// Plugins of two names in one file.
pub(super) fn shared_files(draft: &ConfigDraft, findings: &mut Findings) {
    let entries = &draft.plugins.entries;
    for (index, entry) in entries.iter().enumerate() {
        let earlier = entries.iter().take(index).find(|other| entry.file.is_some() && other.file == entry.file);
        if let Some(other) = earlier {
            let message = format!("the plugins `{}` and `{}` are the same file", other.name, entry.name);
            let help = "a plugin file has one name of its own; two backends may use the same plugin";
            findings.mention(
                Problem::warning(code::SHARED_PLUGIN_FILE, message)
                    .at(entry.span.clone(), "")
                    .also(other.span.clone(), "first here")
                    .help(help),
            );
        }
    }
}

/// Every `export` that could be read: of services, of their topics and of the defaults.
fn exports(draft: &ConfigDraft) -> impl Iterator<Item = &[usize]> {
    let layers = draft
        .services
        .iter()
        .flat_map(|service| std::iter::once(&service.layer).chain(service.overrides.iter().map(|(_, layer)| layer)));
    layers.chain(std::iter::once(&draft.defaults)).filter_map(|layer| layer.export.as_ref()?.as_deref().ok())
}
