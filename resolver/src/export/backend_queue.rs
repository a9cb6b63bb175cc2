//! `BackendQueue`: the queue of one backend, its threads, and the ways to end it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::queue_state::{Note, QueueState};
use super::worker::Shared;
use super::{BackendCounters, Exporter, FinishedBatch, Timing};
use crate::counted::{counted, verb};
use crate::{config, quiet_thread};

/// The way out of one backend: a queue bounded in bytes, and the threads that empty it.
///
/// Shared by all services that export to the backend. All methods may be called from any thread, except that a forked
/// child calls only [`BackendQueue::abandon`]. Dropping it without [`BackendQueue::shutdown`] drops and counts what
/// waits and ends the threads without waiting for them.
pub(crate) struct BackendQueue {
    shared: Arc<Shared>,
    /// Joined by the first shutdown in time; else the threads are left to themselves.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Set in a forked child: the lock may be held for ever by a thread that is not there any more.
    abandoned: AtomicBool,
}

impl BackendQueue {
    /// Starts the threads of a backend: as many as its `concurrency` and the exporter allow.
    ///
    /// If the system gives no thread at all, the backend is out of service from the start, and an ERROR says so.
    pub(crate) fn start(settings: &config::Backend, exporter: impl Exporter) -> Arc<Self> {
        Self::start_with(settings, exporter, Timing::default())
    }

    /// As [`BackendQueue::start`], with other times.
    pub(crate) fn start_with(settings: &config::Backend, exporter: impl Exporter, timing: Timing) -> Arc<Self> {
        let workers = settings.concurrency.min(exporter.concurrency()).max(1);
        let state = QueueState::new(settings, timing, workers);
        let shared = Arc::new(Shared::new(settings, Box::new(exporter), state));
        let mut threads = Vec::with_capacity(workers);
        for worker in 0..workers {
            let body = Arc::clone(&shared);
            match quiet_thread::spawn(format!("tr-{}", settings.name), move || body.work(worker)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let notes = shared.lock().worker_missing(worker, &error.to_string());
                    shared.write(notes);
                }
            }
        }
        Arc::new(Self { shared, threads: Mutex::new(threads), abandoned: AtomicBool::new(false) })
    }

    /// Takes a batch for export. Never blocks for longer than another thread holds the lock, which none does across a
    /// call into a plugin or the log; a batch for which there is no room is dropped and counted.
    ///
    /// Batches leave in the order of their arrival, but for those that are retried.
    pub(crate) fn offer(&self, batch: Arc<FinishedBatch>) {
        if self.is_abandoned() {
            return;
        }
        self.shared.lock().offer(batch, Instant::now());
        self.shared.work.notify_one();
    }

    /// Waits until everything offered before was exported or dropped and the exporter has flushed it. False when the
    /// deadline comes first or the exporter fails to flush.
    ///
    /// A pause of a failing backend is not cut short.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        if self.is_abandoned() {
            return false;
        }
        let mut state = self.shared.lock();
        let id = state.request_flush(deadline);
        self.shared.work.notify_all();
        loop {
            if let Some(result) = state.flush_result(id) {
                return result;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            let waited = self.shared.settled.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The process may end: what waits is to go out, with the pauses of a failing backend cut short, but for a quarter
    /// of the time, a second at most, which is kept for the exporter's own flush. Waits for nothing.
    /// [`BackendQueue::finish_leaving`] must follow. Without `insisting` one failure is the end of it.
    pub(crate) fn begin_leaving(&self, deadline: Instant, insisting: bool) {
        if self.is_abandoned() {
            return;
        }
        self.shared.lock().hurry(without_reserve(deadline), deadline, insisting);
        self.shared.work.notify_all();
    }

    /// Waits until all that was offered is settled and flushed, until the backend is past hope, or until `deadline`.
    ///
    /// With `last` what is left is dropped and counted; else it stays on its way.
    pub(crate) fn finish_leaving(&self, deadline: Instant, last: bool) {
        if self.is_abandoned() {
            return;
        }
        let mut state = self.shared.lock();
        while !state.has_left() {
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            let waited = self.shared.settled.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.stop_hurrying(last);
        drop(state);
        self.shared.settled.notify_all();
    }

    /// Lets what waits go out, ends the exporter and the threads. True when all of that happened before the deadline
    /// and the shutdown itself lost no span.
    ///
    /// A failing backend gets another try at once, and more of them while that may help. A quarter of the time, at most a second, is kept for the
    /// exporter's own shutdown. At the deadline what is left is dropped and counted, and threads whose calls do not
    /// come back are left behind, with everything these calls may still use. May be called again: the same answer.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        if self.is_abandoned() {
            return false;
        }
        let mut state = self.shared.lock();
        if state.is_abandoned() {
            return false;
        }
        state.begin_shutdown(without_reserve(deadline), deadline);
        self.shared.work.notify_all();
        while !state.all_left() && !state.only_stuck_calls_remain() {
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            let waited = self.shared.settled.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.all_left() {
            state.abandon_calls();
            let lost = state.lost_at_shutdown();
            drop(state);
            self.shared.work.notify_all();
            self.shared.settled.notify_all();
            self.shared.write([Note {
                level: log::Level::Warn,
                text: match lost {
                    0 => "did not shut down in time".to_owned(),
                    lost => format!(
                        "did not shut down in time; {} that {} left {} lost",
                        counted(lost, "span"),
                        verb(lost, "was", "were"),
                        verb(lost, "is", "are")
                    ),
                },
            }]);
            return false;
        }
        let clean = state.exporter_stopped() == Some(true) && state.lost_at_shutdown() == 0;
        drop(state);
        let threads = mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = threads.into_iter().map(|thread| quiet_thread::join_until(thread, deadline)).fold(true, bool::min);
        clean && joined
    }

    /// For the child after a fork: forgets the threads, which exist only in the parent. Takes no lock. Every other
    /// method does nothing from now on.
    pub(crate) fn abandon(&self) {
        // Relaxed: the child has one thread.
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// One consistent look at the counters. After [`BackendQueue::abandon`] all zero: the spans are the parent's.
    pub(crate) fn counters(&self) -> BackendCounters {
        if self.is_abandoned() {
            return BackendCounters::default();
        }
        self.shared.lock().counters()
    }

    /// Spans that did not arrive, so far.
    pub(crate) fn lost(&self) -> u64 {
        if self.is_abandoned() { 0 } else { self.shared.lock().lost() }
    }

    /// The watchdog; called by the batch thread every 100 ms or so.
    pub(crate) fn tick(&self, now: Instant) {
        if self.is_abandoned() {
            return;
        }
        self.shared.exporter.tick();
        let notes = self.shared.lock().tick(now);
        self.shared.settled.notify_all();
        self.shared.write(notes);
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

/// When nothing more is sent, so that the exporter can still end what it does.
fn without_reserve(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline.checked_sub((left / 4).min(Duration::from_secs(1))).unwrap_or(deadline)
}

impl Drop for BackendQueue {
    fn drop(&mut self) {
        let threads = mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        if self.is_abandoned() {
            // Detaching a thread that this process does not have is undefined.
            mem::forget(threads);
            return;
        }
        let now = Instant::now();
        self.shared.lock().begin_shutdown(now, now + self.shared.export_timeout);
        self.shared.work.notify_all();
    }
}
