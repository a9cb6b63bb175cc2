//! `migrate`: the JSON of 2019 as TOML that means the same, and what did not simply pass over.

#![forbid(unsafe_code)]

mod legacy_names;
mod writer;

use std::path::Path;
use std::process::ExitCode;

use tracer_resolver::config::{self, Origin, Severity, Source, Variables};

use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output;
use crate::place::line_and_column;

pub(crate) fn migrate(file: &Path) -> Result<ExitCode, Failure> {
    let configuration = Configuration::of(Some(file));
    let report = &configuration.loaded.report;
    let Some(config) = &configuration.loaded.config else {
        return Err(Failure::wrong(format!("{} cannot be used\n{}", report.name, report.render(false).trim_end())));
    };
    if !matches!(config.origin, Origin::LegacyFile(_)) {
        return Err(Failure::wrong(format!("{} is not the JSON of 2019: it is TOML already", report.name)));
    }
    let mut notes = read_notes(&configuration);
    // What the file means without the variables that hold secrets: what differs came from them.
    let secretless = Variables::process().without(CREDENTIALS);
    let without = config::load_with(Source::File(file.to_owned()), &secretless).config;
    let toml = writer::write(config, without.as_ref(), &configuration.defaults, &configuration.variables, &mut notes);
    let mut out = format!("# Made of {} by `tracer-interceptors migrate`.\n", report.name);
    for note in &notes {
        output::note(note);
        out.push_str(&format!("# {note}\n"));
    }
    out.push_str(&toml);
    output::text(&out, true)
}

/// What the reader of the old format itself mended or passed over.
fn read_notes(configuration: &Configuration) -> Vec<String> {
    let report = &configuration.loaded.report;
    let told = report.problems.iter().filter(|problem| problem.code != OLD_FORMAT);
    let note = |problem: &config::Problem| {
        let what = match problem.severity {
            Severity::Note => "dropped",
            _ => "mended",
        };
        let place = problem
            .span
            .as_ref()
            .map_or(String::new(), |span| format!("line {}: ", line_and_column(&report.text, span.start).0));
        format!("{what}: {place}{}", problem.message)
    };
    told.map(note).collect()
}

/// The variables of the old format that hold secrets.
const CREDENTIALS: &[&str] = &["JAEGER_AUTH_TOKEN", "JAEGER_USER", "JAEGER_PASSWORD"];
/// The engine's code for the note that every such file gets.
const OLD_FORMAT: &str = "C500";
