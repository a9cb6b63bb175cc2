//! What each worker of a queue is doing at this moment, and which calls should have come back by now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::FinishedBatch;

/// A batch in the queue or in a call.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Order of arrival; a retried batch keeps it.
    pub(super) sequence: u64,
    pub(super) batch: Arc<FinishedBatch>,
    pub(super) offered_at: Instant,
    /// Calls made so far.
    pub(super) attempts: u32,
}

/// What one worker is doing.
#[derive(Debug)]
pub(super) enum Desk {
    Idle,
    /// `settled` once its batch was counted as lost although the call is still out; the outcome is then ignored.
    Exporting {
        entry: Entry,
        since: Instant,
        probe: bool,
        settled: bool,
        stuck: bool,
    },
    Flushing {
        id: u64,
        since: Instant,
        timeout: Duration,
        stuck: bool,
    },
    ShuttingDown,
    Left,
}

/// A call that the watchdog has found.
#[derive(Clone, Debug)]
pub(super) struct Overrun {
    /// The plugin's function.
    pub(super) call: &'static str,
    /// What it had been given.
    pub(super) timeout: Duration,
    /// The batch that is lost with it, unless it was counted before.
    pub(super) lost: Option<Arc<FinishedBatch>>,
}

/// One desk per worker, by worker index.
#[derive(Debug)]
pub(super) struct Desks(Vec<Desk>);

impl Desks {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Desk::Idle).collect())
    }

    /// Changes what a worker is doing; returns what it did.
    pub(super) fn change(&mut self, worker: usize, desk: Desk) -> Desk {
        match self.0.get_mut(worker) {
            Some(place) => std::mem::replace(place, desk),
            None => Desk::Left,
        }
    }

    /// Marks the calls that have overrun their time by more than `grace` as stuck, and returns those newly found.
    pub(super) fn find_overruns(&mut self, now: Instant, export_timeout: Duration, grace: Duration) -> Vec<Overrun> {
        let overdue = |since: Instant, timeout: Duration| now.saturating_duration_since(since) > timeout + grace;
        let mut found = Vec::new();
        for desk in &mut self.0 {
            match desk {
                Desk::Exporting { entry, since, settled, stuck: stuck @ false, .. }
                    if overdue(*since, export_timeout) =>
                {
                    *stuck = true;
                    let lost = (!std::mem::replace(settled, true)).then(|| Arc::clone(&entry.batch));
                    found.push(Overrun { call: "export_batch", timeout: export_timeout, lost });
                }
                Desk::Flushing { since, timeout, stuck: stuck @ false, .. } if overdue(*since, *timeout) => {
                    *stuck = true;
                    found.push(Overrun { call: "flush", timeout: *timeout, lost: None });
                }
                _ => {}
            }
        }
        found
    }

    /// Gives up on all batches that are in calls; returns those that had not been counted yet.
    pub(super) fn settle_all(&mut self) -> Vec<Arc<FinishedBatch>> {
        let mut lost = Vec::new();
        for desk in &mut self.0 {
            if let Desk::Exporting { entry, settled: settled @ false, .. } = desk {
                *settled = true;
                lost.push(Arc::clone(&entry.batch));
            }
        }
        lost
    }

    /// Batches in calls whose outcome still counts.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter_map(|desk| match desk {
            Desk::Exporting { entry, settled: false, .. } => Some(entry),
            _ => None,
        })
    }

    pub(super) fn any_flushing(&self) -> bool {
        self.0.iter().any(|desk| matches!(desk, Desk::Flushing { .. }))
    }

    /// Whether a call is out that should have come back.
    pub(super) fn any_stuck(&self) -> bool {
        self.0.iter().any(Desk::is_stuck)
    }

    pub(super) fn all_left(&self) -> bool {
        self.0.iter().all(|desk| matches!(desk, Desk::Left))
    }

    pub(super) fn all_left_but(&self, worker: usize) -> bool {
        self.0.iter().enumerate().all(|(index, desk)| index == worker || matches!(desk, Desk::Left))
    }

    pub(super) fn all_left_or_stuck(&self) -> bool {
        self.0.iter().all(|desk| matches!(desk, Desk::Left) || desk.is_stuck())
    }
}

impl Desk {
    fn is_stuck(&self) -> bool {
        matches!(self, Self::Exporting { stuck: true, .. } | Self::Flushing { stuck: true, .. })
    }
}
