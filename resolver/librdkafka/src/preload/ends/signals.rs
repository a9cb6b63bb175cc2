//! `raise`, `kill` and their like: a process that ends itself by a signal, as Python does after an uncaught Ctrl-C and uvicorn after
//! SIGTERM, when all else is in order, exports what it has in hand before.
//!
//! Only where the signal ends the process by its default action, and is none of those that tell of a crash. They may be
//! called in a signal handler and in a child of `vfork`.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use tracer_resolver::{before_exit, export_in_hand};

use super::next::call_next;
use super::real::{beforehand, not_there};
use crate::unmet_program::is_met;

/// Sends `signal` to the calling thread.
///
/// # Safety
///
/// As `raise` of C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn raise(signal: c_int) -> c_int {
    before(signal, Reaches::This);
    call_next!(raise(signal: c_int) -> c_int, else by_system_call(own_process(), signal))
}

/// Sends `signal` to a process or a group of them.
///
/// # Safety
///
/// As `kill` of POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn kill(process: libc::pid_t, signal: c_int) -> c_int {
    if process == 0 || process == own_process() || process.checked_neg().is_some_and(is_own_group) {
        before(signal, Reaches::This);
    }
    call_next!(kill(process: libc::pid_t, signal: c_int) -> c_int, else by_system_call(process, signal))
}

/// Sends `signal` to a group of processes.
///
/// # Safety
///
/// As `killpg` of POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn killpg(group: libc::pid_t, signal: c_int) -> c_int {
    if group == 0 || is_own_group(group) {
        before(signal, Reaches::This);
    }
    call_next!(killpg(group: libc::pid_t, signal: c_int) -> c_int, else by_system_call(-group, signal))
}

/// Sends `signal` to a process, with a value.
///
/// # Safety
///
/// As `sigqueue` of POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn sigqueue(process: libc::pid_t, signal: c_int, value: libc::sigval) -> c_int {
    if process == own_process() {
        before(signal, Reaches::This);
    }
    call_next!(sigqueue(process: libc::pid_t, signal: c_int, value: libc::sigval) -> c_int, else not_there())
}

/// Sends `signal` to a thread of a process, by the kernel's numbers.
///
/// # Safety
///
/// As `tgkill` of Linux.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn tgkill(process: libc::pid_t, thread: libc::pid_t, signal: c_int) -> c_int {
    if process == own_process() {
        // SAFETY: cannot fail.
        let own = unsafe { libc::syscall(libc::SYS_gettid) };
        before(signal, if own == i64::from(thread) { Reaches::This } else { Reaches::Other });
    }
    call_next!(tgkill(process: libc::pid_t, thread: libc::pid_t, signal: c_int) -> c_int, else not_there())
}

/// Who of this process gets a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reaches {
    /// This thread, or whichever does not block it.
    This,
    Other,
}

/// `signal` is about to be sent to this very process by itself.
fn before(signal: c_int, reaches: Reaches) {
    if !is_met() || !ends_the_process(signal) {
        return;
    }
    // Another thread may block it, and the first process of a container gets no signal that it does not handle.
    let for_certain = reaches != Reaches::Other && !is_blocked(signal) && own_process() != 1;
    beforehand(if for_certain { before_exit } else { export_in_hand });
}

/// Whether the default action is in force, ends the process, and is not what tells of a crash.
fn ends_the_process(signal: c_int) -> bool {
    let tells_of_an_end = matches!(
        signal,
        libc::SIGHUP
            | libc::SIGINT
            | libc::SIGQUIT
            | libc::SIGKILL
            | libc::SIGUSR1
            | libc::SIGUSR2
            | libc::SIGPIPE
            | libc::SIGALRM
            | libc::SIGTERM
    );
    if !tells_of_an_end {
        return false;
    }
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action it only writes the one in force.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_DFL
    }
}

/// Whether the calling thread does not get `signal` now.
fn is_blocked(signal: c_int) -> bool {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: without a new mask it only writes the one in force.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()) == 0
            && libc::sigismember(mask.as_ptr(), signal) == 1
    }
}

fn own_process() -> libc::pid_t {
    // SAFETY: cannot fail.
    unsafe { libc::getpid() }
}

fn is_own_group(group: libc::pid_t) -> bool {
    // SAFETY: cannot fail.
    group > 1 && group == unsafe { libc::getpgrp() }
}

fn by_system_call(process: libc::pid_t, signal: c_int) -> c_int {
    // SAFETY: takes two numbers.
    unsafe { libc::syscall(libc::SYS_kill, process, signal) as c_int }
}
