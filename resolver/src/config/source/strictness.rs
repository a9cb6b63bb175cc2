//! Whether a configuration with errors is to be refused, as `INTERCEPTORS_STRICT` says.

#![forbid(unsafe_code)]

use super::variables::{Variable, Variables};
use crate::config::report::code;
use crate::config::report::problem::Problem;

/// Whether `INTERCEPTORS_STRICT` asks to refuse a configuration that has errors: `1` or `true`, in any case.
pub fn strict(variables: &Variables) -> bool {
    is_yes(variables, "INTERCEPTORS_STRICT")
}

/// Whether a variable that turns something on is set: `1` or `true`, in any case.
pub(crate) fn is_yes(variables: &Variables, name: &str) -> bool {
    matches!(variables.text(name), Variable::Text(text) if text == "1" || text.eq_ignore_ascii_case("true"))
}

/// A value of `INTERCEPTORS_STRICT` that says neither: whoever set it believes to be strict.
pub(crate) fn doubtful_strictness(variables: &Variables) -> Option<Problem> {
    let is_known = |text: &str| ["1", "true", "0", "false"].iter().any(|known| text.eq_ignore_ascii_case(known));
    match variables.text("INTERCEPTORS_STRICT") {
        Variable::Unset => return None,
        Variable::Text(text) if is_known(&text) => return None,
        Variable::Text(_) | Variable::NotText => {}
    }
    let message = "INTERCEPTORS_STRICT is neither 1 nor 0: it counts as 0, and errors refuse nothing";
    Some(Problem::warning(code::BAD_VARIABLE, message).help("set it to 1 to be strict, or unset it"))
}
