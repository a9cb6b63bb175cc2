//! What is wrong with a configuration, in the log.

#![forbid(unsafe_code)]

use crate::config::{Report, Severity};
use crate::diagnostics;

/// One message for all problems, at the level of the worst: tracing is never silently off, nor a wall of text.
pub(super) fn tell(report: &Report, on: bool) {
    if report.problems.is_empty() {
        return;
    }
    let text = report.render(false);
    let text = text.trim_end();
    let state = if on { "the parts with errors are not used, the rest is traced" } else { "tracing is off" };
    if report.has_errors() {
        diagnostics::error(&format!("{} has errors; {state}\n{text}", report.name));
    } else if report.problems.iter().any(|problem| problem.severity == Severity::Warning) {
        diagnostics::warn(&format!("{}\n{text}", report.name));
    } else {
        diagnostics::info(&format!("{}\n{text}", report.name));
    }
}
