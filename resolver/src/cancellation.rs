//! Nothing of ours is a place at which a thread can be cancelled.
//!
//! A cancellation takes effect where the thread next reads a file, sleeps or waits by a function of the C library. It unwinds
//! the stack, and Rust's library ends the process when that comes to where a panic is caught. So it has to wait until the
//! thread is the application's again.

use std::ffi::c_int;
use std::ptr;

/// Runs `work` on a thread that is not cancelled meanwhile. Costs some nanoseconds, and uses no thread-local storage of ours.
#[inline]
pub fn uncancelled<T>(work: impl FnOnce() -> T) -> T {
    let _held_back = HeldBack::begin();
    work()
}

/// Cancellations of this thread wait until it is dropped.
struct HeldBack {
    before: c_int,
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}
const PTHREAD_CANCEL_DISABLE: c_int = 1;

impl HeldBack {
    fn begin() -> Self {
        let mut before = 0;
        // SAFETY: the state is this thread's own; the one before is written.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut before) };
        Self { before }
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // SAFETY: as above; nobody asks for the one before.
        unsafe { pthread_setcancelstate(self.before, ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    unsafe extern "C" {
        fn pthread_cancel(thread: libc::pthread_t) -> c_int;
    }

    static STEPS: AtomicU32 = AtomicU32::new(0);

    /// The cancellation unwinds through it: it holds nothing, and catches nothing.
    extern "C-unwind" fn cancels_itself(_: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: this thread is alive.
        unsafe { pthread_cancel(libc::pthread_self()) };
        uncancelled(|| {
            uncancelled(|| std::thread::sleep(std::time::Duration::from_millis(1)));
            std::thread::sleep(std::time::Duration::from_millis(1));
            STEPS.fetch_add(1, Ordering::Relaxed);
        });
        // SAFETY: a cancellation point.
        unsafe { libc::usleep(1000) };
        STEPS.fetch_add(10, Ordering::Relaxed);
        ptr::null_mut()
    }

    #[test]
    fn a_thread_is_cancelled_when_it_is_the_application_s_again() {
        let mut result = ptr::null_mut();
        // SAFETY: a function of that signature, which may be unwound through; the thread is joined once.
        unsafe {
            let run = std::mem::transmute::<
                extern "C-unwind" fn(*mut libc::c_void) -> *mut libc::c_void,
                extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
            >(cancels_itself);
            let mut thread = std::mem::zeroed();
            assert_eq!(libc::pthread_create(&raw mut thread, ptr::null(), run, ptr::null_mut()), 0);
            assert_eq!(libc::pthread_join(thread, &raw mut result), 0);
        }
        assert_eq!((result.addr(), STEPS.load(Ordering::Relaxed)), (usize::MAX, 1)); // `PTHREAD_CANCELED` is -1.
    }
}
