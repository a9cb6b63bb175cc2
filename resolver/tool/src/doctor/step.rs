//! One thing that was tried, and how it went.

#![forbid(unsafe_code)]

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// A short word, the same in every run: programs look for it.
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) what: String,
    /// What to do.
    pub(super) way_out: Option<String>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    /// It works, but hardly as meant.
    Doubtful,
    Failed,
    /// There was nothing to try, or no sense in it.
    Skipped,
}

impl Step {
    pub(super) fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, state: State::Ok, what: what.into(), way_out: None }
    }

    pub(super) fn skipped(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, state: State::Skipped, what: what.into(), way_out: None }
    }

    pub(super) fn failed(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, state: State::Failed, what: what.into(), way_out: None }
    }

    pub(super) fn doubtful(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, state: State::Doubtful, what: what.into(), way_out: None }
    }

    pub(super) fn way_out(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }
}

impl State {
    /// For people and for programs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Doubtful => "doubt",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
