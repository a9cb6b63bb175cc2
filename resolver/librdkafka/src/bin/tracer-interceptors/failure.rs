//! Why nothing was run, in words and as an exit status.

#![forbid(unsafe_code)]

/// Why nothing was run.
pub(crate) struct Failure {
    /// As `env` and `timeout` have them: 127 for a program that is not there, 126 for one that cannot be started, 125 for
    /// everything else. A program that was started ends with a status of its own.
    pub(crate) status: u8,
    pub(crate) what: String,
}

impl Failure {
    pub(crate) fn of_ours(what: impl Into<String>) -> Self {
        Self { status: 125, what: what.into() }
    }
}
