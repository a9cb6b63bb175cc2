//! `Rule`: one promise of a plugin's, and how it is tried.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::case::Case;
use crate::rules::{answers, ends, file, life, memory, process, settings, table};

/// What a rule came to, if it did not simply find what is wrong.
pub(crate) enum Stop {
    /// It cannot be tried with this plugin or these settings: why.
    Skipped(String),
    /// What goes on from here has no meaning: what is wrong.
    Broken(String),
}

/// `Ok`: all was tried; what is wrong was told to the case.
pub(crate) type Tried = Result<(), Stop>;

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

/// All rules, in the order in which they are tried.
pub fn rules() -> Vec<Rule> {
    let all = [
        file::RULES,
        table::RULES,
        settings::RULES,
        life::RULES,
        memory::RULES,
        process::RULES,
        answers::RULES,
        ends::RULES,
    ];
    all.into_iter().flatten().map(|rule| Rule { ..*rule }).collect()
}
