//! The words that the command takes. Their comments are what `--help` says.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Tries every backend for real, and says of a program what would happen to it.
    ///
    /// Each backend of the configuration is looked at step by step: plugin, settings, name, port, and one span of the service
    /// tracer-interceptors that calls itself a test. Of a program nothing is run. Exit status 1: something failed.
    Doctor {
        /// A program and its arguments, after --.
        #[arg(value_name = "PROGRAM", last = true)]
        program: Vec<OsString>,
        #[command(flatten)]
        format: Output,
    },
    /// Prints where libtracer_interceptors.so is.
    ///
    /// It is a value for the client property plugin.library.paths, and one for LD_PRELOAD.
    Path,
    /// Runs a program with the library loaded (LD_PRELOAD).
    ///
    /// This process becomes the program, so its exit status is the program's. A program that is not dynamically linked
    /// takes the library by the property plugin.library.paths of its clients instead.
    Run {
        /// The program and its arguments.
        #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// Sends one span to a backend, and prints its trace id.
    ///
    /// The span calls itself a test. It goes through the backend's own plugin, as a program's spans do, and is of the first
    /// service of the configuration unless another is named. Exit status 1: it did not arrive.
    SendTest {
        /// The backend's name under [backends].
        backend: String,
        /// The service that the span is of.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        #[command(flatten)]
        format: Output,
    },
    /// Shows what programs say of themselves: topics, services, backends, losses.
    ///
    /// Programs that are started with INTERCEPTORS_STATUS=FILE write it there every other second, and at their end. Exit
    /// status 1: a process is gone without an end, does not trace, or a backend does not take its spans.
    Status {
        /// Status files, or folders of them.
        #[arg(value_name = "FILE|FOLDER", required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        format: Output,
    },
}

/// How it is printed.
#[derive(Args)]
pub(crate) struct Output {
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// See [`Output`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people; colours only on a terminal, and not if NO_COLOR is set.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What the exit status says, for `--help` and the manual page.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0    done; nothing is wrong
  1    what was looked at is wrong, and standard output says what
  2    the words were not understood
  125  the command itself failed
  run  the program's own; 127 if it is not found, 126 if it cannot be started, 125 if anything else fails before that";
