//! What one reading has found so far, and whether its result can be trusted at all.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::problem::{Problem, Report};

/// A report in the making.
pub(crate) struct Findings {
    report: Report,
    /// Set for ever by the first error that makes the text as a whole untrustworthy.
    distrusted: bool,
}

/// Stands for a value that could not be had; why has been reported already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Findings {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { report: Report::new(name, text), distrusted: false }
    }

    /// Reports an error after which nothing of the text is used.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse(&mut self, problem: Problem) -> Broken {
        self.distrusted = true;
        self.report.push(problem);
        Broken
    }

    /// Reports an error that stops only what uses the value: a reference that leads nowhere.
    #[cold]
    #[inline(never)]
    pub(crate) fn break_value(&mut self, problem: Problem) -> Broken {
        self.report.push(problem);
        Broken
    }

    /// Reports a warning or a note.
    #[cold]
    #[inline(never)]
    pub(crate) fn mention(&mut self, problem: Problem) {
        self.report.push(problem);
    }

    /// Gives up the whole: a value that everything depends on is [`Broken`].
    pub(crate) fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// The text at `span`, as it stands in the file.
    pub(crate) fn source(&self, span: &Range<usize>) -> Option<&str> {
        self.report.text.get(span.clone())
    }

    /// The bytes of `part` of `value`, which stands at `span`; all of `span`, where escapes hide the value.
    pub(crate) fn place_of(&self, part: &Range<usize>, value: &str, span: &Range<usize>) -> Range<usize> {
        let start = self.source(span).and_then(|source| source.find(value)).map(|at| span.start + at);
        start.map_or(span.clone(), |start| start + part.start..start + part.end)
    }

    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }
}
