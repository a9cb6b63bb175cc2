//! The spool of a backend sent on by a program that traces nothing, for whoever wants it empty.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use super::plan::{Wanted, text_of};
use crate::config::{Backend, Config, Report};
use crate::export::{BackendQueue, Exporter, SpoolStats, Timing};
use crate::plugin::{Loader, PATIENCE};

/// What became of the spans in a backend's spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Taken by the backend.
    pub exported: u64,
    /// Refused by the backend, or damaged.
    pub lost: u64,
    /// Still in the spool.
    pub left: u64,
    /// Of the exported, those that were on their way when their process ended: they may be there twice.
    pub maybe_twice: u64,
    /// Places in the files that could not be read.
    pub damaged: u64,
    /// What went wrong last.
    pub trouble: Option<String>,
}

/// Sends what processes that ended have left in `folder` for this backend. Gives up when the backend takes nothing for half a
/// minute. `None`: the plugin cannot be used, and the report says why.
pub(crate) fn drain(
    loader: &Loader,
    config: &Config,
    backend: &Backend,
    folder: &Path,
    report: &mut Report,
) -> Option<Drained> {
    let mut backend = backend.clone();
    let limit = backend.spool.as_ref().map_or(u64::MAX, |spool| spool.limit);
    backend.spool = Some(crate::config::Spool { folder: folder.to_owned(), limit });
    let plan = match Wanted::new(loader, &config.plugins, &backend, &text_of(report)).plan_in_time() {
        Ok(plan) => plan,
        Err(problems) => {
            report.problems.extend(problems);
            return None;
        }
    };
    let timeout = backend.timeout;
    let queue = BackendQueue::start(&backend, Timing::default(), Duration::ZERO, move || {
        plan.create().map(|instance| Box::new(instance) as Box<dyn Exporter>).map_err(|complaint| complaint.message)
    });
    queue.wait_for_start(Instant::now() + PATIENCE);
    let spool = until_nothing_is_left(&queue);
    queue.shutdown(Instant::now() + timeout);
    let counters = queue.counters();
    let SpoolStats { exported_of_others, lost_of_others, spans_of_others, maybe_twice, damaged, .. } =
        counters.spool.unwrap_or(spool);
    Some(Drained {
        exported: exported_of_others,
        lost: lost_of_others,
        left: spans_of_others,
        maybe_twice,
        damaged,
        trouble: counters.last_error.map(|(message, _)| message),
    })
}

fn until_nothing_is_left(queue: &BackendQueue) -> SpoolStats {
    let mut before = SpoolStats::default();
    let mut progress = Instant::now();
    loop {
        let now = Instant::now();
        queue.tick(now);
        let spool = queue.counters().spool.unwrap_or_default();
        let settled = |of: &SpoolStats| of.exported_of_others + of.lost_of_others;
        if settled(&spool) > settled(&before) {
            progress = now;
        }
        before = spool;
        let is_done = spool.spans_of_others == 0 && queue.has_looked_everywhere();
        if is_done || queue.has_failed_to_start() || now.saturating_duration_since(progress) > PATIENCE_WITH_A_BACKEND {
            return spool;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

const PATIENCE_WITH_A_BACKEND: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
