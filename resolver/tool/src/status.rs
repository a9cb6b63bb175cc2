//! `status`: what programs say of themselves in the files that INTERCEPTORS_STATUS names, as tables.

#![forbid(unsafe_code)]

mod files;
mod liveness;
mod process;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use crate::command_line::Format;
use crate::failure::Failure;
use crate::output;
use process::Process;

/// The numbers of those that run, by what they say in these files and folders.
pub(crate) fn running(paths: &[PathBuf]) -> Result<Vec<u32>, Failure> {
    let read = files::read(paths)?;
    let processes = read.into_iter().map(|(path, document)| Process::new(&path, document));
    Ok(processes.filter_map(|process| process.running()).collect())
}

/// Prints the processes of all these files, and of the files in these folders, as one.
pub(crate) fn status(paths: &[PathBuf], format: Format) -> Result<ExitCode, Failure> {
    let read = files::read(paths)?;
    let processes: Vec<_> = read.into_iter().map(|(path, document)| Process::new(&path, document)).collect();
    if processes.is_empty() {
        let places: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::of_ours(format!(
            "there is no status file in {}: programs write one where INTERCEPTORS_STATUS says, once they have made a client \
             that could be traced",
            places.join(", ")
        )));
    }
    let is_well = processes.iter().all(Process::is_well);
    match format {
        Format::Text => output::text(&process::text(&processes), is_well),
        Format::Json => {
            let processes: Vec<Json> = processes.iter().map(Process::json).collect();
            output::json(&json!({ "processes": processes }), is_well)
        }
    }
}
