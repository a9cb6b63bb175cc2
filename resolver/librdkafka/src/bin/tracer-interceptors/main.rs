//! `tracer-interceptors`: where the library is, and how to run a program with it.
//!
//! The Python and the npm package bring this very file and start it, so that the words are the same everywhere.

#![forbid(unsafe_code)]

mod elf;
mod executed;
mod failure;
mod library;
mod linked_in;
mod loader;
mod node_layer;
mod preload;
mod python_layer;
mod reach;
mod run;
mod trial;
mod versions;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::{env, io};

use failure::Failure;

fn main() -> ExitCode {
    match obey(env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tracer-interceptors: {}", failure.what);
            ExitCode::from(failure.status)
        }
    }
}

fn obey(words: Vec<OsString>) -> Result<(), Failure> {
    let mut words = words.into_iter();
    let first = words.next().unwrap_or_default();
    let rest: Vec<OsString> = words.collect();
    match (first.to_str(), rest.is_empty()) {
        (Some("path"), true) => say(library::find()?.as_os_str().as_bytes()),
        (Some("run"), _) => Err(run::run(rest)),
        (Some("--help" | "-h"), true) => say(USAGE.trim_end().as_bytes()),
        (Some("--version" | "-V"), true) => say(concat!("tracer-interceptors ", env!("CARGO_PKG_VERSION")).as_bytes()),
        (Some(""), true) => Err(Failure::of_ours(format!("nothing to do\n\n{}", USAGE.trim_end()))),
        (Some("path" | "--help" | "-h" | "--version" | "-V"), false) => {
            Err(Failure::of_ours(format!("`{}` stands alone: nothing may follow it", first.to_string_lossy())))
        }
        _ => Err(Failure::of_ours(format!(
            "there is no command `{0}`: `path` or `run`; to run a program of that name: tracer-interceptors run {0}",
            first.to_string_lossy()
        ))),
    }
}

/// One line to whoever reads.
fn say(line: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    written.map_err(|error| Failure::of_ours(format!("cannot write to standard output: {error}")))
}

const USAGE: &str = "\
Traces a program's librdkafka clients, whatever language it is written in.

  tracer-interceptors path                      prints where libtracer_interceptors.so is
  tracer-interceptors run [--] PROGRAM [ARG…]   runs a program with that library loaded (LD_PRELOAD)
  tracer-interceptors --help | --version

What is traced, and where spans go, is said by the file that INTERCEPTORS_CONFIG_FILE names; without it the OTEL_*
variables count. A program that is not dynamically linked takes the library by a property of its clients instead:

  plugin.library.paths = what `tracer-interceptors path` prints

`run` becomes the program, so its exit status is the program's; 127 if the program is not found, 126 if it cannot be started,
125 if anything else fails before that.
";
