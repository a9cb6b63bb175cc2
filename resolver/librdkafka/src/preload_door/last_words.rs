//! `_exit` and `_Exit`: a process that ends without its handlers, as the children of Python's multiprocessing do, exports
//! what it has in hand all the same.
//!
//! `_exit` may be called in a signal handler, which may have interrupted anything, and in a child of `vfork`, which is
//! not the process whose memory it uses. So the calling thread does no more than to wake a thread that waits for this
//! since the first client was created, and to wait for it, for a limited time; and it does that only in the very process
//! that created a client. See RATIONALE.md.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracer_resolver::EXIT_DEADLINE;

use super::real::next;
use crate::contained::contained;

/// Ends the process at once, but for what is in hand: that is exported first, within [`EXIT_DEADLINE`].
///
/// # Safety
///
/// As `_exit` of POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    export();
    end(&REAL, c"_exit", status)
}

/// As [`_exit`].
///
/// # Safety
///
/// As `_Exit` of C.
#[cfg_attr(not(test), unsafe(export_name = "_Exit"))]
pub unsafe extern "C" fn _exit_of_c(status: c_int) -> ! {
    export();
    end(&REAL_CAPITAL, c"_Exit", status)
}

/// A client is created in this process: from now on its end has something to export.
pub(super) fn expect() {
    let this = std::process::id();
    let before = PROCESS.load(Ordering::Relaxed);
    if before == this || PROCESS.compare_exchange(before, this, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    // Looked up now: in a signal handler it could wait for a lock that the interrupted code holds.
    REAL.store(next(c"_exit").unwrap_or(0), Ordering::Relaxed);
    REAL_CAPITAL.store(next(c"_Exit").unwrap_or(0), Ordering::Relaxed);
    STATE.store(WAITING, Ordering::Relaxed);
    if let Err(error) = spawn() {
        STATE.store(DONE, Ordering::Release);
        log::warn!("what is in hand when this process ends by _exit() is lost: no thread could be started: {error}");
    }
}

/// The process that has clients; 0: none has. The child of a fork is another one until it has its own.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// The thread that exports; it must not wait for itself.
static THREAD: AtomicU32 = AtomicU32::new(0);
/// A futex.
static STATE: AtomicU32 = AtomicU32::new(WAITING);
static REAL: AtomicUsize = AtomicUsize::new(0);
static REAL_CAPITAL: AtomicUsize = AtomicUsize::new(0);

const WAITING: u32 = 0;
const ASKED: u32 = 1;
const DONE: u32 = 2;

fn spawn() -> std::io::Result<()> {
    // SAFETY: both are only written here.
    let (mut all, mut before) = unsafe { std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>() };
    // SAFETY: sets that live here; a new thread inherits the mask, and this one gets its own back.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    let spawned = std::thread::Builder::new().name("tracer-exit".into()).stack_size(256 * 1024).spawn(wait_and_export);
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    spawned.map(drop)
}

/// Runs on: a thread of its own, with all signals blocked.
fn wait_and_export() {
    THREAD.store(thread_id(), Ordering::Relaxed);
    // Acquire: pairs with the exchange in `export`.
    while STATE.load(Ordering::Acquire) == WAITING {
        wait(WAITING, None);
    }
    contained((), before_exit);
    // Release: pairs with the load in `export`.
    STATE.store(DONE, Ordering::Release);
    wake_all();
}

/// Has the waiting thread export, and waits for it. Safe in a signal handler and in a child of `vfork`.
fn export() {
    // SAFETY: takes nothing, and is right in children of fork and vfork, whose id is not cached.
    let this = unsafe { libc::getpid() }.unsigned_abs();
    if PROCESS.load(Ordering::Relaxed) != this || THREAD.load(Ordering::Relaxed) == thread_id() {
        return;
    }
    let deadline = Instant::now() + EXIT_DEADLINE;
    // AcqRel: pairs with the loads in `wait_and_export`. Another thread that has asked already is waited with.
    if STATE.compare_exchange(WAITING, ASKED, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        wake_all();
    }
    while STATE.load(Ordering::Acquire) == ASKED {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        wait(ASKED, Some(left));
    }
}

/// Calls the real function, which other libraries may have wrapped too.
fn end(real: &AtomicUsize, name: &CStr, status: c_int) -> ! {
    let address = match real.load(Ordering::Relaxed) {
        0 => next(name).unwrap_or(0),
        known => known,
    };
    if address != 0 {
        // SAFETY: the address of that function, under the declaration that C has of it.
        let real: unsafe extern "C" fn(c_int) =
            unsafe { std::mem::transmute(ptr::with_exposed_provenance::<()>(address)) };
        // SAFETY: the caller's own argument.
        unsafe { real(status) };
    }
    loop {
        // SAFETY: ends the process; what `_exit` of the C library does.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

fn thread_id() -> u32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }.unsigned_abs()
}

/// Waits while the state is `expected`, at most that long; may return early.
fn wait(expected: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(1),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: a futex that is never freed, and a time that lives until the call returns, or null.
    unsafe {
        libc::syscall(libc::SYS_futex, STATE.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, limit)
    };
}

fn wake_all() {
    // SAFETY: a futex that is never freed.
    unsafe { libc::syscall(libc::SYS_futex, STATE.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, c_int::MAX) };
}

/// Exports what this process has in hand.
fn before_exit() {
    if let Ok(resolver) = tracer_resolver::Resolver::global() {
        resolver.shutdown(EXIT_DEADLINE);
    }
}
