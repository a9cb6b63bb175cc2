//! Where a call of an exported function came from: the address that it returns to, which the function's entry takes from
//! where the processor has put it, before anything else runs. No other frame is looked at.
//!
//! See RATIONALE.md, "Why is the caller known by its return address alone?".

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::module::Module;

/// The address that a call returns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Caller(usize);

impl Caller {
    /// The module that called. `None`: its code was made at run time. One that called with a jump, as the last thing it
    /// did, is not it, but the module that had called it.
    pub(crate) fn module(self) -> Option<Module> {
        Module::containing(self.instruction())
    }

    /// Whether a function that this library was calling has jumped here, so that the call returns into this library.
    pub(crate) fn is_ours(self) -> bool {
        is_ours(self.instruction())
    }

    /// The code of the call, by which it is known again as long as it is there: as much of it as is in the page that it returns
    /// to, since the page before may be nobody's in the next module at this place. `None` where that is less than a call.
    #[inline]
    pub(crate) fn code(self) -> Option<Code> {
        let mut code = [0; size_of::<Code>()];
        let there = (self.0 % SMALLEST_PAGE).min(code.len());
        if there < SHORTEST_CALL {
            return None;
        }
        // SAFETY: the page that a call returns to is that of code that runs, and all of this is in it.
        unsafe { ptr::copy_nonoverlapping(ptr::with_exposed_provenance(self.0 - there), code.as_mut_ptr(), there) };
        Some(code)
    }

    /// One less than the address, which may be that of the next function when the call is the last instruction of one.
    fn instruction(self) -> usize {
        self.0.wrapping_sub(1)
    }
}

/// The bytes before the address that a call returns to: the call, and what leads to it.
pub(crate) type Code = [u8; 16];

/// Of the processors that this runs on.
const SMALLEST_PAGE: usize = 4096;
/// In bytes, with the address where what is called is looked up.
const SHORTEST_CALL: usize = 4;

/// Whether `address` lies in this library.
pub(crate) fn is_ours(address: usize) -> bool {
    own_range().contains(&address)
}

/// Defines a function that is called from outside, and `$body`, which it becomes with one argument more: the [`Caller`].
///
/// The entry is two instructions: at a function's first instruction the return address is on top of the stack (x86_64) or in
/// the link register (aarch64); it goes into the register of the next argument, and a jump follows. So no frame of the entry
/// is there to be unwound through.
macro_rules! entry {
    (
        $(#[$attribute:meta])*
        $visibility:vis extern $abi:literal fn $name:ident / $body:ident($($argument:ident: $type:ty),* ; $caller:ident) $(-> $result:ty)?
        $work:block
    ) => {
        $(#[$attribute])*
        #[unsafe(naked)]
        $visibility unsafe extern $abi fn $name($($argument: $type),*) $(-> $result)? {
            core::arch::naked_asm!(
                $crate::caller::entry_code!($crate::caller::next_register!($($argument)*)),
                body = sym $body,
            )
        }

        /// # Safety
        ///
        /// As the entry above, which alone comes here.
        unsafe extern $abi fn $body(
            $($argument: $type,)*
            $caller: $crate::caller::Caller
        ) $(-> $result)? $work
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! entry_code {
    ($register:expr) => {
        concat!("mov ", $register, ", qword ptr [rsp]\njmp {body}")
    };
}

/// Its first instruction (`bti c`) allows indirect calls where branch targets are guarded; elsewhere it does nothing.
#[cfg(target_arch = "aarch64")]
macro_rules! entry_code {
    ($register:expr) => {
        concat!("hint #34\nmov ", $register, ", x30\nb {body}")
    };
}

/// The register of the argument behind these, each of which is a number or a pointer (System V ABI of x86_64).
#[cfg(target_arch = "x86_64")]
macro_rules! next_register {
    ($a:ident) => {
        "rsi"
    };
    ($a:ident $b:ident) => {
        "rdx"
    };
    ($a:ident $b:ident $c:ident) => {
        "rcx"
    };
    ($a:ident $b:ident $c:ident $d:ident) => {
        "r8"
    };
    ($a:ident $b:ident $c:ident $d:ident $e:ident) => {
        "r9"
    };
}

/// The register of the argument behind these, each of which is a number or a pointer (AAPCS64).
#[cfg(target_arch = "aarch64")]
macro_rules! next_register {
    ($a:ident) => {
        "x1"
    };
    ($a:ident $b:ident) => {
        "x2"
    };
    ($a:ident $b:ident $c:ident) => {
        "x3"
    };
    ($a:ident $b:ident $c:ident $d:ident) => {
        "x4"
    };
    ($a:ident $b:ident $c:ident $d:ident $e:ident) => {
        "x5"
    };
}

pub(crate) use {entry, entry_code, next_register};

/// Gives `_URC_END_OF_STACK`.
#[cfg(target_arch = "x86_64")]
macro_rules! end_of_stack {
    () => {
        "mov eax, 5"
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! end_of_stack {
    () => {
        "mov w0, #5"
    };
}

// What stands in for the unwinder's walk: it says at once that the stack has ended. `build.rs` lets the linker put it in
// place of every call of `_Unwind_Backtrace` in the shared library, which are those of the standard library's own
// backtraces. See RATIONALE.md, "Why can no backtrace be made in this library?".
core::arch::global_asm!(
    ".pushsection .text.__wrap__Unwind_Backtrace, \"ax\", @progbits",
    ".globl __wrap__Unwind_Backtrace",
    ".hidden __wrap__Unwind_Backtrace",
    ".type __wrap__Unwind_Backtrace, @function",
    "__wrap__Unwind_Backtrace:",
    end_of_stack!(),
    "ret",
    ".size __wrap__Unwind_Backtrace, . - __wrap__Unwind_Backtrace",
    ".popsection",
);

/// Where this library lies. It stays there: it is never unloaded (`build.rs`).
fn own_range() -> Range<usize> {
    static START: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);
    // Acquire: pairs with the release below, after which `START` is there too. Threads that come at once find the same.
    let end = END.load(Ordering::Acquire);
    if end != 0 {
        return START.load(Ordering::Relaxed)..end;
    }
    let range = Module::containing(own_range as fn() -> Range<usize> as usize).map_or(0..0, |own| own.range());
    START.store(range.start, Ordering::Relaxed);
    END.store(range.end, Ordering::Release);
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries with one to five arguments: each gives what it was given, and where it was called from.
    mod entries {
        use super::super::Caller;

        type Called = (u64, Caller);

        entry! { pub(super) extern "C" fn one / one_from(a: u64; caller) -> usize { tell(&[a], caller) } }
        entry! { pub(super) extern "C" fn two / two_from(a: u64, b: u64; caller) -> usize { tell(&[a, b], caller) } }
        entry! { pub(super) extern "C" fn three / three_from(a: u64, b: u64, c: u64; caller) -> usize { tell(&[a, b, c], caller) } }
        entry! {
            pub(super) extern "C" fn four / four_from(a: u64, b: u64, c: u64, d: u64; caller) -> usize {
                tell(&[a, b, c, d], caller)
            }
        }
        entry! {
            pub(super) extern "C" fn five / five_from(a: u64, b: u64, c: u64, d: u64, e: u64; caller) -> usize {
                tell(&[a, b, c, d, e], caller)
            }
        }

        std::thread_local! {
            pub(super) static CALLED: std::cell::Cell<Called> = const { std::cell::Cell::new((0, Caller(0))) };
        }

        fn tell(arguments: &[u64], caller: Caller) -> usize {
            CALLED.set((arguments.iter().fold(0, |all, one| all * 10 + one), caller));
            caller.0
        }
    }

    #[test]
    fn an_entry_passes_its_arguments_on_and_says_where_it_was_called_from() {
        let here = an_entry_passes_its_arguments_on_and_says_where_it_was_called_from as fn() as usize;
        // SAFETY: plain functions of numbers.
        let calls: [(u64, fn() -> usize); 5] = unsafe {
            [
                (1, || entries::one(1)),
                (12, || entries::two(1, 2)),
                (123, || entries::three(1, 2, 3)),
                (1234, || entries::four(1, 2, 3, 4)),
                (12345, || entries::five(1, 2, 3, 4, 5)),
            ]
        };
        let mut returned: Vec<_> = Vec::new();
        for (arguments, call) in calls {
            returned.push(call());
            assert_eq!(entries::CALLED.get(), (arguments, Caller(returned[returned.len() - 1])));
        }
        // All in this program, near to this function, and no two the same.
        assert!(returned.iter().all(|address| is_ours(*address) && address.abs_diff(here) < 1 << 24), "{returned:x?}");
        returned.sort_unstable();
        returned.dedup();
        assert_eq!(returned.len(), 5);
    }

    #[test]
    fn the_module_of_a_call_is_found_when_it_was_the_last_instruction_of_it_and_none_on_a_stack() {
        let own = Module::containing(own_range as fn() -> Range<usize> as usize).unwrap();
        let end = own.range().end;
        assert!(Module::containing(end - 1).is_none_or(|at_its_end| at_its_end == own));
        assert_eq!(Caller(own_range as fn() -> Range<usize> as usize + 1).module(), Some(own));
        let here = 0;
        assert!(Caller((&raw const here).addr()).module().is_none());
    }

    #[test]
    fn this_library_knows_itself() {
        assert!(is_ours(is_ours as fn(usize) -> bool as usize));
        assert!(!is_ours(libc::strlen as *const () as usize));
    }
}
