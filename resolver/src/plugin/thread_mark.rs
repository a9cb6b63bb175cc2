//! How threads that a plugin starts are known: they have from the thread that started them what the host gave it for the
//! call, a timer slack that nobody else has.
//!
//! `RATIONALE.md`: "How is a thread known that a plugin started?"

use std::ffi::{c_int, c_ulong};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Whether this thread was started in a call into a plugin, by a thread that was, and so on. Asks the kernel.
pub(super) fn is_marked() -> bool {
    let mark = MARK.load(Ordering::Relaxed);
    mark != NONE && slack() == Some(mark)
}

/// Whether this very process has called a plugin, and not only one that it was forked from.
pub(super) fn is_of_this_process() -> bool {
    PROCESS.load(Ordering::Relaxed) == std::process::id()
}

/// The thread is in a plugin until this is dropped.
pub(super) struct Marked {
    /// The thread's own; `None` where it was left alone.
    before: Option<u64>,
}

impl Marked {
    pub(super) fn begin() -> Self {
        PROCESS.store(std::process::id(), Ordering::Relaxed);
        // A thread of a real-time policy has none, and so cannot be marked.
        let Some(own) = slack().filter(|own| *own != 0) else { return Self { before: None } };
        // The first one decides. One nanosecond is no difference, but that nobody has such a slack.
        let mark = match MARK.compare_exchange(NONE, own + 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => own + 1,
            Err(known) => known,
        };
        if own == mark {
            return Self { before: None };
        }
        set_slack(mark);
        Self { before: Some(own) }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            set_slack(before);
        }
    }
}

fn slack() -> Option<u64> {
    // SAFETY: asks for a number of this thread's.
    u64::try_from(unsafe { libc::prctl(libc::PR_GET_TIMERSLACK, UNUSED, UNUSED, UNUSED, UNUSED) }).ok()
}

fn set_slack(nanoseconds: u64) {
    // SAFETY: sets a number of this thread's; where that is forbidden it stays as it is.
    let _: c_int = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds as c_ulong, UNUSED, UNUSED, UNUSED) };
}

/// prctl() takes five numbers, whatever it makes of them: left out, they would be what happens to be in a register.
const UNUSED: c_ulong = 0;

/// No thread is marked yet.
const NONE: u64 = 0;
/// Of this process, and of those that were forked from it: one more than that of the first thread that called a plugin. So
/// it is not that of a program which a plugin's thread has started.
static MARK: AtomicU64 = AtomicU64::new(NONE);
/// The process that called a plugin last.
static PROCESS: AtomicU32 = AtomicU32::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(body).join().unwrap())
    }

    #[test]
    fn threads_are_marked_that_are_started_in_a_plugin_and_theirs_and_no_others() {
        on_a_thread(|| {
            let before = slack();
            assert!(!is_marked());
            let marked = Marked::begin();
            assert!(is_marked());
            let (its, theirs) = on_a_thread(|| (is_marked(), on_a_thread(is_marked)));
            assert!(its && theirs);
            drop(Marked::begin());
            assert!(is_marked(), "a call within a call");
            drop(marked);
            assert!(!is_marked() && !on_a_thread(is_marked));
            assert_eq!(slack(), before);
        });
    }
}
