//! `_exit` and `_Exit`: a process that ends without its handlers, as the children of Python's multiprocessing do, exports
//! what it has in hand all the same.
//!
//! They may be called in a signal handler and in a child of `vfork`; [`before_exit`] is made for that, and what else
//! happens here is a look-up and a call.

use std::ffi::{CStr, c_int};

use tracer_resolver::before_exit;

use super::real::next;
use crate::contained::contained;
use crate::unmet_program;

/// Ends the process at once, but for what is in hand: that is exported first, within
/// [`EXIT_DEADLINE`](tracer_resolver::EXIT_DEADLINE).
///
/// # Safety
///
/// As `_exit` of POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    contained((), before_exit);
    unmet_program::tell();
    end(c"_exit", status)
}

/// As [`_exit`].
///
/// # Safety
///
/// As `_Exit` of C.
#[cfg_attr(not(test), unsafe(export_name = "_Exit"))]
pub unsafe extern "C" fn _exit_of_c(status: c_int) -> ! {
    contained((), before_exit);
    unmet_program::tell();
    end(c"_Exit", status)
}

/// Calls the real function, which other libraries may have wrapped too.
fn end(name: &CStr, status: c_int) -> ! {
    if let Some(address) = next(name) {
        let address = std::ptr::with_exposed_provenance::<()>(address);
        // SAFETY: the address of that function, under the declaration that C has of it.
        let real = unsafe { std::mem::transmute::<*const (), unsafe extern "C" fn(c_int)>(address) };
        // SAFETY: the caller's own argument.
        unsafe { real(status) };
    }
    loop {
        // SAFETY: ends the process; what `_exit` of the C library does.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}
