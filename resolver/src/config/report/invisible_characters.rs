//! Characters that nobody sees: in a name they are a mistake, and the name matches nothing.

#![forbid(unsafe_code)]

/// One of them within a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invisible {
    /// Its first byte.
    pub(crate) at: usize,
    pub(crate) character: char,
}

/// The first character of `text` that cannot be seen. A blank between two words can.
///
/// Joiners and variation selectors between letters that are not ASCII are part of some scripts and of emoji: they
/// change what is seen.
pub(crate) fn find(text: &str) -> Option<Invisible> {
    let mut before: Option<char> = None;
    for (at, character) in text.char_indices() {
        let after = text.get(at + character.len_utf8()..).and_then(|rest| rest.chars().next());
        if is_invisible(character) && !joins(before, character, after) {
            return Some(Invisible { at, character });
        }
        before = Some(character);
    }
    None
}

/// Whether `c` takes no ink: white space other than the blank of the keyboard, control and format characters.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{70f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `U+200B (zero-width space)`.
pub(crate) fn named(c: char) -> String {
    match name(c) {
        Some(name) => format!("U+{:04X} ({name})", u32::from(c)),
        None => format!("U+{:04X}", u32::from(c)),
    }
}

fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let belongs = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !c.is_whitespace() && c != '\u{feff}');
    match c {
        '\u{200c}' | '\u{200d}' => belongs(before) && belongs(after),
        '\u{fe00}'..='\u{fe0f}' => belongs(before),
        _ => false,
    }
}

/// The names that a reader may look for.
fn name(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "NUL",
        '\t' => "tab",
        '\n' => "line end",
        '\r' => "carriage return",
        '\u{8}' => "backspace",
        '\u{b}' => "vertical tab",
        '\u{c}' => "form feed",
        '\u{1b}' => "escape",
        '\u{7f}' => "delete",
        '\u{85}' => "next line",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero-width space",
        '\u{200c}' => "zero-width non-joiner",
        '\u{200d}' => "zero-width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "changes the writing direction",
        '\u{202f}' => "narrow no-break space",
        '\u{2060}' => "word joiner",
        '\u{3000}' => "ideographic space",
        '\u{feff}' => "byte order mark",
        c if c.is_control() => "control character",
        c if c.is_whitespace() => "a space that is not the one of the keyboard",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_no_ink_is_found_with_its_place_and_its_name() {
        assert_eq!(find("or\u{200b}ders"), Some(Invisible { at: 2, character: '\u{200b}' }));
        for (text, named_as) in [
            ("\u{feff}a", "U+FEFF (byte order mark)"),
            ("a\u{a0}", "U+00A0 (no-break space)"),
            ("a\u{ad}b", "U+00AD (soft hyphen)"),
            ("\u{202e}a", "U+202E (changes the writing direction)"),
            ("a\u{200e}", "U+200E (left-to-right mark)"),
            ("a\tb", "U+0009 (tab)"),
            ("a\u{2003}b", "U+2003 (a space that is not the one of the keyboard)"),
            ("a\u{e0041}", "U+E0041"),
            ("a\u{3164}", "U+3164"),
            ("a\u{1}", "U+0001 (control character)"),
            ("a\u{200d}b", "U+200D (zero-width joiner)"),
            ("a\u{fe0f}", "U+FE0F"),
        ] {
            assert_eq!(find(text).map(|found| named(found.character)).as_deref(), Some(named_as), "{text:?}");
        }
    }

    #[test]
    fn letters_of_every_script_blanks_and_emoji_can_be_seen() {
        for text in
            ["orders", "order service", "bücher", "注文", "می\u{200c}خواهم", "👩\u{200d}🚀", "❤\u{fe0f}", "a-b_c.d"]
        {
            assert_eq!(find(text), None, "{text:?}");
        }
    }
}
