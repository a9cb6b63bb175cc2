//! `check`: all that the library would refuse or doubt, before it runs anywhere.

#![forbid(unsafe_code)]

mod tests_of_file;

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_resolver::config::{Problem, Report, Severity};

use crate::command_line::Format;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{self, counted};
use crate::place::line_and_column;
use crate::plugin_warnings;
use tests_of_file::Tally;

pub(crate) fn check(file: Option<&Path>, with_plugins: bool, format: Format) -> Result<ExitCode, Failure> {
    plugin_warnings::collect();
    let mut configuration = Configuration::of(file);
    if with_plugins {
        configuration.plugin_search().check(&mut configuration.loaded);
    }
    for warning in plugin_warnings::taken() {
        configuration.loaded.report.push(Problem::warning(DOUBTED, warning));
    }
    let tally = tests_of_file::run(&mut configuration);
    let report = &configuration.loaded.report;
    let is_well = !report.has_errors();
    match format {
        Format::Json => output::json(&as_json(&configuration, &tally), is_well),
        Format::Text => {
            let shown = report.render(output::has_colors());
            output::text(&format!("{shown}{}\n", verdict(&configuration, &tally, with_plugins)), is_well)
        }
    }
}

/// The last line: how it is, in one sentence.
fn verdict(configuration: &Configuration, tally: &Tally, with_plugins: bool) -> String {
    let name = configuration.name();
    let count = |severity: Severity| {
        configuration.loaded.report.problems.iter().filter(|problem| problem.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let found = match (errors, warnings) {
        (0, 0) => "no error".to_owned(),
        (errors, 0) => counted(errors, "error"),
        (0, warnings) => format!("no error, {}", counted(warnings, "warning")),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    let means = match &configuration.loaded.config {
        Some(config) => {
            format!("; {} to {}", counted(config.services.len(), "service"), counted(config.backends.len(), "backend"))
        }
        None => "; nothing is traced".to_owned(),
    };
    let plugins = if with_plugins { "" } else { "; plugins were not asked" };
    let tests = match tally {
        Tally { passed: 0, failed: 0 } => String::new(),
        Tally { passed, failed: 0 } => format!("; {} passed", counted(*passed, "test")),
        Tally { passed, failed } => format!("; {failed} of {} failed", counted(passed + failed, "test")),
    };
    format!("{name}: {found}{means}{plugins}{tests}")
}

fn as_json(configuration: &Configuration, tally: &Tally) -> Json {
    let report = &configuration.loaded.report;
    let config = configuration.loaded.config.as_ref();
    json!({
        "source": report.name,
        "errors": report.problems.iter().filter(|problem| problem.severity == Severity::Error).count(),
        "warnings": report.problems.iter().filter(|problem| problem.severity == Severity::Warning).count(),
        "services": config.map(|config| config.services.iter().map(|service| &service.name).collect::<Vec<_>>()),
        "backends": config.map(|config| config.backends.iter().map(|backend| &backend.name).collect::<Vec<_>>()),
        "tests": { "passed": tally.passed, "failed": tally.failed },
        "problems": report.problems.iter().map(|problem| problem_as_json(report, problem)).collect::<Vec<_>>(),
    })
}

/// Lines and columns count from 1, columns in characters; `end` is the place after the last one.
fn problem_as_json(report: &Report, problem: &Problem) -> Json {
    let place = |span: &std::ops::Range<usize>| {
        let ((line, column), (end_line, end_column)) =
            (line_and_column(&report.text, span.start), line_and_column(&report.text, span.end));
        json!({ "line": line, "column": column, "end_line": end_line, "end_column": end_column })
    };
    let also = problem.also.iter().map(|(span, label)| json!({ "place": place(span), "label": label }));
    json!({
        "severity": match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        "code": problem.code,
        "message": problem.message,
        "place": problem.span.as_ref().filter(|_| !report.text.is_empty()).map(place),
        "label": problem.label,
        "help": problem.help,
        "also": also.collect::<Vec<_>>(),
        "follows": problem.follows,
    })
}

/// A plugin that somebody else may change, or one that was passed over.
const DOUBTED: &str = "P110";
