//! `PluginLibrary`: a plugin that passed every check. Never unloaded.

use std::path::PathBuf;

use serde_json::Value;
use tracer_plugin_api::abi::{
    TRACER_CAP_CONCURRENT_EXPORT, TRACER_CAP_NOT_IN_FORKED_CHILDREN, TRACER_EXT_AFTER_FORK, TRACER_OK,
    TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES, tracer_after_fork, tracer_error, tracer_plugin, tracer_str,
    tracer_validate_args,
};

use super::calls::{MayThrow as _, inside};
use super::complaint::Complaint;
use super::forks::undisturbed;
use super::host_thread::PATIENCE;
use super::load_error::{LoadError, LoadFailure};
use super::plugin_file::PluginFile;
use super::reply::{Function, Reply};
use super::secrets;
use super::settings_schema::SettingsSchema;
use super::table::{Functions, PluginTable};
use crate::export::Signal;
use crate::host;
use crate::per_process::{self, PerProcess};

/// One plugin: its code, and what it says of itself. Shared by all backends that use it; any thread.
#[derive(Debug)]
pub(crate) struct PluginLibrary {
    table: PluginTable,
    origin: Origin,
    /// How often the process that loaded it was forked from another.
    loaded_in: usize,
    /// In Go: its runtime's threads are the process's that loaded it.
    is_go: bool,
    /// Its call after a fork has come back in this process.
    woken: PerProcess<()>,
}

/// Where a plugin's code came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file; with a pin, the hash of the bytes that run.
    File { path: PathBuf, sha256: Option<[u8; 32]> },
    /// Linked into the program.
    Program,
}

impl PluginLibrary {
    /// Checks the table that an entry point returned.
    ///
    /// # Safety
    ///
    /// `table` is null or what a plugin's entry point returned: constant, and its functions callable, for ever.
    pub(super) unsafe fn from_table(
        table: *const tracer_plugin,
        configured_type: &str,
        origin: Origin,
    ) -> Result<Self, LoadError> {
        let path = origin.path();
        if table.is_null() {
            return Err(LoadError::new(configured_type, LoadFailure::HostTooOld(path)));
        }
        // SAFETY: the caller vouches for the table.
        match unsafe { PluginTable::read(table, configured_type) } {
            Ok(table) => {
                let (loaded_in, code) = (per_process::generation(), table.functions.validate as *const () as usize);
                let is_go = host::is_go_code(|range| range.contains(&code));
                Ok(Self { table, origin, loaded_in, is_go, woken: PerProcess::new() })
            }
            Err(defects) => Err(LoadError::new(configured_type, LoadFailure::Defective(path, defects))),
        }
    }

    /// `plugin = "…"`.
    pub(crate) fn type_name(&self) -> &str {
        &self.table.type_name
    }

    /// The plugin's own version.
    pub(crate) fn version(&self) -> &str {
        &self.table.version
    }

    /// The file it was loaded from; a phrase if it is part of the program.
    pub(crate) fn path(&self) -> PathBuf {
        self.origin.path()
    }

    /// SHA-256 of the bytes that run, if they were pinned.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        match self.origin {
            Origin::File { sha256, .. } => sha256,
            Origin::Program => None,
        }
    }

    /// SHA-256 of the file as it lies there now, which a pin would have to be.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is part of the program.
    pub(crate) fn sha256_of_file(&self) -> std::io::Result<[u8; 32]> {
        match PluginFile::open(&self.path()) {
            Ok(Some(file)) => file.sha256(),
            Ok(None) => Err(std::io::ErrorKind::NotFound.into()),
            Err(_) => Err(std::io::ErrorKind::InvalidInput.into()),
        }
    }

    /// JSON pointers to the values in `config` that the schema marks with `"x-secret": true`.
    pub(crate) fn secret_pointers(&self, config: &Value) -> Vec<String> {
        let mut pointers = Vec::new();
        secrets::visit(self.schema(), config, &mut |schema, _, pointer| {
            if schema.get("x-secret") == Some(&Value::Bool(true)) {
                pointers.push(pointer.to_owned());
            }
        });
        pointers
    }

    /// JSON Schema of a backend's `config`.
    pub(crate) fn schema(&self) -> &Value {
        self.table.schema.as_value()
    }

    /// Whether it takes batches of this signal.
    pub(crate) fn accepts(&self, signal: Signal) -> bool {
        let bit = match signal {
            Signal::Traces => TRACER_SIGNAL_TRACES,
            Signal::Metrics => TRACER_SIGNAL_METRICS,
        };
        self.table.accepted_signals >> bit & 1 == 1
    }

    /// The names of the signals that it takes.
    pub(crate) fn signals(&self) -> Vec<&'static str> {
        let all = [Signal::Traces, Signal::Metrics].into_iter();
        all.filter(|signal| self.accepts(*signal)).map(Signal::name).collect()
    }

    /// Whether several batches may be exported at once.
    pub(crate) fn exports_concurrently(&self) -> bool {
        self.table.capabilities & TRACER_CAP_CONCURRENT_EXPORT != 0
    }

    /// Whether it may be used in this process; where that is a child of the one that loaded it, it is told so first.
    ///
    /// On a thread of the host's: may run code of the plugin.
    pub(crate) fn is_ready(&self) -> Result<(), &'static str> {
        if let Some(why) = self.stays_behind() {
            return Err(why);
        }
        undisturbed(|| self.wake());
        Ok(())
    }

    /// Why it cannot be used in this process, if that is a child of the one that loaded it.
    fn stays_behind(&self) -> Option<&'static str> {
        if self.loaded_in == per_process::generation() {
            return None;
        }
        if self.is_go {
            return Some("it is written in Go, whose runtime does not work in the child of a fork");
        }
        let says_so = self.table.capabilities & TRACER_CAP_NOT_IN_FORKED_CHILDREN != 0;
        says_so.then_some("it says that it does not work in the child of a fork")
    }

    /// Lets it forget what is its parent's, if it wants to: once in each child of the process that loaded it, before it makes
    /// anything there. Whoever comes meanwhile waits.
    fn wake(&self) {
        if self.loaded_in == per_process::generation() {
            return;
        }
        self.woken.get_or_init(|| {
            let id = tracer_str::new(TRACER_EXT_AFTER_FORK);
            let look_up = self.table.functions.get_extension.may_throw();
            // SAFETY: it came with a checked table; `id` is lent for the call.
            let found =
                inside(self.type_name(), "get_extension", || unsafe { look_up(id) }).cast::<tracer_after_fork>();
            // SAFETY: null, or under this id such a struct of the plugin's, static, whose first field says how long it is.
            let after_fork = unsafe { found.as_ref() }.filter(|it| it.struct_size as usize >= size_of_val(*it));
            if let Some(after_fork) = after_fork.and_then(|it| it.after_fork) {
                let after_fork = after_fork.may_throw();
                // SAFETY: as above; on a thread of the host's, once in this process.
                inside(self.type_name(), "after_fork", || unsafe { after_fork() });
            }
        });
    }

    /// One line for the log: all that helps when somebody asks which code ran.
    pub(crate) fn description(&self) -> String {
        let mut line = format!(
            "plugin `{}` {} (ABI 1.{}) from {}",
            self.type_name(),
            self.version(),
            self.table.abi_minor,
            self.path().display()
        );
        if let Some(sha256) = self.sha256() {
            line.push_str(&format!(", sha256 {}", hex::encode(sha256)));
        }
        if !self.table.build_info.is_empty() {
            line.push_str(&format!(", built by {}", self.table.build_info));
        }
        line
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.table.functions
    }

    pub(super) fn settings_schema(&self) -> &SettingsSchema {
        &self.table.schema
    }

    /// The plugin's own opinion of settings that fit its schema. On a thread of the host's: nobody knows how long it takes.
    pub(super) fn validate(&self, config: &Value) -> Option<Complaint> {
        let (text, validate) = (config.to_string(), self.functions().validate.may_throw());
        let mut error = tracer_error::new();
        let args = tracer_validate_args::new(tracer_str::new(&text), PATIENCE.as_millis() as u32);
        let code = undisturbed(|| {
            // SAFETY: `validate` came with a checked table, and its library is never unloaded; `args`, what it points to and
            // `error` outlive the call. Any thread may call it.
            inside(self.type_name(), "validate", || unsafe { validate(&args, &mut error) })
        });
        let reply = Reply::new(Function::Validate, code, &error);
        if reply.code == TRACER_OK {
            return None;
        }
        Some(Complaint::of_value(existing(reply.field, config), reply.message))
    }
}

impl Origin {
    fn path(&self) -> PathBuf {
        match self {
            Self::File { path, .. } => path.clone(),
            Self::Program => PathBuf::from("(linked into the program)"),
        }
    }
}

/// The pointer, or the longest part of it that leads somewhere: a key may be missing, or the plugin may be wrong.
fn existing(mut pointer: String, config: &Value) -> String {
    while config.pointer(&pointer).is_none() {
        match pointer.rfind('/') {
            Some(end) => pointer.truncate(end),
            None => pointer.clear(),
        }
    }
    pointer
}
