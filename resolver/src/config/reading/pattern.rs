//! A pattern of names, with the place where it is written.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::config::model::Pattern;
use crate::config::report::suggestion::listed;

/// A pattern with its place.
#[derive(Clone, Debug)]
pub(crate) struct PlacedPattern {
    pub(crate) pattern: Pattern,
    pub(crate) span: Range<usize>,
    /// As written; `None` when it came from a reference and so is not to be shown.
    pub(crate) shown: Option<String>,
}

/// Exact, or a glob if it has `*` or `?`.
pub(crate) fn from_text(text: &str) -> Pattern {
    if text.contains(['*', '?']) { Pattern::Glob(text.into()) } else { Pattern::Exact(text.into()) }
}

/// What makes a pattern the same as another.
pub(crate) fn identity(pattern: &Pattern) -> (Kind, String) {
    match pattern {
        Pattern::Exact(text) => (Kind::Exact, text.clone()),
        Pattern::Glob(text) => (Kind::Glob, text.clone()),
        Pattern::Regex(regex) => (Kind::Regex, regex.as_str().to_owned()),
    }
}

/// The three kinds of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Exact,
    Glob,
    Regex,
}

/// Names for a message, none of them from a reference.
pub(crate) fn shown_list(patterns: &[&PlacedPattern]) -> String {
    let shown: Vec<&str> =
        patterns.iter().map(|placed| placed.shown.as_deref().unwrap_or("(from a reference)")).collect();
    listed(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_or_a_question_mark_makes_a_glob() {
        assert!(matches!(from_text("a.b"), Pattern::Exact(_)));
        assert!(matches!(from_text("a.*"), Pattern::Glob(_)));
        assert!(matches!(from_text("a?"), Pattern::Glob(_)));
    }
}
