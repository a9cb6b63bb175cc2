//! The process's one pipeline: where every thread leaves its finished spans, and how the batch thread is reached.
//!
//! A fork leaves the child without the batch thread, so the child starts a pipeline of its own at its first use; what
//! the parent had collected stays the parent's, and nothing is sent twice.

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::batch_thread::BatchThread;
use super::handovers::Handovers;
use super::lane::Lane;
use super::leaving::{Leave, Leaving, Request};
use super::record::{FinishedSpan, SpanFlags};
use super::segments::{MAX_EXTRA, Segments};
use super::thread_spans::{self, ThreadSpans};
use crate::export::DropReason;
use crate::interceptor::Route;
use crate::per_process;

/// Bytes of finished spans that may wait for the batch thread, for the whole process.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// How long the ends of a process may wait, all together.
pub(crate) const END_BUDGET: Duration = Duration::from_secs(5);
/// Bytes of the application's own spans that may wait for the batch thread.
const APPLICATION_BYTES: usize = 16 * 1024 * 1024;

/// See the module.
pub(crate) struct Pipeline {
    segments: Segments,
    /// Made with the first consumer whose hand-overs may be claimed.
    handovers: OnceLock<Handovers>,
    threads: Mutex<Vec<Arc<ThreadSpans>>>,
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
    pub retired_lanes: Vec<usize>,
    /// Dropped after the next complete drain: no record refers to them any more by then.
    pub retired_routes: Vec<Arc<Route>>,
    pub application: Vec<ApplicationSpans>,
    pub application_bytes: usize,
    /// What is to be said in the log, which the batch thread may wait for and an application's thread may not.
    pub errands: Vec<Errand>,
    pub speakers: Vec<Weak<dyn Speaker>>,
}

/// Who has something to say when the process ends.
pub(crate) trait Speaker: Send + Sync {
    /// Called by the batch thread, when nothing more can leave.
    fn say_last_words(&self);
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
        if !(extra.len() <= MAX_EXTRA && thread_spans::push(Self::current(), span, extra)) {
            Self::count_drop(span);
        }
    }

    /// Hands a finished span over in a segment of its own, where the thread can keep none.
    pub(crate) fn push_alone(&self, span: &FinishedSpan, extra: &[u8]) -> bool {
        let Some(mut claim) = self.segments.claim() else {
            self.wake();
            return false;
        };
        let pushed = self.segments.push(&mut claim, span, extra);
        if self.segments.hand_over(claim) {
            self.wake();
        }
        pushed
    }

    /// From here on the batch thread reads what `spans` says too.
    pub(crate) fn add_thread(&self, spans: Arc<ThreadSpans>) {
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

    /// Lets the batch thread say `what` in the log. For callbacks, which must not wait for it.
    #[cold]
    pub(crate) fn tell(&self, level: log::Level, what: String) {
        self.errand(move || crate::report::say(crate::report::TARGET, level, &what));
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

    /// Lets the batch thread ask `speaker` for its last words, if it is still there when the process ends.
    pub(crate) fn expect_last_words(&self, speaker: Weak<dyn Speaker>) {
        self.inbox().speakers.push(speaker);
    }

    /// Whether this process, not only the one it was forked from, has a pipeline.
    pub(crate) fn is_running() -> bool {
        !CURRENT.load(Ordering::Acquire).is_null()
    }

    /// Starts the batch thread if there is none yet: the system may have had none to give.
    pub(crate) fn ensure_batch_thread(&'static self) {
        self.start_batch_thread(|| BatchThread::spawn(self));
    }

    fn start_batch_thread(&self, spawn: impl FnOnce() -> std::io::Result<Thread>) {
        if self.batch_thread.get().is_some() || self.starting.swap(true, Ordering::Acquire) {
            return;
        }
        // Somebody else may have started it in between.
        if self.batch_thread.get().is_none() {
            match spawn() {
                Ok(thread) => drop(self.batch_thread.set(thread)),
                Err(error) => crate::report::error(&format!(
                    "the batch thread could not be started, spans are lost until the next client is made, which tries \
                     again: {error}"
                )),
            }
        }
        // Release: pairs with the acquire above, for `batch_thread`.
        self.starting.store(false, Ordering::Release);
    }

    /// Lets the batch thread send everything, and waits for it, as long as the time lasts that the process has for that.
    ///
    /// Takes no lock and allocates nothing: the calling thread may be in a signal handler. Does nothing in a process
    /// that has no pipeline, or that the system gave no batch thread, nor in a `vfork()` child.
    pub(crate) fn leave(leave: Leave, at_most: Duration) {
        if let Some(pipeline) = Self::of_this_process().filter(|pipeline| pipeline.batch_thread.get().is_some()) {
            pipeline.leaving.ask(leave, at_most, || pipeline.wake());
        }
    }

    /// Lets the batch thread seal what there is, and the export threads begin with it. Waits for nobody.
    pub(crate) fn seal_soon() {
        if let Some(pipeline) = Self::of_this_process() {
            pipeline.leaving.seal_soon();
            pipeline.wake();
        }
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

    /// The one that this very process has started; a `vfork()` child sees its parent's, and a process id of its own.
    fn of_this_process() -> Option<&'static Self> {
        // SAFETY: a published pipeline is leaked, never freed.
        let pipeline = unsafe { CURRENT.load(Ordering::Acquire).as_ref() }?;
        (pipeline.process == std::process::id()).then_some(pipeline)
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
        if self.batch_thread.get().is_none() {
            return false;
        }
        let flush = Arc::new(Flush { resolver, ..Flush::default() });
        self.inbox().flushes.push(Arc::clone(&flush));
        self.wake();
        flush.wait(deadline)
    }

    /// Reads every record that was pushed before this call. Runs on the batch thread only.
    pub(crate) fn drain(&self, mut each: impl FnMut(&FinishedSpan, &[u8])) {
        let threads = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.retain(|thread| !thread.has_ended());
            threads.clone()
        };
        for segment in threads.iter().filter_map(|thread| thread.segment()) {
            self.segments.drain(segment, &mut each);
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
        thread_spans::watch_thread_ends();
        let fresh = Box::into_raw(Box::new(Self {
            segments: Segments::new(BUFFER_BYTES),
            handovers: OnceLock::new(),
            threads: Mutex::default(),
            inbox: Mutex::default(),
            batch_thread: OnceLock::new(),
            starting: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            leaving: Leaving::new(END_BUDGET),
            process: std::process::id(),
        }));
        // AcqRel: publishes the pipeline to the acquire load in `current`.
        let won = CURRENT.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        match won {
            Ok(_) => {
                // SAFETY: published, so leaked from here on.
                let pipeline: &'static Self = unsafe { &*fresh };
                pipeline.ensure_batch_thread();
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
    fn count_drop(span: &FinishedSpan) {
        // SAFETY: whoever pushes a span holds its route alive until `push` returns.
        if let Some(route) = unsafe { span.route.as_ref() } {
            route.count_lost(DropReason::BufferFull);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process whose threads would need more memory than there is.
    #[test]
    fn a_process_that_gets_no_batch_thread_does_not_wait_for_it_and_tries_again() {
        const CHILD: &str = "HAS_NO_BATCH_THREAD";
        if std::env::var_os(CHILD).is_some() {
            let pipeline = Pipeline::current();
            let started = Instant::now();
            Pipeline::leave(Leave::Last, END_BUDGET);
            assert!(!pipeline.seal_all(None, Instant::now() + END_BUDGET));
            assert!(started.elapsed() < END_BUDGET, "{:?}", started.elapsed());
            pipeline.start_batch_thread(|| Ok(std::thread::current()));
            assert!(pipeline.batch_thread.get().is_some());
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.env(CHILD, "1").env("RUST_MIN_STACK", (1_u64 << 50).to_string()).env("RUST_TEST_THREADS", "1");
        let ended = child.arg("a_process_that_gets_no_batch_thread").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
