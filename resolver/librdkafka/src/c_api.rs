//! What `include/tracer_interceptors.h` promises: a program says which message it processes, and what a send follows from.
//!
//! One symbol, [`tracer_interceptors_api`], gives the table; the header is the specification. Every function contains its
//! own panics, takes no pointer that it keeps, and does nothing in a process that has made no traced client.

use std::ffi::{CStr, c_char, c_int};

use tracer_resolver::interceptor::declared;
use tracer_resolver::{MessagePlace, Reloaded, Resolver};

use crate::contained::contained;
use crate::static_program::is_static;

/// `ti_api`.
#[repr(C)]
#[derive(Debug)]
pub struct Api {
    struct_size: usize,
    declare: extern "C" fn(),
    begin: unsafe extern "C" fn(*const c_char, i32, i64, *const c_char, *const c_char, u64) -> u64,
    make_current: extern "C" fn(u64) -> u64,
    fail: unsafe extern "C" fn(u64, *const c_char, *const c_char),
    end: extern "C" fn(u64),
    end_all: extern "C" fn(),
    context: unsafe extern "C" fn(u64, *mut c_char) -> c_int,
    next_send: extern "C" fn(u64, u64),
    next_send_of: unsafe extern "C" fn(*const c_char, *const c_char, *const c_char),
    pause: extern "C" fn(u64, c_int),
    status: unsafe extern "C" fn(*mut c_char, usize) -> usize,
    reload: extern "C" fn() -> c_int,
}

static API: Api = Api {
    struct_size: size_of::<Api>(),
    declare,
    begin,
    make_current,
    fail,
    end,
    end_all,
    context,
    next_send,
    next_send_of,
    pause,
    status,
    reload,
};

/// The functions that a program may call, which live as long as the process; null in a statically linked one, where
/// they could not run.
///
/// Runs on: any thread. See `include/tracer_interceptors.h`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn tracer_interceptors_api() -> *const Api {
    if is_static() { std::ptr::null() } else { &raw const API }
}

extern "C" fn declare() {
    contained((), declared::declare);
}

/// # Safety
///
/// `topic`, `traceparent` and `tracestate` are null or NUL-terminated, and stay so during the call.
unsafe extern "C" fn begin(
    topic: *const c_char,
    partition: i32,
    offset: i64,
    traceparent: *const c_char,
    tracestate: *const c_char,
    train: u64,
) -> u64 {
    // SAFETY: as promised by the caller.
    let (topic, traceparent, tracestate) = unsafe { (text(topic), text(traceparent), text(tracestate)) };
    contained(0, || {
        let Some(topic) = topic.and_then(|topic| topic.to_str().ok()) else { return 0 };
        let [traceparent, tracestate] = [traceparent, tracestate].map(|text| text.map(CStr::to_bytes));
        declared::begin(MessagePlace { topic, partition, offset }, traceparent, tracestate, train)
    })
}

extern "C" fn make_current(processing: u64) -> u64 {
    contained(0, || declared::make_current(processing))
}

/// # Safety
///
/// As [`begin`], for both texts.
unsafe extern "C" fn fail(processing: u64, error_type: *const c_char, description: *const c_char) {
    // SAFETY: as promised by the caller.
    let (error_type, description) = unsafe { (text(error_type), text(description)) };
    contained((), || {
        let [error_type, description] =
            [error_type, description].map(|text| text.map(CStr::to_string_lossy).unwrap_or_default());
        declared::fail(processing, &error_type, &description);
    });
}

extern "C" fn end(processing: u64) {
    contained((), || declared::end(processing));
}

extern "C" fn end_all() {
    contained((), declared::end_all);
}

/// # Safety
///
/// `traceparent` is null or has room for 56 bytes.
unsafe extern "C" fn context(processing: u64, traceparent: *mut c_char) -> c_int {
    let Some(text) = contained(None, || declared::traceparent(processing)).filter(|_| !traceparent.is_null()) else {
        return 0;
    };
    // SAFETY: 55 bytes and a NUL are 56, for which the caller has room; `text` is ours.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), traceparent, text.len());
        traceparent.add(text.len()).write(0);
    }
    1
}

extern "C" fn next_send(processing: u64, train: u64) {
    contained((), || declared::next_send(processing, train));
}

/// # Safety
///
/// As [`begin`], for all three texts.
unsafe extern "C" fn next_send_of(traceparent: *const c_char, tracestate: *const c_char, baggage: *const c_char) {
    // SAFETY: as promised by the caller.
    let (traceparent, tracestate, baggage) = unsafe { (text(traceparent), text(tracestate), text(baggage)) };
    contained((), || {
        let [traceparent, tracestate, baggage] =
            [traceparent, tracestate, baggage].map(|text| text.map_or(&b""[..], CStr::to_bytes));
        declared::next_send_of(traceparent, tracestate, baggage);
    });
}

extern "C" fn pause(processing: u64, paused: c_int) {
    contained((), || declared::pause(processing, paused != 0));
}

extern "C" fn reload() -> c_int {
    let in_effect = || {
        let reloaded = Resolver::reload_global();
        c_int::from(matches!(reloaded, Ok(Reloaded::Changed | Reloaded::Unchanged)))
    };
    contained(0, in_effect)
}

/// # Safety
///
/// `buffer` has room for `size` bytes, or `size` is 0.
unsafe extern "C" fn status(buffer: *mut c_char, size: usize) -> usize {
    let text = contained(None, Resolver::status_of_process).unwrap_or_default();
    let text = text.trim_end();
    if let Some(room) = size.checked_sub(1).filter(|_| !buffer.is_null()) {
        let shown = text.len().min(room);
        // SAFETY: `shown` bytes and a NUL are at most `size`, for which the caller has room; `text` is ours.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, shown);
            buffer.add(shown).write(0);
        }
    }
    text.len()
}

/// # Safety
///
/// `text` is null or NUL-terminated and is not used after it is gone: the lifetime is the caller's to keep.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: as promised by the caller.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}
