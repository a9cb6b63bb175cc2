//! What happens to a batch, and when: the queue as a state machine, without threads and without a clock of its own.
//!
//! Workers ask [`QueueState::next`] what to do and report with `*_returned`; `offer`, `tick` and shutting down come
//! from outside. Everything that is worth a log line is returned as a [`Note`], to be written after the lock is gone.

mod answers;
mod ending;
mod room;
mod spooled;
mod start;
mod starting;
mod watchdog;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::Level;

use self::start::Start;
use super::Timing;
use super::circuit::Gate;
use super::drop_reason::DropReason;
use super::exporter::{Outcome, Try};
use super::finished_batch::{FinishedBatch, Signal};
use super::pressure::{Halvings, Pressure};
use super::queue_bound::QueueBound;
use super::signal_queue::{BySignal, SignalQueue};
use super::span_counts::{BackendCounters, BackendState, Settlement, SpanCounts};
use super::spool::{News, Slot};
use super::worker_states::{Entry, WorkerState, WorkerStates};
use crate::config;

/// A log line about the backend; the queue puts its name in front.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) level: Level,
    pub(super) text: String,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Export this batch, then call `export_returned`.
    Export { batch: Arc<FinishedBatch>, slot: Option<Slot>, this_try: Try },
    /// Flush the exporter, then call `flush_returned`.
    Flush { timeout: Duration },
    /// Nothing before this moment or the next notification.
    Wait(Option<Instant>),
    /// Shut the exporter down, then call `shutdown_returned` and end.
    ShutDownExporter { timeout: Duration },
    /// End.
    Exit,
}

/// Life of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes batches.
    Open,
    /// Takes none; those at hand may still go out until `drain_until`, and the exporter has until `end` to stop.
    Draining { drain_until: Instant, end: Instant },
    /// Over, with calls that may never return: whoever comes back just ends.
    Abandoned,
}

#[derive(Clone, Copy, Debug)]
struct FlushRequest {
    id: u64,
    /// Everything that arrived before this sequence number.
    up_to: u64,
    deadline: Instant,
}

/// See the module's words.
#[derive(Debug)]
pub(super) struct QueueState {
    bound: QueueBound,
    pressure: Pressure,
    /// Whether new traces may be kept from beginning for it.
    sheds: bool,
    /// Whether the last batch of spans is in memory only: there is no spool, or none with room.
    is_in_memory_only: bool,
    /// What is to be written into the spool when the lock is gone.
    news: Vec<News>,
    /// Whether it is to send what others have left in the spool.
    takes_over: bool,
    max_elapsed: Duration,
    timing: Timing,
    phase: Phase,
    start: Start,
    signals: BySignal,
    workers: WorkerStates,
    next_sequence: u64,
    /// Bytes of all that waits and of all batches that a call still borrows.
    held_bytes: usize,
    counts: SpanCounts,
    retries: u64,
    last_export: Option<Instant>,
    /// Whether its last answer was that it will never take that batch.
    is_refusing: bool,
    last_error: Option<(String, Instant)>,
    out_of_service: bool,
    /// The latest one that no worker has taken up; it covers all before it.
    flush_request: Option<FlushRequest>,
    flush_requests: u64,
    /// Id of the last flush that came back, and whether it succeeded.
    last_flush: (u64, bool),
    /// The process may end soon, and the flush with this id is what those wait for who know.
    leaving: Option<u64>,
    exporter_stopped: Option<bool>,
    /// Spans that were dropped because the time for shutting down was over.
    lost_at_shutdown: u64,
    /// While a call is stuck: what had been lost before.
    stuck_announced: Option<u64>,
}

impl QueueState {
    pub(super) fn new(settings: &config::Backend, timing: Timing, workers: usize) -> Self {
        Self {
            bound: QueueBound::new(settings.queue_bytes),
            pressure: Pressure::default(),
            sheds: settings.shed_traces,
            is_in_memory_only: true,
            news: Vec::new(),
            takes_over: false,
            max_elapsed: settings.retry.max_elapsed,
            timing,
            phase: Phase::Open,
            start: Start::Done,
            signals: BySignal::new(settings.retry),
            workers: WorkerStates::new(workers),
            next_sequence: 0,
            held_bytes: 0,
            counts: SpanCounts::default(),
            retries: 0,
            last_export: None,
            is_refusing: false,
            last_error: None,
            out_of_service: false,
            flush_request: None,
            flush_requests: 0,
            last_flush: (0, true),
            leaving: None,
            exporter_stopped: None,
            lost_at_shutdown: 0,
            stuck_announced: None,
        }
    }

    /// Takes a batch, or drops and counts it.
    pub(super) fn offer(&mut self, batch: Arc<FinishedBatch>, slot: Option<Slot>, now: Instant) {
        self.counts.offered(&batch);
        if batch.signal == Signal::Traces {
            self.is_in_memory_only = slot.is_none();
        }
        let refusal = self.refusal().or_else(|| (!self.makes_room(&batch)).then_some(DropReason::QueueFull));
        self.enter(batch, slot, refusal, now);
    }

    /// Why no batch is taken at the moment, however much room there is.
    fn refusal(&self) -> Option<DropReason> {
        if self.phase != Phase::Open {
            Some(DropReason::ShutDown)
        } else if self.start == Start::Failed {
            Some(DropReason::NoBackend)
        } else if self.out_of_service {
            Some(DropReason::OutOfService)
        } else if self.workers.any_stuck() {
            Some(DropReason::Stuck)
        } else {
            None
        }
    }

    /// Lets a batch wait, or gives it up.
    fn enter(&mut self, batch: Arc<FinishedBatch>, slot: Option<Slot>, refusal: Option<DropReason>, now: Instant) {
        if let Some(reason) = refusal {
            // Not among what a shutdown loses: it comes after that.
            let settlement = self.noted_in_spool(&batch, slot.as_ref(), Settlement::Dropped(reason));
            self.press(if reason == DropReason::QueueFull { batch.weight() } else { 0 }, now);
            return self.counts.settle(&batch, settlement);
        }
        self.held_bytes += batch.weight();
        self.pressure.came(batch.weight() as u64, self.held_bytes as u64, self.bound.bytes() as u64, now);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let queue = self.signals.of(batch.signal);
        queue.waiting.push_back(Entry {
            sequence,
            batch,
            offered_at: now,
            first_try: None,
            attempts: 0,
            cookie: 0,
            first_at: None,
            slot,
        });
    }

    /// What `worker` is to do now.
    pub(super) fn next(&mut self, worker: usize, now: Instant) -> Next {
        let draining_until = match self.phase {
            Phase::Open => None,
            Phase::Draining { drain_until, end } => {
                if now >= drain_until {
                    self.drop_waiting(DropReason::ShutDown);
                }
                if self.signals.are_empty() {
                    return self.leave(worker, end.saturating_duration_since(now));
                }
                Some(drain_until)
            }
            Phase::Abandoned => {
                self.workers.change(worker, WorkerState::Left);
                return Next::Exit;
            }
        };
        self.drop_stale(now);
        if let Some(flush) = self.next_flush(worker, now) {
            return flush;
        }
        let (mut entry, probe) = match self.take(now) {
            Ok(taken) => taken,
            // Without anything that waits there is nothing to wait for.
            Err(_) if self.signals.are_empty() => return Next::Wait(None),
            Err(until) => return Next::Wait(until.into_iter().chain(draining_until).min()),
        };
        entry.first_try.get_or_insert(now);
        entry.attempts = entry.attempts.saturating_add(1);
        let this_try = Try {
            attempt: entry.attempts,
            cookie: entry.cookie,
            first_at: *entry.first_at.get_or_insert_with(SystemTime::now),
            is_last: self.is_last_try(&entry, probe, now),
            is_leaving: self.leaving.is_some() || self.phase != Phase::Open,
        };
        let batch = Arc::clone(&entry.batch);
        let slot = entry.slot.clone();
        self.retries += u64::from(this_try.attempt > 1);
        self.workers.change(worker, WorkerState::Exporting { entry, probe, settled: false });
        Next::Export { batch, slot, this_try }
    }

    /// Whether a batch that is tried now is given up if this comes to nothing: it is too old for another pause, or the end
    /// of the process comes before one is over.
    fn is_last_try(&self, entry: &Entry, probe: bool, now: Instant) -> bool {
        let circuit = &self.signals.of_ref(entry.batch.signal).circuit;
        let age = now.saturating_duration_since(entry.offered_at);
        age.saturating_add(circuit.least_pause(probe)) > self.max_elapsed || circuit.is_last_try_in_a_hurry(now)
    }

    /// The oldest batch that may leave now, and whether it is a probe; else when to look again.
    ///
    /// Metrics leave one batch at a time: points that overtake each other are refused by who stores them.
    fn take(&mut self, now: Instant) -> Result<(Entry, bool), Option<Instant>> {
        let metrics_are_out = self.workers.any_exporting(Signal::Metrics);
        let mut queues = self.signals.all_mut();
        queues.sort_by_key(|queue| queue.waiting.front().map(|entry| entry.sequence));
        let mut look_again: Option<Instant> = None;
        for queue in queues {
            if queue.waiting.is_empty() || queue.signal == Signal::Metrics && metrics_are_out {
                continue;
            }
            let probe = match queue.circuit.enter(now) {
                Gate::Closed(until) => {
                    look_again = look_again.into_iter().chain(until).min();
                    continue;
                }
                Gate::Probe => true,
                Gate::Pass => false,
            };
            if let Some(entry) = queue.waiting.pop_front() {
                return Ok((entry, probe));
            }
        }
        Err(look_again)
    }

    /// The call that `next` asked for has come back.
    pub(super) fn export_returned(&mut self, worker: usize, outcome: Outcome, now: Instant) -> Vec<Note> {
        let mut notes = Vec::new();
        let (WorkerState::Exporting { entry, probe, settled }, stuck) =
            self.workers.change(worker, WorkerState::Counting { flushed: None })
        else {
            return notes;
        };
        let signal = entry.batch.signal;
        if probe {
            self.signals.of(signal).circuit.leave();
        }
        notes.extend(self.call_came_back(stuck));
        self.note_answer(&entry.batch, &outcome, now);
        if let Some(message) = outcome.trouble() {
            self.last_error = Some((message.to_owned(), now));
        }
        if let Outcome::OutOfService { message } = &outcome {
            notes.extend(self.take_out_of_service(message));
        }
        if settled {
            self.release(&entry.batch);
            return notes;
        }
        match outcome {
            Outcome::Exported => {
                notes.extend(self.answered(signal, now));
                self.end(&entry, Settlement::Exported { rejected_items: 0 }, now);
            }
            Outcome::Partial { rejected_items, message } => {
                notes.extend(self.answered(signal, now));
                let some = match signal {
                    Signal::Traces => "some spans of a batch",
                    Signal::Metrics => "some data points of a batch",
                };
                notes.extend(self.refused(signal, now, some, &message));
                self.end(&entry, Settlement::Exported { rejected_items }, now);
            }
            Outcome::Rejected { message } => {
                notes.extend(self.answered(signal, now));
                notes.extend(self.refused(signal, now, "a batch", &message));
                self.end(&entry, Settlement::Refused(DropReason::Rejected), now);
            }
            // The plugin may have broken on this very batch: no other process is to break on it.
            Outcome::OutOfService { .. } => {
                self.end(&entry, Settlement::Refused(DropReason::OutOfService), now);
            }
            Outcome::Retry { after, cookie, may_be_stored, message } => {
                let entry = Entry { cookie, ..entry };
                self.news.extend(entry.slot.clone().map(|slot| News::Waits { slot, may_be_stored }));
                notes.extend(self.retry_later(entry, after, probe, &message, now));
            }
        }
        notes
    }

    /// The flush that `next` asked for has come back.
    pub(super) fn flush_returned(&mut self, worker: usize, succeeded: bool) -> Vec<Note> {
        let (WorkerState::Flushing { id }, stuck) = self.workers.change(worker, WorkerState::Idle) else {
            return Vec::new();
        };
        self.workers.change(worker, WorkerState::Counting { flushed: Some((id, succeeded)) });
        self.call_came_back(stuck).into_iter().collect()
    }

    /// The plugin has said what it has counted.
    pub(super) fn count_returned(&mut self, worker: usize) -> Vec<Note> {
        let (WorkerState::Counting { flushed }, stuck) = self.workers.change(worker, WorkerState::Idle) else {
            return Vec::new();
        };
        self.last_flush = flushed.unwrap_or(self.last_flush);
        self.call_came_back(stuck).into_iter().collect()
    }

    /// The exporter's shutdown has come back; the worker ends.
    pub(super) fn shutdown_returned(&mut self, worker: usize, succeeded: bool) {
        self.workers.change(worker, WorkerState::Left);
        self.exporter_stopped = Some(succeeded);
    }

    /// Spans that did not arrive, so far.
    pub(super) fn lost(&self) -> u64 {
        self.counts.lost()
    }

    /// One consistent look.
    pub(super) fn counters(&self) -> BackendCounters {
        let held = self.signals.waiting().chain(self.workers.unsettled());
        let (services, data_points, taken_over) = self.counts.snapshot(held);
        let state = if self.is_starting() {
            BackendState::Starting
        } else if self.out_of_service {
            BackendState::OutOfService
        } else if self.workers.any_stuck() {
            BackendState::Stuck
        } else if self.signals.all().iter().any(|queue| queue.circuit.is_open()) {
            BackendState::Retrying
        } else if self.is_refusing {
            BackendState::Refusing
        } else if self.last_export.is_some() {
            BackendState::Healthy
        } else {
            BackendState::Untried
        };
        BackendCounters {
            services,
            data_points,
            taken_over,
            spool: None,
            operations: self.counts.operations().to_vec(),
            retries: self.retries,
            held_bytes: self.held_bytes,
            queue_bytes: self.bound.bytes(),
            halvings: Halvings::default(),
            state,
            last_export: self.last_export,
            last_error: self.last_error.clone(),
            counted: None,
        }
    }

    /// Drops everything that waits.
    fn drop_waiting(&mut self, reason: DropReason) {
        for signal in [Signal::Traces, Signal::Metrics] {
            self.drop_signal(signal, reason);
        }
    }

    /// Drops everything of a signal that waits.
    fn drop_signal(&mut self, signal: Signal, reason: DropReason) {
        while let Some(entry) = self.signals.of(signal).waiting.pop_front() {
            self.settle(&entry, Settlement::Dropped(reason));
        }
    }

    /// While the backend fails, what has waited longer than `max_elapsed` goes without another try: it would only hold
    /// up younger batches. While the backend is well, age does not matter: a slow backend still gets everything.
    fn drop_stale(&mut self, now: Instant) {
        let max_elapsed = self.max_elapsed;
        let is_stale = |entry: &Entry| now.saturating_duration_since(entry.offered_at) > max_elapsed;
        for signal in [Signal::Traces, Signal::Metrics] {
            while let Some(entry) = pop_stale(self.signals.of(signal), is_stale) {
                self.end(&entry, Settlement::Dropped(DropReason::RetriesExhausted), now);
            }
        }
    }

    /// Takes up a flush request if all it covers is settled.
    fn next_flush(&mut self, worker: usize, now: Instant) -> Option<Next> {
        let request = self.flush_request?;
        let unsettled_before = self.oldest_unsettled().is_some_and(|sequence| sequence < request.up_to);
        if unsettled_before
            || self.workers.any_flushing()
            || self.out_of_service
            || self.workers.any_stuck()
            || self.phase != Phase::Open
        {
            return None;
        }
        self.flush_request = None;
        let timeout = request.deadline.saturating_duration_since(now);
        self.workers.change(worker, WorkerState::Flushing { id: request.id });
        Some(Next::Flush { timeout })
    }

    /// A worker goes; the last one ends the exporter.
    fn leave(&mut self, worker: usize, timeout: Duration) -> Next {
        if self.workers.all_left_but(worker) && self.exporter_stopped.is_none() {
            self.workers.change(worker, WorkerState::ShuttingDown);
            return Next::ShutDownExporter { timeout };
        }
        self.workers.change(worker, WorkerState::Left);
        Next::Exit
    }

    /// Puts a batch back where its age belongs, or gives it up.
    fn retry_later(
        &mut self,
        entry: Entry,
        server_wish: Option<Duration>,
        probe: bool,
        message: &str,
        now: Instant,
    ) -> Option<Note> {
        let signal = entry.batch.signal;
        let queue = self.signals.of(signal);
        let (pause, first) = queue.circuit.failed(now, server_wish, probe);
        let hopeless = queue.circuit.is_hopeless();
        // What waits says all that this batch does.
        let superseded = signal == Signal::Metrics && !queue.waiting.is_empty();
        let note = (first && queue.trouble.opens(now)).then(|| {
            queue.trouble_announced = Some(self.counts.lost_of(signal));
            let prefix = queue.prefix();
            Note {
                level: Level::Warn,
                text: format!("{prefix}export failed, and will be retried for {:?}: {message}", self.max_elapsed),
            }
        });
        let too_old = now.saturating_duration_since(entry.offered_at).saturating_add(pause) > self.max_elapsed;
        let give_up = if self.out_of_service {
            Some(DropReason::OutOfService)
        } else if self.workers.any_stuck() {
            Some(DropReason::Stuck)
        } else if self.phase != Phase::Open && hopeless {
            self.drop_signal(signal, DropReason::ShutDown);
            Some(DropReason::ShutDown)
        } else if superseded {
            Some(DropReason::Superseded)
        } else if too_old {
            Some(DropReason::RetriesExhausted)
        } else {
            None
        };
        match give_up {
            Some(reason) => self.end(&entry, Settlement::Dropped(reason), now),
            None => {
                let waiting = &mut self.signals.of(signal).waiting;
                let place = waiting.partition_point(|other| other.sequence < entry.sequence);
                waiting.insert(place, entry);
            }
        }
        note
    }

    fn oldest_unsettled(&self) -> Option<u64> {
        self.signals.waiting().chain(self.workers.unsettled()).map(|entry| entry.sequence).min()
    }

    /// An entry has come to its end, after a try at least.
    fn end(&mut self, entry: &Entry, settlement: Settlement, now: Instant) {
        if let Some(first_try) = entry.first_try {
            let lost = match settlement {
                Settlement::Exported { .. } | Settlement::Spooled => None,
                Settlement::Dropped(reason) | Settlement::Refused(reason) => Some(reason),
            };
            self.counts.took(entry.batch.signal, lost, now.saturating_duration_since(first_try));
        }
        self.settle(entry, settlement);
    }

    fn settle(&mut self, entry: &Entry, settlement: Settlement) {
        self.account_for(entry, settlement);
        self.release(&entry.batch);
    }

    /// An entry has come to its end here.
    fn account_for(&mut self, entry: &Entry, settlement: Settlement) {
        let batch = &entry.batch;
        let settlement = self.noted_in_spool(batch, entry.slot.as_ref(), settlement);
        let is_of_spans = batch.signal == Signal::Traces;
        if is_of_spans && matches!(settlement, Settlement::Dropped(DropReason::ShutDown | DropReason::NotStarted)) {
            self.lost_at_shutdown += u64::from(batch.item_count);
        }
        self.counts.settle(batch, settlement);
    }

    fn release(&mut self, batch: &FinishedBatch) {
        self.held_bytes = self.held_bytes.saturating_sub(batch.weight());
        self.pressure.left(batch.weight() as u64, self.held_bytes as u64, self.bound.bytes() as u64);
    }
}

/// The oldest entry of a queue whose backend fails, if it has waited for too long.
fn pop_stale(queue: &mut SignalQueue, is_stale: impl Fn(&Entry) -> bool) -> Option<Entry> {
    let stale = queue.circuit.is_open() && queue.waiting.front().is_some_and(is_stale);
    if stale { queue.waiting.pop_front() } else { None }
}
