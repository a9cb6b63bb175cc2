//! Becomes the playground, a Kafka and a collector to try tracing with, where it was built beside this tool.

#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, NOT_FOUND, NOT_STARTED};
use crate::inherited;
use crate::run::is_executable;

/// Replaces this process by the playground, with `words` as they were given. Returns only if that fails.
pub(crate) fn become_it(words: &[OsString]) -> Failure {
    let tool = match env::current_exe() {
        Ok(tool) => tool,
        Err(error) => return Failure::of_ours(format!("cannot find myself: {error}")),
    };
    let places = places(&tool);
    let Some(found) = places.iter().find(|place| is_executable(place)) else {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Failure {
            status: NOT_FOUND,
            what: format!(
                "the playground is in no package, since it brings a Kafka along, and it is not built here (looked for {}): in \
                 a clone of the project, `cargo run --release --example playground` builds and starts it",
                places.join(", ")
            ),
        };
    };
    let error = inherited::become_it(Command::new(found).args(words));
    Failure { status: NOT_STARTED, what: format!("cannot start {}: {error}", found.display()) }
}

/// Cargo puts examples into a folder of their own, beside its programs; who copies the two puts them side by side.
fn places(tool: &Path) -> [PathBuf; 2] {
    let folder = tool.parent().unwrap_or(Path::new("/"));
    [folder.join("examples").join(NAME), folder.join(format!("tracer-{NAME}"))]
}

const NAME: &str = "playground";
