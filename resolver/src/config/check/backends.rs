//! Backends and plugins against what uses them.

#![forbid(unsafe_code)]

use crate::config::draft::config::ConfigDraft;
use crate::config::model::{Measuring, Trace};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// A backend's queue that could not take even one batch.
pub(super) fn queues_hold_a_batch(draft: &ConfigDraft, findings: &mut Findings) {
    let Ok(batch) = draft.batch else { return };
    for backend in draft.backends.iter().filter_map(|draft| draft.backend.as_ref().ok()) {
        if backend.queue_bytes < batch.max_bytes {
            let message = format!(
                "backend `{}`: no full batch fits its queue: `queue_bytes` is {} and `batch.max_bytes` is {}",
                backend.name, backend.queue_bytes, batch.max_bytes
            );
            findings.refuse(
                Problem::error(code::CONTRADICTION, message)
                    .at(backend.span.clone(), "")
                    .help("make the queue larger, or the batch smaller"),
            );
        }
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
    let layers = draft
        .services
        .iter()
        .flat_map(|service| std::iter::once(&service.layer).chain(service.overrides.iter().map(|(_, layer)| layer)));
    let mut is_used = vec![false; draft.backends.len()];
    for index in layers
        .chain(std::iter::once(&draft.defaults))
        .filter_map(|layer| layer.export.as_ref()?.as_ref().ok())
        .flatten()
    {
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
