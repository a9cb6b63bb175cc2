//! What shells need to complete the words of the command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::command_line::CommandLine;
use crate::failure::Failure;
use crate::output;

pub(crate) fn print(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut CommandLine::command(), "tracer-interceptors", &mut script);
    output::text(&String::from_utf8_lossy(&script), true)
}
