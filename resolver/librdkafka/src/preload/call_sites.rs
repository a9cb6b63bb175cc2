//! Which function the places that call one mean: a place of the program, or of a library that came with it, means the same
//! every time, so it is found once.
//!
//! For what is called for every message, in processes that are not traced too, and in those with several librdkafkas. A place
//! in a library that was loaded later is looked at each time there: the library may go, and another with a librdkafka of
//! its own come to its place.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use tracer_resolver::with_room;

use super::real::{errno, reached, set_errno};
use crate::caller::Caller;
use crate::contained::contained;
use crate::librdkafka::Librdkafka;
use crate::module::Module;

/// The places that have called one function. A list without a lock, because a lock that is held while another thread forks stays held
/// in the child for ever; what is in it is never freed.
pub(super) struct CallSites {
    latest: AtomicPtr<CallSite>,
    count: AtomicUsize,
    /// What all mean, while one librdkafka was met.
    meant_by_all: AtomicUsize,
    /// Whether a module is there until the process ends.
    stays: fn(&Module) -> bool,
}

struct CallSite {
    caller: Caller,
    address: usize,
    next: *const CallSite,
}

/// Those that are known; a further one costs microseconds for each message.
const MAX: usize = 64;

impl CallSites {
    pub(super) const fn new() -> Self {
        Self::within(Module::came_with_the_program)
    }

    const fn within(stays: fn(&Module) -> bool) -> Self {
        let (latest, count, meant_by_all) = (AtomicPtr::new(ptr::null_mut()), AtomicUsize::new(0), AtomicUsize::new(0));
        Self { latest, count, meant_by_all, stays }
    }

    /// [`reached`]: two atomic loads while one librdkafka was met, since all callers mean the same then.
    #[inline]
    pub(super) fn reached(&self, name: &CStr, caller: Caller) -> Option<usize> {
        if Librdkafka::only_one().is_some() {
            return match self.meant_by_all.load(Ordering::Relaxed) {
                0 => {
                    let address = reached(name, caller)?;
                    self.meant_by_all.store(address, Ordering::Relaxed);
                    Some(address)
                }
                address => Some(address),
            };
        }
        self.reached_from(name, caller)
    }

    #[inline]
    fn reached_from(&self, name: &CStr, caller: Caller) -> Option<usize> {
        // Acquire: pairs with the release in `keep`.
        let mut at = self.latest.load(Ordering::Acquire).cast_const();
        // SAFETY: what the list holds is never freed, and only read.
        while let Some(site) = unsafe { at.as_ref() } {
            if site.caller == caller {
                return Some(site.address);
            }
            at = site.next;
        }
        self.find(name, caller)
    }

    #[cold]
    fn find(&self, name: &CStr, caller: Caller) -> Option<usize> {
        let before = errno();
        let address = reached(name, caller)?;
        // What jumps here from a function that we call may mean another one the next time.
        if !caller.is_ours() && self.count.load(Ordering::Relaxed) < MAX {
            contained((), || {
                with_room(|| self.keep(caller, address));
            });
        }
        set_errno(before);
        Some(address)
    }

    fn keep(&self, caller: Caller, address: usize) {
        let Some(module) = Module::containing(address) else { return };
        if !caller.module().is_some_and(|caller| (self.stays)(&caller)) {
            return;
        }
        // The module stays as long as the place that calls it.
        let Some(handle) = module.open() else { return };
        handle.keep();
        self.count.fetch_add(1, Ordering::Relaxed);
        let site = Box::into_raw(Box::new(CallSite { caller, address, next: ptr::null() }));
        let mut latest = self.latest.load(Ordering::Acquire);
        loop {
            // SAFETY: ours alone until it is published; from then on it is only read.
            unsafe { (*site).next = latest };
            // AcqRel: publishes it, and sees what others published.
            match self.latest.compare_exchange(latest, site, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(current) => latest = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call from here in this program.
    fn caller(address: usize) -> Caller {
        // SAFETY: it is an address, and nothing else.
        unsafe { std::mem::transmute::<usize, Caller>(address) }
    }

    #[test]
    fn a_place_that_calls_is_looked_up_once_and_so_many_are_kept() {
        // Not in this program, which is where this library is here.
        let library = libc::strlen as *const () as usize;
        let of_later = CallSites::within(|_| false);
        assert!(of_later.reached_from(c"strlen", caller(library)).is_some());
        assert_eq!(of_later.count.load(Ordering::Relaxed), 0, "a library may go");
        let sites = CallSites::within(|_| true);
        let known = || sites.count.load(Ordering::Relaxed);
        let found = sites.reached_from(c"strlen", caller(library)).unwrap();
        assert_eq!(known(), 1);
        assert_eq!(
            (sites.reached_from(c"no_such_function", caller(library)), known()),
            (Some(found), 1),
            "it is not looked up"
        );
        assert_eq!(sites.reached_from(c"no_such_function", caller(library + 1)), None);
        let on_the_stack = 0_u64;
        assert!(sites.reached_from(c"strlen", caller((&raw const on_the_stack).addr())).is_some());
        assert_eq!(known(), 1, "code that was made at run time is not kept");
        for place in 1..=2 * MAX {
            assert!(sites.reached_from(c"strlen", caller(library + place)).is_some());
        }
        assert_eq!(known(), MAX);
    }
}
