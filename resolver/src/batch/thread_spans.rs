//! What a thread keeps of the spans that it finishes: the segment that it fills.
//!
//! A thread may finish spans for as long as it runs any code at all, also in a destructor of `pthread_key_create`, after
//! Rust's thread-locals are gone. So what it keeps has no destructor, and is given back by a key of our own: the C
//! library calls the destructors of all keys again for what was set meanwhile. A thread that was called so, or that a
//! signal handler interrupted in here, takes a segment for each further span.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use super::pipeline::Pipeline;
use super::record::FinishedSpan;
use super::segments::Claim;
use super::thread_segment::ThreadSegment;
use crate::per_process::FirstMade;

/// The thread's own view.
struct Local {
    /// The thread is in here: whoever comes now is its signal handler.
    busy: Cell<bool>,
    /// The destructor of our key was called.
    ended: Cell<bool>,
    /// Null before the first span; another than the process's after a fork.
    pipeline: Cell<*const Pipeline>,
    claim: Cell<Option<Claim>>,
    /// Owns a strong count; null before the first span.
    spans: Cell<*const ThreadSegment>,
}

thread_local!(static LOCAL: Local = const {
    Local {
        busy: Cell::new(false),
        ended: Cell::new(false),
        pipeline: Cell::new(ptr::null()),
        claim: Cell::new(None),
        spans: Cell::new(ptr::null()),
    }
});
const _: () = assert!(!std::mem::needs_drop::<Local>(), "it is there until the thread's last moment");

/// Thread-locals of two threads are farther apart.
const SPACING: usize = 4096;

/// `None` if the process has no key to give: then no thread keeps a segment.
static KEY: FirstMade<Option<libc::pthread_key_t>> = FirstMade::new();

/// Hands a finished span over. `false` when there is no room for it.
#[inline]
pub(super) fn push(pipeline: &'static Pipeline, span: &FinishedSpan, extra: &[u8]) -> bool {
    LOCAL.try_with(|local| local.push(pipeline, span, extra)).unwrap_or(false)
}

/// To be called before the first span.
pub(super) fn watch_thread_ends() {
    KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: writes `key`; the destructor is a function of this program or of a library that is never unloaded.
        (unsafe { libc::pthread_key_create(&raw mut key, Some(thread_ends)) } == 0).then_some(key)
    });
}

/// Runs on a thread that ends, before, between or after the application's own destructors.
unsafe extern "C" fn thread_ends(_: *mut c_void) {
    let _ = LOCAL.try_with(Local::end);
}

/// Lets [`thread_ends`] be called for the calling thread.
fn announce() -> bool {
    let Some(key) = KEY.get().copied().flatten() else { return false };
    // SAFETY: a key that was created, and any value but null.
    unsafe { libc::pthread_setspecific(key, ptr::without_provenance(1)) == 0 }
}

impl Local {
    #[inline]
    fn push(&self, pipeline: &'static Pipeline, span: &FinishedSpan, extra: &[u8]) -> bool {
        if self.busy.replace(true) {
            return pipeline.push_alone(span, extra);
        }
        let pushed = self.push_into_own(pipeline, span, extra);
        self.busy.set(false);
        pushed
    }

    #[inline]
    fn push_into_own(&self, pipeline: &'static Pipeline, span: &FinishedSpan, extra: &[u8]) -> bool {
        if ptr::eq(self.pipeline.get(), pipeline) {
            if let Some(mut claim) = self.claim.take() {
                let pushed = pipeline.segments().push(&mut claim, span, extra);
                self.claim.set(Some(claim));
                if pushed {
                    return true;
                }
            }
        }
        if self.ended.get() {
            return pipeline.push_alone(span, extra);
        }
        if !self.rotate(pipeline) {
            return pipeline.push_shared(ptr::from_ref(self).addr() / SPACING, span, extra);
        }
        let Some(mut claim) = self.claim.take() else { return false };
        let pushed = pipeline.segments().push(&mut claim, span, extra);
        self.claim.set(Some(claim));
        pushed
    }

    /// A full segment leaves, a fresh one comes. `false` if the thread can keep none: too many do, or nobody would be told of its
    /// end.
    #[cold]
    fn rotate(&self, pipeline: &'static Pipeline) -> bool {
        if !ptr::eq(self.pipeline.get(), pipeline) {
            if !pipeline.lets_keep() {
                return false;
            }
            if !announce() {
                pipeline.keeps_no_more();
                return false;
            }
            // The first span of this thread, or the first after a fork: what the parent's segment holds is the parent's.
            let spans = Arc::new(ThreadSegment::new());
            pipeline.add_thread(Arc::clone(&spans));
            self.claim.set(None);
            self.pipeline.set(pipeline);
            release(self.spans.replace(Arc::into_raw(spans)));
        }
        // SAFETY: owned by this thread until `release`, and set above, now or before.
        let Some(spans) = (unsafe { self.spans.get().as_ref() }) else { return false };
        let (claim, many) = spans.exchange(pipeline.segments(), self.claim.take());
        if many || claim.is_none() {
            pipeline.wake();
        }
        self.claim.set(claim);
        true
    }

    fn end(&self) {
        self.ended.set(true);
        let pipeline = self.pipeline.replace(ptr::null());
        let (claim, spans) = (self.claim.take(), self.spans.replace(ptr::null()));
        // SAFETY: of this process or the one it was forked from, leaked, never freed; null is none, and then nothing is kept.
        let Some(pipeline) = (unsafe { pipeline.as_ref() }) else { return };
        pipeline.keeps_no_more();
        // Else a fork came between: these spans are the parent's.
        if Pipeline::is_current(pipeline) {
            // Handed over first: a drain finds the segment here, or there, or in both places, but never in none.
            if let Some(claim) = claim {
                let _ = pipeline.segments().submit(claim);
            }
            // SAFETY: owned by this thread until `release`.
            if let Some(spans) = unsafe { spans.as_ref() } {
                spans.ends();
            }
        }
        release(spans);
    }
}

fn release(spans: *const ThreadSegment) {
    if !spans.is_null() {
        // SAFETY: came from `Arc::into_raw` in `rotate`, and was just taken out.
        drop(unsafe { Arc::from_raw(spans) });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::batch::leaving::Patience;
    use crate::batch::record::{OriginAddress, SpanKind};

    /// Those that keep a segment keep it while they rest, so not all may.
    #[test]
    fn of_more_threads_than_there_are_segments_none_loses_a_span_and_what_rests_keeps_half_of_them() {
        watch_thread_ends();
        let pipeline: &'static Pipeline = Box::leak(Box::new(Pipeline::with_room(Duration::ZERO, 2 << 20)));
        let most = pipeline.segments().count();
        let threads = most + most / 8;
        let (pushed, all) = (AtomicUsize::new(0), Barrier::new(threads + 1));
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let mut handles = Vec::new();
            for _ in 0..threads {
                let body = || {
                    for _ in 0..2 {
                        if push(pipeline, &FinishedSpan::blank(OriginAddress(ptr::null()), SpanKind::Send), &[]) {
                            pushed.fetch_add(1, Ordering::Relaxed);
                        }
                        all.wait();
                        // The other thread drains.
                        all.wait();
                    }
                };
                handles.push(std::thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, body).unwrap());
            }
            for _ in 0..2 {
                all.wait();
                let mut drained = 0;
                pipeline.drain(&mut Vec::new(), &mut Patience::default(), |_, _| drained += 1);
                let mut free = Vec::new();
                while let Some(claim) = pipeline.segments().claim() {
                    free.push(claim);
                }
                // Said when no thread waits any more.
                seen.push((pushed.load(Ordering::Relaxed), drained, free.len()));
                for claim in free {
                    let _ = pipeline.segments().submit(claim);
                }
                pipeline.drain(&mut Vec::new(), &mut Patience::default(), |_, _| ());
                all.wait();
            }
            // The scope alone waits for what they do, and not for their ends.
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
        for (round, (pushed, drained, free)) in (1..).zip(seen) {
            assert_eq!((pushed, drained), (round * threads, threads));
            // Sixteen are shared, and fewer while fewer threads are at them at once.
            assert!(free < most / 2 && free >= most / 2 - 16, "{free} of {most}");
        }
        assert!(pipeline.lets_keep(), "whoever ends makes room");
    }
}
