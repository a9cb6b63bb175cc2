//! What this process was started with, for a program that takes its place: Rust's start-up and its `exec` change some of it.
//!
//! Before `main` `SIGPIPE` is ignored, and descriptors 0 to 2 that are closed are opened; `exec` then lets `SIGPIPE` end the
//! program, which a service manager may have wanted ignored (systemd does).

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Replaces this process by the program, which gets what this one was started with. Returns only if that fails.
pub(crate) fn become_it(command: &mut Command) -> io::Error {
    // SAFETY: there is no fork before this `exec`; and `give_back` could be called after one, for it takes no lock.
    unsafe { command.pre_exec(give_back) }.exec()
}

/// Which of the descriptors 0 to 2 were closed, each by its bit, and whether `SIGPIPE` was ignored.
static BEFORE: AtomicU32 = AtomicU32::new(0);
const STANDARD: i32 = 3;
const PIPE_IS_IGNORED: u32 = 1 << STANDARD;

/// Runs when this program is loaded, before Rust's own start-up.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

extern "C" fn at_start() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed (null), and `action` has room for the answer; zeroed it is a valid value.
    let action = unsafe {
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    let mut before = if action.sa_sigaction == libc::SIG_IGN { PIPE_IS_IGNORED } else { 0 };
    for descriptor in 0..STANDARD {
        // SAFETY: numbers only; that the descriptor is closed is the question.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            before |= 1 << descriptor;
        }
    }
    BEFORE.store(before, Ordering::Relaxed);
}

/// Called when `exec` has done all but the last step.
fn give_back() -> io::Result<()> {
    let before = BEFORE.load(Ordering::Relaxed);
    if before & PIPE_IS_IGNORED != 0 {
        // SAFETY: nobody here has a handler for it that could be lost.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
    for descriptor in (0..STANDARD).filter(|descriptor| before & (1 << descriptor) != 0) {
        // Closed by the kernel when the program is there: until then, what goes wrong goes where it went before.
        // SAFETY: numbers only; since it was closed, the descriptor is what Rust's start-up opened.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}
