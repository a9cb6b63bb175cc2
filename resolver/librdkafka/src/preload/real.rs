//! Which function the calling code means: what it would have reached without us.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use tracer_resolver::with_room;

use super::already_traced;
use crate::caller::{Caller, is_ours};
use crate::contained::contained;
use crate::librdkafka::Librdkafka;
use crate::module::Module;
use crate::{stderr_log, unmet_program};

/// The address that the code at `caller` would have reached by `name` without us. Costs microseconds.
///
/// Usually that of a librdkafka; or of another library that wraps it as we do. `None`, and one line of error, when there
/// is none.
#[cold]
pub(super) fn reached(name: &CStr, caller: Caller) -> Option<usize> {
    // This thread's own, read here.
    let called = CALLED.get();
    let look_up = || {
        let module = if caller.is_ours() { Module::containing(called) } else { caller.module() };
        let from_there = module.and_then(|module| reached_from(&module, name));
        // Who calls by a jump, as the last thing it does, is not known: it may see what its own caller does not.
        let address = from_there.or_else(|| in_the_only_module(name)).or_else(|| next(name));
        if address.is_none() {
            stderr_log::start();
            log::error!(
                "{} was called, and no librdkafka that has it is in the caller's sight",
                name.to_string_lossy()
            );
        }
        address
    };
    contained(None, || with_room(look_up).flatten())
}

/// The call of the real function at `address` is under way on this thread until what is returned is dropped: should that
/// function jump to another one of ours, the call comes from there.
#[inline]
pub(super) fn calling(address: usize) -> Calling {
    Calling { before: CALLED.replace(address) }
}

/// See [`calling`].
pub(super) struct Calling {
    before: usize,
}

impl Drop for Calling {
    fn drop(&mut self) {
        CALLED.set(self.before);
    }
}

thread_local! {
    /// The real function that this thread is in; 0 for none.
    static CALLED: Cell<usize> = const { Cell::new(0) };
}

/// The librdkafka that the calling code uses. By a function that nobody has a reason to wrap.
pub(super) fn librdkafka(caller: Caller) -> Option<&'static Librdkafka> {
    contained(None, || reached(c"rd_kafka_conf_new", caller).and_then(Module::containing).map(Librdkafka::within))
}

/// What `caller` would have reached by `name`: what it contains or depends on itself, else what is global.
fn reached_from(caller: &Module, name: &CStr) -> Option<usize> {
    let reached = caller.open()?.symbol(name)?;
    // What the whole process finds first, and yet the call came to us, has passed it on: it wraps `name` as we do.
    let passed_it_on = || look_up(libc::RTLD_DEFAULT, name) == Some(reached);
    if is_ours(reached) || passed_it_on() { next(name) } else { Some(reached) }
}

/// `name` in the one module that has it, if there is just one besides this library and its copies.
fn in_the_only_module(name: &CStr) -> Option<usize> {
    let mut found = Module::every().into_iter().filter_map(|module| {
        let handle = module.open()?;
        let address = handle.symbol(name).filter(|address| module.contains(*address) && !is_ours(*address))?;
        (!already_traced::is_in_copy(&module)).then_some(address)
    });
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// The one behind this library, in the order in which the dynamic linker searches. Takes no memory.
pub(super) fn next(name: &CStr) -> Option<usize> {
    look_up(libc::RTLD_NEXT, name)
}

/// Exports what is in hand by `export`, if a client was ever there, and leaves `errno` as it is.
pub(super) fn beforehand(export: fn()) {
    if !unmet_program::is_met() {
        return;
    }
    let before = errno();
    contained((), export);
    set_errno(before);
}

pub(super) fn errno() -> c_int {
    // SAFETY: this thread's own, which is always there.
    unsafe { *libc::__errno_location() }
}

pub(super) fn set_errno(errno: c_int) {
    // SAFETY: this thread's own, which is always there.
    unsafe { *libc::__errno_location() = errno };
}

/// What a function of the C library gives that is not there.
pub(super) fn not_there() -> c_int {
    set_errno(libc::ENOSYS);
    -1
}

fn look_up(place: *mut c_void, name: &CStr) -> Option<usize> {
    // SAFETY: a place that `dlsym` knows by itself, and a NUL-terminated name.
    let address = unsafe { libc::dlsym(place, name.as_ptr()) }.addr();
    (address != 0).then_some(address)
}
