//! What one reading has found so far, and whether its result can be trusted at all.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::load::Untrusted;
use super::report::{Problem, Report};

/// A report in the making.
pub(crate) struct Findings {
    report: Report,
    /// Set for ever by the first error that makes the text as a whole untrustworthy.
    distrusted: bool,
    /// See [`Untrusted`]; there only when distrusted.
    untrusted: Option<Untrusted>,
}

/// Stands for a value that could not be had; why has been reported already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Findings {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { report: Report::new(name, text), distrusted: false, untrusted: None }
    }

    /// Reports an error after which nothing of the text is used.
    pub(crate) fn refuse(&mut self, problem: Problem) -> Broken {
        self.distrusted = true;
        self.report.push(problem);
        Broken
    }

    /// Reports an error that stops only what uses the value: a reference that leads nowhere.
    pub(crate) fn break_value(&mut self, problem: Problem) -> Broken {
        self.report.push(problem);
        Broken
    }

    /// Reports a warning or a note.
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

    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted
    }

    /// Keeps what can still be checked of a text that is not used.
    pub(crate) fn keep(&mut self, untrusted: Untrusted) {
        self.untrusted = Some(untrusted);
    }

    pub(crate) fn into_parts(self) -> (Report, Option<Untrusted>) {
        (self.report, self.untrusted)
    }
}
