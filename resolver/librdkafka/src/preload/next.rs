//! The functions of the C library that stand behind those of this library, or those of another library that wraps them too.
//!
//! All are looked up in one way, when the library is loaded: a call may come in a signal handler, in a child of `vfork`, or in
//! a child whose parent forked while another of its threads held the dynamic linker's lock.

#![expect(non_upper_case_globals, reason = "each has the name of its function")]

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::real::next;
use crate::module::count_at_load;
use crate::static_program::has_interpreter;

/// One of them.
pub(super) struct Next {
    name: &'static CStr,
    /// [`UNKNOWN`], [`MISSING`], or where it is.
    address: AtomicUsize,
}

const UNKNOWN: usize = 0;
const MISSING: usize = 1;

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(UNKNOWN) }
    }

    /// `None`: nobody has such a function.
    #[inline]
    pub(super) fn address(&self) -> Option<usize> {
        let known = match self.address.load(Ordering::Relaxed) {
            // Called before the load: by the constructor of another library.
            UNKNOWN => self.look_up(),
            known => known,
        };
        (known != MISSING).then_some(known)
    }

    #[cold]
    fn look_up(&self) -> usize {
        let address = next(self.name).unwrap_or(MISSING);
        self.address.store(address, Ordering::Relaxed);
        address
    }
}

/// Runs when the library is loaded: half a microsecond for each function, and one for the modules.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

#[cfg_attr(test, expect(dead_code, reason = "there is no load"))]
extern "C" fn at_load() {
    // In a wholly static program the C library that came with this one is not set up.
    if has_interpreter() {
        for function in ALL {
            function.look_up();
        }
        count_at_load();
    }
}

/// Calls the function that is behind `$name`; `$otherwise` if there is none.
macro_rules! call_next {
    ($name:ident($($argument:ident: $argument_type:ty),*) -> $result:ty, else $otherwise:expr) => {
        match $crate::preload::next::$name.address() {
            Some(address) => {
                let address = std::ptr::with_exposed_provenance::<()>(address);
                // SAFETY: the address of that function, under the declaration that C has of it. Handlers of signals and the
                // cancellation of the thread may unwind through it.
                let function = unsafe {
                    std::mem::transmute::<*const (), unsafe extern "C-unwind" fn($($argument_type),*) -> $result>(address)
                };
                // SAFETY: the caller's own arguments.
                unsafe { function($($argument),*) }
            }
            None => $otherwise,
        }
    };
}
pub(super) use call_next;

macro_rules! functions {
    ($($name:ident = $symbol:literal,)*) => {
        $(pub(super) static $name: Next = Next::new($symbol);)*
        static ALL: &[&Next] = &[$(&$name),*];
    };
}

functions! {
    _exit = c"_exit",
    _Exit = c"_Exit",
    raise = c"raise",
    kill = c"kill",
    killpg = c"killpg",
    sigqueue = c"sigqueue",
    tgkill = c"tgkill",
    execve = c"execve",
    execv = c"execv",
    execvp = c"execvp",
    execvpe = c"execvpe",
    fexecve = c"fexecve",
    execveat = c"execveat",
    execl = c"execl",
    execlp = c"execlp",
    execle = c"execle",
    epoll_create = c"epoll_create",
    epoll_create1 = c"epoll_create1",
    poll = c"poll",
    poll_chk = c"__poll_chk",
    ppoll = c"ppoll",
    ppoll_chk = c"__ppoll_chk",
    select = c"select",
    pselect = c"pselect",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_and_what_nobody_has_is_looked_for_once() {
        for function in ALL {
            assert!(function.address().is_some(), "{:?}", function.name);
        }
        let missing = Next::new(c"no_such_function");
        assert_eq!((missing.address(), missing.address.load(Ordering::Relaxed)), (None, MISSING));
    }
}
