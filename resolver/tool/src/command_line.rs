//! The words that the command takes. Their comments are what `--help` says.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
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

/// What can be asked for. What people need first stands first: [`GROUPS`] is how `--help` shows it.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs a program with the library loaded (LD_PRELOAD).
    ///
    /// This process becomes the program, so its exit status is the program's. A program that is not dynamically linked
    /// takes the library by the property plugin.library.paths of its clients instead.
    Run {
        /// The program and its arguments.
        #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// Tries every backend, and says what would happen to a program.
    ///
    /// Each backend of the configuration is looked at step by step: plugin, settings, name, port, and one span of the service
    /// tracer-interceptors that calls itself a test. Of a program nothing is run. Exit status 1: something failed.
    Doctor {
        #[command(flatten)]
        file: File,
        /// A program and its arguments, behind --.
        #[arg(value_name = "PROGRAM", last = true)]
        program: Vec<OsString>,
        #[command(flatten)]
        format: Output,
    },
    /// Checks the configuration, and runs its own [[test]] blocks.
    ///
    /// Shows all that the library would refuse or doubt. The plugins of the backends are loaded, and check their settings; nothing is sent. Exit status 1: there is an
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
    /// Explains what becomes of the messages of a topic.
    ///
    /// Says which rule wins, why each other loses, which settings hold then and where they stand, and what becomes of the
    /// trace that a message's headers name. Exit status 1: no span is made of such a message.
    Explain(Explain),
    /// Shows what running programs say: topics, backends, losses.
    ///
    /// Programs that are started with INTERCEPTORS_STATUS=FILE write it there every other second, and at their end. Exit
    /// status 1: a process is gone without an end, does not trace, or a backend does not take its spans.
    Status {
        /// Status files, or folders of them; without any, what INTERCEPTORS_STATUS names here. {pid} in a name stands for all.
        #[arg(value_name = "FILE|FOLDER")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        format: Output,
    },
    /// Shows traces: as trees in the terminal, or as a page.
    ///
    /// They come from a file of OTLP/JSON lines, or by OTLP/HTTP.
    View(crate::view::Options),
    /// Sends one span to a backend, and prints its trace id.
    ///
    /// The span calls itself a test. It goes through the backend's own plugin, as a program's spans do, and is of the first
    /// service of the configuration unless another is named. Exit status 1: it did not arrive.
    SendTest {
        /// The backend's name in the configuration.
        backend: String,
        #[command(flatten)]
        file: File,
        /// The service that the span is of.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        #[command(flatten)]
        format: Output,
    },
    /// Prints all that is in effect, each value with its origin.
    ///
    /// It is TOML that means the same. Secrets are never printed: neither what a reference stands for, nor what a plugin calls secret.
    PrintConfig {
        #[command(flatten)]
        file: File,
        /// Loads no plugin; then no text of a plugin's settings is printed, since any may be secret.
        #[arg(long)]
        no_plugins: bool,
        #[command(flatten)]
        format: Output,
    },
    /// Lists, describes, pins, checks, runs and begins plugins.
    #[command(subcommand, alias = "plugin")]
    Plugins(Plugins),
    /// Prints the JSON Schema of the configuration, for editors.
    ///
    /// The schemas of the installed plugins are in it. Write `#:schema ./tracing.schema.json` into the first line of the file.
    Schema {
        /// Loads no plugin; the settings of every plugin are then anything.
        #[arg(long)]
        no_plugins: bool,
    },
    /// Rewrites the JSON file of the Java interceptors of 2019 as TOML.
    ///
    /// The TOML means the same as the JSON does here and now. Every meaning that is not simply kept is told on standard
    /// error, and stands in a comment.
    Migrate {
        /// The JSON file.
        #[arg(value_name = "OLD.json")]
        file: PathBuf,
    },
    /// Prints where libtracer_interceptors.so is.
    ///
    /// It is a value for the client property plugin.library.paths, and one for LD_PRELOAD.
    Path,
    /// Starts a Kafka and a collector here, to try tracing with.
    ///
    /// It draws each trace that comes. It is a program of its own, an example of the project, which lies beside this one where it was
    /// built: `playground --help` is its own. This process becomes it, so its exit status is the playground's.
    #[command(disable_help_flag = true)]
    Playground {
        /// The playground's own words; a program and its arguments, for one.
        #[arg(value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Prints what a shell needs to complete these words.
    ///
    /// For bash: tracer-interceptors completions bash > ~/.local/share/bash-completion/completions/tracer-interceptors
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Sends what programs that ended have left in a spool.
    ///
    /// It goes by the backends of the configuration, each of which has its own in there. What belongs to programs that run stays
    /// theirs. Exit status 1: not all of it was sent, or looked at.
    Drain {
        /// The folder that `spool` of a backend names.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        format: Output,
    },
    /// Lets running programs read their configuration again.
    ///
    /// The program's file has a section `reload`; whoever asks is the program's user, or root. What takes effect, or why
    /// it does not, is printed. The exit status is 1 if a program refuses what its file says.
    Reload {
        /// A program's number, as ps shows it; or a status file (INTERCEPTORS_STATUS) or a folder of them: all programs
        /// that run and wrote one.
        #[arg(value_name = "PID|FILE", required = true)]
        programs: Vec<PathBuf>,
        #[command(flatten)]
        format: Output,
    },
    /// Writes the manual pages into a folder.
    #[command(hide = true)]
    Manual {
        /// The folder, which must exist.
        folder: PathBuf,
    },
}

/// The command as a whole, with its words in [`GROUPS`].
pub(crate) fn command() -> clap::Command {
    let command = CommandLine::command();
    let about = |word: &str| match command.find_subcommand(word).and_then(clap::Command::get_about) {
        Some(about) => about.to_string(),
        // Clap's own, which it adds later.
        None => "Prints this, or all about one of these words".to_owned(),
    };
    let groups = GROUPS.iter().map(|(title, words)| {
        let lines = words.iter().map(|word| format!("  {word:<12}  {}\n", about(word)));
        format!("{title}:\n{}", lines.collect::<String>())
    });
    let groups = groups.collect::<Vec<_>>().join("\n");
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\nOptions:\n{{options}}{{after-help}}");
    command.help_template(template)
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
    /// Checks the file of a plugin against the contract, tracer_plugin.h.
    ///
    /// Every rule is tried in a process of its own, against a collector that the check opens itself. Exit status 1: a rule
    /// is broken.
    Check(PluginCheck),
    /// Describes one plugin: its file, its version, and every setting.
    Describe {
        /// The plugin's name, `otlp` for example; or its file, as it is built.
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
    /// Begins a plugin: a project that builds, passes `check`, and has a test.
    New(PluginNew),
    /// Tries one rule in this process.
    #[command(name = "check-one-rule", hide = true)]
    OneRule,
    /// Prints the lines that pin the plugins of the configuration to the files that lie there now.
    ///
    /// A plugin that is not the pinned file is not loaded. Where no configuration names any, all that are installed.
    Pin {
        #[command(flatten)]
        file: File,
    },
    /// Exports batches through the file of a plugin, without Kafka, and prints every call.
    ///
    /// Exit status 1: not every span was sent.
    Run(PluginRun),
}

/// Which file, and with which settings.
#[derive(Args)]
pub(crate) struct PluginFile {
    /// The plugin's file, libtracer_plugin_NAME.so.
    pub(crate) file: PathBuf,
    /// Its settings as a JSON object, or @FILE. {endpoint} in it is the address of the check's own collector, http://IP:PORT;
    /// {address} the same as IP:PORT; {folder} an empty folder. Without it, keys `endpoint` and `path` of its schema are set.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,
}

/// See [`Plugins::Check`].
#[derive(Args)]
pub(crate) struct PluginCheck {
    #[command(flatten)]
    pub(crate) plugin: PluginFile,
    /// Only this rule; may be repeated.
    #[arg(long = "rule", value_name = "NAME")]
    pub(crate) rules: Vec<String>,
    #[command(flatten)]
    pub(crate) format: Output,
}

/// See [`Plugins::Run`].
#[derive(Args)]
pub(crate) struct PluginRun {
    #[command(flatten)]
    pub(crate) plugin: PluginFile,
    /// How many spans, in batches of 100.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) spans: u32,
    /// Of how many services they are.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) services: u32,
    /// What goes wrong meanwhile; several are separated by commas.
    #[arg(long = "fault", value_enum, value_delimiter = ',')]
    pub(crate) faults: Vec<PluginFault>,
    #[command(flatten)]
    pub(crate) format: Output,
}

/// See [`PluginRun`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginFault {
    /// The backend answers 503 every other time; without the collector, every other batch comes twice.
    Retry,
    /// The backend is slow, and every other call has too little time.
    Slow,
    /// In the middle the process forks; the child exports a batch of its own.
    Fork,
}

/// See [`Plugins::New`].
#[derive(Args)]
pub(crate) struct PluginNew {
    /// What `plugin = "…"` of a configuration will say: a small letter, then small letters, digits, - and _.
    pub(crate) name: String,
    /// The language.
    #[arg(long, value_enum)]
    pub(crate) lang: PluginLanguage,
    /// The folder, which must not exist yet, or be empty; by default tracer-plugin-NAME.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// See [`PluginNew`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginLanguage {
    /// Safe Rust; the crate that it needs is brought along.
    Rust,
    /// C99.
    C,
    /// C++11.
    Cpp,
    /// Go, by cgo.
    Go,
    /// Zig.
    Zig,
}

/// Also as HTTP writes it, `NAME: VALUE`; a name has neither colon nor blank.
fn header(text: &str) -> Result<(String, String), String> {
    let parted = match (text.split_once('='), text.split_once(": ")) {
        (Some((name, _)), Some((other, value))) if other.len() < name.len() => Some((other, value)),
        (None, http) => http,
        (parted, _) => parted,
    };
    match parted {
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
  run  the program's own; 127: it is not found; 126: it cannot be started";

/// The words in the order of `--help`, under what one wants with them. Each one is in one of them.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("Trace a program", &["run", "reload", "drain", "playground"]),
    ("Ask why, before and while it runs", &["doctor", "check", "explain", "status", "view", "send-test"]),
    ("Look into the configuration", &["print-config", "plugins", "schema", "migrate"]),
    ("Set it up", &["path", "completions", "help"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_word_once_under_what_one_wants_with_it() {
        let mut named: Vec<_> = GROUPS.iter().flat_map(|(_, words)| *words).copied().collect();
        let command = CommandLine::command();
        let shown = command.get_subcommands().filter(|word| !word.is_hide_set()).map(clap::Command::get_name);
        let mut words: Vec<_> = shown.chain(["help"]).collect();
        named.sort_unstable();
        words.sort_unstable();
        assert_eq!(named, words);
    }
}
