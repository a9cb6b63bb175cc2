//! The body of an export thread, named `tr-<backend>`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exporter::{Exporter, Outcome};
use super::memory;
use super::queue_state::{Next, Note, QueueState};
use super::spool::{News, Store, Taken};
use crate::{config, diagnostics, quiet_thread};

/// Makes the exporter; the error is for people, and was told by whoever made it.
pub(super) type Begin = Box<dyn FnOnce() -> Result<Box<dyn Exporter>, String> + Send>;

/// What a queue and its threads share.
///
/// Lock order: nothing else of ours is taken while `state` is held, and neither the exporter nor the log is called.
pub(super) struct Shared {
    /// The backend's name, for log lines.
    pub(super) name: String,
    /// Set once, before anything is asked of it.
    pub(super) exporter: OnceLock<Box<dyn Exporter>>,
    /// Taken by whoever makes the exporter.
    begin: Mutex<Option<Begin>>,
    concurrency: usize,
    pub(super) export_timeout: Duration,
    pub(super) state: Mutex<QueueState>,
    /// Where batches lie that are to outlive the process, if the file says so. Nothing of it that takes a lock or a file is
    /// called while `state` is held.
    pub(super) store: Option<Store>,
    /// Something for workers to do, or a reason to look again.
    pub(super) work: Condvar,
    /// Something is settled; those who wait for a flush or a shutdown look again.
    pub(super) settled: Condvar,
    /// Joined by the first shutdown in time; else the threads are left to themselves.
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    pub(super) fn new(settings: &config::Backend, begin: Begin, state: QueueState) -> Self {
        Self {
            name: settings.name.clone(),
            exporter: OnceLock::new(),
            begin: Mutex::new(Some(begin)),
            concurrency: settings.concurrency,
            export_timeout: settings.timeout,
            state: Mutex::new(state),
            store: settings.spool.as_ref().map(|spool| Store::new(&settings.name, spool)),
            work: Condvar::new(),
            settled: Condvar::new(),
            threads: Mutex::default(),
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

    /// Makes the exporter, unless somebody else does: then it comes back at once.
    pub(super) fn begin(self: &Arc<Self>) {
        let Some(begin) = self.begin.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let made = contain(begin).unwrap_or_else(|| Err("the host's side of its start panicked".to_owned()));
        let mut state = self.lock();
        let now = Instant::now();
        let (note, workers) = match made {
            Ok(exporter) => {
                let workers = self.concurrency.min(exporter.concurrency()).max(1);
                // Whoever took `begin` is alone here.
                let _ = self.exporter.set(exporter);
                (state.started(workers, now), workers)
            }
            Err(message) => {
                state.start_failed(&message, now);
                (None, 1)
            }
        };
        drop(state);
        self.work.notify_all();
        self.settled.notify_all();
        self.write(note);
        (1..workers).for_each(|worker| self.spawn(worker));
    }

    /// Starts the thread of a worker.
    pub(super) fn spawn(self: &Arc<Self>, worker: usize) {
        let body = Arc::clone(self);
        // Held, so that a shutdown that finds it ended finds its handle too.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        match quiet_thread::spawn(format!("tr-{}", self.name), move || body.work(worker)) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                drop(threads);
                let notes = self.lock().worker_missing(worker, &error.to_string());
                self.settled.notify_all();
                self.write(notes);
            }
        }
    }

    /// Waits for the exporter, and makes it if it is the first worker. Whether there is one.
    fn has_exporter(self: &Arc<Self>, worker: usize) -> bool {
        let mut state = self.lock();
        if worker == 0 && state.is_starting() {
            while let Some(until) = state.begins_at(Instant::now()) {
                state = self.wait_for_work(state, Some(until));
            }
            drop(state);
            self.begin();
            state = self.lock();
        }
        while state.is_starting() {
            state = self.wait_for_work(state, None);
        }
        drop(state);
        self.exporter.get().is_some()
    }

    /// Works until the queue ends.
    pub(super) fn work(self: &Arc<Self>, worker: usize) {
        if worker == 0 && self.lock().follows_memory() {
            // So that whoever looks sees how much may wait, although little does.
            let limits = memory::limits();
            self.lock().has_memory(&limits, Instant::now());
        }
        if !self.has_exporter(worker) {
            return;
        }
        let mut state = self.lock();
        loop {
            state = self.fetch_from_the_spool(worker, state);
            let next = state.next(worker, Instant::now());
            if let Next::Wait(until) = next {
                // `next` may have dropped what was too old.
                self.settled.notify_all();
                let news = state.take_news();
                if !news.is_empty() {
                    drop(state);
                    self.write_down(news);
                    state = self.lock();
                    continue;
                }
                let until = until.into_iter().chain(self.looks_again_at(worker, &state)).min();
                state = self.wait_for_work(state, until);
                continue;
            }
            drop(state);
            if let (Some(store), Next::Export { slot: Some(slot), .. }) = (&self.store, &next) {
                store.is_on_its_way(slot);
            }
            let (notes, over);
            (state, notes, over) = self.act(worker, next);
            let news = state.take_news();
            if !news.is_empty() {
                drop(state);
                self.write_down(news);
                state = self.lock();
            }
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

    /// Brings a batch that is in the spool only into memory, if there is room; and now and then what others have left behind.
    fn fetch_from_the_spool<'a>(
        &'a self,
        worker: usize,
        mut state: MutexGuard<'a, QueueState>,
    ) -> MutexGuard<'a, QueueState> {
        let Some(store) = &self.store else { return state };
        let now = Instant::now();
        if worker == 0 && state.may_take_over() && store.looks_for_others_at() <= now {
            drop(state);
            store.take_over(now, |spans| self.lock().has_taken_over(spans));
            state = self.lock();
        }
        while store.has_parked() && state.has_room_for_spooled() {
            drop(state);
            let taken = store.take();
            state = self.lock();
            match taken {
                Taken::Batch(batch, slot) => state.offer_from_spool(Arc::new(batch), slot, Instant::now()),
                Taken::Lost(spans) => state.lost_in_the_spool(&spans),
                Taken::Nothing => break,
            }
        }
        state
    }

    /// When the next look into the spool is due, if it is this worker's.
    fn looks_again_at(&self, worker: usize, state: &QueueState) -> Option<Instant> {
        let store = self.store.as_ref().filter(|_| worker == 0)?;
        let for_others = state.may_take_over().then(|| store.looks_for_others_at());
        // It was looked for just now: what is there cannot be read yet.
        let is_unread = store.has_parked() && state.has_room_for_spooled();
        for_others.into_iter().chain(is_unread.then(|| Instant::now() + READ_AGAIN)).min()
    }

    /// Writes into the spool what has become of its batches. Call it without the lock: a disk may take its time.
    pub(super) fn write_down(&self, news: Vec<News>) {
        let Some(store) = &self.store else { return };
        for news in news {
            match news {
                News::Done(slot) => store.is_done(&slot),
                News::Waits { slot, may_be_stored } => store.waits(&slot, may_be_stored),
                News::Parked(slot, batch) => store.is_parked(&slot, &batch),
            }
        }
    }

    /// Does one thing, without the lock, and enters what came of it; and then what the backend has counted. Nobody else asks
    /// the backend for that, so that one that does not come back costs itself only.
    fn act(&self, worker: usize, next: Next) -> (MutexGuard<'_, QueueState>, Vec<Note>, bool) {
        // Without one nobody works.
        let Some(exporter) = self.exporter.get() else { return (self.lock(), Vec::new(), true) };
        let watch = |function, timeout| self.call_begins(worker, function, timeout);
        match next {
            Next::Export { batch, this_try, .. } => {
                watch("export_batch", self.export_timeout);
                let outcome = contain(|| exporter.export(&batch, &this_try, self.export_timeout, &watch));
                let outcome = outcome.unwrap_or_else(|| Outcome::Rejected {
                    message: "the host's side of the call panicked".to_owned(),
                });
                let mut state = self.lock();
                let notes = state.export_returned(worker, outcome, Instant::now());
                self.count(worker, exporter.as_ref(), state, notes)
            }
            Next::Flush { timeout } => {
                watch("flush", timeout);
                let flushed = contain(|| exporter.flush(timeout, &watch)).unwrap_or(false);
                let mut state = self.lock();
                let notes = state.flush_returned(worker, flushed);
                self.count(worker, exporter.as_ref(), state, notes)
            }
            Next::ShutDownExporter { timeout } => {
                let stopped = contain(|| exporter.shutdown(timeout)).unwrap_or(false);
                let mut state = self.lock();
                state.shutdown_returned(worker, stopped);
                (state, Vec::new(), true)
            }
            Next::Exit | Next::Wait(_) => (self.lock(), Vec::new(), true),
        }
    }

    fn call_begins(&self, worker: usize, function: &'static str, timeout: Duration) {
        self.lock().call_begins(worker, function, timeout, Instant::now());
    }

    fn count<'a>(
        &'a self,
        worker: usize,
        exporter: &dyn Exporter,
        mut state: MutexGuard<'a, QueueState>,
        mut notes: Vec<Note>,
    ) -> (MutexGuard<'a, QueueState>, Vec<Note>, bool) {
        let news = state.take_news();
        drop(state);
        self.write_down(news);
        self.work.notify_all();
        self.settled.notify_all();
        self.write(notes.drain(..));
        // What it has said in this call: at the end of the process nobody comes by any more.
        contain(|| exporter.tick());
        self.call_begins(worker, "stats", Duration::ZERO);
        contain(|| exporter.count());
        let mut state = self.lock();
        notes.extend(state.count_returned(worker));
        (state, notes, false)
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
/// As when too many files are open.
const READ_AGAIN: Duration = Duration::from_secs(1);
