//! The manual pages, one for the command and one for each of its words: made of what `--help` says, when it is packaged.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::command_line::{CommandLine, EXIT_STATUS};
use crate::failure::Failure;

/// Writes `NAME.1` for the command, and `NAME-WORD.1` for each word.
pub(crate) fn write(folder: &Path) -> Result<ExitCode, Failure> {
    let mut command = CommandLine::command().after_long_help("").disable_help_subcommand(true);
    command = command.mut_subcommand("plugins", |plugins| plugins.disable_help_subcommand(true));
    command.build();
    page(folder, &command, true)?;
    for word in command.get_subcommands().filter(|word| !word.is_hide_set()) {
        page(folder, word, false)?;
        for inner in word.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            page(folder, inner, false)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn page(folder: &Path, command: &Command, is_whole: bool) -> Result<(), Failure> {
    // The words are joined by dashes: `tracer-interceptors-check`.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    let rendered = render(command, is_whole, &mut page);
    rendered
        .and_then(|()| fs::write(&path, page))
        .map_err(|error| Failure::of_ours(format!("cannot write the manual page {}: {error}", path.display())))
}

fn render(command: &Command, is_whole: bool, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).manual("User Commands").source("tracer-resolver");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(page)?;
    }
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(page)?;
    }
    if is_whole {
        surroundings().to_writer(page)?;
    }
    Ok(())
}

/// What stands around the command: variables, files, exit status.
fn surroundings() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in VARIABLES {
        roff.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["FILES"]);
    for (name, meaning) in FILES {
        roff.control("TP", []).text([italic(*name)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for line in EXIT_STATUS.lines().skip(1) {
        let (status, meaning) = line.trim().split_once(' ').unwrap_or((line, ""));
        roff.control("TP", []).text([bold(status)]).text([roman(meaning.trim())]);
    }
    roff
}

const VARIABLES: &[(&str, &str)] = &[
    (
        "INTERCEPTORS_CONFIG_FILE",
        "names the file that says what is traced, and where spans go. Without it, the OTEL_* variables of OpenTelemetry count.",
    ),
    (
        "INTERCEPTORS_DISABLED",
        "if 1 or true, nothing is traced in this process, whatever a file or other variables say.",
    ),
    (
        "INTERCEPTORS_STRICT",
        "if 1 or true, a file with a mistake stops the program's clients from being made; and `check` calls an error what \
         is otherwise a doubt about who may change a file.",
    ),
    (
        "INTERCEPTORS_ALLOW_WORLD_WRITABLE",
        "if 1 or true, the file and the plugins may be such as everybody may write to, as on a mount of Docker Desktop.",
    ),
    (
        "INTERCEPTORS_STATUS",
        "names the file in which a program says how it is, for `status`. {pid} in it is the number of its process.",
    ),
    ("NO_COLOR", "if set, nothing is printed in colours."),
    ("OTEL_LOG_LEVEL", "how much the library says on standard error: none, error, warn (the default), info, debug."),
];

const FILES: &[(&str, &str)] = &[
    ("/usr/share/tracer-resolver/default-config.toml", "every key of the file, its default and its meaning."),
    ("/usr/lib/tracer-resolver", "the library, and the plugins for the backends."),
    ("/usr/include/tracer-resolver/tracer_plugin.h", "for plugins of your own; tracer_plugin.hpp for those in C++."),
];
