//! The list of all rules.

#![forbid(unsafe_code)]

use crate::rule::Rule;
use crate::rules::{answers, ends, file, life, memory, process, settings, table};

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
