//! Text that a plugin hands over: bounded, checked, made safe to print.

use tracer_plugin_api::abi::tracer_str;

/// Text of a plugin's table, copied. The reason why not, if it is not text.
///
/// # Safety
///
/// `text.ptr` is null or points to `text.len` readable bytes.
pub(super) unsafe fn copied(text: tracer_str, longest: usize) -> Result<String, String> {
    if text.len == 0 {
        return Ok(String::new());
    }
    if text.ptr.is_null() {
        return Err(format!("is a null pointer with a length of {}", text.len));
    }
    if text.len > longest {
        return Err(format!("has {} bytes, at most {longest} are allowed", text.len));
    }
    // SAFETY: the caller vouches for it; not null, and the length is one that may be believed.
    let bytes = unsafe { text.as_bytes() };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(format!("is not UTF-8 (byte {})", error.valid_up_to())),
    }
}

/// At most `longest` bytes of a plugin's words, one printable line: what is not UTF-8 is replaced, control characters
/// are escaped, so that no plugin, and no server behind it, can forge lines of the application's log.
pub(super) fn printable(bytes: &[u8], longest: usize) -> String {
    let cut = bytes.get(..longest).unwrap_or(bytes);
    let mut line = String::with_capacity(cut.len());
    for character in String::from_utf8_lossy(cut).trim().chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if cut.len() < bytes.len() {
        line.push('…');
    }
    line
}

/// The text before the first NUL of a fixed field; all of it if the plugin forgot the NUL.
pub(super) fn before_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_words_are_one_printable_line() {
        assert_eq!(printable(b" 500\r\nERROR forged \x1b[2J", 100), "500\\r\\nERROR forged \\u{1b}[2J");
        assert_eq!(printable(b"a\xffb", 100), "a\u{fffd}b");
        assert_eq!(printable(b"abcdef", 3), "abc…");
        assert_eq!(printable("aé".as_bytes(), 2), "a\u{fffd}…", "cut inside a character");
    }

    #[test]
    fn a_fixed_field_without_a_nul_ends_where_the_field_ends() {
        assert_eq!(before_nul(b"ab\0cd"), b"ab");
        assert_eq!(before_nul(b"abcd"), b"abcd");
        assert_eq!(before_nul(b""), b"");
    }

    #[test]
    fn text_that_cannot_be_text_is_refused_with_a_reason() {
        let null = tracer_str { ptr: std::ptr::null(), len: 3 };
        let not_utf8 = tracer_str { ptr: b"ab\xff".as_ptr(), len: 3 };
        // SAFETY: null or three bytes, as they say.
        unsafe {
            assert_eq!(copied(null, 10).unwrap_err(), "is a null pointer with a length of 3");
            assert_eq!(copied(not_utf8, 10).unwrap_err(), "is not UTF-8 (byte 2)");
            assert_eq!(copied(tracer_str::new("abc"), 2).unwrap_err(), "has 3 bytes, at most 2 are allowed");
            assert_eq!(copied(tracer_str::EMPTY, 2).unwrap(), "");
        }
    }
}
