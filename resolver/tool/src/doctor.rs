//! `doctor`: tries what has to work for spans to arrive, and says of each step how it went and what to do.
//!
//! Each backend of the configuration is tried for real, by its own plugin, with one span that calls itself a test; of a
//! program is said what would happen to it, and nothing of it is run.

#![forbid(unsafe_code)]

mod address;
mod backend;
mod clients;
mod configuration;
mod imports;
mod network;
mod program;
mod report;
mod step;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::command_line::Format;
use crate::failure::Failure;
use report::Report;

pub(crate) use configuration::send;

/// Tries all of it; with a program, that too.
pub(crate) fn doctor(program: &[OsString], format: Format) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    if !program.is_empty() {
        report.parts.push(program::part(program));
    }
    report.parts.extend(configuration::parts());
    report.print(format)
}
