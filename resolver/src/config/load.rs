//! From a source to a checked configuration and a report.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::check::build;
use super::draft::config::ConfigDraft;
use super::environment::{service, switches};
use super::legacy;
use super::model::{Config, Origin, Reload, Untrusted};
use super::reading::variable_reader::VariableReader;
use super::report::code;
use super::report::findings::Findings;
use super::report::problem::{Problem, Report, Severity};
use super::source::file::{self, FileText};
use super::source::variables::Variables;
use super::source::yes_or_no::{ANY_WRITER, doubtful, is_yes, strict};
use super::toml_file::{default_config, document};
use crate::trusted_path;

/// Where a configuration is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file that `INTERCEPTORS_CONFIG_FILE` names, or, if it is unset, the `OTEL_*` variables. Nothing with
    /// `INTERCEPTORS_DISABLED=1`.
    Process,
    /// This file; relative to the working directory.
    File(PathBuf),
    /// This text, TOML or the original JSON.
    Text {
        /// The path it counts as having: errors name it, and relative plugin directories are relative to its folder.
        name: String,
        /// The whole text.
        text: String,
    },
}

/// What came of loading.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// `None` when tracing is off: the report holds either an error that says why nothing of the source can be
    /// trusted, or a note that nothing is configured.
    pub config: Option<Config>,
    /// Every problem found, in one run.
    pub report: Report,
    /// What is left to check when nothing is to be used, so that a mistake about a plugin is told in the same run.
    pub untrusted: Option<Untrusted>,
}

/// Loads a configuration with the environment of this process.
///
/// Reads files; call it at start-up, not on Kafka's threads. Never panics and never prints.
///
/// Lenient: what cannot be trusted is left out or switched off, and the report says so. A caller that wants to be
/// strict (see [`strict`](super::strict)) refuses when [`Report::has_errors`].
///
/// With `INTERCEPTORS_DISABLED=1` nothing is loaded, whatever the source.
pub fn load(source: Source) -> Loaded {
    let variables = Variables::process();
    // Whoever runs a program has the last word, also over a file that the program itself names.
    let source = if switches::disabled(&variables).is_some() { Source::Process } else { source };
    load_with(source, &variables)
}

/// The same with other variables than those of the process; with [`Source::Process`] they can turn it off.
pub fn load_with(source: Source, variables: &Variables) -> Loaded {
    match source {
        Source::Process => {
            let mut loaded = process(variables);
            loaded.report.problems.extend(doubtful(variables));
            loaded
        }
        Source::File(path) => named_file(&path, variables),
        Source::Text { name, text } => read_text(&name.clone(), Path::new(&name), text, variables),
    }
}

fn process(variables: &Variables) -> Loaded {
    if variables.are_withheld() {
        let message = "this process has more rights than whoever started it, so its environment is not used: \
                       tracing is off";
        let help = "name the file in the program itself, or run the program without setuid or file capabilities";
        return without_config(Problem::warning(code::SECURE_EXECUTION, message).help(help), "environment");
    }
    if let Some(note) = switches::disabled(variables) {
        return without_config(note, "environment");
    }
    match variables.raw(FILE_VARIABLE) {
        None => environment(variables),
        Some(path) if path.is_empty() => {
            let message = format!("{FILE_VARIABLE} is set, but names no file: tracing is off");
            let help = format!("name a file, or unset {FILE_VARIABLE} to be configured by OTEL_* variables");
            without_config(Problem::error(code::NAMED_BUT_EMPTY, message).help(help), "environment")
        }
        Some(path) => {
            let mut loaded = named_file(Path::new(&path), variables);
            for problem in &mut loaded.report.problems {
                if problem.code == code::NOT_FOUND && problem.help.is_none() {
                    problem.help =
                        Some(format!("correct {FILE_VARIABLE}, or unset it to be configured by OTEL_* variables"));
                }
            }
            if let Some(note) = switches::note_ignored(&loaded.report.text, variables) {
                loaded.report.push(note);
            }
            loaded
        }
    }
}

fn named_file(path: &Path, variables: &Variables) -> Loaded {
    let name = path.display().to_string();
    let any_writer = allows_world_writable(variables);
    let FileText { text, is_once, is_anonymous } = match file::read(path, any_writer) {
        Ok(read) => read,
        Err(problem) => return without_config(*problem, &name),
    };
    // Asked after the file was opened, so that the answer is about what was read.
    let doubt = if is_anonymous { None } else { trusted_path::doubt(path, any_writer) };
    let mut loaded = read_text(&name, path, text, variables);
    if let Some(config) = loaded.config.as_mut().filter(|_| is_once) {
        if config.reload.enabled {
            loaded.report.push(Problem { severity: Severity::Warning, ..file::read_once(path) });
        }
        config.origin = Origin::Once(path.to_owned());
        config.reload = Reload::OFF;
    }
    if let Some(doubt) = doubt {
        let message = format!("this file may be changed by somebody who should not: {doubt}");
        let problem = if strict(variables) {
            Problem::error(code::UNTRUSTED_PATH, message)
        } else {
            Problem::warning(code::UNTRUSTED_PATH, message)
        };
        loaded.report.push(problem.help(doubt.help()));
    }
    loaded
}

/// No file is named: what the variables say.
fn environment(variables: &Variables) -> Loaded {
    let mut findings = Findings::new("environment", "");
    let draft = match switches::off(variables) {
        Some(note) => {
            findings.mention(note);
            None
        }
        None => default_config::defaults(&mut findings).ok().and_then(|defaults| {
            let mut reader = VariableReader { variables, findings: &mut findings };
            if switches::is_on(variables) {
                Some(service::read(&defaults, &mut reader))
            } else {
                legacy::from_variables::read(defaults, &mut reader)
            }
        }),
    };
    checked(draft, Origin::Environment, variables, findings)
}

fn read_text(name: &str, path: &Path, text: String, variables: &Variables) -> Loaded {
    // Editors on Windows write a byte order mark, and do not show it.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let mut findings = Findings::new(name, text.as_str());
    // Without a working directory the path stays as it is; so do the plugin directories, which then are refused.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is_legacy = text.trim_start().starts_with('{');
    let draft = default_config::defaults(&mut findings).ok().and_then(|defaults| {
        if is_legacy {
            return legacy::document::read(&text, variables, defaults, &mut findings);
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        document::read(&text, folder, variables, &defaults, &mut findings)
    });
    let origin = if is_legacy { Origin::LegacyFile(path) } else { Origin::File(path) };
    checked(draft, origin, variables, findings)
}

/// What comes of a draft, if a reader could make one.
fn checked(draft: Option<ConfigDraft>, origin: Origin, variables: &Variables, mut findings: Findings) -> Loaded {
    let draft = draft.map(|mut draft| {
        draft.plugins.allow_world_writable |= allows_world_writable(variables);
        draft
    });
    let built = draft.ok_or(None).and_then(|draft| build::config(draft, origin, &mut findings));
    let (config, untrusted) = match built {
        Ok(config) => (Some(config), None),
        Err(untrusted) => (None, untrusted),
    };
    Loaded { config, report: findings.into_report(), untrusted }
}

fn without_config(problem: Problem, name: &str) -> Loaded {
    let mut report = Report::new(name, "");
    report.push(problem);
    Loaded { config: None, report, untrusted: None }
}

/// The file named by a variable, if there is one.
pub(crate) fn file_of(variables: &Variables) -> Option<PathBuf> {
    variables.raw(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The text of a file, or why there is none, for whoever looks if it has changed. Not for a pipe, which has given it away.
pub(crate) fn file_text(path: &Path) -> Result<String, Box<Problem>> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Box::new(file::read_once(path)));
    }
    // Whoever may write to it is asked when it is read for its meaning.
    file::read(path, true).map(|read| read.text)
}

/// Said where a configuration that there was is gone, and no error explains it.
pub(crate) fn nothing() -> Problem {
    Problem::error(code::NOT_CONFIGURED, "nothing is configured any more").help("the other lines say why")
}

/// Whether the variables say that the modes of files say nothing.
///
/// A file that everybody may write to cannot vouch for itself, so this is no key of its own: whoever sets the environment
/// answers for the process already.
fn allows_world_writable(variables: &Variables) -> bool {
    is_yes(variables, ANY_WRITER)
}

/// Names the file, as in 2019.
const FILE_VARIABLE: &str = "INTERCEPTORS_CONFIG_FILE";
