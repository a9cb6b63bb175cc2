//! A key, or a heading, that stands in a TOML text twice.

use std::ops::Range;

use crate::config::report::code;
use crate::config::report::problem::Problem;
use crate::config::text::written_key::written_key;

/// The same key or the same heading a second time.
pub(super) fn twice(text: &str, span: &Range<usize>, found: &str, line: &Range<usize>) -> Problem {
    let whole_line = text.get(line.clone()).unwrap_or_default().trim();
    let before = text.get(..line.start).unwrap_or_default();
    let found = found.trim_matches(['"', '\'']);
    if let Some(heading) = heading(whole_line) {
        let first = before
            .rfind(heading)
            .filter(|at| before.get(..*at).is_none_or(|all| all.is_empty() || all.ends_with('\n')));
        return match first {
            Some(first) => Problem::error(code::SYNTAX, format!("the section {heading} begins here a second time"))
                .at(span.clone(), "again")
                .also(first..first + heading.len(), "first here")
                .help("write all its keys below one heading"),
            None => Problem::error(code::SYNTAX, format!("`{}` has a value already", written_key(found)))
                .at(span.clone(), "so it cannot be a section too")
                .help("write it in one place: as one key, or as one section"),
        };
    }
    let problem = Problem::error(code::SYNTAX, format!("`{}` stands here a second time", written_key(found)))
        .at(span.clone(), "again")
        .help("keep one of them; several topics or backends are one list: [\"a\", \"b\"]");
    match earlier_key(before, found) {
        Some(first) => problem.also(first, "first here"),
        None => problem,
    }
}

/// The last line before that gives `key` a value, within the same section.
fn earlier_key(before: &str, key: &str) -> Option<Range<usize>> {
    let mut end = before.len();
    for line in before.split_inclusive('\n').rev() {
        let start = end - line.len();
        end = start;
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            return None;
        }
        let name = trimmed.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        if name == key && trimmed.contains('=') {
            let at = start + (line.len() - trimmed.len());
            return Some(
                at..at
                    + trimmed.find('=').map_or(0, |equals| trimmed.get(..equals).unwrap_or_default().trim_end().len()),
            );
        }
    }
    None
}

/// The heading that a line is, if it is one: `[services.orders]`.
pub(super) fn heading(line: &str) -> Option<&str> {
    let end = line.rfind(']')?;
    line.get(..=end).filter(|heading| heading.starts_with('['))
}
