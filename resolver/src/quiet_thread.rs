//! Threads of ours that the application never notices.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::thread::JoinHandleExt;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks at a thread that is waited for.
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// Starts a named thread in which no signal handler of the application ever runs.
///
/// All signals are blocked but those a fault of the thread itself raises: with these blocked the kernel would kill the
/// process without the application's crash handler having seen anything. `SIGPIPE` is among the blocked, so a write to
/// a closed socket is an error and not the end of the process.
///
/// The name is cut to 15 bytes by the kernel; NUL characters are left out.
///
/// # Errors
///
/// What the system says when it gives no thread (a limit reached, no memory).
pub(crate) fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    quietly(|| builder(&name).spawn(body))
}

/// Does `action` for all of `many` at the same time, each on a thread of its own; whether all say yes. Every one is waited for,
/// whatever the others say. Where the system gives no threads, they are done one after the other.
pub(crate) fn all_at_once<T: Sync>(name: &str, many: &[T], action: impl Fn(&T) -> bool + Sync) -> bool {
    if let [only] = many {
        return action(only);
    }
    std::thread::scope(|scope| {
        let action = &action;
        let start = |one| quietly(|| builder(name).spawn_scoped(scope, move || action(one))).map_err(|_| one);
        let started: Vec<_> = many.iter().map(start).collect();
        let ended: Vec<_> = started
            .into_iter()
            .map(|one| match one {
                Ok(thread) => thread.join().unwrap_or(false),
                Err(one) => action(one),
            })
            .collect();
        ended.into_iter().all(|ended| ended)
    })
}

fn builder(name: &str) -> Builder {
    Builder::new().name(name.replace('\0', ""))
}

/// A new thread inherits the mask of its creator: blocked before it exists, there is no moment without.
fn quietly<T>(spawn: impl FnOnce() -> T) -> T {
    let callers_mask = block_signals();
    let spawned = spawn();
    restore_signals(&callers_mask);
    spawned
}

/// Waits until the thread is gone, its thread-local destructors run, but not beyond the deadline: then it is left to
/// itself. False if it was left.
///
/// Rust's own `join` waits for ever, and these threads run foreign code up to their last moment. The C library's waits
/// until a time of day, which may be set meanwhile (`pthread_timedjoin_np`), or is new (`pthread_clockjoin_np`, glibc
/// 2.31): so it is asked again and again, by a clock that only goes forward.
pub(crate) fn join_until(thread: JoinHandle<()>, deadline: Instant) -> bool {
    // musl's has another type, of the same size.
    let thread = thread.into_pthread_t() as libc::pthread_t;
    let mut pause = Duration::from_micros(20);
    loop {
        // SAFETY: `into_pthread_t` gave us the only right to join or detach this thread, and it is used once: a join that
        // succeeds ends it, and one that does not leaves the thread joinable.
        if unsafe { libc::pthread_tryjoin_np(thread, std::ptr::null_mut()) } == 0 {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // SAFETY: as above; it was not joined.
            unsafe { libc::pthread_detach(thread) };
            return false;
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

pub(crate) fn block_signals() -> libc::sigset_t {
    let mut blocked = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both point to storage of the right type; `sigfillset` initializes `blocked` before anything reads it, and
    // these functions fail only for signal numbers or `how` values that do not exist, none of which is passed.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for fault in
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT]
        {
            libc::sigdelset(blocked.as_mut_ptr(), fault);
        }
        libc::sigemptyset(before.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

pub(crate) fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: `mask` is what `pthread_sigmask` wrote in `block_signals`; a null old-set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked_now(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: a null new-set only reads the mask into `mask`, which `sigemptyset` initialized.
        unsafe {
            libc::sigemptyset(mask.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn a_quiet_thread_blocks_the_applications_signals_but_not_its_own_faults() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = spawn("tr-test".to_owned(), move || {
            let masks = [libc::SIGTERM, libc::SIGPIPE, libc::SIGCHLD, libc::SIGUSR1, libc::SIGSEGV, libc::SIGABRT];
            sender.send(masks.map(blocked_now)).unwrap();
        })
        .unwrap();
        thread.join().unwrap();
        assert_eq!(receiver.recv().unwrap(), [true, true, true, true, false, false]);
    }

    #[test]
    fn the_callers_own_mask_is_left_as_it_was() {
        assert!(!blocked_now(libc::SIGTERM));
        spawn("tr-test".to_owned(), || ()).unwrap().join().unwrap();
        assert!(!blocked_now(libc::SIGTERM));
    }

    #[test]
    fn a_thread_that_does_not_end_is_left_at_the_deadline() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let blocked = spawn("tr\0-test".to_owned(), move || assert!(receiver.recv().is_err())).unwrap();
        let started = Instant::now();
        assert!(!join_until(blocked, started + Duration::from_millis(50)));
        assert!(started.elapsed() >= Duration::from_millis(50) && started.elapsed() < Duration::from_secs(5));
        drop(sender);
        let ended = spawn("tr-test".to_owned(), || ()).unwrap();
        assert!(join_until(ended, Instant::now() + Duration::from_secs(5)));
    }
}
