//! What Python's layer calls for every message, as Python calls its own functions: by ctypes each would take ten times as long.
//!
//! Of CPython no more is used than a few functions that every version since 3.8 exports, looked up in the process. Where they
//! are not there, there is no table, and the layer uses ctypes.

use std::ffi::{CStr, c_char, c_longlong, c_ulonglong, c_void};
use std::sync::OnceLock;

use tracer_resolver::MessagePlace;
use tracer_resolver::interceptor::declared;

use crate::contained::contained;
use crate::static_program::is_static;

/// A `PyObject`, of which nothing is known here.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Object(c_void);

/// `_PyCFunctionFast`: borrows its arguments, and gives a new reference.
type FastCall = unsafe extern "C" fn(*mut Object, *const *mut Object, isize) -> *mut Object;

/// Functions of the kind `METH_FASTCALL`, to be called with the GIL held. Each takes exactly the arguments that are named.
#[repr(C)]
#[derive(Debug)]
pub struct Functions {
    struct_size: usize,
    /// `begin(topic: bytes, partition: int, offset: int, train: int) -> int`.
    begin: FastCall,
    /// `end(processing: int) -> int`, which is 0.
    end: FastCall,
    /// `next_send(processing: int, train: int) -> int`, which is 0.
    next_send: FastCall,
}

static FUNCTIONS: Functions = Functions { struct_size: size_of::<Functions>(), begin, end, next_send };

/// The functions for Python, which live as long as the process; null in a process that has no Python.
///
/// Runs on: any thread.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn tracer_interceptors_python() -> *const Functions {
    contained(std::ptr::null(), || {
        if !is_static() && Python::get().is_some() { &raw const FUNCTIONS } else { std::ptr::null() }
    })
}

/// # Safety
///
/// Called by Python, as [`FastCall`].
unsafe extern "C" fn begin(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let (python, [topic, partition, offset, train]) = match unsafe { called(arguments, count) } {
        Ok(called) => called,
        Err(nothing) => return nothing,
    };
    let number = contained(0, || {
        let (topic, partition) = (python.text(topic), i32::try_from(python.signed(partition)).ok());
        let (Some(topic), Some(partition)) = (topic, partition) else { return 0 };
        let place = MessagePlace { topic, partition, offset: python.signed(offset) };
        declared::begin(place, None, None, python.signed(train).cast_unsigned())
    });
    python.number(number)
}

/// # Safety
///
/// As [`begin`].
unsafe extern "C" fn end(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let (python, [number]) = match unsafe { called(arguments, count) } {
        Ok(called) => called,
        Err(nothing) => return nothing,
    };
    contained((), || declared::end(python.signed(number).cast_unsigned()));
    python.number(0)
}

/// # Safety
///
/// As [`begin`].
unsafe extern "C" fn next_send(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let (python, [number, train]) = match unsafe { called(arguments, count) } {
        Ok(called) => called,
        Err(nothing) => return nothing,
    };
    contained((), || declared::next_send(python.signed(number).cast_unsigned(), python.signed(train).cast_unsigned()));
    python.number(0)
}

/// Python, and the arguments of a call; else what it gives: they are others than the layer passes.
///
/// # Safety
///
/// `arguments` are `count` objects that live during the call.
unsafe fn called<const N: usize>(
    arguments: *const *mut Object,
    count: isize,
) -> Result<(&'static Python, [*mut Object; N]), *mut Object> {
    // Without Python there is no table of these, and nobody calls.
    let python = Python::get().ok_or(std::ptr::null_mut())?;
    if usize::try_from(count) != Ok(N) {
        return Err(python.number(0));
    }
    // SAFETY: as promised by the caller; `N` pointers are an array of them.
    Ok((python, unsafe { *arguments.cast::<[*mut Object; N]>() }))
}

/// What is used of CPython.
struct Python {
    long_as_long_long: unsafe extern "C" fn(*mut Object) -> c_longlong,
    long_from_unsigned: unsafe extern "C" fn(c_ulonglong) -> *mut Object,
    bytes_as_string: unsafe extern "C" fn(*mut Object) -> *const c_char,
    error_clear: unsafe extern "C" fn(),
}

impl Python {
    /// That of this process.
    fn get() -> Option<&'static Self> {
        static PYTHON: OnceLock<Option<Python>> = OnceLock::new();
        PYTHON.get_or_init(Self::find).as_ref()
    }

    fn find() -> Option<Self> {
        let [as_long, from_unsigned, as_string, clear] =
            [c"PyLong_AsLongLong", c"PyLong_FromUnsignedLongLong", c"PyBytes_AsString", c"PyErr_Clear"].map(|name| {
                // SAFETY: a place that `dlsym` knows by itself, and a NUL-terminated name.
                let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
                (!address.is_null()).then_some(address)
            });
        // SAFETY: these functions have these types in every CPython since 3.8; they are not null.
        unsafe {
            Some(Self {
                long_as_long_long: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut Object) -> c_longlong>(
                    as_long?,
                ),
                long_from_unsigned: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_ulonglong) -> *mut Object>(
                    from_unsigned?,
                ),
                bytes_as_string: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut Object) -> *const c_char>(
                    as_string?,
                ),
                error_clear: std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(clear?),
            })
        }
    }

    /// The number that an `int` is; what is none counts as 0.
    fn signed(&self, object: *mut Object) -> i64 {
        // SAFETY: an object that the caller of `begin` and the like lent, and the GIL is held.
        let number = unsafe { (self.long_as_long_long)(object) };
        if number == -1 {
            // SAFETY: as above. There may be no error: -1 is a number too.
            unsafe { (self.error_clear)() };
        }
        number
    }

    /// The text that is in a `bytes`.
    fn text<'a>(&self, object: *mut Object) -> Option<&'a str> {
        // SAFETY: as above.
        let text = unsafe { (self.bytes_as_string)(object) };
        if text.is_null() {
            // SAFETY: as above.
            unsafe { (self.error_clear)() };
            return None;
        }
        // SAFETY: the bytes of a living object, behind which Python has a NUL. It outlives the call.
        unsafe { CStr::from_ptr(text) }.to_str().ok()
    }

    fn number(&self, number: u64) -> *mut Object {
        // SAFETY: the GIL is held; null says that Python has no memory, and has said so itself.
        unsafe { (self.long_from_unsigned)(number) }
    }
}
