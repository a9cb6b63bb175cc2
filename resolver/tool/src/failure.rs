//! Why a command did nothing, in words and as an exit status.

#![forbid(unsafe_code)]

/// The exit status when the command itself failed. As `env` and `timeout` have it, and for the same reason: smaller ones
/// are a program's own.
pub(crate) const OF_OURS: u8 = 125;

/// The exit status, as `env` and `timeout` have it, where there is no such program.
pub(crate) const NOT_FOUND: u8 = 127;

/// The same, where there is one that cannot be started.
pub(crate) const NOT_STARTED: u8 = 126;

/// The exit status when what was looked at is wrong, and standard output says what.
pub(crate) const WRONG: u8 = 1;

/// The exit status for words that mean nothing.
pub(crate) const MISUNDERSTOOD: u8 = 2;

/// Why nothing was done.
pub(crate) struct Failure {
    /// One of the above. A program that was started ends with a status of its own.
    pub(crate) status: u8,
    pub(crate) what: String,
}

impl Failure {
    /// What was looked at is wrong, and there is nothing to answer.
    pub(crate) fn wrong(what: impl Into<String>) -> Self {
        Self { status: WRONG, what: what.into() }
    }

    pub(crate) fn of_ours(what: impl Into<String>) -> Self {
        Self { status: OF_OURS, what: what.into() }
    }

    /// Several things could not be looked at: each on a line of its own.
    pub(crate) fn of_each(whats: Vec<String>) -> Self {
        Self::of_ours(whats.join("\ntracer-interceptors: "))
    }
}
