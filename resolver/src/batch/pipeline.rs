//! The process's one pipeline: where every thread leaves its finished spans, and how the batch thread is reached.
//!
//! A fork leaves the child without the batch thread, so the child starts a pipeline of its own at its first use; what
//! the parent had collected stays the parent's, and nothing is sent twice.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::batch_thread::BatchThread;
use super::handovers::Handovers;
use super::lane::Lane;
use super::record::{FinishedSpan, SpanFlags};
use super::segments::{Claim, MAX_EXTRA, Segments};
use crate::export::DropReason;
use crate::interceptor::Route;
use crate::per_process;

/// Bytes of finished spans that may wait for the batch thread, for the whole process.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of the application's own spans that may wait for the batch thread.
const APPLICATION_BYTES: usize = 16 * 1024 * 1024;
const NO_SEGMENT: u32 = u32::MAX;

/// See the module.
pub(crate) struct Pipeline {
    segments: Segments,
    /// Made with the first consumer whose hand-overs may be claimed.
    handovers: OnceLock<Handovers>,
    threads: Mutex<Vec<Arc<ThreadSpans>>>,
    inbox: Mutex<Inbox>,
    batch_thread: OnceLock<Thread>,
    woken: AtomicBool,
    /// `RUNNING`, `ENDING` or `ENDED`.
    ending: AtomicU8,
    /// The process that started it: a `vfork()` child has this very memory, and must not end it.
    process: u32,
}

const RUNNING: u8 = 0;
const ENDING: u8 = 1;
const ENDED: u8 = 2;
/// What is left to do at the end of the process when everything is sealed.
static AT_END: OnceLock<fn()> = OnceLock::new();

/// The batch thread's view of one thread that finishes spans.
pub(crate) struct ThreadSpans {
    /// The segment being filled, `NO_SEGMENT` between two.
    current: AtomicU32,
    /// The thread has ended; its last segment was handed over.
    ended: AtomicBool,
}

/// What reaches the batch thread other than by segments.
#[derive(Default)]
pub(crate) struct Inbox {
    pub flushes: Vec<Arc<Flush>>,
    pub retired_lanes: Vec<usize>,
    /// Dropped after the next complete drain: no record refers to them any more by then.
    pub retired_routes: Vec<Arc<Route>>,
    pub application: Vec<ApplicationSpans>,
    pub application_bytes: usize,
    /// What is to be said in the log, which the batch thread may wait for and an application's thread may not.
    pub errands: Vec<Errand>,
}

/// Something that is done on the batch thread.
pub(crate) type Errand = Box<dyn FnOnce() + Send>;

/// Encoded spans that the application made itself.
pub(crate) struct ApplicationSpans {
    pub lane: Arc<Lane>,
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
static CURRENT: AtomicPtr<Pipeline> = AtomicPtr::new(std::ptr::null_mut());

thread_local!(static LOCAL: RefCell<Local> = const { RefCell::new(Local { pipeline: None, claim: None, spans: None }) });

struct Local {
    pipeline: Option<&'static Pipeline>,
    claim: Option<Claim>,
    spans: Option<Arc<ThreadSpans>>,
}

impl Pipeline {
    /// The pipeline of this process; starts it, and its batch thread, at the first call and after a fork.
    pub(crate) fn current() -> &'static Self {
        // Acquire: pairs with the compare-exchange in `start`.
        let current = CURRENT.load(Ordering::Acquire);
        // SAFETY: a published pipeline is leaked, never freed.
        unsafe { current.as_ref() }.unwrap_or_else(Self::start)
    }

    /// Hands a finished span over.
    ///
    /// `extra` are encoded `Span` fields of this span alone. Never blocks; allocates only at a thread's first span.
    /// When there is no room the span is dropped and counted for its service.
    pub(crate) fn push(span: &FinishedSpan, extra: &[u8]) {
        let pushed = LOCAL.try_with(|local| match local.try_borrow_mut() {
            Ok(mut local) => local.push(Self::current(), span, extra),
            Err(_) => false,
        });
        match pushed {
            Ok(true) => {}
            Ok(false) => Self::count_drop(span, DropReason::BufferFull),
            Err(_) => Self::count_drop(span, DropReason::ThreadEnded),
        }
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

    /// The waiting hand-overs; `None` while no consumer can have any.
    pub(crate) fn handovers(&self) -> Option<&Handovers> {
        self.handovers.get()
    }

    /// Prepares for consumers whose hand-overs may be claimed.
    pub(crate) fn expect_handovers(&self) {
        self.handovers.get_or_init(Handovers::new);
    }

    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the batch thread drop `routes` once no record refers to them.
    pub(crate) fn retire(&self, routes: impl IntoIterator<Item = Arc<Route>>) {
        self.inbox().retired_routes.extend(routes);
        self.wake();
    }

    /// Lets the batch thread forget what it keeps for these lanes.
    pub(crate) fn retire_lanes(&self, lanes: impl IntoIterator<Item = usize>) {
        self.inbox().retired_lanes.extend(lanes);
        self.wake();
    }

    /// Lets the batch thread do something, soon: before a flush that is asked for later is complete.
    pub(crate) fn errand(&self, errand: impl FnOnce() + Send + 'static) {
        self.inbox().errands.push(Box::new(errand));
        self.wake();
    }

    /// Whether this process, not only the one it was forked from, has a pipeline.
    pub(crate) fn is_running() -> bool {
        !CURRENT.load(Ordering::Acquire).is_null()
    }

    /// What the batch thread does, after it has sealed everything, when [`Pipeline::end`] is called. The first call counts.
    pub(crate) fn at_end(then: fn()) {
        let _ = AT_END.set(then);
    }

    /// Lets the batch thread seal everything and do what [`Pipeline::at_end`] was given; waits `patience` at most.
    ///
    /// Takes no lock and allocates nothing: the calling thread may be in a signal handler.
    pub(crate) fn end(patience: Duration) {
        // SAFETY: a published pipeline is leaked, never freed.
        let Some(pipeline) = (unsafe { CURRENT.load(Ordering::Acquire).as_ref() }) else { return };
        if pipeline.process != std::process::id() {
            return;
        }
        // AcqRel: the first of several threads asks; all wait.
        if pipeline.ending.compare_exchange(RUNNING, ENDING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            pipeline.wake();
        }
        let started = Instant::now();
        // Acquire: pairs with the release in `ended`.
        while pipeline.ending.load(Ordering::Acquire) != ENDED && started.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether the process is ending and everything is to leave.
    pub(crate) fn is_ending(&self) -> bool {
        // Acquire: pairs with the exchange in `end`.
        self.ending.load(Ordering::Acquire) == ENDING
    }

    /// Called by the batch thread when everything is sealed.
    pub(crate) fn ended(&self) {
        if let Some(then) = AT_END.get() {
            then();
        }
        // Release: pairs with the acquire in `end`.
        self.ending.store(ENDED, Ordering::Release);
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
    /// Hand-overs that wait for a guard leave too: those of `resolver`, or all if none is named.
    pub(crate) fn seal_all(&self, resolver: Option<u64>, deadline: Instant) -> bool {
        let flush = Arc::new(Flush { resolver, ..Flush::default() });
        self.inbox().flushes.push(Arc::clone(&flush));
        self.wake();
        flush.wait(deadline)
    }

    /// Reads every record that was pushed before this call. Runs on the batch thread only.
    pub(crate) fn drain(&self, mut each: impl FnMut(&FinishedSpan, &[u8])) {
        let threads = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            // Acquire: pairs with the release in `Local::drop`, so that the last segment is in the full list.
            threads.retain(|thread| !thread.ended.load(Ordering::Acquire));
            threads.clone()
        };
        for thread in threads {
            // Acquire: pairs with the release in `Local::rotate`.
            let current = thread.current.load(Ordering::Acquire);
            if current != NO_SEGMENT {
                self.segments.drain(current, &mut each);
            }
        }
        // After the current ones: a segment that filled up meanwhile is in here.
        self.segments.drain_full(&mut each);
    }

    /// From here on a child of this process knows that it is one. To be called before the first thread is started, the
    /// first lock taken or the first backend created that a child must not take for its own.
    pub(crate) fn watch_forks() {
        static AT_FORK: Once = Once::new();
        AT_FORK.call_once(|| {
            // SAFETY: the handler only stores to atomics, which is allowed in a fresh child.
            unsafe { libc::pthread_atfork(None, None, Some(forget_the_parent)) };
        });
    }

    #[cold]
    fn start() -> &'static Self {
        Self::watch_forks();
        let fresh = Box::into_raw(Box::new(Self {
            segments: Segments::new(BUFFER_BYTES),
            handovers: OnceLock::new(),
            threads: Mutex::default(),
            inbox: Mutex::default(),
            batch_thread: OnceLock::new(),
            woken: AtomicBool::new(false),
            ending: AtomicU8::new(RUNNING),
            process: std::process::id(),
        }));
        // AcqRel: publishes the pipeline to the acquire load in `current`.
        let won = CURRENT.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        match won {
            Ok(_) => {
                // SAFETY: published, so leaked from here on.
                let pipeline: &'static Self = unsafe { &*fresh };
                match BatchThread::spawn(pipeline) {
                    Ok(thread) => drop(pipeline.batch_thread.set(thread)),
                    Err(error) => crate::report::error(&format!(
                        "the batch thread could not be started, spans of this process are lost: {error}"
                    )),
                }
                pipeline
            }
            Err(winner) => {
                // SAFETY: `fresh` was never published; `winner` was, and is leaked.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*winner
                }
            }
        }
    }

    #[cold]
    fn count_drop(span: &FinishedSpan, reason: DropReason) {
        // SAFETY: whoever pushes a span holds its route alive until `push` returns.
        if let Some(route) = unsafe { span.route.as_ref() } {
            route.count_lost(reason);
        }
        if span.flags.contains(SpanFlags::OWNS_ROUTE) {
            // SAFETY: the flag says that one strong count travels with the record.
            drop(unsafe { Arc::from_raw(span.route) });
        }
    }
}

/// Runs in the child of a fork: the batch thread, and all others, are gone.
extern "C" fn forget_the_parent() {
    crate::tracer::ids::reseed();
    CURRENT.store(std::ptr::null_mut(), Ordering::Release);
    per_process::forked();
}

impl Local {
    fn push(&mut self, pipeline: &'static Pipeline, span: &FinishedSpan, extra: &[u8]) -> bool {
        if extra.len() > MAX_EXTRA {
            return false;
        }
        if let (Some(own), Some(claim)) = (self.pipeline, &mut self.claim) {
            if std::ptr::eq(own, pipeline) && pipeline.segments.push(claim, span, extra) {
                return true;
            }
        }
        self.rotate(pipeline);
        match &mut self.claim {
            Some(claim) => pipeline.segments.push(claim, span, extra),
            None => false,
        }
    }

    /// A full segment leaves, a fresh one comes.
    #[cold]
    fn rotate(&mut self, pipeline: &'static Pipeline) {
        if !self.pipeline.is_some_and(|own| std::ptr::eq(own, pipeline)) {
            // The first span of this thread, or the first after a fork: what the parent's segment holds is the parent's.
            let spans = Arc::new(ThreadSpans { current: AtomicU32::new(NO_SEGMENT), ended: AtomicBool::new(false) });
            pipeline.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&spans));
            *self = Self { pipeline: Some(pipeline), claim: None, spans: Some(spans) };
        }
        let many = self.claim.take().is_some_and(|full| pipeline.segments.hand_over(full));
        self.claim = pipeline.segments.claim();
        let current = self.claim.as_ref().map_or(NO_SEGMENT, Segments::index_of);
        if let Some(spans) = &self.spans {
            // Release: pairs with the acquire in `Pipeline::drain`.
            spans.current.store(current, Ordering::Release);
        }
        if many || self.claim.is_none() {
            pipeline.wake();
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let (Some(pipeline), Some(spans)) = (self.pipeline, self.spans.take()) else { return };
        if CURRENT.load(Ordering::Acquire).cast_const() != std::ptr::from_ref(pipeline) {
            return; // A fork came between: these spans are the parent's.
        }
        // Handed over first: a drain finds the segment here, or there, or in both places, but never in none.
        if let Some(claim) = self.claim.take() {
            let _ = pipeline.segments.hand_over(claim);
        }
        // Release: pairs with the acquire in `Pipeline::drain`.
        spans.current.store(NO_SEGMENT, Ordering::Release);
        // Release: pairs with the acquire in `Pipeline::drain`.
        spans.ended.store(true, Ordering::Release);
    }
}

impl Flush {
    /// Whether hand-overs of this route are to leave.
    pub(crate) fn concerns(&self, route: &Route) -> bool {
        let owner = || route.traced().map(|traced| traced.lane.resolver());
        self.resolver.is_none() || self.resolver == owner()
    }

    /// Called by the batch thread.
    pub(crate) fn complete(&self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
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
