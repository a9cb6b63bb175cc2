//! The buffer in which librdkafka's functions give the reason of a failure.

use std::ffi::c_char;

/// Writes the first line of `text`, as much of it as fits, and a NUL.
///
/// # Safety
///
/// `errstr` is null, or `size` bytes may be written there.
pub(crate) unsafe fn write(errstr: *mut c_char, size: usize, text: &str) {
    let Some(room) = size.checked_sub(1).filter(|_| !errstr.is_null()) else { return };
    let line = text.lines().next().unwrap_or_default();
    let mut length = line.len().min(room);
    while !line.is_char_boundary(length) {
        length -= 1;
    }
    // SAFETY: `length` is less than `size`, which the caller vouches for; a `&str` does not overlap with what may be
    // written.
    unsafe {
        std::ptr::copy_nonoverlapping(line.as_ptr(), errstr.cast(), length);
        errstr.add(length).write(0);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn written(size: usize, text: &str) -> String {
        let mut buffer = [b'x' as c_char; 32];
        // SAFETY: `size` is at most that of `buffer`.
        unsafe { write(buffer.as_mut_ptr(), size, text) };
        assert!(buffer[size..].iter().all(|byte| *byte == b'x' as c_char), "beyond its end");
        if size == 0 {
            return String::new();
        }
        // SAFETY: just NUL-terminated.
        unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_first_line_is_written_as_far_as_it_fits_and_no_character_is_cut() {
        assert_eq!(written(32, "wrong file\nline 2"), "wrong file");
        assert_eq!(written(6, "wrong file"), "wrong");
        assert_eq!(written(3, "aäb"), "a");
        assert_eq!(written(1, "wrong"), "");
        assert_eq!(written(0, "wrong"), "");
        // SAFETY: null is allowed.
        unsafe { write(std::ptr::null_mut(), 5, "wrong") };
    }
}
