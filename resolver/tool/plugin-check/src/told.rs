//! `ErrorRoom`: a `tracer_error` to be filled in, with room behind it that nobody may write to.

#![forbid(unsafe_code)]

use std::mem::offset_of;

use tracer_plugin_api::abi::{tracer_code, tracer_error};

/// The bytes, aligned as the struct is. `struct_size` may be smaller than the header's (an older host) or larger (a
/// newer one).
pub(crate) struct ErrorRoom {
    words: Vec<u64>,
    size: usize,
}

/// What a plugin said in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) code: tracer_code,
    pub(crate) retry_after_ms: u32,
    pub(crate) rejected: u32,
    pub(crate) cookie: u64,
    pub(crate) field: Vec<u8>,
    pub(crate) message: Vec<u8>,
    /// Something was written at or beyond `struct_size`.
    pub(crate) is_overrun: bool,
}

impl ErrorRoom {
    /// As this host's own.
    pub(crate) fn new() -> Self {
        Self::of_size(size_of::<tracer_error>())
    }

    /// Zeroes up to `size`, a pattern beyond it.
    pub(crate) fn of_size(size: usize) -> Self {
        let mut bytes = vec![0; size];
        bytes.resize(LARGEST, CANARY);
        if let Some(first) = bytes.get_mut(..4) {
            first.copy_from_slice(&(size as u32).to_ne_bytes());
        }
        let words = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_ne_bytes(*chunk)).collect();
        Self { words, size }
    }

    pub(crate) fn pointer(&mut self) -> *mut tracer_error {
        self.words.as_mut_ptr().cast()
    }

    pub(crate) fn told(&self) -> Told {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let number = |at: usize| {
            let four = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            if at + 4 <= self.size { four.map_or(0, u32::from_ne_bytes) } else { 0 }
        };
        let long = |at: usize| {
            let eight = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            if at + 8 <= self.size { eight.map_or(0, u64::from_ne_bytes) } else { 0 }
        };
        let text = |at: usize, length: usize| {
            let there = at + length <= self.size;
            bytes.get(at..at + length).filter(|_| there).unwrap_or_default().to_vec()
        };
        Told {
            code: number(offset_of!(tracer_error, code)) as tracer_code,
            retry_after_ms: number(offset_of!(tracer_error, retry_after_ms)),
            rejected: number(offset_of!(tracer_error, rejected_items)),
            cookie: long(offset_of!(tracer_error, retry_cookie)),
            field: text(offset_of!(tracer_error, field), 128),
            message: text(offset_of!(tracer_error, message), 384),
            is_overrun: bytes.get(self.size..).is_some_and(|beyond| beyond.iter().any(|byte| *byte != CANARY)),
        }
    }
}

impl Told {
    /// Up to its end, as far as it is text.
    pub(crate) fn message(&self) -> String {
        lossy(&self.message)
    }

    pub(crate) fn field(&self) -> String {
        lossy(&self.field)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

const CANARY: u8 = 0xa5;
/// The header's struct, twice over.
const LARGEST: usize = 2 * size_of::<tracer_error>();
