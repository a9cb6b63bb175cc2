//! `PluginLibrary`: a plugin that passed every check. Never unloaded.

use std::path::PathBuf;

use serde_json::Value;
use tracer_plugin_api::abi::{
    TRACER_CAP_CONCURRENT_EXPORT, TRACER_OK, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES, tracer_error, tracer_plugin,
    tracer_str, tracer_validate_args,
};

use super::calls;
use super::complaint::Complaint;
use super::load_error::{LoadError, LoadFailure};
use super::plugin_file::PluginFile;
use super::reply::{Function, Reply};
use super::secrets;
use super::settings_schema::SettingsSchema;
use super::table::{Functions, PluginTable};
use crate::export::Signal;

/// One plugin: its code, and what it says of itself. Shared by all backends that use it; any thread.
#[derive(Debug)]
pub(crate) struct PluginLibrary {
    table: PluginTable,
    origin: Origin,
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
            Ok(table) => Ok(Self { table, origin }),
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

    /// Whether several batches may be exported at once.
    pub(crate) fn exports_concurrently(&self) -> bool {
        self.table.capabilities & TRACER_CAP_CONCURRENT_EXPORT != 0
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

    /// The plugin's own opinion of settings that fit its schema. On a thread of the host's, for a limited time.
    pub(super) fn validate(&self, config: &Value) -> Option<Complaint> {
        let (text, validate) = (config.to_string(), self.functions().validate);
        let asked = calls::within(calls::PATIENCE, move || {
            let mut error = tracer_error::new();
            let args = tracer_validate_args::new(tracer_str::new(&text), calls::PATIENCE.as_millis() as u32);
            // SAFETY: `validate` came with a checked table, and its library is never unloaded; `args` and `error` outlive
            // the call. Any thread may call it.
            let code = unsafe { validate(&args, &mut error) };
            let reply = Reply::new(Function::Validate, code, &error);
            (reply.code != TRACER_OK).then_some(reply)
        });
        let reply = asked.unwrap_or_else(|failed| Some(Reply::not_in_time("validate", &failed)))?;
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
