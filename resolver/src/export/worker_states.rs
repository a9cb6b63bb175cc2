//! What each worker of a queue is doing at this moment, and which calls should have come back by now.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::finished_batch::{FinishedBatch, Signal};
use super::spool::Slot;

/// A batch in the queue or in a call.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Order of arrival; a retried batch keeps it.
    pub(super) sequence: u64,
    pub(super) batch: Arc<FinishedBatch>,
    pub(super) offered_at: Instant,
    /// When the first call began.
    pub(super) first_try: Option<Instant>,
    /// Calls made so far.
    pub(super) attempts: u32,
    /// What the last of them left for the next.
    pub(super) cookie: u64,
    /// When the first call began, as the clock on the wall has it.
    pub(super) first_at: Option<SystemTime>,
    /// Where it is in the spool, too.
    pub(super) slot: Option<Slot>,
}

/// What one worker is doing.
#[derive(Debug)]
pub(super) enum WorkerState {
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
    /// Asks the plugin what it has counted, after each of the two calls above.
    Counting {
        since: Instant,
        /// The flush after which it does, and whether that one succeeded.
        flushed: Option<(u64, bool)>,
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
    pub(super) lost: Option<Entry>,
}

/// By worker index.
#[derive(Debug)]
pub(super) struct WorkerStates(Vec<WorkerState>);

impl WorkerStates {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| WorkerState::Idle).collect())
    }

    /// From here on there are so many, or as many as before if these are more.
    pub(super) fn grow(&mut self, workers: usize) {
        self.0.resize_with(workers.max(self.0.len()), || WorkerState::Idle);
    }

    /// Changes what a worker is doing; returns what it did.
    pub(super) fn change(&mut self, worker: usize, state: WorkerState) -> WorkerState {
        match self.0.get_mut(worker) {
            Some(place) => std::mem::replace(place, state),
            None => WorkerState::Left,
        }
    }

    /// Marks the calls that have overrun their time by more than `grace` as stuck, and returns those newly found.
    pub(super) fn find_overruns(&mut self, now: Instant, export_timeout: Duration, grace: Duration) -> Vec<Overrun> {
        let overdue = |since: Instant, timeout: Duration| now.saturating_duration_since(since) > timeout + grace;
        let mut found = Vec::new();
        for state in &mut self.0 {
            match state {
                WorkerState::Exporting { entry, since, settled, stuck: stuck @ false, .. }
                    if overdue(*since, export_timeout) =>
                {
                    *stuck = true;
                    let lost = (!std::mem::replace(settled, true)).then(|| entry.clone());
                    found.push(Overrun { call: "export_batch", timeout: export_timeout, lost });
                }
                WorkerState::Flushing { since, timeout, stuck: stuck @ false, .. } if overdue(*since, *timeout) => {
                    *stuck = true;
                    found.push(Overrun { call: "flush", timeout: *timeout, lost: None });
                }
                WorkerState::Counting { since, stuck: stuck @ false, .. } if overdue(*since, Duration::ZERO) => {
                    *stuck = true;
                    found.push(Overrun { call: "stats", timeout: Duration::ZERO, lost: None });
                }
                _ => {}
            }
        }
        found
    }

    /// Gives up on all batches that are in calls; returns those that had not been counted yet.
    pub(super) fn settle_all(&mut self) -> Vec<Entry> {
        let mut lost = Vec::new();
        for state in &mut self.0 {
            if let WorkerState::Exporting { entry, settled: settled @ false, .. } = state {
                *settled = true;
                lost.push(entry.clone());
            }
        }
        lost
    }

    /// Batches in calls whose outcome still counts.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter_map(|state| match state {
            WorkerState::Exporting { entry, settled: false, .. } => Some(entry),
            _ => None,
        })
    }

    /// Whether a batch of this signal is in a call, be it a stuck one.
    pub(super) fn any_exporting(&self, signal: Signal) -> bool {
        self.0.iter().any(|state| matches!(state, WorkerState::Exporting { entry, .. } if entry.batch.signal == signal))
    }

    pub(super) fn any_flushing(&self) -> bool {
        self.0.iter().any(|state| matches!(state, WorkerState::Flushing { .. }))
    }

    /// Whether a call is out that should have come back.
    pub(super) fn any_stuck(&self) -> bool {
        self.0.iter().any(WorkerState::is_stuck)
    }

    pub(super) fn all_left(&self) -> bool {
        self.0.iter().all(|state| matches!(state, WorkerState::Left))
    }

    pub(super) fn all_left_but(&self, worker: usize) -> bool {
        self.0.iter().enumerate().all(|(index, state)| index == worker || matches!(state, WorkerState::Left))
    }

    pub(super) fn all_left_or_stuck(&self) -> bool {
        self.0.iter().all(|state| matches!(state, WorkerState::Left) || state.is_stuck())
    }
}

impl WorkerState {
    fn is_stuck(&self) -> bool {
        matches!(
            self,
            Self::Exporting { stuck: true, .. }
                | Self::Flushing { stuck: true, .. }
                | Self::Counting { stuck: true, .. }
        )
    }
}
