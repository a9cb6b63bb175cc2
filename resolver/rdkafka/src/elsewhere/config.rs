//! Where a configuration would come from, and what would be said of it.

use std::path::PathBuf;

/// Where a configuration is to come from. Nothing is read here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file that `INTERCEPTORS_CONFIG_FILE` names, or, if it is unset, the `OTEL_*` variables.
    Process,
    /// This file; relative to the working directory.
    File(PathBuf),
    /// This text, TOML or the original JSON.
    Text {
        /// The path it counts as having.
        name: String,
        /// The whole text.
        text: String,
    },
}

/// The problems of a configuration: none, for none is looked for.
#[derive(Clone, Debug, Default)]
pub struct Report(());

impl Report {
    /// Never.
    pub fn has_errors(&self) -> bool {
        false
    }

    /// Nothing.
    pub fn render(&self, _color: bool) -> String {
        String::new()
    }
}
