//! `Stop`: why a rule ends before its end.

#![forbid(unsafe_code)]

/// What a rule came to, if it did not simply find what is wrong.
pub(crate) enum Stop {
    /// It cannot be tried with this plugin or these settings: why.
    Skipped(String),
    /// What goes on from here has no meaning: what is wrong.
    Broken(String),
}

/// `Ok`: all was tried; what is wrong was told to the case.
pub(crate) type Tried = Result<(), Stop>;
