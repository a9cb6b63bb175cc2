//! `_exit` and `_Exit`: a process that ends without its handlers, as the children of Python's multiprocessing do, exports
//! what it has in hand all the same.
//!
//! They may be called in a signal handler and in a child of `vfork`; [`before_exit`] is made for that, and what else
//! happens here is a look and a call.

use std::ffi::c_int;

use tracer_resolver::before_exit;

use super::next::call_next;
use super::real::beforehand;
use crate::unmet_program;

/// Ends the process at once, but for what is in hand: that is exported first, within
/// [`EXIT_DEADLINE`](tracer_resolver::EXIT_DEADLINE).
///
/// # Safety
///
/// As `_exit` of POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn _exit(status: c_int) -> ! {
    beforehand(before_exit);
    unmet_program::tell();
    call_next!(_exit(status: c_int) -> (), else ());
    end(status)
}

/// As [`_exit`].
///
/// # Safety
///
/// As `_Exit` of C.
#[cfg_attr(not(test), unsafe(export_name = "_Exit"))]
pub unsafe extern "C-unwind" fn _exit_of_c(status: c_int) -> ! {
    beforehand(before_exit);
    unmet_program::tell();
    call_next!(_Exit(status: c_int) -> (), else ());
    end(status)
}

/// For where there is no such function.
fn end(status: c_int) -> ! {
    loop {
        // SAFETY: ends the process; what `_exit` of the C library does.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}
