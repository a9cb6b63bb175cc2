//! Room on the stack: the application may use Kafka on a thread, or in a coroutine, that has next to none.
//!
//! What is hot stays within a few hundred bytes. What is rare and heavy (reading a file, loading plugins, making a client,
//! the route of a topic) runs where room for it is proven, and else on a thread of ours.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cancellation::uncancelled;
use crate::diagnostics::write_to_stderr;
use crate::quiet_thread;

/// Runs `work` where it has room: on this thread, or, where that is not proven, on one that lives as long.
///
/// Not always on another: this one may hold the dynamic linker's lock, in the constructor of a library, and `work` may
/// need that too. `None`: there is no room here, and the system gives no thread.
pub fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    if has_room() { Some(work()) } else { elsewhere(work) }
}

/// Whether the stack that this thread runs on is its own, and has enough of it left for anything that we do.
fn has_room() -> bool {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let Some((lowest, end)) = own_stack() else { return false };
    // On another stack (a coroutine's, a signal's) nobody says how much is left.
    (lowest..end).contains(&here) && here - lowest >= ENOUGH && !is_on_signal_stack()
}

/// What is lent to work that runs elsewhere, such as a pointer of librdkafka's, while the thread that has it waits.
pub struct Lent<T>(T);

// SAFETY: whoever makes one vouches for it.
unsafe impl<T> Send for Lent<T> {}

impl<T> Lent<T> {
    /// # Safety
    ///
    /// `value` may be used on another thread while this one waits.
    pub unsafe fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub fn get(self) -> T {
        self.0
    }
}

/// Runs `work` on a thread of ours, in which no signal of the application's is handled, and waits for it.
#[cold]
#[inline(never)]
fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    let mut job = Job { work: Some(work), result: None };
    // Nobody may cancel this thread while it waits, for the other one uses what is on its stack.
    // SAFETY: `run` is the function for this very type, and `job` stays where it is until the thread has ended.
    uncancelled(|| unsafe { run_on_thread(run_of(&job), (&raw mut job).cast()) });
    match job.result {
        Some(Ok(result)) => Some(result),
        Some(Err(panic)) => resume_unwind(panic),
        None => {
            if !TOLD.swap(true, Ordering::Relaxed) {
                write_to_stderr(NO_ROOM);
            }
            None
        }
    }
}

/// Not by way of the logger, which needs room too.
const NO_ROOM: &str = "tracer-resolver: WARN: something is not traced: it happened on a small stack, and the system gives no \
    other thread\n";
static TOLD: AtomicBool = AtomicBool::new(false);

struct Job<W, T> {
    work: Option<W>,
    /// `None`: the thread could not be had.
    result: Option<Result<T, Box<dyn Any + Send>>>,
}

type Run = extern "C" fn(*mut c_void) -> *mut c_void;

fn run_of<T, W: FnOnce() -> T>(_: &Job<W, T>) -> Run {
    extern "C" fn run<T, W: FnOnce() -> T>(job: *mut c_void) -> *mut c_void {
        // SAFETY: `elsewhere` gave its job to this thread alone, and waits.
        let job = unsafe { &mut *job.cast::<Job<W, T>>() };
        if let Some(work) = job.work.take() {
            job.result = Some(catch_unwind(AssertUnwindSafe(work)));
        }
        ptr::null_mut()
    }
    run::<T, W>
}

/// Runs `run` with `job` on a thread, and waits. Does not, if the system gives none. By the C library's functions, which
/// take less of the caller's stack than those of Rust's library.
///
/// # Safety
///
/// `run` may be called with `job`, from another thread, until this returns.
unsafe fn run_on_thread(run: Run, job: *mut c_void) {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let mask = quiet_thread::block_signals();
    // SAFETY: the attributes and the thread are written before they are read; the caller vouches for `run` and `job`.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
            let started = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, job) == 0;
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            if started {
                libc::pthread_join(thread.assume_init(), ptr::null_mut());
            }
        }
    }
    quiet_thread::restore_signals(&mask);
}

/// The thread's own stack: its lowest address and its end. `None`: the system does not say.
///
/// Asked once for each thread: for the first thread of a process it reads a file of the kernel's.
fn own_stack() -> Option<(usize, usize)> {
    thread_local!(static STACK: Cell<Option<Option<(usize, usize)>>> = const { Cell::new(None) });
    // A thread whose locals are gone asks every time.
    if let Some(known) = STACK.try_with(Cell::get).ok().flatten() {
        return known;
    }
    let stack = ask_for_stack();
    let _ = STACK.try_with(|known| known.set(Some(stack)));
    stack
}

#[cold]
fn ask_for_stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lowest, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes are written before they are read, and destroyed once.
    let known = unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let result = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        result == 0
    };
    known.then(|| (lowest.addr(), lowest.addr().saturating_add(size)))
}

/// The stack of signal handlers may be a part of the thread's own.
fn is_on_signal_stack() -> bool {
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: written before it is read.
    unsafe {
        libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) == 0 && stack.assume_init().ss_flags & libc::SS_ONSTACK != 0
    }
}

/// What reading a configuration and loading plugins has taken, measured without optimisation, and half as much again.
const ENOUGH: usize = 256 * 1024;
const STACK: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_here(thread: std::thread::ThreadId) -> bool {
        with_room(|| std::thread::current().id()) == Some(thread)
    }

    fn stays_on_a_thread_with(stack: usize) -> bool {
        let run = || is_here(std::thread::current().id());
        std::thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap()
    }

    #[test]
    fn work_stays_on_a_thread_with_room_and_leaves_one_without() {
        assert!(stays_on_a_thread_with(4 * ENOUGH));
        assert!(!stays_on_a_thread_with(ENOUGH / 2));
    }

    thread_local!(static SEEN: Cell<Option<bool>> = const { Cell::new(None) });

    extern "C" fn look() {
        SEEN.set(Some(is_here(std::thread::current().id())));
    }

    #[test]
    fn work_leaves_a_stack_that_is_not_the_thread_s_own_however_large_it_is() {
        let mut stack = vec![0_u8; 4 * ENOUGH];
        // SAFETY: contexts that live here, and a stack that lives longer than what runs on it, which comes back here.
        unsafe {
            let (mut here, mut there): (libc::ucontext_t, libc::ucontext_t) = (std::mem::zeroed(), std::mem::zeroed());
            assert_eq!(libc::getcontext(&raw mut there), 0);
            there.uc_stack.ss_sp = stack.as_mut_ptr().cast();
            there.uc_stack.ss_size = stack.len();
            there.uc_link = &raw mut here;
            libc::makecontext(&raw mut there, look, 0);
            assert_eq!(libc::swapcontext(&raw mut here, &raw const there), 0);
        }
        assert_eq!(SEEN.take(), Some(false));
        look();
        assert_eq!(SEEN.take(), Some(true));
    }

    #[test]
    fn a_panic_elsewhere_is_one_here() {
        let panicked = catch_unwind(|| elsewhere(|| panic!("a defect of ours")));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"a defect of ours"));
        assert_eq!(elsewhere(|| 7), Some(7));
    }
}
