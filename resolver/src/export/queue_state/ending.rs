//! How the queue comes to rest: flushes and the shutdown, as those see them who wait for them.

use std::time::Instant;

use log::Level;

use super::super::worker_states::WorkerState;
use super::start::Start;
use super::{DropReason, FlushRequest, Note, Phase, QueueState, Settlement, SignalQueue};

impl QueueState {
    /// The system gave no thread for this worker. Without any, nothing will ever leave.
    pub(in crate::export) fn worker_missing(&mut self, worker: usize, reason: &str) -> Vec<Note> {
        self.workers.change(worker, WorkerState::Left);
        if self.workers.all_left() {
            self.start = Start::Done;
            return self.take_out_of_service(&format!("no thread could be started: {reason}")).into_iter().collect();
        }
        vec![Note { level: Level::Warn, text: format!("runs with fewer threads than configured: {reason}") }]
    }

    /// The process may end at `end`: what waits is to go out before `until`. Batches are taken as before.
    pub(in crate::export) fn hurry(&mut self, until: Instant, end: Instant, insisting: bool) {
        if self.phase == Phase::Open {
            for queue in self.signals.all_mut() {
                queue.circuit.hurry(until, insisting);
            }
            self.leaving = Some(self.request_flush(end));
        }
    }

    /// Whether nothing is left to wait for: all is settled and flushed, or the backend is past hope.
    pub(in crate::export) fn has_left(&self, now: Instant) -> bool {
        let Some(id) = self.leaving else { return true };
        if self.has_last_words_until().is_some_and(|until| now < until) {
            return false;
        }
        self.phase != Phase::Open || self.flush_result(id).is_some() || self.is_past_hope()
    }

    /// Whether all that has not left is of signals that the backend is not tried with any more.
    fn is_past_hope(&self) -> bool {
        let is_hopeless = |queue: &&SignalQueue| queue.circuit.is_hopeless();
        let is_idle = |queue: &&SignalQueue| queue.waiting.is_empty() && !self.workers.any_exporting(queue.signal);
        let queues = self.signals.all();
        queues.iter().any(is_hopeless) && queues.iter().all(|queue| is_hopeless(queue) || is_idle(queue))
    }

    /// The hurry is over. What is left is dropped and counted if it was the `last`; else it stays on its way.
    pub(in crate::export) fn stop_hurrying(&mut self, last: bool) {
        self.leaving = None;
        if self.phase != Phase::Open {
            return;
        }
        for queue in self.signals.all_mut() {
            queue.circuit.relax();
        }
        if last {
            self.drop_what_is_left();
        }
    }

    /// Stops taking batches. Of several calls the earliest times count.
    pub(in crate::export) fn begin_shutdown(&mut self, drain_until: Instant, end: Instant) {
        for queue in self.signals.all_mut() {
            queue.circuit.hurry(drain_until, true);
        }
        self.phase = match self.phase {
            Phase::Open => Phase::Draining { drain_until, end },
            Phase::Draining { drain_until: earlier, end: earlier_end } => {
                Phase::Draining { drain_until: drain_until.min(earlier), end: end.min(earlier_end) }
            }
            Phase::Abandoned => Phase::Abandoned,
        };
    }

    /// The time for shutting down is over: counts what is left as lost and lets go of calls that are still out.
    pub(in crate::export) fn abandon_calls(&mut self) {
        self.phase = Phase::Abandoned;
        self.drop_what_is_left();
    }

    fn drop_what_is_left(&mut self) {
        self.drop_waiting(self.too_late());
        for entry in self.workers.settle_all() {
            // Not released: the call still borrows its bytes.
            self.account_for(&entry, Settlement::Dropped(DropReason::ShutDown));
        }
    }

    /// Asks the workers to flush the exporter once all that has arrived by now is settled. Returns the id to ask
    /// [`QueueState::flush_result`] for.
    pub(in crate::export) fn request_flush(&mut self, deadline: Instant) -> u64 {
        let deadline = self.flush_request.map_or(deadline, |other| other.deadline.max(deadline));
        self.flush_requests += 1;
        self.flush_request = Some(FlushRequest { id: self.flush_requests, up_to: self.next_sequence, deadline });
        self.flush_requests
    }

    /// Whether the flush asked for is over, and how it went.
    pub(in crate::export) fn flush_result(&self, id: u64) -> Option<bool> {
        let (last, succeeded) = self.last_flush;
        if last >= id {
            return Some(succeeded);
        }
        if self.phase == Phase::Abandoned {
            return Some(false);
        }
        if self.start == Start::Failed {
            return Some(true);
        }
        if self.workers.all_left() {
            return Some(self.exporter_stopped == Some(true));
        }
        // No exporter to flush: all that counts is that no batch is on its way any more.
        let no_exporter = self.is_starting() || self.out_of_service || self.workers.any_stuck();
        let nothing_left = no_exporter && self.oldest_unsettled().is_none();
        nothing_left.then_some(true)
    }

    /// Whether the time for shutting down was over once.
    pub(in crate::export) fn is_abandoned(&self) -> bool {
        self.phase == Phase::Abandoned
    }

    /// Whether every worker has ended.
    pub(in crate::export) fn all_left(&self) -> bool {
        self.workers.all_left()
    }

    /// Whether only calls that do not come back keep the queue from ending.
    pub(in crate::export) fn only_stuck_calls_remain(&self) -> bool {
        self.signals.are_empty() && (self.workers.all_left_or_stuck() || self.start_is_overdue())
    }

    /// What the exporter's shutdown returned, once it has.
    pub(in crate::export) fn exporter_stopped(&self) -> Option<bool> {
        self.exporter_stopped
    }

    /// Spans lost because the time for shutting down was over.
    pub(in crate::export) fn lost_at_shutdown(&self) -> u64 {
        self.lost_at_shutdown
    }
}

#[cfg(test)]
mod tests;
