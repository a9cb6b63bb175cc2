//! librdkafka's lists of headers, over plain memory, and the functions of the table that read and change them. They count
//! how many headers they look at.
//!
//! SAFETY, for each of the functions: called by the engine only, with pointers that came from here, while the lists live.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};

use tracer_resolver::interceptor::{RdKafkaError, RdKafkaHeaders};

/// Headers, each laid out as librdkafka does: the name, a NUL, the value, a NUL, in one piece.
pub(crate) struct FakeHeaders {
    headers: Vec<FakeHeader>,
}

#[derive(Clone, Copy)]
struct FakeHeader {
    bytes: [u8; 256],
    name_len: usize,
    /// `None`: no value.
    len: Option<usize>,
}

impl Default for FakeHeaders {
    /// Room for so many that nothing allocates where that is counted.
    fn default() -> Self {
        Self { headers: Vec::with_capacity(8) }
    }
}

thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

/// How many headers the functions of the table have looked at for this thread so far.
pub(crate) fn header_steps() -> usize {
    STEPS.get()
}

fn step() {
    STEPS.set(STEPS.get() + 1);
}

impl FakeHeaders {
    pub(crate) fn clear(&mut self) {
        self.headers.clear();
    }

    /// Names and values, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        self.headers.iter().map(|header| (header.name(), header.value()))
    }

    pub(crate) fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let mut header = FakeHeader { bytes: [0; 256], name_len: name.len(), len: value.map(<[u8]>::len) };
        header.bytes[..name.len()].copy_from_slice(name);
        let value = value.unwrap_or_default();
        header.bytes[name.len() + 1..][..value.len()].copy_from_slice(value);
        self.headers.push(header);
    }
}

impl FakeHeader {
    fn name(&self) -> &[u8] {
        &self.bytes[..self.name_len]
    }

    /// As C sees it.
    fn c_name(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap()
    }

    fn value(&self) -> Option<&[u8]> {
        self.len.map(|len| &self.bytes[self.name_len + 1..][..len])
    }

    /// Has the length that the name has as C's text, and is the same text.
    fn is_exactly(&self, name: &CStr) -> bool {
        step();
        self.name() == name.to_bytes()
    }

    unsafe fn give(&self, value: *mut *const c_void, size: *mut usize) {
        // SAFETY: the caller's outputs.
        unsafe {
            *value = self.value().map_or(std::ptr::null(), |value| value.as_ptr().cast());
            *size = self.len.unwrap_or_default();
        }
    }
}

const NOENT: RdKafkaError = -156;

/// What `headers_new` gives: its address.
static STAND_IN: u8 = 0;

pub(crate) unsafe extern "C" fn headers_new(_count: usize) -> *mut RdKafkaHeaders {
    (&raw const STAND_IN).cast_mut().cast()
}

thread_local!(static SET: Cell<*const RefCell<FakeHeaders>> = const { Cell::new(std::ptr::null()) });

/// What `headers_new` gave stands for this list from now on.
pub(crate) fn stand_for(headers: &RefCell<FakeHeaders>) {
    SET.set(headers);
}

/// `headers_new` gave a stand-in; after `message_set_headers` it stands for the message's own list.
fn resolve(headers: *const RdKafkaHeaders) -> *const RefCell<FakeHeaders> {
    if headers == (&raw const STAND_IN).cast() { SET.get() } else { headers.cast() }
}

pub(crate) unsafe extern "C" fn header_add(
    headers: *mut RdKafkaHeaders,
    name: *const c_char,
    name_len: isize,
    value: *const c_void,
    len: isize,
) -> RdKafkaError {
    // SAFETY: see above; the lengths are those of the texts.
    unsafe {
        let name = std::slice::from_raw_parts(name.cast::<u8>(), name_len as usize);
        let value = std::slice::from_raw_parts(value.cast::<u8>(), len as usize);
        (*resolve(headers)).borrow_mut().add(name, Some(value));
    }
    0
}

pub(crate) unsafe extern "C" fn header_remove(headers: *mut RdKafkaHeaders, name: *const c_char) -> RdKafkaError {
    // SAFETY: see above.
    let (mut headers, name) = unsafe { ((*resolve(headers)).borrow_mut(), CStr::from_ptr(name)) };
    headers.headers.retain(|header| {
        step();
        header.c_name() != name
    });
    0
}

pub(crate) unsafe extern "C" fn header_get_last(
    headers: *const RdKafkaHeaders,
    name: *const c_char,
    value: *mut *const c_void,
    size: *mut usize,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe {
        let (headers, name) = ((*resolve(headers)).borrow(), CStr::from_ptr(name));
        let Some(header) = headers.headers.iter().rfind(|header| header.is_exactly(name)) else { return NOENT };
        header.give(value, size);
    }
    0
}

pub(crate) unsafe extern "C" fn header_get(
    headers: *const RdKafkaHeaders,
    index: usize,
    name: *const c_char,
    value: *mut *const c_void,
    size: *mut usize,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe {
        let (headers, name) = ((*resolve(headers)).borrow(), CStr::from_ptr(name));
        let found = headers.headers.iter().filter(|header| header.is_exactly(name)).nth(index);
        let Some(header) = found else { return NOENT };
        header.give(value, size);
    }
    0
}

pub(crate) unsafe extern "C" fn header_get_all(
    headers: *const RdKafkaHeaders,
    index: usize,
    name: *mut *const c_char,
    value: *mut *const c_void,
    size: *mut usize,
) -> RdKafkaError {
    step();
    // SAFETY: see above.
    unsafe {
        let headers = (*resolve(headers)).borrow();
        let Some(header) = headers.headers.get(index) else { return NOENT };
        *name = header.bytes.as_ptr().cast();
        header.give(value, size);
    }
    0
}
