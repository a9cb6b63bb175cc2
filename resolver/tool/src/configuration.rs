//! The configuration that a command is about, and what it was made of.

#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracer_resolver::config::{self, DEFAULT_CONFIG, Loaded, Origin, Outline, Problem, Source, Variables};
use tracer_resolver::inspect::PluginSearch;

use crate::{given_file, library};

/// See the module.
pub(crate) struct Configuration {
    pub(crate) loaded: Loaded,
    /// What the file says, as it is written; empty without a file.
    pub(crate) written: Outline,
    /// The same of the manual, whose values are the defaults.
    pub(crate) defaults: Outline,
    /// The variables that were asked for, and are set.
    pub(crate) variables: Vec<String>,
    /// Whether what is doubtful counts as wrong.
    pub(crate) strict: bool,
}

impl Configuration {
    /// Of this file, else what the library would take in this environment.
    pub(crate) fn of(file: Option<&Path>) -> Self {
        let source = file.map_or(Source::Process, |path| Source::File(path.to_owned()));
        let seen = Arc::new(Mutex::new(Vec::<String>::new()));
        let notes = Arc::clone(&seen);
        let variables = Variables::process().watched(move |name| {
            let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
            if !seen.iter().any(|known| known == name) {
                seen.push(name.to_owned());
            }
        });
        let mut loaded = config::load_with(source, &variables);
        if loaded.config.is_none() {
            let named = file.map_or_else(|| env::var_os(VARIABLE).map(PathBuf::from), |file| Some(file.to_owned()));
            // What a reader of TOML says of another kind of file leads nowhere.
            if let Some((what, way_out)) = named.as_deref().and_then(given_file::no_configuration) {
                loaded.report.text.clear();
                loaded.report.problems = vec![Problem::error(NOT_A_FILE, what).help(way_out)];
            } else if let Some(program) = file.filter(|file| !file.exists()).and_then(given_file::program) {
                loaded.report.problems.iter_mut().for_each(|problem| problem.help = Some(program.clone()));
            }
        }
        let strict = config::strict(&Variables::process());
        // Editors on Windows write a byte order mark; the report's text is without it, as all places are.
        let written = Outline::of(&loaded.report.text);
        if let Some(config) = &mut loaded.config {
            config.origin = as_a_file(config.origin.clone(), &loaded.report.text);
        }
        let variables = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { loaded, written, defaults: Outline::of(DEFAULT_CONFIG), variables, strict }
    }

    /// As messages call it: the path as it was given, or `environment`.
    pub(crate) fn name(&self) -> &str {
        &self.loaded.report.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.loaded.report.text
    }

    pub(crate) fn is_toml(&self) -> bool {
        matches!(self.loaded.config.as_ref().map(|config| &config.origin), Some(Origin::File(_)))
    }

    /// Where the library would look for plugins. Without a library, where this program itself would.
    pub(crate) fn plugin_search(&self) -> PluginSearch {
        plugin_search(self.strict)
    }
}

/// Names the file where nobody gives one.
const VARIABLE: &str = "INTERCEPTORS_CONFIG_FILE";
/// The engine's code for what is no file of its kind.
const NOT_A_FILE: &str = "C003";

/// What came out of a pipe is shown as what a file of the same text says.
fn as_a_file(origin: Origin, text: &str) -> Origin {
    match origin {
        Origin::Once(path) if text.trim_start().starts_with('{') => Origin::LegacyFile(path),
        Origin::Once(path) => Origin::File(path),
        other => other,
    }
}

/// The same without a configuration.
pub(crate) fn plugin_search(strict: bool) -> PluginSearch {
    let library = library::find().ok();
    PluginSearch::new(library.as_deref().and_then(Path::parent), strict)
}
