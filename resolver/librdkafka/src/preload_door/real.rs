//! Which librdkafka the calling code means.

use std::ffi::CStr;

use crate::caller::{callers, is_ours};
use crate::contained::contained;
use crate::librdkafka::Librdkafka;
use crate::module::Module;

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
        let address = callers().filter_map(Module::containing).find_map(|caller| reached_from(&caller, name));
        let found = address.or_else(|| next(name)).and_then(Module::containing);
        if found.is_none() {
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

/// The one behind this library, in the order in which the dynamic linker searches. Takes no memory.
pub(super) fn next(name: &CStr) -> Option<usize> {
    // SAFETY: a NUL-terminated name.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }.addr();
    (address != 0).then_some(address)
}
