//! Becomes another program, with the library in it.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use super::loader::Loader;
use super::{Failure, library, linked_in, preload};

/// Replaces this process by the program that `words` name, so that its signals, its status and its process id are its
/// own. Returns only if that fails.
pub(super) fn run(words: Vec<OsString>) -> Failure {
    let mut words = words.into_iter();
    let named = match words.next() {
        Some(word) if word == "--" => words.next(),
        first => first,
    };
    let Some(program) = named else {
        return Failure::of_ours("`run` needs a program: tracer-interceptors run [--] PROGRAM [ARG…]");
    };
    let name = program.to_string_lossy();
    let mut command = Command::new(&program);
    command.args(words);
    match file(&program).map_or(Loader::Unknown, |file| Loader::of(&file)) {
        Loader::Foreign(loader) => note(&format!(
            "{name} is run without tracing: its dynamic linker is {loader}, and the library is made for glibc"
        )),
        loader => {
            let preloaded =
                library::find().and_then(|library| preload::with(env::var_os(preload::variable()), &library));
            match preloaded {
                Ok(value) => command.env(preload::variable(), value),
                Err(failure) => return failure,
            };
            if loader == Loader::Static {
                note(&format!(
                    "{name} is statically linked, and so loads no library by itself: give its clients the property \
                     plugin.library.paths instead"
                ));
            }
            if loader == Loader::Glibc && file(&program).is_some_and(|file| linked_in::has_librdkafka(&file)) {
                note(&format!(
                    "{name} has librdkafka linked in, where no preloaded library can see its calls: give its clients the \
                     property plugin.library.paths, with what `tracer-interceptors path` prints"
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
    let error = command.exec();
    let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    Failure { status, what: format!("cannot run {name}: {error}") }
}

/// The file that `execvp` would take.
fn file(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(is_executable)
}

fn is_executable(file: &PathBuf) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether anything may say what to trace; what it says is the library's business.
fn is_configured() -> bool {
    env::vars_os().any(|(name, value)| {
        !value.is_empty() && (name == "INTERCEPTORS_CONFIG_FILE" || name.as_bytes().starts_with(b"OTEL_"))
    })
}

/// What may surprise; the program runs all the same.
fn note(what: &str) {
    eprintln!("tracer-interceptors: {what}");
}
