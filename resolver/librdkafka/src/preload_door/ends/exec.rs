//! `execve` and its like: a process that becomes another program exports what it has in hand before.
//!
//! The call may fail, and then the process lives on: nothing is ended by it. They are also called in every child that is
//! about to start a program, of `fork` and of `vfork`; such a child has nothing of its own in hand, is told by its process
//! id, and the call passes through. What takes its arguments one by one (`execl`, `execle`, `execlp`) is not wrapped: no
//! function of Rust's can pass them on.

use std::ffi::{c_char, c_int};

use tracer_resolver::export_in_hand;

use super::real::{beforehand, call_next, set_errno};

/// A list of texts that ends with a null.
type Texts = *const *const c_char;

/// Defines the exported functions.
macro_rules! wrappers {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $argument_type:ty),*);
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As the function of this name in unistd.h.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn $name($($argument: $argument_type),*) -> c_int {
            beforehand(export_in_hand);
            call_next!($name($($argument: $argument_type),*) -> c_int, else not_there())
        }
    )*};
}

wrappers! {
    /// Becomes the program at `path`.
    fn execve(path: *const c_char, arguments: Texts, environment: Texts);
    /// Becomes the program at `path`.
    fn execv(path: *const c_char, arguments: Texts);
    /// Becomes the program called `file`.
    fn execvp(file: *const c_char, arguments: Texts);
    /// Becomes the program called `file`.
    fn execvpe(file: *const c_char, arguments: Texts, environment: Texts);
    /// Becomes the program that is open as `descriptor`.
    fn fexecve(descriptor: c_int, arguments: Texts, environment: Texts);
}

fn not_there() -> c_int {
    set_errno(libc::ENOSYS);
    -1
}
