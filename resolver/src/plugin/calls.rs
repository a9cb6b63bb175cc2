//! Calls into plugins: which threads are in one, whose code a plugin is, and how long a plugin may take to begin.

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::quiet_thread;

/// Whether the calling thread is inside of a plugin: in one of its functions, or in its constructors.
///
/// What it does there is the plugin's own: a Kafka client that it makes is not traced, and must not wait for a resolver
/// that waits for the plugin.
pub fn is_in_plugin() -> bool {
    DEPTH.get() > 0
}

/// Whether `belongs` says so of the code of any plugin that was loaded: threads of a plugin are known by where they call
/// from.
pub fn is_code_of_a_plugin(belongs: impl Fn(usize) -> bool) -> bool {
    known_code().any(belongs)
}

/// An address within each plugin that was loaded.
pub(super) fn known_code() -> impl Iterator<Item = usize> {
    // Acquire: pairs with the release in `remember`.
    let known = KNOWN.iter().map(|place| place.load(Ordering::Acquire));
    known.take_while(|address| *address != 0)
}

/// Makes a call into a plugin on this thread.
pub(super) fn inside<T>(call: impl FnOnce() -> T) -> T {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get().saturating_sub(1));
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let _inside = Inside;
    call()
}

/// As [`inside`], on an export thread.
pub(super) fn exporting<T>(call: impl FnOnce() -> T) -> T {
    struct Exporting(bool);
    impl Drop for Exporting {
        fn drop(&mut self) {
            EXPORTS.set(self.0);
        }
    }
    let _exporting = Exporting(EXPORTS.replace(true));
    inside(call)
}

/// Whether the calling thread is one that exports.
pub(super) fn is_export_thread() -> bool {
    EXPORTS.get()
}

/// The address of some function of a plugin. Those beyond 256 plugins are not told from the application's code.
pub(super) fn remember(code: usize) {
    for place in &KNOWN {
        // AcqRel: pairs with the acquire in `known_code`.
        match place.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(known) if known == code => return,
            Err(_) => {}
        }
    }
}

thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });
thread_local!(static EXPORTS: Cell<bool> = const { Cell::new(false) });

/// Filled from the front, never emptied: plugins are never unloaded.
static KNOWN: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

/// How long a plugin may take to check its settings, or to make an instance.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A call that did not return in time.
#[derive(Debug)]
pub(super) enum Failed {
    /// It still runs, on its thread, with all that it borrowed.
    Late,
    /// The system gives no thread for it.
    NoThread(io::Error),
}

/// Makes a call into a plugin on a thread of the host's, and waits for it up to `patience`.
///
/// But on this thread, and without a limit, if this one holds the dynamic linker's lock, in the constructor of a library:
/// a plugin that loads a library would wait there for us.
pub(super) fn within<T: Send + 'static>(
    patience: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    let job = Arc::new(Mutex::new(Some(call)));
    let (begins, has_begun) = sync_channel(1);
    let (returns, has_returned) = sync_channel(1);
    let on_thread = Arc::clone(&job);
    let body = move || {
        wait_for_the_linker();
        let Some(call) = take(&on_thread) else { return };
        // Nobody may be waiting any more.
        let _ = begins.send(());
        let _ = returns.send(inside(call));
    };
    quiet_thread::spawn("tr-plugin".to_owned(), body).map_err(Failed::NoThread)?;
    if let Some(call) = not_begun(&has_begun).then(|| take(&job)).flatten() {
        return Ok(inside(call));
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
    fn a_thread_is_in_a_plugin_while_its_call_runs_and_after_a_panic_no_more() {
        assert!(!is_in_plugin());
        assert!(inside(|| inside(is_in_plugin) && is_in_plugin()));
        assert!(!is_in_plugin());
        assert!(std::panic::catch_unwind(|| inside(|| panic!("a defect"))).is_err());
        assert!(!is_in_plugin());
        assert!(within(PATIENCE, is_in_plugin).unwrap());
    }

    #[test]
    fn a_call_that_does_not_return_is_left_to_itself() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let late = within(Duration::from_millis(20), move || receiver.recv().is_err());
        assert!(matches!(late, Err(Failed::Late)));
        drop(sender);
    }

    #[test]
    fn code_of_a_plugin_is_known_once_it_is_remembered() {
        assert!(!is_code_of_a_plugin(|address| address == 77));
        remember(77);
        remember(77);
        assert!(is_code_of_a_plugin(|address| address == 77));
        assert_eq!(KNOWN.iter().filter(|place| place.load(Ordering::Relaxed) == 77).count(), 1);
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
