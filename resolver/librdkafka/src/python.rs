//! What Python's layer does for every message, as CPython's own modules do it: the rest of the layer is Python, in `python/`.
//!
//! Of CPython only the stable ABI is used, looked up in the process. Everything here runs with the GIL held, and that is what
//! guards it: a Python without one, of another layout, or in a second interpreter gets nothing.

mod c_methods;
mod clients;
mod cpython;
mod functions;
mod layer;
mod loops;
mod objects;
mod plain;
mod recall;
mod started;
mod trains;
mod turns;

use self::cpython::{Object, Python};
use crate::contained::contained;
use crate::static_program::is_static;

/// A new `dict` of the functions and types for the layer, as `_library.py` takes them; `None` where there are none: in what is no
/// CPython that is known, and in every interpreter of a process but the first that asks. Null where there is no Python at all.
///
/// Runs on: a thread of Python's, with the GIL held.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C-unwind" fn tracer_interceptors_python() -> *mut Object {
    let python = contained(None, || if is_static() { None } else { Python::get() });
    let Some(python) = python else { return std::ptr::null_mut() };
    functions::all(python).map_or_else(|| python.new_none(), |all| all.into_raw())
}
