//! `execve` and its like: a process that becomes another program exports what it has in hand before.
//!
//! The call may fail, and then the process lives on: nothing is ended by it. They are also called in every child that is
//! about to start a program, of `fork` and of `vfork`; such a child has nothing of its own in hand, is told by its process
//! id, and the call passes through.

use std::ffi::{c_char, c_int};

use tracer_resolver::export_in_hand;

use super::next::{self, call_next};
use super::real::{beforehand, not_there};

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
        pub unsafe extern "C-unwind" fn $name($($argument: $argument_type),*) -> c_int {
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
    /// Becomes the program at `path`, seen from the folder that is open as `folder`.
    fn execveat(folder: c_int, path: *const c_char, arguments: Texts, environment: Texts, flags: c_int);
}

/// Defines the exported functions that take their arguments one by one, as many as there are.
///
/// No function of Rust's can pass these on. So the entry sets aside the registers that may hold some, and, for a function of any
/// number of arguments, how many are elsewhere; has `$body` do our part; and jumps to the real function that this gives, which
/// finds all as it was.
macro_rules! variadic {
    ($(
        $(#[$doc:meta])*
        fn $name:ident / $body:ident;
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As the function of this name in unistd.h, with further arguments.
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name(program: *const c_char, argument: *const c_char) -> c_int {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                "push rax",
                "call {body}", // The stack is at a multiple of 16: eight words are on it since the call of the caller.
                "mov r11, rax",
                "pop rax",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp r11",
                body = sym $body,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(
                "hint #34", // `bti c`, as in `caller.rs`.
                "stp x29, x30, [sp, #-80]!",
                "mov x29, sp",
                "stp x0, x1, [sp, #16]",
                "stp x2, x3, [sp, #32]",
                "stp x4, x5, [sp, #48]",
                "stp x6, x7, [sp, #64]",
                "bl {body}",
                "mov x16, x0",
                "ldp x0, x1, [sp, #16]",
                "ldp x2, x3, [sp, #32]",
                "ldp x4, x5, [sp, #48]",
                "ldp x6, x7, [sp, #64]",
                "ldp x29, x30, [sp], #80",
                "br x16",
                body = sym $body,
            )
        }

        extern "C" fn $body() -> usize {
            beforehand(export_in_hand);
            next::$name.address().unwrap_or(nowhere as extern "C" fn() -> c_int as usize)
        }
    )*};
}

variadic! {
    /// Becomes the program at `path`.
    fn execl / before_execl;
    /// Becomes the program called `file`.
    fn execlp / before_execlp;
    /// Becomes the program at `path`, with an environment.
    fn execle / before_execle;
}

extern "C" fn nowhere() -> c_int {
    not_there()
}
