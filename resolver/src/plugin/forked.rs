//! For tests: what goes well in the child of a fork.

use crate::per_process;

/// Whether `body` says so, in a child that waits for nothing longer than a while. Its threads and locks are the child's.
pub(crate) fn child_is_well(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child does what it is given, which is made for children, and leaves without the test's ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // The handler of a fork, which the first resolver of a process asks for.
        per_process::forked();
        // SAFETY: the kernel ends a child that waits.
        unsafe { libc::alarm(60) };
        let is_well = body();
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(if is_well { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child, and writes its status.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    ended == child && status == 0
}
