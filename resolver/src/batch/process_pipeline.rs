//! The process's one pipeline: found, started at its first use, and left behind by a fork.
//!
//! A fork leaves the child without the batch thread, so the child starts a pipeline of its own at its first use; what
//! the parent had collected stays the parent's, and nothing is sent twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::batch_thread::BatchThread;
use super::leaving::{Leave, Leaving};
use super::pipeline::{CURRENT, Pipeline};
use super::record::{FinishedSpan, SpanFlags};
use super::segments::MAX_EXTRA;
use super::span_origin::SpanOrigin;
use super::thread_spans;
use crate::clock;
use crate::export::DropReason;
use crate::per_process;
use crate::tracer::SpanContext;

/// How long the ends of a process may wait, all together.
pub(crate) const END_BUDGET: Duration = Duration::from_secs(5);

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

    /// A received message's span waits no longer: what it was is measured, and it is handed over if it is sampled.
    pub(crate) fn leave_received(span: &FinishedSpan, extra: &[u8]) {
        // SAFETY: whoever lets a span leave holds its origin alive until this returns.
        if let Some(origin) = unsafe { SpanOrigin::at(span.origin) } {
            origin.measure(span);
        }
        if span.trace_flags & SpanContext::SAMPLED != 0 {
            Self::push(span, extra);
        }
    }

    /// Starts the batch thread if there is none yet: the system may have had none to give.
    pub(crate) fn ensure_batch_thread(&'static self) {
        self.start_batch_thread(|| BatchThread::spawn(self));
    }

    /// Whether this process, not only the one it was forked from, has a pipeline.
    pub(crate) fn is_running() -> bool {
        !CURRENT.load(Ordering::Acquire).is_null()
    }

    /// Lets the batch thread send everything, and waits for it, as long as the time lasts that the process has for that.
    ///
    /// Takes no lock and allocates nothing: the calling thread may be in a signal handler. Does nothing in a process
    /// that has no pipeline, or that the system gave no batch thread, nor in a `vfork()` child.
    pub(crate) fn leave(leave: Leave, at_most: Duration) {
        if let Some(pipeline) = Self::of_this_process().filter(|pipeline| pipeline.has_batch_thread()) {
            pipeline.leaving().ask(leave, at_most, || pipeline.wake());
        }
    }

    /// Lets the batch thread seal what there is, and the export threads begin with it. Waits for nobody.
    pub(crate) fn seal_soon() {
        if let Some(pipeline) = Self::of_this_process() {
            pipeline.leaving().seal_soon();
            pipeline.wake();
        }
    }

    /// Lets the batch thread call `before` first of all when the process ends, or may; the first that is given counts.
    /// It says whether nothing was passed over.
    pub(crate) fn before_leaving(before: fn(Leave) -> bool) {
        Leaving::set_before(before);
    }

    /// The one that this very process has started; a `vfork()` child sees its parent's, and a process id of its own.
    fn of_this_process() -> Option<&'static Self> {
        // SAFETY: a published pipeline is leaked, never freed.
        let pipeline = unsafe { CURRENT.load(Ordering::Acquire).as_ref() }?;
        pipeline.is_of_this_process().then_some(pipeline)
    }

    /// From here on a child of this process knows that it is one. To be called before the first thread is started, the
    /// first lock taken or the first backend created that a child must not take for its own.
    pub(crate) fn watch_forks() {
        static ARE_WATCHED: AtomicBool = AtomicBool::new(false);
        per_process::unless_done(&ARE_WATCHED, || {
            // The first of the readings that an anchor needs.
            clock::keep_anchored();
            // Of two threads at once both are taken: a child then counts two forks, and forgets its parent twice.
            // SAFETY: the handler only stores to atomics, which is allowed in a fresh child.
            unsafe { libc::pthread_atfork(None, None, Some(forget_the_parent)) };
        });
    }

    #[cold]
    fn start() -> &'static Self {
        Self::watch_forks();
        thread_spans::watch_thread_ends();
        let fresh = Box::into_raw(Box::new(Self::new(END_BUDGET)));
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
        // SAFETY: whoever pushes a span holds its origin alive until `push` returns.
        if let Some(origin) = unsafe { SpanOrigin::at(span.origin) } {
            origin.count_lost(DropReason::BufferFull);
        }
        if span.flags.contains(SpanFlags::OWNS_ORIGIN) {
            // SAFETY: the flag says that one strong count travels with the record.
            drop(unsafe { SpanOrigin::from_address(span.origin) });
        }
    }
}

/// Runs in the child of a fork: the batch thread, and all others, are gone.
extern "C" fn forget_the_parent() {
    crate::tracer::ids::reseed();
    crate::tracer::shedding::forget();
    CURRENT.store(std::ptr::null_mut(), Ordering::Release);
    per_process::forked();
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
            assert!(pipeline.has_batch_thread());
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.env(CHILD, "1").env("RUST_MIN_STACK", (1_u64 << 50).to_string()).env("RUST_TEST_THREADS", "1");
        let ended = child.arg("a_process_that_gets_no_batch_thread").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
