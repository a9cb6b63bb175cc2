//! Structs of the other side, read and written only as far as their `struct_size` says they reach.
//!
//! No reference is ever made to one: it may be shorter than the type here.

use std::time::Duration;

use crate::abi::{tracer_code, tracer_error, tracer_stats};
use crate::{BackendError, Stats};

/// `Some` copy of a field, or `None` if the struct ends before it.
///
/// Unsafe to expand: `$pointer` must point to as many readable bytes as its `struct_size` says, and at least that.
macro_rules! read_field {
    ($pointer:expr, $struct:ty, $field:ident) => {{
        let pointer: *const $struct = $pointer;
        let size = ::std::ptr::addr_of!((*pointer).struct_size).read_unaligned();
        if size as usize >= $crate::end_of_field!($struct, $field) {
            Some(::std::ptr::addr_of!((*pointer).$field).read_unaligned())
        } else {
            None
        }
    }};
}
pub(crate) use read_field;

/// Writes a field, unless the struct ends before it. Unsafe to expand, as [`read_field`].
macro_rules! write_field {
    ($pointer:expr, $struct:ty, $field:ident, $value:expr) => {{
        let pointer: *mut $struct = $pointer;
        let size = ::std::ptr::addr_of!((*pointer).struct_size).read_unaligned();
        if size as usize >= $crate::end_of_field!($struct, $field) {
            ::std::ptr::addr_of_mut!((*pointer).$field).write_unaligned($value);
        }
    }};
}

/// Reports `error` under `code`, which is its own or that of a panic.
///
/// # Safety
///
/// `out` is null or points to as many writable bytes as its `struct_size` says.
pub(crate) unsafe fn fill_error(out: *mut tracer_error, code: tracer_code, error: &BackendError) {
    if out.is_null() {
        return;
    }
    // SAFETY: the caller vouches for `out`; each macro stays below its struct_size.
    unsafe {
        write_field!(out, tracer_error, code, code);
        write_field!(out, tracer_error, retry_after_ms, error.retry_after().map_or(0, whole_milliseconds));
        write_field!(out, tracer_error, rejected_items, error.rejected_items());
        write_field!(out, tracer_error, retry_cookie, error.retry_cookie());
        write_field!(out, tracer_error, field, fixed_text(error.pointer()));
        write_field!(out, tracer_error, message, fixed_text(error.message()));
    }
}

/// Reports `stats`.
///
/// # Safety
///
/// `out` points to as many writable bytes as its `struct_size` says.
pub(crate) unsafe fn fill_stats(out: *mut tracer_stats, stats: &Stats) {
    // All of them: one more does not compile before it is written.
    let Stats { in_flight, items_sent, items_rejected, batches_sent, batches_failed, bytes_sent, reconnects } = *stats;
    // SAFETY: the caller vouches for `out`; each macro stays below its struct_size.
    unsafe {
        write_field!(out, tracer_stats, in_flight, in_flight);
        write_field!(out, tracer_stats, items_sent, items_sent);
        write_field!(out, tracer_stats, items_rejected, items_rejected);
        write_field!(out, tracer_stats, batches_sent, batches_sent);
        write_field!(out, tracer_stats, batches_failed, batches_failed);
        write_field!(out, tracer_stats, bytes_sent, bytes_sent);
        write_field!(out, tracer_stats, reconnects, reconnects);
    }
}

/// Rounded up, so that nobody retries too early; never 0, which means "none".
fn whole_milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1)
}

/// One line, cut between characters to `N - 1` bytes, NUL-terminated. Control characters, NUL among them, become blanks.
fn fixed_text<const N: usize>(text: &str) -> [u8; N] {
    let end = text.floor_boundary(N.saturating_sub(1));
    let mut fixed = [0; N];
    for (to, from) in fixed.iter_mut().zip(text.bytes().take(end)) {
        *to = if from.is_ascii_control() { b' ' } else { from };
    }
    fixed
}

/// `str::floor_char_boundary`, which is younger than our Rust.
trait FloorBoundary {
    fn floor_boundary(&self, at_most: usize) -> usize;
}

impl FloorBoundary for str {
    fn floor_boundary(&self, at_most: usize) -> usize {
        let mut end = at_most.min(self.len());
        while !self.is_char_boundary(end) {
            end -= 1;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;
    use std::mem::MaybeUninit;

    #[test]
    fn a_long_message_is_cut_between_characters_and_terminated() {
        // 383 bytes fit; "é" is two, so that the last one would be cut in half.
        let text = "é".repeat(300);
        let fixed: [u8; 384] = fixed_text(&text);
        let end = fixed.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(end, 382);
        assert_eq!(std::str::from_utf8(&fixed[..end]).unwrap(), "é".repeat(191));
    }

    #[test]
    fn a_message_becomes_one_line_without_nul() {
        let fixed: [u8; 16] = fixed_text("a\nb\0c\td");
        assert_eq!(&fixed, b"a b c d\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn part_of_a_millisecond_of_retry_after_counts_as_a_whole_one() {
        assert_eq!(whole_milliseconds(Duration::ZERO), 1);
        assert_eq!(whole_milliseconds(Duration::from_micros(1)), 1);
        assert_eq!(whole_milliseconds(Duration::from_micros(1001)), 2);
        assert_eq!(whole_milliseconds(Duration::from_secs(3)), 3000);
        assert_eq!(whole_milliseconds(Duration::MAX), u32::MAX);
    }

    #[test]
    fn nothing_is_written_at_or_beyond_struct_size() {
        let error = BackendError::config("/a", "b").with_retry_after(Duration::from_secs(1));
        for size in 0..=size_of::<tracer_error>() {
            let mut memory = MaybeUninit::<tracer_error>::uninit();
            let bytes = memory.as_mut_ptr().cast::<u8>();
            // SAFETY: all of `memory` is ours; every byte is given a value first.
            let written = unsafe {
                bytes.write_bytes(0xa5, size_of::<tracer_error>());
                bytes.cast::<u32>().write(size as u32);
                fill_error(memory.as_mut_ptr(), abi::TRACER_ERR_CONFIG, &error);
                std::slice::from_raw_parts(bytes, size_of::<tracer_error>())
            };
            let reach = size.max(4);
            assert!(written[reach..].iter().all(|byte| *byte == 0xa5), "struct_size {size}");
            assert_eq!(written[4] != 0xa5, size >= 8, "the code, at struct_size {size}");
            assert_eq!(written[152] != 0xa5, size >= 536, "the message, at struct_size {size}");
        }
    }

    #[test]
    fn counters_beyond_a_shorter_struct_are_left_out() {
        let mut out = tracer_stats { struct_size: 24, reconnects: 77, items_rejected: 0, ..tracer_stats::new() };
        let stats = Stats { in_flight: 1, items_sent: 2, items_rejected: 3, reconnects: 4, ..Stats::default() };
        // SAFETY: `out` is longer than it says.
        unsafe { fill_stats(&mut out, &stats) };
        assert_eq!((out.in_flight, out.items_sent, out.items_rejected, out.reconnects), (1, 2, 3, 77));
    }
}
