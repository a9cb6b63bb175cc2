//! The words that the command takes. Their comments are what `--help` says.

#![forbid(unsafe_code)]

use std::ffi::OsString;

use clap::{Parser, Subcommand};

/// Traces a program's librdkafka clients, whatever language it is written in.
///
/// What is traced, and where spans go, is said by the file that INTERCEPTORS_CONFIG_FILE names; without it the OTEL_*
/// variables count.
#[derive(Parser)]
#[command(name = "tracer-interceptors", version, after_long_help = EXIT_STATUS)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked for.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints where libtracer_interceptors.so is.
    ///
    /// It is a value for the client property plugin.library.paths, and one for LD_PRELOAD.
    Path,
    /// Lets a running program read its configuration again.
    ///
    /// The program's file has the section [reload]; whoever asks is the program's user, or root. What takes effect, or why
    /// it does not, is printed.
    Reload {
        /// The program's number, as ps shows it.
        #[arg(value_name = "PID")]
        process: u32,
    },
    /// Runs a program with the library loaded (LD_PRELOAD).
    ///
    /// This process becomes the program, so its exit status is the program's. A program that is not dynamically linked
    /// takes the library by the property plugin.library.paths of its clients instead.
    Run {
        /// The program and its arguments.
        #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
}

/// What the exit status says, for `--help` and the manual page.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0    done; nothing is wrong
  1    what was looked at is wrong, and standard output says what
  2    the words were not understood
  125  the command itself failed
  run  the program's own; 127 if it is not found, 126 if it cannot be started, 125 if anything else fails before that";
