//! Signals, forks and file descriptors: what of the process only the C library can say or do.

use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What becomes of each signal: the handler, and the flags.
pub(crate) fn dispositions() -> Vec<(i32, usize, i32)> {
    let action = |signal: i32| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: nothing is changed (null), and `action` has room for the answer; zeroed it is a valid value.
        let action = unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
            action.assume_init()
        };
        // The C library sets this flag by itself, when anything is set.
        (signal, action.sa_sigaction, action.sa_flags & !SA_RESTORER)
    };
    (1..=64).map(action).collect()
}

/// As in a host: a program's `SIGPIPE` ends it (Rust ignores it), and the threads that call a plugin block it. And where the
/// judge is ended (Ctrl-C), this process ends with it, wherever in the plugin it hangs.
pub(crate) fn as_in_a_host() {
    let mut pipe = MaybeUninit::uninit();
    // SAFETY: `pipe` is room of the right type, which is filled before it is read; nothing of ours handles the signal.
    unsafe {
        libc::sigemptyset(pipe.as_mut_ptr());
        libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, pipe.as_ptr(), std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// Runs `body` with all signals blocked, as they are on the host's own threads.
pub(crate) fn blocked<T>(body: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both point to room of the right type, which these functions fill.
    let before = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let result = body();
    // SAFETY: `before` is what was in force on this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    result
}

/// The socket that is this process's standard input, and in its place nothing to be read.
pub(crate) fn socket_of_stdin() -> io::Result<UnixStream> {
    let nothing = OpenOptions::new().read(true).open("/dev/null")?;
    // SAFETY: numbers of descriptors only; the new one is owned by nobody yet.
    let socket = unsafe {
        let socket = libc::fcntl(0, libc::F_DUPFD_CLOEXEC, FAR);
        if socket < 0 || libc::dup2(nothing.as_raw_fd(), 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(socket)
    };
    Ok(UnixStream::from(socket))
}

/// Locale, as the C library has it.
pub(crate) fn locale() -> Vec<u8> {
    // SAFETY: a null asks only; the answer is a text of the library's, which stays until the next call.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, std::ptr::null());
        if name.is_null() { Vec::new() } else { std::ffi::CStr::from_ptr(name).to_bytes().to_vec() }
    }
}

/// Ends the process; of what is registered for its end, nothing runs.
pub(crate) fn leave_at_once(status: i32) -> ! {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(status) }
}

/// What became of a forked child.
#[derive(Debug)]
pub(crate) enum ChildEnd {
    Exit(i32),
    Signal(i32),
    /// It was still there, and is ended.
    Hung,
}

/// Runs `body` in a forked child, which ends by `exit`, with all that has been registered for it.
pub(crate) fn in_forked_child(patience: Duration, body: impl FnOnce() -> i32) -> io::Result<ChildEnd> {
    // SAFETY: the child calls what a plugin's host may call after a fork; that is what is tried.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        let status = body();
        // SAFETY: the child's main and only thread.
        unsafe { libc::exit(status) }
    }
    let deadline = Instant::now() + patience;
    loop {
        let mut status = 0;
        // SAFETY: a child of ours, waited for by nobody else.
        let waited = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
        if waited == child && libc::WIFEXITED(status) {
            return Ok(ChildEnd::Exit(libc::WEXITSTATUS(status)));
        }
        if waited == child {
            return Ok(ChildEnd::Signal(libc::WTERMSIG(status)));
        }
        if waited < 0 {
            return Err(io::Error::last_os_error());
        }
        if Instant::now() > deadline {
            // SAFETY: as above; it has not been waited for, so the number is still its own.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
            }
            return Ok(ChildEnd::Hung);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a process that this one started in a group of its own, with whatever it forked.
pub(crate) fn end_group(leader: u32) {
    // SAFETY: a number only. The leader has not been waited for, so that no other group can have it.
    unsafe { libc::kill(-(leader as i32), libc::SIGKILL) };
}

/// `SIGSEGV` and so on.
pub(crate) fn name(signal: i32) -> String {
    let known = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGCHLD, "SIGCHLD"),
        (libc::SIGURG, "SIGURG"),
        (libc::SIGPROF, "SIGPROF"),
        (libc::SIGWINCH, "SIGWINCH"),
    ];
    known
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

const SA_RESTORER: i32 = 0x0400_0000;
/// Beyond the numbers that a program counts on.
const FAR: i32 = 500;
