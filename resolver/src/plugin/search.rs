//! Where a plugin's file may lie.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::load_error::LoadFailure;
use crate::config::{PluginEntry, Plugins};
use crate::trusted_path::{self, Doubt};

/// A file that would be taken, if it is there.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    /// Why it is not taken, even if it is there: anybody may have put it into its folder.
    pub(super) barred: Option<Doubt>,
}

/// The places to look at, in order.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) file_name: String,
    pub(super) candidates: Vec<Candidate>,
    /// True if the configuration names the file itself.
    pub(super) explicit: bool,
}

impl Search {
    /// Candidates for a plugin: the file its entry names, or `libtracer_plugin_NAME.so`, in `plugins.dirs` and then in
    /// `default_places`. Never the working directory, never `LD_LIBRARY_PATH`: both belong to whoever starts the
    /// process, the configuration to whoever answers for it. Never a folder that everybody may write to: what lies there
    /// was put there by anybody, even if its owner is right (a hard link keeps it). Unless `any_writer` is trusted.
    pub(super) fn new(
        name: &str,
        plugins: &Plugins,
        default_places: &[PathBuf],
        any_writer: bool,
    ) -> Result<Self, LoadFailure> {
        let file = entry(name, plugins).and_then(|entry| entry.file.clone());
        let explicit = file.is_some();
        let file = file.unwrap_or_else(|| PathBuf::from(default_file_name(name)));
        let file_name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if file.is_absolute() {
            return Ok(Self { file_name, candidates: vec![Candidate { path: file, barred: None }], explicit });
        }
        // "x/../y", "./y" and "" have other components, or none.
        if file.file_name() != Some(file.as_os_str()) {
            return Err(LoadFailure::RelativeFile(file));
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for dir in plugins.dirs.iter().chain(default_places).filter(|dir| dir.is_absolute()) {
            let path = dir.join(&file);
            if candidates.iter().all(|candidate| candidate.path != path) {
                let barred = if any_writer { None } else { trusted_path::open_to_everyone(dir) };
                candidates.push(Candidate { path, barred });
            }
        }
        Ok(Self { file_name, candidates, explicit })
    }

    /// Names of the plugins that lie in the places searched.
    pub(super) fn present(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .candidates
            .iter()
            .filter(|candidate| candidate.barred.is_none())
            .filter_map(|candidate| fs::read_dir(candidate.path.parent()?).ok())
            .flat_map(|dir| dir.filter_map(|entry| plugin_name(&entry.ok()?.file_name())).collect::<Vec<_>>())
            .collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(32);
        names
    }
}

/// The entry `[plugins.NAME]`.
pub(super) fn entry<'a>(name: &str, plugins: &'a Plugins) -> Option<&'a PluginEntry> {
    plugins.entries.iter().find(|entry| entry.name == name)
}

/// The places searched after those of the configuration: beside the code of ours that runs, and the system's.
///
/// `deps` is where cargo puts the shared objects a program depends on: in the folder of its binaries, beside the folder
/// of its examples. Both are searched like all others: not if everybody may write to them.
pub(super) fn default_places(own_folder: Option<&Path>) -> Vec<PathBuf> {
    let beside = own_folder.into_iter().flat_map(|folder| {
        let deps = if folder.ends_with("examples") { folder.with_file_name("deps") } else { folder.join("deps") };
        [folder.to_owned(), deps]
    });
    beside.chain(["/usr/local/lib/tracer-resolver", "/usr/lib/tracer-resolver"].map(PathBuf::from)).collect()
}

fn default_file_name(name: &str) -> String {
    format!("{PREFIX}{name}{SUFFIX}")
}

fn plugin_name(file_name: &OsStr) -> Option<String> {
    Some(file_name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.to_owned())
}

const PREFIX: &str = "libtracer_plugin_";
const SUFFIX: &str = ".so";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_cargo_and_its_examples_find_the_plugins_they_depend_on() {
        let places = |folder: &str| default_places(Some(Path::new(folder))).into_iter().take(2).collect::<Vec<_>>();
        assert_eq!(places("/t/release"), ["/t/release", "/t/release/deps"].map(PathBuf::from));
        assert_eq!(places("/t/release/examples"), ["/t/release/examples", "/t/release/deps"].map(PathBuf::from));
        assert_eq!(places("/usr/bin"), ["/usr/bin", "/usr/bin/deps"].map(PathBuf::from));
    }
}
