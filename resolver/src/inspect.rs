//! What a tool asks about backends and plugins on behalf of a library that is not running: nothing is created, and nothing
//! is sent, unless that is asked for. Loading a plugin runs its constructors, as it does in a program.

#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::config::{Backend, Config, Loaded, Plugins, Report};
use crate::plugin::{Loader, PluginLibrary, Trust};
use crate::resolver::{BackendTrial, Drained, check_backends, drain};

/// The places and rules by which the library finds plugins.
pub struct PluginSearch {
    loader: Loader,
}

/// A plugin that is there and passed every check.
#[derive(Clone)]
pub struct InstalledPlugin {
    library: Arc<PluginLibrary>,
}

/// A plugin that cannot be used: its code (`P101`), what is wrong, and the way out.
#[derive(Clone, Debug)]
pub struct UnusablePlugin {
    /// As the report has it.
    pub code: &'static str,
    /// What is wrong; may have several lines.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl PluginSearch {
    /// As the library in `library_folder` would search; without one, as this program would itself. `strict` refuses what
    /// somebody else may change.
    pub fn new(library_folder: Option<&Path>, strict: bool) -> Self {
        let trust = if strict { Trust::Strict } else { Trust::Lenient };
        let loader = match library_folder {
            Some(folder) => Loader::for_library_in(folder, trust),
            None => Loader::new(trust),
        };
        Self { loader }
    }

    /// Loads the plugins of every backend, lets them check their settings, and adds what is wrong to the report.
    pub fn check(&self, loaded: &mut Loaded) {
        let report = &mut loaded.report;
        if let Some(config) = &loaded.config {
            check_backends(&self.loader, &config.backends, &config.plugins, report);
        }
        if let Some(untrusted) = &loaded.untrusted {
            check_backends(&self.loader, &untrusted.backends, &untrusted.plugins, report);
        }
    }

    /// Finds the plugin of `backend` and lets it check its settings. What is wrong is added to `report`, and then there is
    /// nothing to try. Reads files, and runs code of the plugin.
    pub fn trial(&self, config: &Config, backend: &Backend, report: &mut Report) -> Option<BackendTrial> {
        BackendTrial::load(&self.loader, config, backend, report)
    }

    /// Sends by `backend` what processes that ended have left for it in the spool `folder`, and waits until nothing is left, or
    /// the backend takes nothing for half a minute. What is wrong with the plugin is added to `report`.
    pub fn drain(&self, config: &Config, backend: &Backend, folder: &Path, report: &mut Report) -> Option<Drained> {
        drain(&self.loader, config, backend, folder, report)
    }

    /// The names of the plugins that are there.
    pub fn present(&self, plugins: &Plugins) -> Vec<String> {
        self.loader.present(plugins)
    }

    /// The plugin of this name, loaded.
    ///
    /// # Errors
    ///
    /// It is not there, or not what it should be.
    pub fn load(&self, name: &str, plugins: &Plugins) -> Result<InstalledPlugin, UnusablePlugin> {
        match self.loader.load(name, plugins) {
            Ok(library) => Ok(InstalledPlugin { library }),
            Err(error) => Err(UnusablePlugin { code: error.code(), message: error.message(), help: error.help() }),
        }
    }
}

/// The places in the spool `folder` in which processes of this user that ended have left spans for backends that `config`
/// does not have: [`PluginSearch::drain`] sends none of them.
///
/// # Errors
///
/// The folder cannot be read.
pub fn left_to_others(config: &Config, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let backends: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    crate::export::left_to_others(folder, &backends)
}

impl InstalledPlugin {
    /// `plugin = "…"`.
    pub fn name(&self) -> &str {
        self.library.type_name()
    }

    /// The plugin's own version.
    pub fn version(&self) -> &str {
        self.library.version()
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        self.library.path()
    }

    /// Name, version, contract, file, and who built it, in one line.
    pub fn description(&self) -> String {
        self.library.description()
    }

    /// Whether several batches may be under way to it at once.
    pub fn exports_concurrently(&self) -> bool {
        self.library.exports_concurrently()
    }

    /// What it takes batches of, in OpenTelemetry's words.
    pub fn signals(&self) -> Vec<&'static str> {
        self.library.signals()
    }

    /// JSON Schema of a backend's `config`.
    pub fn schema(&self) -> &Json {
        self.library.schema()
    }

    /// SHA-256 of its file as it lies there now.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn sha256(&self) -> io::Result<[u8; 32]> {
        self.library.sha256_of_file()
    }

    /// JSON pointers to the values of a backend's `config` that the plugin calls secret.
    pub fn secrets(&self, config: &Json) -> Vec<String> {
        self.library.secret_pointers(config)
    }
}
