//! Forks of the process while a plugin begins: a child would have half of it.
//!
//! `RATIONALE.md`: "Why does a fork wait for a plugin that is being loaded?"

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::calls::is_in_plugin;
use crate::per_process::unless_done;

/// Lets a plugin begin: its constructors, its entry, its validate, its create. A fork waits until that has come back, for a
/// second at most.
pub(super) fn undisturbed<T>(begin: impl FnOnce() -> T) -> T {
    struct Begins;
    impl Drop for Begins {
        fn drop(&mut self) {
            UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        }
    }
    static WATCHED: AtomicBool = AtomicBool::new(false);
    unless_done(&WATCHED, || {
        // Of two threads at once both are taken, and a fork asks twice.
        // SAFETY: functions of this program or of a library that is never unloaded.
        unsafe { libc::pthread_atfork(Some(before_a_fork), None, Some(in_the_child)) };
    });
    SINCE.store(now(), Ordering::Relaxed);
    UNDER_WAY.fetch_add(1, Ordering::Relaxed);
    let _begins = Begins;
    begin()
}

/// Runs on the thread that forks. Not for a plugin's own, which would wait for itself.
extern "C" fn before_a_fork() {
    if UNDER_WAY.load(Ordering::Relaxed) == 0 || is_in_plugin() {
        return;
    }
    let end = SINCE.load(Ordering::Relaxed).saturating_add(PATIENCE);
    while UNDER_WAY.load(Ordering::Relaxed) > 0 && now() < end {
        // SAFETY: sleeps.
        unsafe { libc::usleep(500) };
    }
}

/// Whatever the parent's threads were at, nobody is at it here.
extern "C" fn in_the_child() {
    UNDER_WAY.store(0, Ordering::Relaxed);
}

/// Nanoseconds of a clock that only goes forward.
fn now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000) + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Plugins that begin at the moment.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// When the last of them did.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// How long after that a fork waits, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
