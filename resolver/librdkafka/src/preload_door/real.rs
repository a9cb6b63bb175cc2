//! Which librdkafka the calling code means.

use std::ffi::CStr;

use super::already_traced;
use crate::caller::{callers, is_ours};
use crate::contained::contained;
use crate::librdkafka::Librdkafka;
use crate::module::Module;
use crate::stderr_log;

/// The only librdkafka of this process, as far as one was met; else the one whose `name` the calling code would have
/// reached without us. An atomic load when there is one only, microseconds when there are several.
#[inline]
pub(super) fn met(name: &CStr) -> Option<&'static Librdkafka> {
    Librdkafka::only_one().or_else(|| called(name))
}

/// The librdkafka whose `name` the calling code would have reached without us. Costs microseconds.
///
/// For what is done once in a client's life. `None`, and one line of error, when there is none.
#[cold]
pub(super) fn called(name: &CStr) -> Option<&'static Librdkafka> {
    contained(None, || {
        let mut callers = callers().filter_map(Module::containing);
        let nearest = callers.next().and_then(|caller| reached_from(&caller, name));
        // Who calls by a jump, as the last thing it does, is not on the stack.
        let address = nearest
            .or_else(|| in_the_only_module(name))
            .or_else(|| callers.find_map(|caller| reached_from(&caller, name)))
            .or_else(|| next(name));
        let found = address.and_then(Module::containing);
        if found.is_none() {
            stderr_log::start();
            log::error!(
                "{} was called, and there is no librdkafka that has it in sight of the caller",
                name.to_string_lossy()
            );
        }
        found.map(Librdkafka::within)
    })
}

/// What `caller` would have reached by `name`: what it contains or depends on itself, else what is global.
fn reached_from(caller: &Module, name: &CStr) -> Option<usize> {
    let reached = caller.open()?.symbol(name)?;
    if is_ours(reached) { next(name) } else { Some(reached) }
}

/// `name` in the one module that has it, if there is just one besides this library and its copies.
fn in_the_only_module(name: &CStr) -> Option<usize> {
    let mut found = Module::every().into_iter().filter_map(|module| {
        let handle = module.open()?;
        let address = handle.symbol(name).filter(|address| module.contains(*address) && !is_ours(*address))?;
        let is_copy = handle.symbol(already_traced::MARK).is_some_and(|mark| module.contains(mark));
        (!is_copy).then_some(address)
    });
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// The one behind this library, in the order in which the dynamic linker searches. Takes no memory.
pub(super) fn next(name: &CStr) -> Option<usize> {
    // SAFETY: a NUL-terminated name.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }.addr();
    (address != 0).then_some(address)
}
