//! Who called: the return addresses of the calling thread that lie outside this library, nearest first.
//!
//! The first of them lies in the librdkafka that called `conf_init`, or in the program or library that called
//! `rd_kafka_new`. See RATIONALE.md, "Why is the stack walked?".

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::module::Module;

/// The callers' addresses, nearest first, at most [`MOST_FRAMES`] of them. Costs a microsecond or two.
///
/// A function that called with a jump, as the last thing it did, is not among them: its caller stands in its place.
pub(crate) fn callers() -> impl Iterator<Item = usize> {
    let mut walk = Walk { frames: [0; MOST_FRAMES], len: 0, own: own_range() };
    // SAFETY: `visit` is given `walk`, which is ours alone until the walk is over, and it unwinds nothing.
    unsafe { _Unwind_Backtrace(visit, (&raw mut walk).cast()) };
    let Walk { frames, len, .. } = walk;
    frames.into_iter().take(len)
}

/// Whether `address` lies in this library.
pub(crate) fn is_ours(address: usize) -> bool {
    own_range().contains(&address)
}

/// Frames outside of this library that are looked at. The first one is nearly always the one.
const MOST_FRAMES: usize = 16;

struct Walk {
    frames: [usize; MOST_FRAMES],
    len: usize,
    own: Range<usize>,
}

/// `_Unwind_Context` of the unwinder's ABI, opaque.
#[repr(C)]
struct UnwindContext {
    _private: [u8; 0],
}

/// `_Unwind_Reason_Code`: `_URC_NO_REASON` goes on, anything else ends the walk.
const GO_ON: c_int = 0;
const END: c_int = 5;

unsafe extern "C" {
    // Both are in libgcc_s, which Rust's standard library brings along (Itanium C++ ABI, level 1).
    fn _Unwind_Backtrace(
        visit: unsafe extern "C" fn(*mut UnwindContext, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
}

/// # Safety
///
/// Called by `_Unwind_Backtrace` only, with a [`Walk`].
unsafe extern "C" fn visit(context: *mut UnwindContext, walk: *mut c_void) -> c_int {
    // SAFETY: `callers` gave a `Walk`, and waits.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    // SAFETY: the unwinder's own context, for this frame. The address is the one to return to, which may be that of the
    // next function when the call is the last instruction of one.
    let address = unsafe { _Unwind_GetIP(context) }.wrapping_sub(1);
    if !walk.own.contains(&address) {
        let Some(frame) = walk.frames.get_mut(walk.len) else { return END };
        *frame = address;
        walk.len += 1;
    }
    GO_ON
}

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

    #[test]
    fn the_callers_of_a_test_are_outside_the_test_program_and_in_the_order_of_the_stack() {
        // This library is the test program here; what started its thread is the C library.
        let found: Vec<_> = callers().collect();
        assert!(!found.is_empty() && found.iter().all(|address| !is_ours(*address)), "{found:x?}");
        let first = Module::containing(found[0]).unwrap();
        assert!(first.name().to_string_lossy().contains("libc"), "{first:?}");
    }

    #[test]
    fn this_library_knows_itself() {
        assert!(is_ours(callers as fn() -> _ as usize));
        assert!(!is_ours(libc::strlen as *const () as usize));
    }
}
