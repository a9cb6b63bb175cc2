//! On musl: exceptions of the program that pass through our frames, led by the program's unwinder.
//!
//! There this library brings an unwinder for its own panics: a small system has none. What leads another exception asks Rust's
//! code about each frame, with a context that only the asking unwinder can read; Rust's code asks by the functions below, which
//! `build.rs` lets the linker put in place of those of our unwinder. They ask whose the context is. See RATIONALE.md, "Why does
//! the zig build take the system's libgcc?".

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use crate::caller::is_ours;

/// `_Unwind_Context`, opaque: every unwinder has its own.
type Context = *mut c_void;

/// `_Unwind_Exception`, as the ABI of C++ has it.
#[repr(C)]
struct Exception {
    class: u64,
    /// Of whoever has made it; our panics have one of ours.
    cleanup: usize,
}

/// Defines a function of an unwinder: ours for what is ours, and else the program's; `$otherwise` where it shows none.
macro_rules! functions {
    ($(
        fn $name:ident = $symbol:literal, $wrapped:literal, $real:literal
            ($subject:ident: $subject_type:ty $(, $argument:ident: $type:ty)*) -> $result:ty,
            if $is_ours:ident, else $otherwise:expr;
    )*) => {$(
        unsafe extern "C-unwind" fn $name($subject: $subject_type $(, $argument: $type)*) -> $result {
            type Function = unsafe extern "C-unwind" fn($subject_type $(, $type)*) -> $result;
            unsafe extern "C-unwind" {
                #[link_name = $real]
                fn own($subject: $subject_type $(, $argument: $type)*) -> $result;
            }
            // SAFETY: the unwinder that is at work gives what it documents.
            if unsafe { $is_ours($subject) } {
                // SAFETY: made by our unwinder, and given on as it came.
                unsafe { own($subject $(, $argument)*) }
            } else if let Some(function) = theirs($symbol) {
                // SAFETY: the function of that name, under the declaration that the ABI of C++ has of it.
                let function = unsafe { std::mem::transmute::<*const (), Function>(function) };
                // SAFETY: given on as it came, to the unwinder that the whole process sees.
                unsafe { function($subject $(, $argument)*) }
            } else {
                $otherwise
            }
        }

        core::arch::global_asm!(
            concat!(".globl ", $wrapped),
            concat!(".hidden ", $wrapped),
            concat!(".type ", $wrapped, ", @function"),
            concat!($wrapped, ":"),
            jump!(),
            body = sym $name,
        );
    )*};
}

#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp {body}"
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    () => {
        "b {body}"
    };
}

functions! {
    fn any_cleanups = c"_Unwind_GetLanguageSpecificData", "__wrap__Unwind_GetLanguageSpecificData",
        "__real__Unwind_GetLanguageSpecificData" (context: Context) -> *const c_void, if has_our_context, else ptr::null();
    fn region_start = c"_Unwind_GetRegionStart", "__wrap__Unwind_GetRegionStart", "__real__Unwind_GetRegionStart"
        (context: Context) -> usize, if has_our_context, else 0;
    fn ip_info = c"_Unwind_GetIPInfo", "__wrap__Unwind_GetIPInfo", "__real__Unwind_GetIPInfo"
        (context: Context, is_before: *mut c_int) -> usize, if has_our_context, else 0;
    fn set_register = c"_Unwind_SetGR", "__wrap__Unwind_SetGR", "__real__Unwind_SetGR"
        (context: Context, register: c_int, value: usize) -> (), if has_our_context, else ();
    fn set_ip = c"_Unwind_SetIP", "__wrap__Unwind_SetIP", "__real__Unwind_SetIP"
        (context: Context, value: usize) -> (), if has_our_context, else ();
    // Only what theirs has led into our frame is not ours here: the unwinder is there.
    fn resume = c"_Unwind_Resume", "__wrap__Unwind_Resume", "__real__Unwind_Resume"
        (exception: *mut Exception) -> !, if is_our_panic, else std::process::abort();
}

/// Ours begins with the table of its functions, which is in this library; that of libgcc with an address on a stack.
///
/// # Safety
///
/// `context` is one of an unwinder.
unsafe fn has_our_context(context: Context) -> bool {
    // SAFETY: each has a pointer there.
    is_ours(unsafe { context.cast::<usize>().read() })
}

/// # Safety
///
/// `exception` is one that an unwinder leads.
unsafe fn is_our_panic(exception: *mut Exception) -> bool {
    // SAFETY: whoever makes an exception writes these two.
    is_ours(unsafe { (*exception).cleanup })
}

/// What the whole process finds by that name: ours is not shown.
///
/// None: the program's unwinder is hidden in one of its files. Rust's code is then told of no cleanups in the frame, and the
/// exception passes on.
fn theirs(name: &CStr) -> Option<*const ()> {
    // SAFETY: a place that `dlsym` knows by itself, and a NUL-terminated name.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address.cast_const().cast())
}
