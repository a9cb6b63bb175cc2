//! The body of an export thread, named `tr-<backend>`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::exporter::{Exporter, Outcome};
use super::queue_state::{Next, Note, QueueState};
use crate::{config, diagnostics};

/// What a queue and its threads share.
///
/// Lock order: nothing else of ours is taken while `state` is held, and neither the exporter nor the log is called.
pub(super) struct Shared {
    /// The backend's name, for log lines.
    pub(super) name: String,
    pub(super) exporter: Box<dyn Exporter>,
    pub(super) export_timeout: Duration,
    pub(super) state: Mutex<QueueState>,
    /// Something for workers to do, or a reason to look again.
    pub(super) work: Condvar,
    /// Something is settled; those who wait for a flush or a shutdown look again.
    pub(super) settled: Condvar,
}

impl Shared {
    pub(super) fn new(settings: &config::Backend, exporter: Box<dyn Exporter>, state: QueueState) -> Self {
        Self {
            name: settings.name.clone(),
            exporter,
            export_timeout: settings.timeout,
            state: Mutex::new(state),
            work: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    /// Nothing panics while holding it; if something did, the counters are still the best there is.
    pub(super) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes notes to the log, or to stderr where there is none. Call it without the lock: the application's logger may block.
    pub(super) fn write(&self, notes: impl IntoIterator<Item = Note>) {
        for note in notes {
            diagnostics::say(LOG_TARGET, note.level, &format!("backend `{}`: {}", self.name, note.text));
        }
    }

    /// Works until the queue ends.
    pub(super) fn work(&self, worker: usize) {
        let mut state = self.lock();
        loop {
            let next = state.next(worker, Instant::now());
            if let Next::Wait(until) = next {
                // `next` may have dropped what was too old.
                self.settled.notify_all();
                state = self.wait_for_work(state, until);
                continue;
            }
            drop(state);
            let (notes, over);
            (state, notes, over) = self.act(worker, next);
            self.work.notify_all();
            self.settled.notify_all();
            if over {
                return;
            }
            if !notes.is_empty() {
                drop(state);
                self.write(notes);
                state = self.lock();
            }
        }
    }

    /// Does one thing, without the lock, and enters what came of it.
    fn act(&self, worker: usize, next: Next) -> (MutexGuard<'_, QueueState>, Vec<Note>, bool) {
        match next {
            Next::Export { batch, this_try } => {
                let outcome =
                    contain(|| self.exporter.export(&batch, &this_try, self.export_timeout)).unwrap_or_else(|| {
                        Outcome::Rejected { message: "the host's side of the call panicked".to_owned() }
                    });
                let mut state = self.lock();
                let notes = state.export_returned(worker, outcome, Instant::now());
                (state, notes, false)
            }
            Next::Flush { timeout } => {
                let flushed = contain(|| self.exporter.flush(timeout)).unwrap_or(false);
                let mut state = self.lock();
                let notes = state.flush_returned(worker, flushed);
                (state, notes, false)
            }
            Next::ShutDownExporter { timeout } => {
                let stopped = contain(|| self.exporter.shutdown(timeout)).unwrap_or(false);
                let mut state = self.lock();
                state.shutdown_returned(worker, stopped);
                (state, Vec::new(), true)
            }
            Next::Exit | Next::Wait(_) => (self.lock(), Vec::new(), true),
        }
    }

    fn wait_for_work<'a>(
        &self,
        state: MutexGuard<'a, QueueState>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, QueueState> {
        match until {
            None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let pause = until.saturating_duration_since(Instant::now());
                self.work.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// A panic on our side of the call must not take the thread, and with it the backend, away.
fn contain<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

const LOG_TARGET: &str = "tracer_resolver::export";
