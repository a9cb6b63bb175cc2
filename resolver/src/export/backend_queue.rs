//! `BackendQueue`: the queue of one backend, its threads, and the ways to end it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::memory;
use super::pressure::Wish;
use super::queue_state::{Note, QueueState};
use super::worker::Shared;
use super::{BackendCounters, Exporter, FinishedBatch, Signal, Timing};
use crate::counted::{counted, verb};
use crate::{config, quiet_thread};

/// The way out of one backend: a queue bounded in bytes, and the threads that empty it.
///
/// Shared by all services that export to the backend. All methods may be called from any thread, except that a forked
/// child calls only [`BackendQueue::abandon`]. Dropping it without [`BackendQueue::shutdown`] drops and counts what
/// waits and ends the threads without waiting for them.
pub(crate) struct BackendQueue {
    shared: Arc<Shared>,
    /// Set in a forked child: the lock may be held for ever by a thread that is not there any more.
    abandoned: AtomicBool,
}

impl BackendQueue {
    /// Starts a backend whose exporter `begin` makes, on the backend's first thread; batches wait for it. Then there are as
    /// many threads as its `concurrency` and the exporter allow. Nobody has to wait for it: see
    /// [`BackendQueue::wait_for_start`].
    ///
    /// `begin` is not called before `pause` has passed, unless somebody waits. What it says when there is no exporter it
    /// has told.
    ///
    /// If the system gives no thread at all, the backend is out of service from the start, and an ERROR says so.
    pub(crate) fn start(
        settings: &config::Backend,
        timing: Timing,
        pause: Duration,
        begin: impl FnOnce() -> Result<Box<dyn Exporter>, String> + Send + 'static,
    ) -> Arc<Self> {
        let state = QueueState::starting(settings, timing, Instant::now(), pause);
        let shared = Arc::new(Shared::new(settings, Box::new(begin), state));
        shared.spawn(0);
        Arc::new(Self { shared, abandoned: AtomicBool::new(false) })
    }

    /// Waits until the exporter is there, or is known never to come; `false` at the deadline. It is begun at once.
    ///
    /// But this thread makes it if the queue's own does not get to it: it may hold the dynamic linker's lock, in the
    /// constructor of a library, for which every new thread waits.
    pub(crate) fn wait_for_start(&self, deadline: Instant) -> bool {
        if self.is_abandoned() {
            return false;
        }
        let started = Instant::now();
        let mut state = self.shared.lock();
        state.start_at_once(started);
        self.shared.work.notify_all();
        let mut patience = deadline.min(started + LONGER_THAN_A_THREAD_TAKES);
        while state.is_starting() {
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            if now >= patience {
                drop(state);
                self.shared.begin();
                state = self.shared.lock();
                patience = deadline;
                continue;
            }
            let waited = self.shared.settled.wait_timeout(state, patience - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Whether its exporter is still to come.
    pub(crate) fn is_starting(&self) -> bool {
        !self.is_abandoned() && self.shared.lock().is_starting()
    }

    /// Whether there is no exporter, and will be none.
    pub(crate) fn has_failed_to_start(&self) -> bool {
        !self.is_abandoned() && self.shared.lock().has_failed_to_start()
    }

    /// Of an exporter that is there; tests look at the queue at once.
    #[cfg(test)]
    pub(crate) fn start_with(settings: &config::Backend, exporter: impl Exporter, timing: Timing) -> Arc<Self> {
        let queue = Self::start(settings, timing, Duration::ZERO, || Ok(Box::new(exporter)));
        assert!(queue.wait_for_start(Instant::now() + Duration::from_secs(60)));
        queue
    }

    /// Takes a batch for export. Never blocks for longer than another thread holds the lock, which none does across a
    /// call into a plugin, the log or a file; a batch for which there is no room is dropped and counted. With a spool it is
    /// first written there: then a disk may take its time. Called by the batch thread.
    ///
    /// Batches leave in the order of their arrival, but for those that are retried.
    pub(crate) fn offer(&self, batch: Arc<FinishedBatch>) {
        if self.is_abandoned() {
            return;
        }
        let now = Instant::now();
        // Before anybody may lose it.
        let store = self.shared.store.as_ref().filter(|_| batch.signal == Signal::Traces);
        let slot = store.and_then(|store| store.keep(&batch, now));
        let mut state = self.shared.lock();
        if state.is_to_look_at_memory(&batch, now) {
            drop(state);
            let limits = memory::limits();
            state = self.shared.lock();
            state.has_memory(&limits, now);
        }
        state.offer(batch, slot, now);
        self.unlock(state);
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
        loop {
            let now = Instant::now();
            if now >= deadline || state.has_left(now) {
                break;
            }
            let look_again = state.has_last_words_until().filter(|until| now < *until);
            let pause = look_again.unwrap_or(deadline).min(deadline) - now;
            let waited = self.shared.settled.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.stop_hurrying(last);
        self.unlock(state);
        self.shared.settled.notify_all();
        if let Some(store) = self.shared.store.as_ref().filter(|_| last) {
            store.tidy();
        }
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
            self.unlock(state);
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
        let ended = state.exporter_stopped() == Some(true) || state.has_failed_to_start();
        let clean = ended && state.lost_at_shutdown() == 0;
        self.unlock(state);
        if let Some(store) = &self.shared.store {
            store.close();
        }
        let threads = mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
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
        let wish = self.wish();
        let mut counters = BackendCounters { halvings: wish.halvings, ..self.shared.lock().counters() };
        counters.spool = self.shared.store.as_ref().map(|store| counters.in_spool(store.stats()));
        counters.counted = self.shared.exporter.get().and_then(|exporter| exporter.counted());
        counters
    }

    /// What it wants of those who begin traces.
    pub(crate) fn wish(&self) -> Wish {
        if self.is_abandoned() {
            return Wish::default();
        }
        let spool = self.shared.store.as_ref().map(|store| store.fill());
        self.shared.lock().wish(spool, Instant::now())
    }

    /// Spans that did not arrive, so far.
    pub(crate) fn lost(&self) -> u64 {
        if self.is_abandoned() { 0 } else { self.shared.lock().lost() }
    }

    /// Whether it is to send what others have left in the spool, from here on: only while the configuration leads to it. One
    /// that is started sends nothing of theirs until this is said.
    pub(crate) fn takes_over(&self, does: bool) {
        if self.is_abandoned() {
            return;
        }
        // Held until it is said, so that no worker begins to wait in between.
        self.shared.lock().takes_over(does);
        self.shared.work.notify_all();
    }

    /// What of the spool could not be looked at, and why.
    pub(crate) fn unread_in_the_spool(&self) -> Option<String> {
        self.shared.store.as_ref()?.unread()
    }

    /// Whether all that it had in the spool is there for whoever takes it over.
    pub(crate) fn has_left_its_spool(&self) -> bool {
        self.shared.store.as_ref().is_some_and(|store| store.is_closed())
    }

    /// Whoever sends nothing of his own looks for all that others have left in the spool, without a pause.
    pub(crate) fn looks_everywhere(&self) {
        if let Some(store) = &self.shared.store {
            store.is_to_look_everywhere();
        }
    }

    /// Whether that is done, and all was taken over that can be.
    pub(crate) fn has_looked_everywhere(&self) -> bool {
        self.shared.store.as_ref().is_none_or(|store| {
            self.shared.work.notify_all();
            store.has_looked_everywhere()
        })
    }

    /// The watchdog; called by the batch thread every 100 ms or so.
    pub(crate) fn tick(&self, now: Instant) {
        if self.is_abandoned() {
            return;
        }
        if let Some(exporter) = self.shared.exporter.get() {
            exporter.tick();
        }
        let mut state = self.shared.lock();
        let notes = state.tick(now);
        self.unlock(state);
        self.shared.settled.notify_all();
        self.shared.write(notes);
    }

    /// Gives the lock back, and writes into the spool what has become of its batches.
    fn unlock(&self, mut state: MutexGuard<'_, QueueState>) {
        let news = state.take_news();
        drop(state);
        if !news.is_empty() {
            self.shared.write_down(news);
            self.shared.work.notify_all();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

/// A thread that does not begin for so long is kept from it.
const LONGER_THAN_A_THREAD_TAKES: Duration = Duration::from_secs(1);

/// When nothing more is sent, so that the exporter can still end what it does.
fn without_reserve(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline.checked_sub((left / 4).min(Duration::from_secs(1))).unwrap_or(deadline)
}

impl Drop for BackendQueue {
    fn drop(&mut self) {
        if self.is_abandoned() {
            // Detaching a thread that this process does not have is undefined: the threads' own references, which nobody
            // gives back here, keep their handles.
            return;
        }
        let now = Instant::now();
        self.shared.lock().begin_shutdown(now, now + self.shared.export_timeout);
        self.shared.work.notify_all();
    }
}
