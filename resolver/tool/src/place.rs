//! Bytes of a text as people and editors name them: file, line, column.

#![forbid(unsafe_code)]

use std::ops::Range;

/// Line and column of a byte, both from 1; a column is a character.
pub(crate) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// `tracing.toml:12`.
pub(crate) fn file_and_line(name: &str, text: &str, span: &Range<usize>) -> String {
    format!("{name}:{}", line_and_column(text, span.start).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let text = "a = 1\nä = \"x\"\n";
        let at = |what: &str| line_and_column(text, text.find(what).unwrap());
        assert_eq!((at("a"), at("ä"), at("\"x")), ((1, 1), (2, 1), (2, 5)));
        assert_eq!(line_and_column(text, 10_000), (3, 1));
        assert_eq!(file_and_line("f", text, &(6..8)), "f:2");
    }
}
