//! How a queue comes by its exporter: batches wait for it, as long as there is room for them.

use std::time::{Duration, Instant};

use log::Level;

use super::super::worker_states::WorkerState;
use super::start::Start;
use super::{DropReason, Note, Phase, QueueState, Signal, Timing};
use crate::config;

impl QueueState {
    /// A queue whose exporter is to come, by the only worker.
    pub(in crate::export) fn starting(
        settings: &config::Backend,
        timing: Timing,
        now: Instant,
        pause: Duration,
    ) -> Self {
        let start = Start::UnderWay { since: now, not_before: now + pause, told: None };
        Self { start, ..Self::new(settings, timing, 1) }
    }

    pub(in crate::export) fn is_starting(&self) -> bool {
        matches!(self.start, Start::UnderWay { .. })
    }

    /// Whether there is no exporter, and never will be.
    pub(in crate::export) fn has_failed_to_start(&self) -> bool {
        self.start == Start::Failed
    }

    /// Somebody waits for it.
    pub(in crate::export) fn start_at_once(&mut self, now: Instant) {
        if let Start::UnderWay { not_before, .. } = &mut self.start {
            *not_before = now.min(*not_before);
        }
    }

    /// When to begin, if that is not now.
    pub(in crate::export) fn begins_at(&self, now: Instant) -> Option<Instant> {
        let Start::UnderWay { not_before, .. } = self.start else { return None };
        let is_waited_for = self.phase != Phase::Open || self.flush_request.is_some();
        (!is_waited_for && now < not_before).then_some(not_before)
    }

    /// There is an exporter, for so many workers.
    pub(in crate::export) fn started(&mut self, workers: usize, now: Instant) -> Option<Note> {
        let Start::UnderWay { since, told, .. } = std::mem::replace(&mut self.start, Start::Done) else { return None };
        self.workers.grow(workers);
        self.last_error = None;
        let took = now.saturating_duration_since(since).as_secs_f64();
        Some(self.recovered(Signal::Traces, &format!("has started, after {took:.1} s"), told?))
    }

    /// There will be no exporter; whoever tried has told why.
    pub(in crate::export) fn start_failed(&mut self, message: &str, now: Instant) {
        self.start = Start::Failed;
        self.out_of_service = true;
        self.last_error = Some((message.to_owned(), now));
        self.workers.change(0, WorkerState::Left);
        self.drop_waiting(DropReason::NoBackend);
    }

    /// The watchdog: says once that it takes long.
    pub(super) fn start_overdue(&mut self, now: Instant) -> Option<Note> {
        let Start::UnderWay { since, told, .. } = &mut self.start else { return None };
        if told.is_some() || now.saturating_duration_since(*since) < self.timing.patience {
            return None;
        }
        *told = Some(self.counts.lost());
        let patience = self.timing.patience;
        self.last_error = Some((format!("has not started after {patience:?}"), now));
        Some(Note {
            level: Level::Warn,
            text: format!(
                "has not started after {patience:?}; its spans wait. Its plugin has not come back from its constructors, its \
                 validate or its create"
            ),
        })
    }

    /// Whether it was told that it takes long.
    pub(super) fn start_is_overdue(&self) -> bool {
        matches!(self.start, Start::UnderWay { told: Some(_), .. })
    }

    /// Until when the end of the process waits for it although nothing else does.
    pub(in crate::export) fn has_last_words_until(&self) -> Option<Instant> {
        let Start::UnderWay { since, .. } = self.start else { return None };
        Some(since + self.timing.first_words)
    }

    /// Why what waits at the end is lost.
    pub(super) fn too_late(&self) -> DropReason {
        if self.is_starting() { DropReason::NotStarted } else { DropReason::ShutDown }
    }
}
