//! How a process is, as one JSON text: what the status file holds, and what the C API gives.
//!
//! `docs/status.md` describes it. Fields are only ever added.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::misspelt::Meant;
use super::stats::{BackendStats, ServiceStats, Stats, TopicStats};
use super::status_file::{BEGINNING, INTERVAL};
use crate::config::{Config, Origin, Outline, Report, Severity};
use crate::per_process;

/// What is known once for all of a resolver's rules: what they were made of.
pub(crate) struct About {
    report: Arc<Report>,
    /// `None`: tracing is off.
    origin: Option<Origin>,
    sha256: Option<String>,
}

/// Problems of a configuration that are listed.
const MOST_PROBLEMS: usize = 50;

impl About {
    pub(crate) fn new(report: Arc<Report>, origin: Option<Origin>) -> Self {
        let is_text = !report.text.is_empty();
        let sha256 = is_text.then(|| hex::encode(Sha256::digest(report.text.as_bytes())));
        Self { report, origin, sha256 }
    }

    /// What it was made of.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Where the rule stands that a misspelt topic was meant for: `tracing.toml:7`.
    pub(crate) fn place_of(&self, config: &Config, meant: &Meant<'_>) -> Option<String> {
        let Report { name, text, .. } = &*self.report;
        let service = config.services.get(meant.service)?;
        let outline = Outline::of(text);
        let span = outline.rule(&config.origin, &service.name, meant.list.key(), Some(meant.pattern), meant.index)?;
        Some(format!("{name}:{}", text.get(..span.start)?.matches('\n').count() + 1))
    }

    fn configuration(&self) -> Value {
        let (from, file) = match &self.origin {
            Some(Origin::File(path)) => ("file", Some(path.display().to_string())),
            Some(Origin::Once(path)) => ("pipe", Some(path.display().to_string())),
            Some(Origin::LegacyFile(path)) => ("legacy_file", Some(path.display().to_string())),
            Some(Origin::Environment) => ("environment", None),
            None => ("none", Some(self.report.name.clone())),
        };
        json!({ "from": from, "file": file, "sha256": self.sha256, "problems": self.problems() })
    }

    fn problems(&self) -> Vec<Value> {
        let text = &self.report.text;
        let listed = self.report.problems.iter().take(MOST_PROBLEMS).map(|problem| {
            let before = problem.span.as_ref().and_then(|span| text.get(..span.start));
            json!({
                "severity": match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    _ => "note",
                },
                "code": problem.code,
                "message": problem.message,
                "line": before.map(|before| before.matches('\n').count() + 1),
                "help": problem.help,
            })
        });
        listed.collect()
    }
}

/// All of it. `about` is missing before anything was loaded.
pub(crate) fn document(about: Option<&About>, stats: &Stats, ended: bool) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let value = json!({
        "written_at": now.as_secs_f64(),
        "interval_seconds": INTERVAL.as_secs(),
        "ended": ended,
        "process": process(),
        "library": { "version": env!("CARGO_PKG_VERSION") },
        "tracing": about.is_some_and(|about| about.origin.is_some()),
        "configuration": about.map(About::configuration),
        "reloads": {
            "taken": stats.reloads.taken,
            "refused": stats.reloads.refused,
            "generation": stats.reloads.generation,
            "last_error": last_error(stats.reloads.last_error.as_ref(), now.as_secs_f64()),
        },
        "new_traces": new_traces(),
        "services": stats.services.iter().map(service).collect::<Vec<_>>(),
        "topics": stats.topics.iter().map(topic).collect::<Vec<_>>(),
        "topics_beyond": topic(&stats.topics_beyond),
        "clients": stats.clients.iter().map(|client| json!({
            "side": client.side,
            "client_id": client.client_id,
            "group_id": client.group_id,
        })).collect::<Vec<_>>(),
        "clients_beyond": stats.clients_beyond,
        "clients_closed": stats.clients_closed,
        "backends": stats.backends.iter().map(|of| backend(of, now.as_secs_f64())).collect::<Vec<_>>(),
    });
    // Whoever is about to write over a file knows by its first bytes whether it is one of these.
    let text = value.to_string();
    format!("{BEGINNING}{}\n", text.strip_prefix('{').unwrap_or(&text))
}

/// How many of the new traces of this process begin at this moment, and by which threshold.
fn new_traces() -> Value {
    let (share, threshold) = crate::tracer::shedding::now();
    let text = threshold.map(|threshold| String::from_utf8_lossy(threshold.text().as_bytes()).into_owned());
    json!({ "share": share, "threshold": text })
}

/// Which process it is. Its arguments are not told, for they may hold secrets; but which script an interpreter runs is.
fn process() -> Value {
    let start = per_process::stat_field(per_process::STARTED);
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    json!({
        "pid": std::process::id(),
        "start_ticks": start,
        "pid_namespace": namespace.map(|namespace| namespace.display().to_string()),
        "boot_id": per_process::boot_id(),
        "program": std::env::current_exe().ok().map(|program| program.display().to_string()),
        "script": script().map(|script| script.display().to_string()),
    })
}

/// The first argument that is no option, if it is a file.
fn script() -> Option<PathBuf> {
    let line = fs::read("/proc/self/cmdline").ok()?;
    let mut words = line.split(|byte| *byte == 0).skip(1).take(8);
    let word = words.find(|word| !word.starts_with(b"-") && !word.is_empty())?;
    let script = PathBuf::from(String::from_utf8(word.to_vec()).ok()?);
    script.is_file().then_some(script)
}

fn service(of: &ServiceStats) -> Value {
    json!({
        "name": of.name,
        "spans": of.spans,
        "sampled_out": of.sampled_out,
        "shed": of.shed,
        "not_injected": of.not_injected,
        "unacknowledged": of.unacknowledged,
        "parents_lost": of.parents_lost,
        "dropped_buffer_full": of.dropped_buffer_full,
    })
}

fn topic(of: &TopicStats) -> Value {
    json!({
        "name": of.name,
        "side": of.side,
        "service": of.service,
        "traced": of.is_traced,
        "why": of.why,
        "spans": of.spans,
        "sampled_out": of.sampled_out,
        "not_injected": of.not_injected,
        "without_span": of.without_span,
    })
}

fn last_error(error: Option<&(String, Duration)>, now: f64) -> Value {
    error.map_or(Value::Null, |(message, ago)| json!({ "message": message, "at": now - ago.as_secs_f64() }))
}

fn backend(of: &BackendStats, now: f64) -> Value {
    let sum = |count: fn(&super::BackendServiceStats) -> u64| of.services.iter().map(count).sum::<u64>();
    let mut dropped = serde_json::Map::new();
    for (reason, spans) in of.services.iter().flat_map(|service| &service.dropped) {
        let before = dropped.get(reason.name()).and_then(Value::as_u64).unwrap_or_default();
        dropped.insert(reason.name().to_owned(), Value::from(before + spans));
    }
    json!({
        "name": of.name,
        "plugin": of.plugin,
        "state": of.state.name(),
        "queue": { "held_bytes": of.held_bytes, "most_bytes": of.queue_bytes },
        "share_of_traces": of.share_of_traces,
        "retries": of.retries,
        "last_export_at": of.last_export.map(|ago| now - ago.as_secs_f64()),
        "last_error": last_error(of.last_error.as_ref(), now),
        "offered": sum(|service| service.offered),
        "exported": sum(|service| service.exported),
        "rejected": sum(|service| service.rejected),
        "waiting": sum(|service| service.waiting),
        "dropped": dropped,
        "spooled": sum(|service| service.spooled),
        "spool": of.spool.map(|of| json!({
            "bytes": of.bytes,
            "limit": of.limit,
            "spans": of.spans,
            "spans_of_others": of.spans_of_others,
            "exported_of_others": of.exported_of_others,
            "lost_of_others": of.lost_of_others,
            "damaged": of.damaged,
            "maybe_twice": of.maybe_twice,
        })),
        "data_points": json!({
            "offered": of.data_points.offered,
            "exported": of.data_points.exported,
            "rejected": of.data_points.rejected,
            "waiting": of.data_points.waiting,
            "dropped": of.data_points.dropped.iter().map(|(reason, points)| (reason.name(), *points)).collect::<std::collections::BTreeMap<_, _>>(),
        }),
        "counted_by_the_plugin": of.counted.map(|of| json!({
            "in_flight": of.in_flight,
            "items_sent": of.items_sent,
            "items_rejected": of.items_rejected,
            "batches_sent": of.batches_sent,
            "batches_failed": of.batches_failed,
            "bytes_sent": of.bytes_sent,
            "reconnects": of.reconnects,
        })),
        "services": of.services.iter().map(|service| json!({
            "service": service.service,
            "offered": service.offered,
            "exported": service.exported,
            "rejected": service.rejected,
            "dropped": service.dropped_total(),
            "waiting": service.waiting,
            "spooled": service.spooled,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_where_its_number_is_its_own() {
        let said = process();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(
            (said["pid"].as_u64(), said["boot_id"].as_str()),
            (Some(u64::from(std::process::id())), Some(boot.trim()))
        );
        assert!(said["start_ticks"].is_u64() && said["pid_namespace"].as_str().unwrap().starts_with("pid:["), "{said}");
    }
}
