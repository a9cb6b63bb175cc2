//! A pipeline: where every thread leaves its finished spans, and how the batch thread is reached.
//!
//! A process has one, which [`process_pipeline`](super::process_pipeline) starts.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::backend_set::{BackendSet, Destinations};
use super::leaving::{Leaving, Patience, Request};
use super::outgoing::Outgoing;
use super::received_spans::ReceivedSpans;
use super::record::FinishedSpan;
use super::segments::Segments;
use super::span_origin::SpanOrigin;
use super::thread_segment::{Shared, SharedSegment, ThreadSegment};

/// Bytes of finished spans that may wait for the batch thread, for the whole process.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of the application's own spans that may wait for the batch thread.
const APPLICATION_BYTES: usize = 16 * 1024 * 1024;

/// Segments that the threads share which keep none.
const SHARED: usize = 16;

/// See the module.
pub(crate) struct Pipeline {
    segments: Segments,
    /// Made with the first consumer whose deliveries may be claimed.
    received_spans: OnceLock<ReceivedSpans>,
    threads: Mutex<Vec<Arc<ThreadSegment>>>,
    /// Threads that keep a segment, also while they finish nothing. At most half of all.
    keepers: AtomicUsize,
    /// For the others.
    shared: [SharedSegment; SHARED],
    inbox: Mutex<Inbox>,
    batch_thread: OnceLock<Thread>,
    /// Somebody is starting it.
    starting: AtomicBool,
    woken: AtomicBool,
    leaving: Leaving,
    /// The process that started it: a `vfork()` child has this very memory, and must not end it.
    process: u32,
}

/// What reaches the batch thread other than by segments.
#[derive(Default)]
pub(crate) struct Inbox {
    pub flushes: Vec<Arc<Flush>>,
    pub retired_backend_sets: Vec<usize>,
    /// Their clients are gone: what waits for a guard of theirs leaves soon.
    pub retired_origins: Vec<Arc<SpanOrigin>>,
    /// Nobody can make a record that names them any more. Dropped after a drain that finds none either.
    pub left_origins: Vec<Arc<SpanOrigin>>,
    /// Rules that a reload has replaced.
    pub outgoing: Vec<Box<dyn Outgoing>>,
    pub application: Vec<ApplicationSpans>,
    pub application_bytes: usize,
    /// What is to be said in the log, which the batch thread may wait for and an application's thread may not.
    pub errands: Vec<Errand>,
    pub end_reporters: Vec<Weak<dyn EndReporter>>,
}

/// Who has something to say from time to time, and when the process ends.
pub(crate) trait EndReporter: Send + Sync {
    /// Called by the batch thread, when nothing more can leave.
    fn report_end(&self);

    /// Called by the batch thread when the process ends, or may, before the queues are emptied.
    fn leaving(&self);

    /// Where what it sends by itself goes.
    fn destinations(&self) -> Option<Arc<dyn Destinations>>;

    /// Called by the batch thread many times a second.
    fn look(&self, now: Instant);
}

/// Something that is done on the batch thread.
pub(crate) type Errand = Box<dyn FnOnce() + Send>;

/// Encoded spans that the application made itself.
pub(crate) struct ApplicationSpans {
    pub backend_set: Arc<BackendSet>,
    pub service: u32,
    pub scope: Arc<[u8]>,
    pub spans: Vec<u8>,
    pub count: u32,
}

/// Somebody waits until everything that was finished before has been sealed into batches.
#[derive(Default)]
pub(crate) struct Flush {
    resolver: Option<u64>,
    done: Mutex<bool>,
    changed: Condvar,
}

/// The pipeline of this process; null before the first use, and again in a fresh child.
pub(super) static CURRENT: AtomicPtr<Pipeline> = AtomicPtr::new(std::ptr::null_mut());

impl Pipeline {
    pub(super) fn new(end_budget: Duration) -> Self {
        Self::with_room(end_budget, BUFFER_BYTES)
    }

    /// With room for so many bytes of finished spans.
    pub(super) fn with_room(end_budget: Duration, bytes: usize) -> Self {
        let shared = std::array::from_fn(|_| SharedSegment::new());
        Self {
            segments: Segments::new(bytes),
            received_spans: OnceLock::new(),
            threads: Mutex::new(shared.iter().map(SharedSegment::shown).collect()),
            keepers: AtomicUsize::new(0),
            shared,
            inbox: Mutex::default(),
            batch_thread: OnceLock::new(),
            starting: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            leaving: Leaving::new(end_budget),
            process: std::process::id(),
        }
    }

    /// Starts the batch thread by `spawn`, if there is none yet. From then on [`Pipeline::wake`] reaches it.
    pub(super) fn start_batch_thread(&self, spawn: impl FnOnce() -> std::io::Result<Thread>) {
        if self.has_batch_thread() || self.starting.swap(true, Ordering::Acquire) {
            return;
        }
        // Somebody else may have started it in between.
        if !self.has_batch_thread() {
            match spawn() {
                Ok(thread) => drop(self.batch_thread.set(thread)),
                Err(error) => crate::diagnostics::error(&format!(
                    "the batch thread could not be started, spans are lost until the next client is made, which tries \
                     again: {error}"
                )),
            }
        }
        // Release: pairs with the acquire above, for `batch_thread`.
        self.starting.store(false, Ordering::Release);
    }

    /// Whether the system gave this process its batch thread.
    pub(super) fn has_batch_thread(&self) -> bool {
        self.batch_thread.get().is_some()
    }

    pub(super) fn leaving(&self) -> &Leaving {
        &self.leaving
    }

    /// Whether this very process started it; a `vfork()` child sees its parent's, and has a process id of its own.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Lets one thread more keep a segment. `false` when half of all are kept: threads that rest keep theirs, and what is left
    /// is for spans on their way.
    pub(super) fn lets_keep(&self) -> bool {
        let most = self.segments.count() / 2;
        let more = |keepers| (keepers < most).then_some(keepers + 1);
        self.keepers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// A thread that kept one ends.
    pub(super) fn keeps_no_more(&self) {
        self.keepers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Hands a finished span over for a thread that keeps no segment. `thread` is a number of it, so that those who push at
    /// once do so in different segments.
    pub(super) fn push_shared(&self, thread: usize, span: &FinishedSpan, extra: &[u8]) -> bool {
        let first = thread % SHARED;
        for place in self.shared.iter().cycle().skip(first).take(SHARED) {
            match place.push(&self.segments, span, extra) {
                Shared::Pushed { wake } => {
                    if wake {
                        self.wake();
                    }
                    return true;
                }
                Shared::Full => {
                    self.wake();
                    return false;
                }
                Shared::Locked => {}
            }
        }
        self.push_alone(span, extra)
    }

    /// Hands a finished span over in a segment of its own.
    pub(crate) fn push_alone(&self, span: &FinishedSpan, extra: &[u8]) -> bool {
        let Some(mut claim) = self.segments.claim() else {
            self.wake();
            return false;
        };
        let pushed = self.segments.push(&mut claim, span, extra);
        if self.segments.submit(claim) {
            self.wake();
        }
        pushed
    }

    /// From here on the batch thread reads what `spans` says too.
    pub(crate) fn add_thread(&self, spans: Arc<ThreadSegment>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(spans);
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Whether `pipeline` is that of this process still: a fork has another.
    pub(crate) fn is_current(pipeline: *const Self) -> bool {
        std::ptr::eq(CURRENT.load(Ordering::Acquire), pipeline)
    }

    /// Asks the batch thread to look now.
    pub(crate) fn wake(&self) {
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(thread) = self.batch_thread.get() {
            thread.unpark();
        }
    }

    /// The batch thread is about to look: from here on a wake-up counts again.
    pub(crate) fn looking(&self) {
        self.woken.store(false, Ordering::Release);
    }

    /// The waiting deliveries; `None` while no consumer can have any.
    pub(crate) fn received_spans(&self) -> Option<&ReceivedSpans> {
        self.received_spans.get()
    }

    /// Prepares for consumers whose deliveries may be claimed.
    pub(crate) fn expect_received_spans(&self) {
        self.received_spans.get_or_init(ReceivedSpans::new);
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the batch thread: all that is in there. `None` where another thread is at it, and stays.
    pub(super) fn take_inbox(&self, patience: &mut Patience) -> Option<Inbox> {
        patience.lock(&self.inbox).map(|mut inbox| std::mem::take(&mut *inbox))
    }

    /// Lets the batch thread say `what` in the log. For callbacks, which must not wait for it.
    #[cold]
    pub(crate) fn tell(&self, level: log::Level, what: String) {
        self.errand(move || crate::diagnostics::say(crate::diagnostics::TARGET, level, &what));
    }

    /// The clients of these are gone: what they handed over and is not claimed soon leaves.
    pub(crate) fn retire(&self, origins: impl IntoIterator<Item = Arc<SpanOrigin>>) {
        // What goes with them, their routes, tells us too: not while we have the lock.
        let origins: Vec<_> = origins.into_iter().collect();
        self.inbox().retired_origins.extend(origins);
        self.wake();
    }

    /// Lets the batch thread drop `origin` once no record refers to it. Nobody can make one any more.
    pub(crate) fn leave_origin(&self, origin: Arc<SpanOrigin>) {
        self.inbox().left_origins.push(origin);
    }

    /// Lets the batch thread find out when nothing follows these rules any more.
    pub(crate) fn replaced(&self, rules: Box<dyn Outgoing>) {
        self.inbox().outgoing.push(rules);
        self.wake();
    }

    /// Lets the batch thread forget what it keeps for these backend sets.
    pub(crate) fn retire_backend_sets(&self, backend_sets: impl IntoIterator<Item = usize>) {
        self.inbox().retired_backend_sets.extend(backend_sets);
        self.wake();
    }

    /// Lets the batch thread do something, soon: before a flush that is asked for later is complete.
    pub(crate) fn errand(&self, errand: impl FnOnce() + Send + 'static) {
        self.inbox().errands.push(Box::new(errand));
        self.wake();
    }

    /// Lets the batch thread ask `reporter` for its last words, if it is still there when the process ends.
    pub(crate) fn report_at_end(&self, reporter: Weak<dyn EndReporter>) {
        self.inbox().end_reporters.push(reporter);
    }

    /// What is asked of the batch thread because the process may end.
    pub(crate) fn request(&self) -> Option<Request> {
        self.leaving.request()
    }

    /// Called by the batch thread: `request` is met.
    pub(crate) fn meet(&self, request: Request) {
        self.leaving.meet(request);
    }

    /// Called by the batch thread: whether to seal what there is.
    pub(crate) fn takes_seal(&self) -> bool {
        self.leaving.takes_seal()
    }

    /// Takes spans that the application made itself; `false` when too many bytes of them wait already.
    pub(crate) fn submit(&self, spans: ApplicationSpans) -> bool {
        let mut inbox = self.inbox();
        if inbox.application_bytes + spans.spans.len() > APPLICATION_BYTES {
            return false;
        }
        inbox.application_bytes += spans.spans.len();
        let many = inbox.application_bytes > APPLICATION_BYTES / 4;
        inbox.application.push(spans);
        drop(inbox);
        if many {
            self.wake();
        }
        true
    }

    /// Waits until everything finished before this call is in batches, at most until `deadline`.
    ///
    /// Deliveries that wait for a guard leave too: those of `resolver`, or all if none is named.
    pub(crate) fn seal_all(&self, resolver: Option<u64>, deadline: Instant) -> bool {
        if !self.has_batch_thread() {
            return false;
        }
        let flush = Arc::new(Flush { resolver, ..Flush::default() });
        self.inbox().flushes.push(Arc::clone(&flush));
        self.wake();
        flush.wait(deadline)
    }

    /// Reads every record that was pushed before this call. Runs on the batch thread only, which keeps `threads` for the next time.
    ///
    /// `false`: another thread is at the list of threads, and stays, so that those which have come since then were not looked at.
    pub(super) fn drain(
        &self,
        threads: &mut Vec<Arc<ThreadSegment>>,
        patience: &mut Patience,
        mut each: impl FnMut(&FinishedSpan, &[u8]),
    ) -> bool {
        let now = patience.lock(&self.threads);
        let is_whole = now.is_some();
        if let Some(mut now) = now {
            now.retain(|thread| !thread.has_ended());
            threads.clone_from(&now);
        }
        for segment in threads.iter().filter_map(|thread| thread.segment()) {
            self.segments.drain(segment, &mut each);
        }
        // After the current ones: a segment that filled up meanwhile is in here.
        self.segments.drain_full(&mut each);
        is_whole
    }
}

impl Flush {
    /// Whether deliveries from this origin are to leave.
    pub(crate) fn concerns(&self, origin: &SpanOrigin) -> bool {
        self.resolver.is_none_or(|resolver| resolver == origin.backend_set().resolver())
    }

    /// Called by the batch thread. `false`: who waits is at it, and stays.
    pub(super) fn complete(&self, patience: &mut Patience) -> bool {
        let Some(mut done) = patience.lock(&self.done) else { return false };
        *done = true;
        drop(done);
        self.changed.notify_all();
        true
    }

    fn wait(&self, deadline: Instant) -> bool {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            done = self.changed.wait_timeout(done, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::record::{OriginAddress, SpanKind};
    use crate::batch::thread_spans;

    #[test]
    fn a_drain_goes_on_with_the_threads_it_knows_where_their_list_is_not_to_be_had() {
        let pipeline: &'static Pipeline = Box::leak(Box::new(Pipeline::with_room(Duration::ZERO, 2 << 20)));
        thread_spans::watch_thread_ends();
        let work = move || {
            let push = || {
                let span = FinishedSpan::blank(OriginAddress(std::ptr::null()), SpanKind::Send);
                assert!(thread_spans::push(pipeline, &span, &[]));
            };
            let mut known = Vec::new();
            let mut drain = || {
                let mut drained = 0;
                (pipeline.drain(&mut known, &mut Patience::default(), |_, _| drained += 1), drained)
            };
            push();
            assert_eq!(drain(), (true, 1));
            push();
            let at_it = pipeline.threads.lock().unwrap();
            assert_eq!(drain(), (false, 1));
            drop(at_it);
            assert_eq!(drain(), (true, 0));
        };
        std::thread::spawn(work).join().unwrap();
    }
}
