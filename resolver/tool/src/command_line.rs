//! The words that the command takes. Their comments are what `--help` says.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Traces a program's librdkafka clients, whatever language it is written in, and says what is traced and why.
///
/// What is traced, and where spans go, is said by the file that INTERCEPTORS_CONFIG_FILE names; without it the OTEL_*
/// variables count.
#[derive(Parser)]
#[command(name = "tracer-interceptors", version, after_long_help = EXIT_STATUS)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked for. In the order of the alphabet.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Checks the configuration: shows all that the library would refuse or doubt, and runs the file's own [[test]] blocks.
    ///
    /// The plugins of the backends are loaded, and check their settings; nothing is sent. Exit status 1: there is an
    /// error, or a test failed.
    Check {
        #[command(flatten)]
        file: File,
        /// Loads no plugin; their settings are not checked.
        #[arg(long)]
        no_plugins: bool,
        #[command(flatten)]
        format: Output,
    },
    /// Prints what a shell needs to complete the words of this command.
    ///
    /// For bash: tracer-interceptors completions bash > ~/.local/share/bash-completion/completions/tracer-interceptors
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Explains what becomes of the messages of one topic: which rule wins, why each other loses, and what holds then.
    ///
    /// Exit status 1: no span is made of such a message.
    Explain(Explain),
    /// Writes the manual pages into a folder.
    #[command(hide = true)]
    Manual {
        /// The folder, which must exist.
        folder: PathBuf,
    },
    /// Rewrites the JSON file of 2019 as TOML.
    ///
    /// The TOML means the same as the JSON does here and now. Every meaning that is not simply kept is told on standard
    /// error, and stands in a comment.
    Migrate {
        /// The JSON file.
        #[arg(value_name = "OLD.json")]
        file: PathBuf,
    },
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
    /// Lists, describes and pins the plugins that are installed.
    #[command(subcommand)]
    Plugins(Plugins),
    /// Prints all that is in effect, as TOML, each value with where it comes from.
    ///
    /// Secrets are never printed: neither what a reference stands for, nor what a plugin calls secret.
    PrintConfig {
        #[command(flatten)]
        file: File,
        /// Loads no plugin; then no text of a plugin's settings is printed, since any may be secret.
        #[arg(long)]
        no_plugins: bool,
        #[command(flatten)]
        format: Output,
    },
    /// Lets running programs read their configuration again.
    ///
    /// The program's file has the section [reload]; whoever asks is the program's user, or root. What takes effect, or why
    /// it does not, is printed. The exit status is 1 if a program refuses what its file says.
    Reload {
        /// A program's number, as ps shows it; or a status file (INTERCEPTORS_STATUS) or a folder of them: all programs
        /// that run and wrote one.
        #[arg(value_name = "PID|FILE", required = true)]
        programs: Vec<PathBuf>,
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
    /// Prints the JSON Schema of the configuration file, with the schemas of the installed plugins in it.
    ///
    /// For editors: write `#:schema ./tracing.schema.json` into the first line of the file.
    Schema {
        /// Loads no plugin; the settings of every plugin are then anything.
        #[arg(long)]
        no_plugins: bool,
    },
    /// Sends one span to a backend, and prints its trace id.
    ///
    /// The span calls itself a test. It goes through the backend's own plugin, as a program's spans do, and is of the first
    /// service of the configuration unless another is named. Exit status 1: it did not arrive.
    SendTest {
        /// The backend's name in the configuration.
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
    /// Shows traces, from a file of OTLP/JSON lines or by OTLP/HTTP: as trees in the terminal, or as a page.
    View(crate::view::Options),
}

/// Which configuration is meant.
#[derive(Args)]
pub(crate) struct File {
    /// The configuration file; without it, what INTERCEPTORS_CONFIG_FILE names, else the OTEL_* variables.
    pub(crate) file: Option<PathBuf>,
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

/// The message that is asked about.
#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) file: File,
    /// The topic.
    #[arg(long)]
    pub(crate) topic: String,
    /// Only what happens when it is sent.
    #[arg(long, conflicts_with = "consume")]
    pub(crate) produce: bool,
    /// Only what happens when it is received.
    #[arg(long)]
    pub(crate) consume: bool,
    /// The client's client.id.
    #[arg(long, default_value = "rdkafka", value_name = "ID")]
    pub(crate) client_id: String,
    /// The consumer's group.id.
    #[arg(long, value_name = "ID")]
    pub(crate) group_id: Option<String>,
    /// A header that the message has, `traceparent=00-…` for example; may be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) format: Output,
}

/// What can be asked of plugins. In the order of the alphabet.
#[derive(Subcommand)]
pub(crate) enum Plugins {
    /// Describes one plugin: its file, its version, and every setting.
    Describe {
        /// The plugin's name, `otlp` for example.
        name: String,
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        format: Output,
    },
    /// Lists the plugins that are there. Exit status 1: one of them cannot be used.
    List {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        format: Output,
    },
    /// Prints the lines that pin the plugins of the configuration to the files that lie there now.
    ///
    /// A plugin that is not the pinned file is not loaded. Where no configuration names any, all that are installed.
    Pin {
        #[command(flatten)]
        file: File,
    },
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a header is written NAME=VALUE".to_owned()),
    }
}

/// What the exit status says, for `--help` and the manual page.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0    done; nothing is wrong
  1    what was looked at is wrong, and standard output says what
  2    the words were not understood
  125  the command itself failed
  run  the program's own; 127 if it is not found, 126 if it cannot be started, 125 if anything else fails before that";
