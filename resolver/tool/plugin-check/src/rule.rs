//! `Rule`: one promise of a plugin's, and how it is tried.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::case::Case;
use crate::stop::Tried;

/// One promise of a plugin's.
pub struct Rule {
    /// By which it is asked for.
    pub name: &'static str,
    /// The header's sentence.
    pub sentence: &'static str,
    /// The way out.
    pub help: &'static str,
    /// If it cannot be kept, the rules that follow it mean nothing.
    pub(crate) is_gate: bool,
    pub(crate) run: fn(&Case) -> Tried,
}

impl Rule {
    /// How long its process may take.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
}
