//! Which function the places that call one mean: a place of the program, or of a library that came with it, means the same
//! every time, so it is found once.
//!
//! For what is called for every message, in processes that are not traced too, and in those with several librdkafkas. A place
//! in a library that was loaded later is known again by its code, and only while all places mean the same function: the library
//! may go, and another with a librdkafka of its own come to its place. From then on it is looked at each time there.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use tracer_resolver::with_room;

use super::real::{errno, reached, set_errno};
use crate::caller::{Caller, Code};
use crate::contained::contained;
use crate::librdkafka::Librdkafka;
use crate::module::Module;

/// The places that have called one function. A list without a lock, because a lock that is held while another thread forks stays held
/// in the child for ever; what is in it is never freed.
pub(super) struct CallSites {
    latest: AtomicPtr<CallSite>,
    count: AtomicUsize,
    /// What the first place meant; 0 before it.
    first: AtomicUsize,
    /// Whether a module is there until the process ends.
    stays: fn(&Module) -> bool,
}

struct CallSite {
    caller: Caller,
    /// Of a place that may go: its code.
    code: Option<Code>,
    address: usize,
    next: *const CallSite,
}

impl CallSite {
    /// Whether a call by `caller` is one of this place. `are_all_one`: all places mean the same function.
    #[inline]
    fn is_at(&self, caller: Caller, are_all_one: impl FnOnce() -> bool) -> bool {
        self.caller == caller && self.code.is_none_or(|code| are_all_one() && caller.code() == Some(code))
    }
}

/// Those that are known; a further one costs microseconds for each message.
const MAX: usize = 64;

impl CallSites {
    pub(super) const fn new() -> Self {
        Self::within(Module::came_with_the_program)
    }

    const fn within(stays: fn(&Module) -> bool) -> Self {
        let (latest, count, first) = (AtomicPtr::new(ptr::null_mut()), AtomicUsize::new(0), AtomicUsize::new(0));
        Self { latest, count, first, stays }
    }

    /// [`reached`]; of a place that is known, some loads and comparisons.
    ///
    /// That one librdkafka was met says nothing of others: a plugin may have one of its own, and so may whoever looks its
    /// functions up by `dlsym`, whose own calls of each other come here.
    #[inline]
    pub(super) fn reached(&self, name: &CStr, caller: Caller) -> Option<usize> {
        // Acquire: pairs with the release in `keep`.
        let mut at = self.latest.load(Ordering::Acquire).cast_const();
        // SAFETY: what the list holds is never freed, and only read.
        while let Some(site) = unsafe { at.as_ref() } {
            if site.is_at(caller, Librdkafka::is_alone) {
                return Some(site.address);
            }
            at = site.next;
        }
        self.find(name, caller)
    }

    #[cold]
    fn find(&self, name: &CStr, caller: Caller) -> Option<usize> {
        // What jumps here from a function that we call may mean another one the next time, unless all mean the same.
        if caller.is_ours() && Librdkafka::only_one().is_some() {
            let first = self.first.load(Ordering::Relaxed);
            if first != 0 {
                return Some(first);
            }
        }
        let before = errno();
        let address = reached(name, caller)?;
        let first = self.first.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed);
        if first.is_err_and(|first| first != address) {
            Librdkafka::is_not_alone();
        }
        if !caller.is_ours() && self.count.load(Ordering::Relaxed) < MAX {
            contained((), || {
                with_room(|| self.keep(caller, address));
            });
        }
        set_errno(before);
        Some(address)
    }

    fn keep(&self, caller: Caller, address: usize) {
        let Some(calling) = caller.module() else { return };
        let may_go = !(self.stays)(&calling);
        let code = if may_go { caller.code() } else { None };
        if may_go && (code.is_none() || !Librdkafka::is_alone()) {
            return;
        }
        // It stays as long as the place that calls it.
        let Some(handle) = Module::containing(address).and_then(|module| module.open()) else { return };
        handle.keep();
        self.count.fetch_add(1, Ordering::Relaxed);
        let site = Box::into_raw(Box::new(CallSite { caller, code, address, next: ptr::null() }));
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
        let sites = CallSites::within(|_| true);
        let known = || sites.count.load(Ordering::Relaxed);
        let found = sites.reached(c"strlen", caller(library)).unwrap();
        assert_eq!(known(), 1);
        assert_eq!(
            (sites.reached(c"no_such_function", caller(library)), known()),
            (Some(found), 1),
            "it is not looked up"
        );
        assert_eq!(sites.reached(c"no_such_function", caller(library + 1)), None);
        let on_the_stack = 0_u64;
        assert!(sites.reached(c"strlen", caller((&raw const on_the_stack).addr())).is_some());
        assert_eq!(known(), 1, "code that was made at run time is not kept");
        for place in 1..=2 * MAX {
            assert!(sites.reached(c"strlen", caller(library + place)).is_some());
        }
        assert_eq!(known(), MAX);
    }
    #[test]
    fn a_place_that_may_go_is_known_by_its_code_only() {
        // Stands for the one librdkafka, and for the library that calls: its data, which can be changed, for the code of a call.
        Librdkafka::within(Module::containing(libc::strlen as *const () as usize).unwrap());
        // SAFETY: a name that every C library has.
        let data =
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"program_invocation_short_name".as_ptr()) }.cast::<usize>();
        let place = caller(data.addr() + 16);
        let sites = CallSites::within(|_| false);
        let found = sites.reached(c"strlen", place).unwrap();
        let known = |name| sites.reached(name, place);
        assert_eq!((known(c"no_such_function"), sites.count.load(Ordering::Relaxed)), (Some(found), 1));
        // SAFETY: a pointer that nobody follows meanwhile; it gets its value back.
        unsafe {
            let before = data.read();
            data.write(before + 1);
            let changed = known(c"no_such_function");
            data.write(before);
            assert_eq!(changed, None, "another library is at its place");
        }
        assert_eq!(known(c"no_such_function"), Some(found));
        let site = CallSite { caller: place, code: place.code(), address: found, next: ptr::null() };
        assert!(
            site.is_at(place, || true) && !site.is_at(place, || false),
            "one of the same code may come to its place"
        );
    }
}
