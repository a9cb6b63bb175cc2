//! Why a plugin could not be loaded, said so that an operator can act on it.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::{self, Display, Formatter, Write};
use std::io;
use std::path::{Path, PathBuf};

use super::table;
use crate::trusted_path::Doubt;

/// A plugin that is not there, or is not what it should be.
#[derive(Debug)]
pub(crate) struct LoadError {
    /// The plugin's name in the configuration.
    pub(crate) plugin: String,
    /// What is wrong.
    pub(crate) failure: LoadFailure,
}

/// A place where a plugin was looked for in vain.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    /// The file that would have been taken.
    pub(crate) path: PathBuf,
    /// Why it was not.
    pub(crate) reason: String,
}

/// What is wrong with a plugin.
#[derive(Debug)]
pub(crate) enum LoadFailure {
    /// `file` is a path, but not an absolute one.
    RelativeFile(PathBuf),
    /// The file is in none of the places.
    NotFound {
        /// The file looked for.
        file_name: String,
        /// Where, and why not there.
        tried: Vec<Tried>,
        /// Names of plugins that are there.
        present: Vec<String>,
        /// How to make the first place one to be searched that has the file, but is none.
        barred: Option<String>,
    },
    /// There, but it cannot be read.
    Unreadable(PathBuf, io::Error),
    /// There, but a folder, a pipe or the like.
    NotAFile(PathBuf, &'static str),
    /// Somebody else may change it, or put another file in its place; refused only when strict.
    Untrusted(PathBuf, Doubt),
    /// Not the bytes that the configuration pins.
    PinMismatch {
        /// The file.
        path: PathBuf,
        /// As configured.
        expected: [u8; 32],
        /// Of the file.
        found: [u8; 32],
    },
    /// Another file than the one that this process has loaded from this path.
    ChangedOnDisk(PathBuf),
    /// The process that this one was forked from was loading it: here, half of it is.
    HalfLoaded(PathBuf),
    /// The system's loader refuses it.
    NotLoadable(PathBuf, String),
    /// The system's loader answered with another library.
    OtherLibrary(PathBuf),
    /// A library, but no plugin.
    NoSymbol(PathBuf),
    /// A plugin for another major version of the ABI.
    OtherAbi(PathBuf, u32),
    /// A plugin that does not want a host as old as this.
    HostTooOld(PathBuf),
    /// A plugin that breaks the contract; every way in which it does.
    Defective(PathBuf, Vec<String>),
}

impl LoadFailure {
    /// `from_memory`: a copy was to be loaded, because the file is pinned.
    pub(super) fn not_loadable(file: &Path, error: String, from_memory: bool) -> Self {
        let lacks_another = error.contains("cannot open shared object file");
        let note = if from_memory && lacks_another { FROM_MEMORY } else { "" };
        Self::NotLoadable(file.to_owned(), error + note)
    }
}

impl LoadError {
    pub(super) fn new(plugin: &str, failure: LoadFailure) -> Self {
        Self { plugin: plugin.to_owned(), failure }
    }

    /// A short stable name for this class of problem.
    pub(crate) fn code(&self) -> &'static str {
        match self.failure {
            LoadFailure::RelativeFile(_) | LoadFailure::NotFound { .. } => "P101",
            LoadFailure::OtherAbi(..) | LoadFailure::HostTooOld(_) => "P102",
            LoadFailure::ChangedOnDisk(_) | LoadFailure::OtherLibrary(_) => "P103",
            LoadFailure::PinMismatch { .. } => "P104",
            LoadFailure::Unreadable(..) | LoadFailure::NotAFile(..) | LoadFailure::NotLoadable(..) => "P105",
            LoadFailure::HalfLoaded(_) => "P105",
            LoadFailure::NoSymbol(_) | LoadFailure::Defective(..) => "P106",
            LoadFailure::Untrusted(..) => "P108",
        }
    }

    /// What is wrong, beginning with the plugin's name. May have several lines, one for each thing tried or found.
    pub(crate) fn message(&self) -> String {
        let problem = match &self.failure {
            LoadFailure::RelativeFile(path) => {
                format!("`{}` is neither an absolute path nor a bare file name", path.display())
            }
            LoadFailure::NotFound { file_name, tried, .. } => {
                let mut text = format!("{file_name} is in none of the places searched:");
                for Tried { path, reason } in tried {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\n  {}: {reason}", path.display());
                }
                text
            }
            LoadFailure::Unreadable(path, error) => format!("{} cannot be read: {error}", path.display()),
            LoadFailure::NotAFile(path, what) => format!("{} is {what}, not a file", path.display()),
            LoadFailure::Untrusted(path, doubt) => {
                format!("{} may be changed by somebody who should not: {doubt}", path.display())
            }
            LoadFailure::PinMismatch { path, expected, found } => format!(
                "{} does not have the pinned sha256:\n  pinned: {}\n  found:  {}",
                path.display(),
                hex::encode(expected),
                hex::encode(found)
            ),
            LoadFailure::ChangedOnDisk(path) => {
                format!("{} has changed since this process loaded it; loaded code cannot be replaced", path.display())
            }
            LoadFailure::HalfLoaded(path) => format!(
                "{} was being loaded when this process was forked, and cannot be used here: half of it is in memory",
                path.display()
            ),
            LoadFailure::NotLoadable(path, error) => format!("{} cannot be loaded: {error}", path.display()),
            LoadFailure::OtherLibrary(path) => {
                format!("loading {} gave another library than the one that was checked", path.display())
            }
            LoadFailure::NoSymbol(path) => {
                format!("{} is a library, but no plugin: it has no symbol tracer_plugin_v1", path.display())
            }
            LoadFailure::OtherAbi(path, abi) => format!("{} speaks ABI {abi}, this host speaks ABI 1", path.display()),
            LoadFailure::HostTooOld(path) => {
                format!("{} refuses this host, which speaks ABI 1.0: it needs a newer one", path.display())
            }
            LoadFailure::Defective(path, defects) => {
                let mut text = format!("{} breaks the plugin contract:", path.display());
                for defect in defects {
                    let _ = write!(text, "\n  {defect}");
                }
                text
            }
        };
        format!("plugin `{}`: {problem}", self.plugin)
    }

    /// The way out.
    pub(crate) fn help(&self) -> String {
        let plugin = &self.plugin;
        match &self.failure {
            LoadFailure::RelativeFile(_) => {
                "write an absolute path, or a file name, which is looked for in `plugins.dirs`".to_owned()
            }
            LoadFailure::NotFound { barred: Some(help), .. } => {
                format!("{help}, or set `file` in [plugins.{plugin}] to an absolute path")
            }
            LoadFailure::NotFound { file_name, present, .. } => hint(plugin, file_name, present),
            LoadFailure::Unreadable(..) => "give the user of this process the right to read it".to_owned(),
            LoadFailure::NotAFile(..) => format!("let `file` in [plugins.{plugin}] name the shared object itself"),
            LoadFailure::Untrusted(_, doubt) => doubt.help(),
            LoadFailure::PinMismatch { .. } => format!(
                "if the file is the right one, write its hash as `sha256` in [plugins.{plugin}]; if not, find out who \
                 replaced it"
            ),
            LoadFailure::ChangedOnDisk(_) | LoadFailure::OtherLibrary(_) => {
                "restart the process, or install the new version under a new file name".to_owned()
            }
            LoadFailure::HalfLoaded(_) => {
                "fork later, or before the first client is created; a plugin's constructors should take no time"
                    .to_owned()
            }
            LoadFailure::NotLoadable(_, error) if error.ends_with(FROM_MEMORY) => format!(
                "link into the plugin what it needs, or install that where the system's loader searches; or remove `sha256` \
                 from [plugins.{plugin}]"
            ),
            LoadFailure::NotLoadable(..) => {
                "install a plugin built for this system: same processor, a C library no newer than this one".to_owned()
            }
            LoadFailure::NoSymbol(_) => format!("let `file` in [plugins.{plugin}] name a tracer-resolver plugin"),
            LoadFailure::OtherAbi(_, abi) if *abi > 1 => {
                "upgrade tracer-resolver, or install a version of the plugin for ABI 1".to_owned()
            }
            LoadFailure::OtherAbi(..) => "install a version of the plugin for ABI 1".to_owned(),
            LoadFailure::HostTooOld(_) => {
                "upgrade tracer-resolver, or install an older version of the plugin".to_owned()
            }
            LoadFailure::Defective(_, defects) if defects.iter().all(|defect| table::may_be_newer(defect)) => {
                "upgrade tracer-resolver, or install an older version of the plugin".to_owned()
            }
            LoadFailure::Defective(..) => "this is a defect of the plugin: tell its author".to_owned(),
        }
    }
}

impl Display for LoadError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}\nhelp: {}", self.message(), self.help())
    }
}

impl Error for LoadError {}

/// What to do about a plugin that is not there.
fn hint(name: &str, file_name: &str, present: &[String]) -> String {
    let install = format!("install {file_name} in one of these, or set `file` in [plugins.{name}]");
    if let Some((_, ours)) = OTHER_NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
        return format!("here it is called `{ours}`: plugin = \"{ours}\"");
    }
    if OURS.contains(&name) {
        return format!("{install}; it is built by the package tracer-plugin-{}", name.replace('_', "-"));
    }
    let known = OURS.into_iter().chain(present.iter().map(String::as_str));
    let close = known.filter(|known| strsim::damerau_levenshtein(name, known) <= 2.min(name.len() / 2));
    if let Some(close) = close.min_by_key(|known| strsim::damerau_levenshtein(name, known)) {
        return format!("did you mean `{close}`? Otherwise {install}");
    }
    if present.is_empty() {
        return install;
    }
    format!("{install}; plugins found there: {}", present.join(", "))
}

/// Said of a library that is missing beside a pinned plugin.
const FROM_MEMORY: &str =
    " (a plugin with a `sha256` is loaded from memory: $ORIGIN in its RUNPATH leads nowhere there)";

/// The plugins of this project.
const OURS: [&str; 6] = ["otlp", "otlp_grpc", "jaeger", "zipkin", "kafka", "file"];

/// What others call the same thing.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("console", "file"),
    ("grpc", "otlp_grpc"),
    ("jaeger-thrift", "jaeger"),
    ("jaeger_thrift", "jaeger"),
    ("jaeger_udp", "jaeger"),
    ("logging", "file"),
    ("otlp-grpc", "otlp_grpc"),
    ("otlp-http", "otlp"),
    ("otlp/grpc", "otlp_grpc"),
    ("otlp/http", "otlp"),
    ("otlp_http", "otlp"),
    ("otlpgrpc", "otlp_grpc"),
    ("otlphttp", "otlp"),
    ("stdout", "file"),
    ("zipkin-v2", "zipkin"),
    ("zipkin_json", "zipkin"),
];
