//! `tracer-interceptors`: runs a program with the library, and answers what is traced, where it goes and why.
//!
//! The Python and the npm package bring this very file and start it, so that the words are the same everywhere.
//! `command_line` has the words that it takes; each command is a module of its own, with one function that obeys it.

#![deny(unsafe_code)]
// What cannot be written to standard error must not end the command: `output::note`.
#![deny(clippy::print_stderr)]

mod check;
mod command_line;
mod completions;
mod configuration;
mod doctor;
mod drain;
mod effective;
mod explain;
mod failure;
mod given_file;
mod hints;
#[expect(unsafe_code, reason = "it asks the C library, before Rust's own start-up changes the answer")]
mod inherited;
mod library;
mod manual;
mod migrate;
mod near_miss;
mod output;
mod place;
mod playground;
mod plugin_warnings;
mod plugins;
mod print_config;
mod reload;
mod rule_place;
mod run;
mod schema;
mod status;
mod terminal;
mod toml_text;
mod view;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::{env, io};

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use command_line::{Command, CommandLine};
use failure::Failure;

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().collect();
    let obeyed = match parsed(&words) {
        Ok(line) => obey(line.command),
        Err(error) => return misunderstood(&words, &error),
    };
    match obeyed {
        Ok(status) => status,
        Err(failure) => {
            output::note(&failure.what);
            ExitCode::from(failure.status)
        }
    }
}

fn parsed(words: &[OsString]) -> Result<CommandLine, clap::Error> {
    CommandLine::from_arg_matches(&command_line::command().try_get_matches_from(words)?)
}

/// Does what was asked for. What it found decides the exit status: see `command_line::EXIT_STATUS`.
fn obey(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check { file, no_plugins, format } => check::check(file.file.as_deref(), !no_plugins, format.format),
        Command::Completions { shell } => completions::print(shell),
        Command::Doctor { file, program, format } => doctor::doctor(file.file.as_deref(), &program, format.format),
        Command::Drain { folder, file, format } => drain::drain(&folder, file.file.as_deref(), format.format),
        Command::Explain(question) => explain::explain(&question),
        Command::Manual { folder } => manual::write(&folder),
        Command::Migrate { file } => migrate::migrate(&file),
        Command::Path => output::line(library::find()?.as_os_str().as_bytes()),
        Command::Playground { words } => Err(playground::become_it(&words)),
        Command::Plugins(asked) => plugins::answer(asked),
        Command::PrintConfig { file, no_plugins, format } => {
            print_config::print(file.file.as_deref(), !no_plugins, format.format)
        }
        Command::Reload { programs, format } => reload::reload(&programs, format.format),
        Command::Run { program } => Err(run::run(program)),
        Command::Schema { no_plugins } => schema::print(!no_plugins),
        Command::SendTest { backend, file, service, format } => {
            doctor::send(file.file.as_deref(), &backend, service.as_deref(), format.format)
        }
        Command::Status { paths, format } => status::status(&paths, format.format),
        Command::View(options) => view::view(options),
    }
}

/// What `--help` and `--version` print goes to standard output; words that mean nothing are told on standard error.
fn misunderstood(words: &[OsString], error: &clap::Error) -> ExitCode {
    let told = error.print();
    if let Some(hint) = hints::of(words, error) {
        let _ = io::stderr().write_all(format!("\n  hint: {hint}\n").as_bytes());
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match told {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(failure::OF_OURS),
        },
        // A status of 2 could be the program's own.
        _ if words.get(1).is_some_and(|word| word == "run") => ExitCode::from(failure::OF_OURS),
        _ => ExitCode::from(failure::MISUNDERSTOOD),
    }
}
