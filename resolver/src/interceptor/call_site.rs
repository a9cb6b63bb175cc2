//! By which of librdkafka's functions a message is handed over, read off the stack.
//!
//! `on_consume` is the same for a call that hands over one message and for one that hands over a hundred. What tells
//! them apart is the application's call itself: the walk up the stack looks at each return address for the call
//! instruction before it, and for whether its target is a function that is known. librdkafka's own frames in between
//! need no names, and a function that ends in a jump to another leaves its call in place. A walk costs microseconds, so
//! its result is kept, with the return addresses that it was read from: where the same ones stand at the same places
//! of the stack, it is the same call.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};

/// Whether the message that is being handed over on the calling thread comes by a call that hands over one.
///
/// `one` are the addresses of functions that hand over one message, `many` of those that hand over more; 0 is none.
/// `false` also where the call cannot be recognised: through a pointer, or out of code without unwind tables.
#[inline(never)]
pub(super) fn hands_over_one(one: &[usize], many: &[usize]) -> bool {
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    // A thread whose locals are gone, or a hand-over within a walk, which there is not, recognise nothing.
    let known = KNOWN.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        if let Some(site) = known.sites.iter().find(|site| site.is_here(here)) {
            return Some(site.one);
        }
        if known.in_vain >= PATIENCE {
            return None;
        }
        let (site, recognised) = walk(one, many, here);
        known.in_vain += u32::from(!recognised);
        let oldest = known.next % SITES;
        known.next = known.next.wrapping_add(1);
        if let Some(place) = known.sites.get_mut(oldest) {
            *place = site;
        }
        Some(site.one)
    });
    known.ok().flatten().unwrap_or(false)
}

/// The calls that a thread has made.
struct Known {
    sites: [Site; SITES],
    next: usize,
    /// Walks that recognised nothing.
    in_vain: u32,
}

/// A call that was recognised, by the stack from our own frame up to it.
#[derive(Clone, Copy)]
struct Site {
    /// The address of our frame's marker.
    here: usize,
    one: bool,
    /// Return addresses, and where they stand on the stack; as many as `depth`.
    frames: [Frame; FRAMES],
    depth: usize,
}

#[derive(Clone, Copy)]
struct Frame {
    at: usize,
    returns_to: usize,
}

/// Frames from ours up to the application's call, at the most.
const FRAMES: usize = 16;
/// Calls that a thread makes alternately, and that are remembered.
const SITES: usize = 4;
/// Walks of a thread that may recognise nothing; then it walks no more, for all of its calls may be like that.
const PATIENCE: u32 = 256;

const NO_FRAME: Frame = Frame { at: 0, returns_to: 0 };
const NO_SITE: Site = Site { here: 0, one: false, frames: [NO_FRAME; FRAMES], depth: 0 };

thread_local!(static KNOWN: RefCell<Known> = const {
    RefCell::new(Known { sites: [NO_SITE; SITES], next: 0, in_vain: 0 })
});

impl Site {
    #[inline]
    fn is_here(&self, here: usize) -> bool {
        self.here == here
            && self.frames.iter().take(self.depth).all(|frame| {
                // SAFETY: when this was walked, `at` was on this thread's stack and above `here`; our frame is at `here`
                // again, so what was above it on the stack is there now too.
                unsafe { (frame.at as *const usize).read_volatile() == frame.returns_to }
            })
    }
}

/// The state of a walk.
struct Walk<'a> {
    one: &'a [usize],
    many: &'a [usize],
    site: Site,
    recognised: bool,
}

/// The call, and whether it was recognised.
fn walk(one: &[usize], many: &[usize], here: usize) -> (Site, bool) {
    let mut walk = Walk { one, many, site: Site { here, ..NO_SITE }, recognised: false };
    // SAFETY: `step` takes the `Walk` that is given here, and neither unwinds nor keeps it.
    unsafe { _Unwind_Backtrace(step, (&raw mut walk).cast()) };
    (walk.site, walk.recognised)
}

/// One frame up.
///
/// # Safety
///
/// Called by `_Unwind_Backtrace` only, with the [`Walk`] that was given to it.
unsafe extern "C" fn step(context: *mut c_void, walk: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 4;
    // SAFETY: `walk` is the one of `walk()`, which waits for us; `context` is the unwinder's.
    let (walk, ip, cfa) = unsafe { (&mut *walk.cast::<Walk<'_>>(), _Unwind_GetIP(context), _Unwind_GetCFA(context)) };
    let at = cfa.wrapping_sub(size_of::<usize>());
    if at <= walk.site.here {
        return GO_ON; // Frames of this walk itself.
    }
    // SAFETY: the unwinder has just read the return address from there.
    if at % size_of::<usize>() != 0 || unsafe { (at as *const usize).read_volatile() } != ip {
        return STOP; // Not a frame that was entered by a call.
    }
    let Some(frame) = walk.site.frames.get_mut(walk.site.depth) else { return STOP };
    *frame = Frame { at, returns_to: ip };
    walk.site.depth += 1;
    let Some(target) = call_target(ip).filter(|target| *target != 0) else { return GO_ON };
    walk.site.one = walk.one.contains(&target);
    if walk.site.one || walk.many.contains(&target) {
        walk.recognised = true;
        return STOP;
    }
    GO_ON
}

/// The function that the call before `return_address` went to; `None` where that does not stand in the code.
///
/// Understands what compilers make of a call to a named function: `call rel32`, to it or to its entry of the procedure
/// linkage table, and `call *rel32(%rip)`, through the global offset table (System V ABI, AMD64 supplement).
#[cfg(target_arch = "x86_64")]
fn call_target(return_address: usize) -> Option<usize> {
    let relative = |bytes: &[u8]| bytes.try_into().ok().map(|bytes| i32::from_le_bytes(bytes) as isize);
    let through = |slot: usize| mapped::read(slot, libc::PF_R).map(usize::from_le_bytes);
    match &mapped::read::<6>(return_address.checked_sub(6)?, libc::PF_X)? {
        [0xff, 0x15, slot @ ..] => through(return_address.wrapping_add_signed(relative(slot)?)),
        [_, 0xe8, target @ ..] => {
            let target = return_address.wrapping_add_signed(relative(target)?);
            let Some(entry) = mapped::read::<16>(target, libc::PF_X) else { return Some(target) };
            // An entry of the table: perhaps a landing pad, then a jump through a slot.
            let jump = entry.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa]).unwrap_or(&entry);
            let jump = jump.strip_prefix(&[0xf2]).unwrap_or(jump);
            let Some(slot) = jump.strip_prefix(&[0xff, 0x25]).and_then(|slot| slot.get(..4)) else {
                return Some(target);
            };
            let after = target + (entry.len() - jump.len()) + 6;
            through(after.wrapping_add_signed(relative(slot)?))
        }
        _ => None,
    }
}

/// Reading memory that may not be there: what a byte that only looks like a call points to.
mod mapped {
    use std::ffi::{c_int, c_void};

    /// The bytes at `address`, if they lie in a segment of a loaded module that has the permission `flag`.
    pub(super) fn read<const N: usize>(address: usize, flag: u32) -> Option<[u8; N]> {
        let mut wanted = Wanted { address, len: N, flag, found: false };
        // SAFETY: `contains` is given what `dl_iterate_phdr` documents, and `wanted`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(contains), (&raw mut wanted).cast()) };
        // SAFETY: the bytes are mapped and readable, as was just found; code and linkage tables are not written while
        // the application is inside a call that goes through them.
        wanted.found.then(|| unsafe { (address as *const [u8; N]).read_unaligned() })
    }

    struct Wanted {
        address: usize,
        len: usize,
        flag: u32,
        found: bool,
    }

    /// Notes whether a segment of `module` has all that is wanted.
    ///
    /// # Safety
    ///
    /// Called by `dl_iterate_phdr` only, with a [`Wanted`].
    unsafe extern "C" fn contains(module: *mut libc::dl_phdr_info, _size: usize, wanted: *mut c_void) -> c_int {
        // SAFETY: as `read` and `dl_iterate_phdr` say; a module has as many program headers as it says.
        unsafe {
            let (module, wanted) = (&*module, &mut *wanted.cast::<Wanted>());
            if module.dlpi_phdr.is_null() {
                return 0;
            }
            let headers = std::slice::from_raw_parts(module.dlpi_phdr, usize::from(module.dlpi_phnum));
            wanted.found = headers.iter().any(|header| {
                let start = (module.dlpi_addr + header.p_vaddr) as usize;
                let end = start.saturating_add(header.p_memsz as usize);
                header.p_type == libc::PT_LOAD
                    && header.p_flags & (wanted.flag | libc::PF_R) == wanted.flag | libc::PF_R
                    && (start..end).contains(&wanted.address)
                    && end - wanted.address >= wanted.len
            });
            c_int::from(wanted.found)
        }
    }
}

// The unwinder of the C library's companion, which Rust's standard library links anyway. Itanium C++ ABI, and its
// `_Unwind_Backtrace` as GCC and LLVM have it.
unsafe extern "C" {
    fn _Unwind_Backtrace(
        step: unsafe extern "C" fn(context: *mut c_void, argument: *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn _Unwind_GetCFA(context: *mut c_void) -> usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands for librdkafka's functions: each hands over by the same inner function, which ends in a call back.
    extern "C" fn one() -> bool {
        inner()
    }

    extern "C" fn many() -> bool {
        inner()
    }

    extern "C" fn unknown() -> bool {
        inner()
    }

    extern "C" fn one_that_calls_back_into_many() -> bool {
        std::hint::black_box(many())
    }

    #[inline(never)]
    fn inner() -> bool {
        let (one_of, many_of): (extern "C" fn() -> bool, extern "C" fn() -> bool) = (one, many);
        let outer: extern "C" fn() -> bool = one_that_calls_back_into_many;
        std::hint::black_box(hands_over_one(&[one_of as usize, outer as usize, 0], &[many_of as usize, 0]))
    }

    #[test]
    fn the_application_s_call_tells_one_message_from_many_and_again_from_memory() {
        for _ in 0..3 {
            assert!(std::hint::black_box(one()));
            assert!(!std::hint::black_box(many()));
            assert!(!std::hint::black_box(unknown()));
        }
    }

    #[test]
    fn the_innermost_call_counts() {
        assert!(!std::hint::black_box(one_that_calls_back_into_many()));
    }

    #[test]
    fn a_call_through_a_pointer_is_not_recognised() {
        let pointer: extern "C" fn() -> bool = std::hint::black_box(one);
        assert!(!pointer());
    }

    #[test]
    fn what_is_not_mapped_is_not_read() {
        assert!(mapped::read::<8>(16, libc::PF_R).is_none());
        let here = what_is_not_mapped_is_not_read as fn() as usize;
        assert!(mapped::read::<8>(here, libc::PF_X).is_some());
        assert!(mapped::read::<8>(here, libc::PF_W).is_none(), "code is not written");
    }
}
