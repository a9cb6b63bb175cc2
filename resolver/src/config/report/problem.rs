//! A report and its problems, as data.

#![forbid(unsafe_code)]

use std::ops::Range;

/// Everything found in one configuration, in one run.
///
/// Plain data: any thread may hold it. It never contains a value that came from a reference or from the environment.
#[derive(Clone, Default)]
pub struct Report {
    /// What was read: a path as it was given, or a phrase such as `environment`.
    pub name: String,
    /// The text that the spans point into; empty when there is none.
    pub text: String,
    /// In the order of finding; [`Report::render`] sorts by position.
    pub problems: Vec<Problem>,
}

/// Without the text, which may hold secrets that somebody wrote into it.
impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("name", &self.name).field("problems", &self.problems).finish_non_exhaustive()
    }
}

impl Report {
    /// An empty report about `text`, called `name` in everything printed.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), problems: Vec::new() }
    }

    /// Adds a problem, found here or by whoever works on with the configuration (plugins, for example).
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether anything is wrong enough to be refused by a strict caller.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// One thing that is wrong, doubtful, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The stable code of its class, `C101` for example.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Bytes of [`Report::text`] it is about; `None` when it is about the whole.
    pub span: Option<Range<usize>>,
    /// Stands beside the caret; may be empty.
    pub label: String,
    /// The way out.
    pub help: Option<String>,
    /// Other places that play a part, each with its own words.
    pub also: Vec<(Range<usize>, String)>,
    /// It follows from another problem of the same report, and is shown after all causes.
    pub follows: bool,
}

/// Hundreds of places make problems, and hardly any is ever reached: what they call is not copied into each.
impl Problem {
    /// Something that must be put right.
    #[cold]
    #[inline(never)]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// Something that works, but hardly as meant.
    #[cold]
    #[inline(never)]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    /// Something worth knowing.
    #[cold]
    #[inline(never)]
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message.into())
    }

    /// Points at `span` with `label` beside the caret.
    #[must_use]
    #[cold]
    #[inline(never)]
    pub fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.span = Some(span);
        self.label = label.into();
        self
    }

    /// Names the way out.
    #[must_use]
    #[cold]
    #[inline(never)]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Shows another place that plays a part.
    #[must_use]
    #[cold]
    #[inline(never)]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }

    /// Marks it as what follows from another problem of the same report.
    #[must_use]
    #[cold]
    #[inline(never)]
    pub fn follows(mut self) -> Self {
        self.follows = true;
        self
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self { severity, code, message, span: None, label: String::new(), help: None, also: Vec::new(), follows: false }
    }
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Part or all of the configuration cannot be trusted; a strict caller refuses it.
    Error,
    /// It works, but hardly as meant.
    Warning,
    /// Worth knowing once.
    Note,
}
