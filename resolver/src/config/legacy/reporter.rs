//! `reporter`: whether spans are logged, how often they leave, and where they go.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::object::Object;
use super::sender::{self, Sender};
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;

/// What a service's reporter says.
#[derive(Default)]
pub(super) struct Reporter {
    pub(super) log_spans: Option<bool>,
    pub(super) flush_interval: Option<Duration>,
    pub(super) sender: Sender,
}

impl Reporter {
    pub(super) fn read(object: Object<'_>, findings: &mut Findings) -> Result<Self, Broken> {
        let log_spans = object.field("logSpans").map(|field| field.boolean(findings)).transpose();
        let interval = object.field("flushIntervalMs");
        let interval = interval.map(|field| field.integer(1..=3_600_000, findings)).transpose();
        let queue_size = queue_size(object, findings);
        let inner = object.object("sender", "`sender`", sender::KEYS, findings);
        let inner = inner.and_then(|inner| inner.map(|inner| Sender::read(inner, findings)).transpose());
        let outer = Sender::read(object, findings);
        for field in sender::KEYS.iter().filter_map(|key| object.field(key)) {
            let message = format!("`{}` stands in `reporter`; it belongs in `sender`", field.key);
            let problem = Problem::warning(code::OLD_MISPLACED_SENDER, message).at(field.key_span.clone(), "");
            findings.mention(problem.help("\"reporter\": { \"sender\": { … } }, as the documentation always said"));
        }
        queue_size?;
        Ok(Self {
            log_spans: log_spans?,
            flush_interval: interval?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
            sender: inner?.unwrap_or_default().over(&outer?),
        })
    }

    /// The keys of a `reporter` object; the sender's are known here too, because the original looked for them here.
    pub(super) const KEYS: &[&str] = &[
        "logSpans",
        "flushIntervalMs",
        "maxQueueSize",
        "sender",
        "agentHost",
        "agentPort",
        "endpoint",
        "authToken",
        "authUsername",
        "authPassword",
    ];
}

/// Nothing comes of it; a size that the original refused is refused all the same.
fn queue_size(object: Object<'_>, findings: &mut Findings) -> Result<(), Broken> {
    let Some(field) = object.field("maxQueueSize") else { return Ok(()) };
    field.integer(1..=i64::from(i32::MAX), findings)?;
    let message = "`maxQueueSize` counted spans and has no effect: queues are bounded in bytes here";
    let help = "in TOML it is `queue_bytes` of [backends.NAME]; full queues drop, and count what they drop";
    findings.mention(Problem::note(code::OLD_QUEUE_SIZE, message).at(field.key_span.clone(), "").help(help));
    Ok(())
}
