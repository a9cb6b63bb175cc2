//! Bytes as lines, however they come.

/// What is left of a line whose end has not come yet, and which line it is.
#[derive(Default)]
pub(super) struct Lines {
    half: Vec<u8>,
    /// What is too long is not kept, and not a line.
    is_too_long: bool,
    number: u64,
}

/// A line, by its number from 1.
pub(super) enum Line<'a> {
    Whole(u64, &'a [u8]),
    /// Longer than any batch.
    TooLong(u64),
}

impl Lines {
    /// Takes more bytes, and hands every line that they complete to `each`.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            if self.half.len() + text.len() > LONGEST {
                self.is_too_long = true;
                self.half = Vec::new();
            } else if !self.is_too_long {
                self.half.extend_from_slice(text);
            }
            if ends {
                self.end(&mut each);
            }
        }
    }

    /// No more comes: a last line may lack its end.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.half.is_empty() || self.is_too_long {
            self.end(&mut each);
        }
    }

    /// Whether a line has begun and not ended.
    pub(super) fn has_half(&self) -> bool {
        !self.half.is_empty() || self.is_too_long
    }

    /// Another file: its lines are counted from 1.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    fn end(&mut self, each: &mut impl FnMut(Line<'_>)) {
        self.number += 1;
        if std::mem::take(&mut self.is_too_long) {
            each(Line::TooLong(self.number));
        } else if !self.half.iter().all(u8::is_ascii_whitespace) {
            each(Line::Whole(self.number, &self.half));
        }
        self.half.clear();
    }
}

/// A batch of OTLP is at most some MiB.
const LONGEST: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: Line<'_>) -> String {
        match line {
            Line::Whole(number, line) => format!("{number}:{}", String::from_utf8_lossy(line)),
            Line::TooLong(number) => format!("{number} is too long"),
        }
    }

    #[test]
    fn a_line_is_whole_when_its_end_has_come() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for bytes in ["one\ntw", "o", "\n\n  \nthree\nfo"] {
            lines.push(bytes.as_bytes(), |line| seen.push(text(line)));
        }
        assert_eq!(seen, ["1:one", "2:two", "5:three"]);
        assert!(lines.has_half());
        lines.finish(|line| seen.push(text(line)));
        assert_eq!(seen.last().map(String::as_str), Some("6:fo"));
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let piece = vec![b'x'; 8 << 20];
        for _ in 0..20 {
            lines.push(&piece, |line| seen.push(text(line)));
            assert!(lines.half.capacity() <= 2 * LONGEST);
        }
        lines.push(b"\nnext\n", |line| seen.push(text(line)));
        assert_eq!(seen, ["1 is too long", "2:next"]);
    }
}
