//! Work of plugins for somebody who waits for it: on a thread of the host's, and for a limited time.

use std::fmt;
use std::io;
use std::ptr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::quiet_thread;

/// How long a plugin may take to begin, where somebody waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Work that did not come back in time.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It still runs, on its thread, with all that it borrowed.
    Late,
    /// The system gives no thread for it.
    NoThread(io::Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => write!(f, "it has not come back within {PATIENCE:?}"),
            Self::NoThread(error) => write!(f, "the system gives no thread for it: {error}"),
        }
    }
}

/// Does the work on a thread of the host's, and waits for it up to `patience`.
///
/// But on this thread, and without a limit, if this one holds the dynamic linker's lock, in the constructor of a library:
/// a plugin that loads a library would wait there for us.
pub(crate) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    let job = Arc::new(Mutex::new(Some(work)));
    let (begins, has_begun) = sync_channel(1);
    let (returns, has_returned) = sync_channel(1);
    let on_thread = Arc::clone(&job);
    let body = move || {
        wait_for_the_linker();
        let Some(work) = take(&on_thread) else { return };
        // Nobody may be waiting any more.
        let _ = begins.send(());
        let _ = returns.send(work());
    };
    quiet_thread::spawn("tr-plugin".to_owned(), body).map_err(Failed::NoThread)?;
    if let Some(work) = not_begun(&has_begun).then(|| take(&job)).flatten() {
        return Ok(work());
    }
    has_returned.recv_timeout(patience).map_err(|_| Failed::Late)
}

/// Whether the thread is kept from beginning.
fn not_begun(has_begun: &Receiver<()>) -> bool {
    const LONGER_THAN_ANY_LOAD: Duration = Duration::from_secs(1);
    has_begun.recv_timeout(LONGER_THAN_ANY_LOAD) == Err(RecvTimeoutError::Timeout)
}

fn take<C>(job: &Mutex<Option<C>>) -> Option<C> {
    job.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Returns when no other thread loads a library. Threads of Rust's library wait for that when they begin, to have their
/// destructors noted; this does not rest on it.
fn wait_for_the_linker() {
    // SAFETY: asks for a handle of the program itself, which loads nothing, and gives it back.
    unsafe {
        let program = libc::dlopen(ptr::null(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if !program.is_null() {
            libc::dlclose(program);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::compile;
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_left_to_itself() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let late = within(Duration::from_millis(20), move || receiver.recv().is_err());
        assert!(matches!(late, Err(Failed::Late)));
        drop(sender);
    }

    static IN_CONSTRUCTOR: Mutex<Option<bool>> = Mutex::new(None);

    extern "C" fn in_constructor() {
        let here = std::thread::current().id();
        let load = move || {
            // SAFETY: loads a library of the system's, and gives it back.
            let library = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW) };
            !library.is_null() && std::thread::current().id() == here
        };
        *IN_CONSTRUCTOR.lock().unwrap() = within(PATIENCE, load).ok();
    }

    #[test]
    fn who_holds_the_linker_s_lock_makes_the_call_itself() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("constructing.so");
        let address = in_constructor as *const () as usize;
        let source =
            format!("__attribute__((constructor)) static void construct(void) {{ ((void (*)(void)){address}ul)(); }}");
        compile(&source, &library);
        let path = std::ffi::CString::new(library.to_str().unwrap()).unwrap();
        // SAFETY: its constructor calls a function that is there.
        assert!(!unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) }.is_null());
        assert_eq!(IN_CONSTRUCTOR.lock().unwrap().take(), Some(true));
    }
}
