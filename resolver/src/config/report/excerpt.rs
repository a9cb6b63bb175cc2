//! The lines of a text that a problem is about, cut and cleaned so that they can be printed.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::invisible_characters::is_invisible;
use super::lines::lines;
use super::problem::Problem;
use super::secrets_in_line::secrets_in;

/// The lines from the first to the last place of one problem.
pub(super) struct Excerpt {
    /// Whole lines, long ones cut, unprintable characters and what may be a secret replaced.
    pub(super) text: String,
    /// The number of the first of them, from 1.
    pub(super) first_line: usize,
    /// Places in `text`, always on character boundaries, never past its end.
    pub(super) marks: Vec<Mark>,
    /// The line of the problem begins further left than what is shown, so that the column is not the file's.
    pub(super) is_cut: bool,
}

/// One place with its words.
pub(super) struct Mark {
    pub(super) span: Range<usize>,
    pub(super) label: String,
    /// The problem itself, not one of its other places.
    pub(super) main: bool,
}

impl Excerpt {
    /// `None` when the problem has no place, or there is no text to show.
    pub(super) fn new(text: &str, problem: &Problem) -> Option<Self> {
        let span = problem.span.clone()?;
        if text.is_empty() {
            return None;
        }
        let mut places = vec![(span, problem.label.as_str(), true)];
        places.extend(problem.also.iter().map(|(span, label)| (span.clone(), label.as_str(), false)));
        let lines: Vec<Range<usize>> = lines(text).map(|(span, _)| span).collect();
        let mut excerpt = Self { text: String::new(), first_line: 0, marks: Vec::new(), is_cut: false };
        let rows: Vec<usize> = places.iter().map(|(span, ..)| row(&lines, span.start)).collect();
        let first = rows.iter().copied().min()?;
        let last = rows.iter().copied().max()?;
        excerpt.first_line = first + 1;
        for (index, line) in lines.iter().enumerate().take(last + 1).skip(first) {
            let on_line = || places.iter().zip(&rows).filter(|(_, row)| **row == index).map(|(place, _)| place);
            let Some(source) = text.get(line.clone()) else { continue };
            let focus = on_line().map(|(span, ..)| span.start.saturating_sub(line.start)).min();
            let clean = CleanLine::new(source, focus);
            let base = excerpt.text.len();
            excerpt.is_cut |= clean.is_cut;
            for (span, label, main) in on_line() {
                let start = clean.position(span.start.saturating_sub(line.start));
                let end = clean.position(span.end.min(line.end).saturating_sub(line.start)).max(start);
                let end = if end == start { clean.after(start) } else { end };
                let mark = Mark { span: base + start..base + end, label: printable(label), main: *main };
                // The first one gives the line and column of the whole.
                excerpt.marks.insert(if *main { 0 } else { excerpt.marks.len() }, mark);
            }
            excerpt.text.push_str(&clean.text);
            excerpt.text.push('\n');
        }
        Some(excerpt)
    }
}

/// `text` without anything that could move a cursor, change a colour, turn the writing direction, or not be seen.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// One line as it is shown, with the way from its own bytes to the shown ones.
struct CleanLine {
    text: String,
    /// (byte in the source line, byte in `text`) at the start of every character kept, and one past the last.
    steps: Vec<(usize, usize)>,
    /// The beginning of the line is missing.
    is_cut: bool,
}

impl CleanLine {
    fn new(source: &str, focus: Option<usize>) -> Self {
        let from = focus.map_or(0, |focus| if focus > LINE_BYTES { focus - CONTEXT_BYTES } else { 0 });
        let secrets = secrets_in(source);
        let mut clean = Self { text: String::new(), steps: Vec::new(), is_cut: from > 0 };
        let mut end = 0;
        for (at, c) in source.char_indices().skip_while(|(at, _)| *at < from) {
            if at - from > LINE_BYTES {
                break;
            }
            clean.steps.push((at, clean.text.len()));
            clean.text.push(match c {
                _ if secrets.iter().any(|secret| secret.contains(&at)) => '*',
                '\t' => ' ',
                c if is_invisible(c) => char::REPLACEMENT_CHARACTER,
                c => c,
            });
            end = at + c.len_utf8();
        }
        // A caret may stand one past the last character, where something is missing.
        clean.steps.push((end, clean.text.len()));
        clean.text.push(' ');
        clean
    }

    /// Where a byte of the source line is shown.
    fn position(&self, byte: usize) -> usize {
        let after = self.steps.partition_point(|(at, _)| *at < byte);
        self.steps.get(after).or(self.steps.last()).map_or(0, |(_, shown)| *shown)
    }

    /// The end of the character shown at `shown`, so that a caret is never empty.
    fn after(&self, shown: usize) -> usize {
        self.steps.iter().map(|(_, at)| *at).find(|at| *at > shown).unwrap_or(self.text.len())
    }
}

/// The line that a byte is on; past the end it is the last one.
fn row(lines: &[Range<usize>], byte: usize) -> usize {
    lines.partition_point(|line| line.start <= byte).saturating_sub(1)
}

/// What stands further on in a line is not looked at; the renderer shows a window of what is. Bounds the work for a
/// file that is one line.
const LINE_BYTES: usize = 32 << 10;

/// How much of a cut line stays before the place.
const CONTEXT_BYTES: usize = 60;
