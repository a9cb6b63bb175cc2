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
        probe: bool,
        settled: bool,
    },
    Flushing {
        id: u64,
    },
    /// Asks the plugin what it has counted, after each of the two calls above.
    Counting {
        /// The flush after which it does, and whether that one succeeded.
        flushed: Option<(u64, bool)>,
    },
    ShuttingDown,
    Left,
}

/// A worker, and which function of the plugin's it is in.
#[derive(Debug)]
struct Worker {
    state: WorkerState,
    call: Option<Call>,
}

/// A call of the plugin's as the watchdog sees it. What we do ourselves before and after it is not its time: a disk and the
/// application's logger may take as long as they like.
#[derive(Debug)]
struct Call {
    function: &'static str,
    since: Instant,
    /// See [`WorkerStates::paused`], when it began.
    paused: Duration,
    timeout: Duration,
    stuck: bool,
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
pub(super) struct WorkerStates {
    workers: Vec<Worker>,
    looked_at: Option<Instant>,
    /// How long the process did not run, as far as the watchdog has seen: stopped, or with its machine. No call is at work then.
    paused: Duration,
}

/// The watchdog looks more often than this, as long as the process runs.
const LOOKS: Duration = Duration::from_secs(1);

impl WorkerStates {
    pub(super) fn new(workers: usize) -> Self {
        let mut states = Self { workers: Vec::new(), looked_at: None, paused: Duration::ZERO };
        states.grow(workers);
        states
    }

    /// From here on there are so many, or as many as before if these are more.
    pub(super) fn grow(&mut self, workers: usize) {
        let idle = || Worker { state: WorkerState::Idle, call: None };
        self.workers.resize_with(workers.max(self.workers.len()), idle);
    }

    /// Changes what a worker is doing; returns what it did, and whether that was found stuck. It is in no call from here on.
    pub(super) fn change(&mut self, worker: usize, state: WorkerState) -> (WorkerState, bool) {
        match self.workers.get_mut(worker) {
            Some(place) => {
                let stuck = place.is_stuck();
                place.call = None;
                (std::mem::replace(&mut place.state, state), stuck)
            }
            None => (WorkerState::Left, false),
        }
    }

    /// A worker is about to call `function`, which is to come back within `timeout`.
    pub(super) fn call_begins(&mut self, worker: usize, function: &'static str, timeout: Duration, now: Instant) {
        let paused = self.paused;
        if let Some(place) = self.workers.get_mut(worker) {
            // What was found stuck is so until all that the worker does is over.
            let stuck = place.is_stuck();
            place.call = Some(Call { function, since: now, paused, timeout, stuck });
        }
    }

    /// Marks the calls that have overrun their time by more than `grace` as stuck, and returns those newly found.
    pub(super) fn find_overruns(&mut self, now: Instant, grace: Duration) -> Vec<Overrun> {
        if let Some(looked_at) = self.looked_at.replace(now) {
            self.paused += now.saturating_duration_since(looked_at).saturating_sub(LOOKS);
        }
        let mut found = Vec::new();
        for Worker { state, call } in &mut self.workers {
            let Some(call) = call.as_mut().filter(|call| !call.stuck) else { continue };
            let paused = self.paused.saturating_sub(call.paused);
            if now.saturating_duration_since(call.since).saturating_sub(paused) <= call.timeout.saturating_add(grace) {
                continue;
            }
            call.stuck = true;
            let lost = match state {
                WorkerState::Exporting { entry, settled, .. } => {
                    (!std::mem::replace(settled, true)).then(|| entry.clone())
                }
                _ => None,
            };
            found.push(Overrun { call: call.function, timeout: call.timeout, lost });
        }
        found
    }

    /// Gives up on all batches that are in calls; returns those that had not been counted yet.
    pub(super) fn settle_all(&mut self) -> Vec<Entry> {
        let mut lost = Vec::new();
        for worker in &mut self.workers {
            if let WorkerState::Exporting { entry, settled: settled @ false, .. } = &mut worker.state {
                *settled = true;
                lost.push(entry.clone());
            }
        }
        lost
    }

    /// Batches in calls whose outcome still counts.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Entry> {
        self.workers.iter().filter_map(|worker| match &worker.state {
            WorkerState::Exporting { entry, settled: false, .. } => Some(entry),
            _ => None,
        })
    }

    /// Whether a batch of this signal is in a call, be it a stuck one.
    pub(super) fn any_exporting(&self, signal: Signal) -> bool {
        let is_exporting =
            |state: &WorkerState| matches!(state, WorkerState::Exporting { entry, .. } if entry.batch.signal == signal);
        self.workers.iter().any(|worker| is_exporting(&worker.state))
    }

    pub(super) fn any_flushing(&self) -> bool {
        self.workers.iter().any(|worker| matches!(worker.state, WorkerState::Flushing { .. }))
    }

    /// Whether a call is out that should have come back.
    pub(super) fn any_stuck(&self) -> bool {
        self.workers.iter().any(Worker::is_stuck)
    }

    pub(super) fn all_left(&self) -> bool {
        self.workers.iter().all(Worker::has_left)
    }

    pub(super) fn all_left_but(&self, worker: usize) -> bool {
        self.workers.iter().enumerate().all(|(index, other)| index == worker || other.has_left())
    }

    pub(super) fn all_left_or_stuck(&self) -> bool {
        self.workers.iter().all(|worker| worker.has_left() || worker.is_stuck())
    }
}

impl Worker {
    fn is_stuck(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.stuck)
    }

    fn has_left(&self) -> bool {
        matches!(self.state, WorkerState::Left)
    }
}
