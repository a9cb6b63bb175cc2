//! `status`: what programs say of themselves in the files that INTERCEPTORS_STATUS names, as tables.

#![forbid(unsafe_code)]

mod files;
mod liveness;
mod process;
mod table;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use crate::command_line::Format;
use crate::failure::{Failure, MISUNDERSTOOD};
use crate::output;
use crate::terminal;
use process::Process;

/// The numbers of those that run, by what they say in these files and folders, and which of them cannot be read.
pub(crate) fn running(paths: &[PathBuf]) -> (Vec<u32>, Vec<String>) {
    let read = files::read(paths);
    let processes = read.documents.into_iter().map(|(path, document)| Process::new(&path, document));
    (processes.filter_map(|process| process.running()).collect(), read.unreadable)
}

/// Prints the processes of all these files, and of the files in these folders, as one.
pub(crate) fn status(paths: &[PathBuf], format: Format) -> Result<ExitCode, Failure> {
    let named = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let paths = match (paths, named) {
        ([], None) => return Err(Failure { status: MISUNDERSTOOD, what: NOTHING_NAMED.to_owned() }),
        ([], Some(named)) => &[named],
        (paths, _) => paths,
    };
    let read = files::read(paths);
    let processes: Vec<_> = read.documents.into_iter().map(|(path, document)| Process::new(&path, document)).collect();
    if processes.is_empty() && !read.unreadable.is_empty() {
        return Err(Failure::of_each(read.unreadable));
    }
    if processes.is_empty() {
        let places: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::of_ours(format!(
            "there is no status file in {}: programs write one where INTERCEPTORS_STATUS says, once they have made a client \
             that could be traced",
            places.join(", ")
        )));
    }
    let is_well = processes.iter().all(Process::is_well) && read.unreadable.is_empty();
    let printed = match format {
        Format::Text => output::text(&process::text(&processes, output::has_colors(), terminal::width()), is_well),
        Format::Json => {
            let processes: Vec<Json> = processes.iter().map(Process::json).collect();
            output::json(&json!({ "processes": processes, "unreadable": read.unreadable }), is_well)
        }
    };
    read.unreadable.iter().for_each(|unreadable| output::note(unreadable));
    printed
}

/// Says to programs where they are to write.
const VARIABLE: &str = "INTERCEPTORS_STATUS";
const NOTHING_NAMED: &str = "`status` needs a FILE or FOLDER: the one that INTERCEPTORS_STATUS named where the programs were \
                             started; it is not set here";
