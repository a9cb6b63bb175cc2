//! Room on the stack: the application may create its clients on a thread that has next to none.

use std::mem::MaybeUninit;

/// Runs `work` where it has room: on this thread, or, where its stack is nearly used up, on one that lives as long.
///
/// Not always on another: this one may hold the dynamic linker's lock, in the constructor of a library, and `work` may
/// load libraries.
pub(crate) fn with_room<T: Send>(work: impl Fn() -> T + Sync) -> T {
    if left().is_none_or(|left| left >= ENOUGH) {
        return work();
    }
    std::thread::scope(|scope| {
        let quiet = Quiet::begin();
        let started = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, &work);
        drop(quiet);
        match started.map(|thread| thread.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => work(), // No thread can be had: it may do with what there is.
        }
    })
}

/// What reading a configuration and loading plugins has taken, measured without optimisation, and half as much again.
const ENOUGH: usize = 256 * 1024;
const STACK: usize = 1024 * 1024;

/// Bytes that this thread's stack has left. `None`: not known.
fn left() -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are written before they are read, and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let result = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if result != 0 {
            return None;
        }
    }
    let here = (&raw const size).addr();
    here.checked_sub(start.addr()).filter(|left| *left <= size)
}

/// A thread that is started meanwhile takes no signal of the application's.
struct Quiet {
    before: libc::sigset_t,
}

impl Quiet {
    fn begin() -> Self {
        // SAFETY: sets that live here; the mask is this thread's own, and what it starts inherits it.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self { before }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: the mask that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn where_it_runs(stack: usize) -> bool {
        let here = || std::thread::current().id();
        let run = move || with_room(here) == here();
        std::thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap()
    }

    #[test]
    fn work_stays_on_a_thread_with_room_and_leaves_one_without() {
        assert!(where_it_runs(4 * ENOUGH));
        assert!(!where_it_runs(ENOUGH / 2));
    }
}
