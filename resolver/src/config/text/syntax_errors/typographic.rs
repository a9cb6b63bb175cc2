//! Characters that look like those of a configuration, or like nothing, and are others.

use std::ops::Range;

use crate::config::report::code;
use crate::config::report::invisible_characters;
use crate::config::report::problem::Problem;

/// The quote of a word processor, or a character that nobody sees, where the text of `span` begins or further on in it.
///
/// `text` is the whole; the caller knows that `span` is not inside a string or a comment.
pub(crate) fn strange_character(text: &str, span: &Range<usize>) -> Option<Problem> {
    let within = text.get(span.clone())?;
    let (at, c) = within.char_indices().find(|(_, c)| is_typographic(*c) || is_strange_blank(*c))?;
    let place = span.start + at..span.start + at + c.len_utf8();
    if is_typographic(c) {
        let message =
            format!("`{c}` is a typographic quote (U+{:04X}), and not the quote of the keyboard", u32::from(c));
        let help = "write straight quotes: \"orders\". Word processors, chat programs and web pages change them";
        return Some(Problem::error(code::SYNTAX, message).at(place, "write \" here").help(help));
    }
    let message = format!("a character that cannot be seen stands here: {}", invisible_characters::named(c));
    let help = "delete it, and write a blank if one is meant; it came, most likely, by copying from a web page";
    Some(Problem::error(code::SYNTAX, message).at(place, "here").help(help))
}

fn is_typographic(c: char) -> bool {
    matches!(
        c,
        '“' | '”'
            | '„'
            | '‟'
            | '«'
            | '»'
            | '‘'
            | '’'
            | '‚'
            | '‛'
            | '‹'
            | '›'
            | '＂'
            | '＇'
            | '「'
            | '」'
            | '′'
            | '″'
            | '´'
    )
}

fn is_strange_blank(c: char) -> bool {
    invisible_characters::is_invisible(c) && !matches!(c, '\t' | '\n' | '\r')
}
