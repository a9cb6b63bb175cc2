//! Variables that turn something on: `1` or `true`, in any case.

#![forbid(unsafe_code)]

use super::variables::{Variable, Variables};
use crate::config::report::code;
use crate::config::report::problem::Problem;

/// Whether `INTERCEPTORS_STRICT` asks to refuse a configuration that has errors: `1` or `true`, in any case.
pub fn strict(variables: &Variables) -> bool {
    is_yes(variables, STRICT)
}

/// Whether a variable that turns something on is set: `1` or `true`, in any case.
pub(crate) fn is_yes(variables: &Variables, name: &str) -> bool {
    matches!(variables.text(name), Variable::Text(text) if is_one_of(&text, &["1", "true"]))
}

/// Their values that say neither: whoever set one believes that it counts.
pub(crate) fn doubtful(variables: &Variables) -> impl Iterator<Item = Problem> {
    let is_doubtful = |name: &str| match variables.text(name) {
        Variable::Unset => false,
        Variable::Text(text) => !is_one_of(&text, &["1", "true", "0", "false"]),
        Variable::NotText => true,
    };
    WHEN_NOT.iter().filter(move |(name, _)| is_doubtful(name)).map(|(name, otherwise)| {
        let message = format!("{name} is neither 1 nor 0: it counts as 0, and {otherwise}");
        Problem::warning(code::BAD_VARIABLE, message).help("set it to 1, or unset it")
    })
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// All of them, and what comes of one that is not set.
const WHEN_NOT: &[(&str, &str)] = &[
    (STRICT, "errors refuse nothing"),
    (DISABLE[0], "it turns nothing off"),
    (DISABLE[1], "it turns nothing off"),
    (ANY_WRITER, "files that everybody may write to are not used"),
];

const STRICT: &str = "INTERCEPTORS_STRICT";

/// One of these turns tracing off, whatever else configures it. The second is the name of 2019.
pub(crate) const DISABLE: [&str; 2] = ["INTERCEPTORS_DISABLED", "TRACERRESOLVER_DISABLED"];

/// The modes of files say nothing.
pub(crate) const ANY_WRITER: &str = "INTERCEPTORS_ALLOW_WORLD_WRITABLE";
