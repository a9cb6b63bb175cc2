//! Becomes another program, with the library in it.

#![forbid(unsafe_code)]

mod elf;
mod executed;
mod layer_file;
mod linked_in;
mod loader;
mod needed;
mod node_layer;
mod outlook;
mod preload;
mod python_layer;
mod reach;
mod trial;
mod versions;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) use executed::{is_executable, located};
pub(crate) use linked_in::{LinkedIn, mentioned};
pub(crate) use needed::Needed;
pub(crate) use outlook::Outlook;
pub(crate) use reach::Reach;
pub(crate) use trial::answer;

use crate::failure::{Failure, NOT_FOUND, NOT_STARTED};
use crate::output::note;
use crate::{given_file, inherited, library};

/// Replaces this process by the program that `words` name, so that its signals, its status and its process id are its
/// own. Returns only if that fails. What may surprise is said; the program runs all the same.
pub(crate) fn run(words: Vec<OsString>) -> Failure {
    let mut words = words.into_iter();
    let Some(program) = words.next() else {
        return Failure::of_ours("`run` needs a program");
    };
    let name = program.to_string_lossy();
    let mut command = Command::new(&program);
    command.args(words);
    let library = match library::find() {
        Ok(library) => library,
        Err(failure) => return failure,
    };
    let Outlook { reach, linked_in, .. } = Outlook::of(&program, &library);
    match reach {
        Reach::Breaks(why) => note(&format!("{name} is run without tracing: {why}")),
        reach => {
            match preload::with(env::var_os(preload::variable()), &library) {
                Ok(value) => command.env(preload::variable(), value),
                Err(failure) => return failure,
            };
            if let Some(layer) = node_layer::beside(&library) {
                let present = env::var_os(node_layer::VARIABLE);
                let words = std::iter::once(program.as_os_str()).chain(command.get_args());
                if node_layer::is_readable_in(words, present.as_deref(), &layer) {
                    command.env(node_layer::VARIABLE, node_layer::with(present, &layer));
                } else {
                    let folder = layer.with_file_name("");
                    note(&format!(
                        "Node's permission model keeps {name} from reading the layer for it, which is left out: causes are not \
                         known without --allow-fs-read={}",
                        folder.display()
                    ));
                }
            }
            if let Some(folder) = python_layer::folder(&library) {
                let variable = python_layer::variable();
                command.env(variable, python_layer::with(env::var_os(variable), &folder));
            }
            if reach == Reach::Nowhere {
                note(&format!(
                    "{name} is statically linked, and so loads no library by itself: give its clients the property \
                     plugin.library.paths instead"
                ));
            }
            if let (Reach::Loaded, LinkedIn::Functions | LinkedIn::Nameless) = (&reach, linked_in) {
                let nameless = "; and link it with -rdynamic, for it was stripped of the names of librdkafka's functions, and \
                                no library finds them";
                note(&format!(
                    "{name} has librdkafka linked in, where no preloaded library can see its calls: {PROPERTY}{}",
                    if linked_in == LinkedIn::Nameless { nameless } else { "" }
                ));
            }
            if is_configured() {
                // This very process becomes the program: at its end the library says so if it met no client.
                command.env("TRACER_INTERCEPTORS_RUN", std::process::id().to_string());
            } else {
                note("nothing will be traced: neither INTERCEPTORS_CONFIG_FILE nor any OTEL_ variable is set");
            }
        }
    }
    let error = inherited::become_it(&mut command);
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
    Failure { status, what: format!("cannot run {name}: {error}{}", hint(&program)) }
}

/// What was most likely meant by something that is no program.
fn hint(program: &OsStr) -> String {
    let name = program.to_string_lossy();
    match given_file::Kind::of(Path::new(program)) {
        Some(kind @ (given_file::Kind::Configuration | given_file::Kind::OldConfiguration)) => {
            format!("; it is {}: INTERCEPTORS_CONFIG_FILE={name} tracer-interceptors run PROGRAM", kind.name())
        }
        Some(kind @ (given_file::Kind::Status | given_file::Kind::Traces)) => {
            format!("; it is {}: {}", kind.name(), kind.way_out(Path::new(program)))
        }
        Some(given_file::Kind::Program) if given_file::interpreter(Path::new(program)).is_some() => {
            let by = given_file::interpreter(Path::new(program)).unwrap_or_default();
            format!("; name what runs it: tracer-interceptors run {by} {name}")
        }
        None if name.contains('=') => "; variables stand before `tracer-interceptors`".to_owned(),
        _ => String::new(),
    }
}

/// Whether anything may say what to trace; what it says is the library's business.
fn is_configured() -> bool {
    env::vars_os().any(|(name, value)| {
        !value.is_empty() && (name == "INTERCEPTORS_CONFIG_FILE" || name.as_bytes().starts_with(b"OTEL_"))
    })
}

/// What every client can be given that is on librdkafka.
pub(crate) const PROPERTY: &str =
    "give its clients the property plugin.library.paths, with what `tracer-interceptors path` prints";
