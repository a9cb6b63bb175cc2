//! Which of the parser's errors are mistakes of their own, and which only follow from another: one a line.

use std::collections::HashSet;
use std::ops::Range;

use super::toml_explanations::{explanation, is_open_string, unclosed};
use super::toml_repeats::heading;
use super::toml_scanner::Scanner;
use super::typographic::strange_character;
use crate::config::report::order::ordered;
use crate::config::report::problem::Problem;

/// What the parser found: a place, and its own words.
pub(crate) type ParserError = (Range<usize>, String);

/// One problem for each line that is wrong: what follows on the same line, or from the same open bracket, is the same
/// mistake once more.
pub(crate) fn explain(text: &str, errors: Vec<ParserError>) -> Vec<Problem> {
    let errors = ordered(errors, |(span, _)| (false, span.start, 0));
    let mut scanner = Scanner::new(text);
    let mut brackets = HashSet::new();
    let mut explained_to = None;
    let mut comma_is_taken = false;
    let mut problems = Vec::new();
    for (index, (span, words)) in errors.iter().enumerate() {
        // Asked first, so that a file of one long line takes no age.
        if explained_to.is_some_and(|end| span.start <= end) {
            continue;
        }
        scanner.go_to(span.start);
        let line = line_around(text, span.start);
        explained_to = Some(line.end);
        let rest: Vec<_> = errors.iter().skip(index).take_while(|(other, _)| other.start <= line.end).collect();
        // A string that is not closed hides the end of its bracket: then the string is the cause.
        let string = rest.iter().find(|(_, words)| is_open_string(words)).filter(|_| !scanner.is_plain());
        // A string took the comma with it, which is missing now on the next line.
        if std::mem::replace(&mut comma_is_taken, string.is_some()) && words.starts_with("missing comma") {
            continue;
        }
        // A bracket that stays open makes errors of lines that are right: it is the one mistake of them all.
        let is_cause = begins_with_a_key(text, &line) || rest.iter().any(|(_, words)| words.starts_with("unclosed"));
        let open = scanner.innermost().filter(|open| *open < line.start && is_cause && string.is_none());
        if open.is_some_and(|open| !brackets.insert(open)) {
            continue;
        }
        if let Some(open) = open {
            problems.push(unclosed(text, open));
            continue;
        }
        let (span, words) = string.map_or((span, words), |(span, words)| (span, words));
        let strange = strange_character(text, &(span.start..span.end.max(span.start)));
        problems.push(match strange.filter(|_| scanner.is_plain()) {
            Some(problem) => problem,
            None => explanation(text, span, words, &line, &scanner),
        });
        if problems.len() == MOST {
            break;
        }
    }
    problems
}

fn begins_with_a_key(text: &str, line: &Range<usize>) -> bool {
    let line = text.get(line.clone()).unwrap_or_default().trim();
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"'))
    };
    line.starts_with('[') && heading(line).is_some_and(|heading| !heading.contains(',') && heading.len() > 2)
        || line.split_once('=').is_some_and(|(key, _)| is_name(key.trim()))
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let end = text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |end| at + end);
    start..end
}

/// As many as are shown.
const MOST: usize = 100;
