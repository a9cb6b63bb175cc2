//! The functions that a C module's types have for their methods: called without a look-up, and without a copy of the arguments.

use std::ffi::{CStr, c_void};

use super::cpython::{Method, NO_ARGUMENTS, NoArguments, Object, Python};

/// The C functions of `Message`.
pub(super) struct OfMessage {
    pub error: NoArguments,
    pub topic: NoArguments,
    pub partition: NoArguments,
    pub offset: NoArguments,
    pub value: NoArguments,
    pub key: NoArguments,
}

impl OfMessage {
    /// `None`: this Python, or this client, does not say where they are.
    ///
    /// # Safety
    ///
    /// See [`c_method`].
    pub(super) unsafe fn of(python: &Python, kind: *mut Object) -> Option<Self> {
        let get = |name| {
            // SAFETY: as promised by the caller.
            let method = unsafe { c_method(python, kind, name) }.filter(|method| method.flags == NO_ARGUMENTS)?;
            // SAFETY: its flags say that it is such a function.
            Some(unsafe { std::mem::transmute::<*const c_void, NoArguments>(method.function) })
        };
        Some(Self {
            error: get(c"error")?,
            topic: get(c"topic")?,
            partition: get(c"partition")?,
            offset: get(c"offset")?,
            value: get(c"value")?,
            key: get(c"key")?,
        })
    }
}

/// A method that a type of a C module has itself; `None` where there is none, or the type does not say it: before Python 3.10.
///
/// # Safety
///
/// `kind` lives; if it is a type, so does the table of its methods, for good.
pub(super) unsafe fn c_method(python: &Python, kind: *mut Object, name: &CStr) -> Option<&'static Method> {
    // SAFETY: as promised by the caller; an object's own kind is a type.
    if unsafe { (python.is_subtype)((*kind).kind(), python.type_type) } == 0 {
        return None;
    }
    // SAFETY: a type.
    let mut method: *const Method = unsafe { (python.type_slot)(kind, METHODS) }.cast();
    if method.is_null() {
        python.clear_error();
        return None;
    }
    // SAFETY: the table ends with a method without a name.
    unsafe {
        while !(*method).name.is_null() {
            if CStr::from_ptr((*method).name) == name {
                return method.as_ref();
            }
            method = method.add(1);
        }
    }
    None
}

/// `Py_tp_methods`.
const METHODS: i32 = 64;
