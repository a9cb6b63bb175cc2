//! A backend: where finished spans go, and by which plugin.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::from_files::FromFiles;

/// A named destination: one instance of a plugin, shared by all services that export to it.
///
/// Printing it for debugging shows no secret; `config` itself holds them.
#[derive(Clone)]
pub struct Backend {
    /// Its name under `[backends]`.
    pub name: String,
    /// Bytes of the file that name it.
    pub span: Range<usize>,
    /// The plugin's type name, `otlp` for example.
    pub plugin: String,
    /// Bytes of the file that name the plugin.
    pub plugin_span: Range<usize>,
    /// The plugin's own settings, references replaced.
    pub config: Json,
    /// JSON pointer into `config` → bytes of the file, so that a plugin's complaint points at its line; see
    /// [`Backend::place_of`].
    pub config_spans: Vec<(String, Range<usize>)>,
    /// JSON pointers of the strings in `config` that were one whole reference: where the plugin's schema wants a number
    /// or a boolean, such a string is to be read as one.
    pub config_references: Vec<String>,
    /// JSON pointers of the strings in `config` that came, wholly or in part, from a reference or from the environment:
    /// never to be printed.
    pub config_secrets: Vec<String>,
    /// JSON pointers of the strings in `config` that came, wholly or in part, from files, with how to read them again.
    pub(crate) config_files: Vec<(String, FromFiles)>,
    /// One `export` call may take this long.
    pub timeout: Duration,
    /// Batches under way at once, where the plugin allows it.
    pub concurrency: usize,
    /// How much may wait; more is dropped and counted.
    pub queue_bytes: QueueBytes,
    /// Whether fewer traces begin when that is nearly taken: else batches are dropped there, and with them parts of traces.
    pub shed_traces: bool,
    /// Where batches are written down, so that they outlive an outage and the process.
    pub spool: Option<Spool>,
    /// Retries of one batch.
    pub retry: Retry,
}

/// How many bytes of finished batches may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueBytes {
    /// As many as the memory of the process has room for, when they come.
    Auto,
    /// So many.
    Fixed(usize),
}

/// A folder for what a backend has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// An absolute path; all processes of this machine may name the same.
    pub folder: PathBuf,
    /// Bytes that the batches of all of them may have there.
    pub limit: u64,
}

/// Backoff of a backend: exponential, with jitter, the server's `Retry-After` respected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first pause.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
    /// A batch older than this is dropped and counted.
    pub max_elapsed: Duration,
}

impl Backend {
    /// Bytes of the file that a complaint about `pointer` (RFC 6901, into `config`) is about.
    ///
    /// A pointer to something that is not there, a missing key for example, gives the nearest table around it; at
    /// last the backend's name. Empty when no file describes the backend.
    pub fn place_of(&self, pointer: &str) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some((_, span)) = self.config_spans.iter().find(|(known, _)| known == pointer) {
                return span.clone();
            }
            let Some((around, _)) = pointer.rsplit_once('/') else { return self.span.clone() };
            pointer = around;
        }
    }

    /// `config` with what stands in its files now.
    ///
    /// # Errors
    ///
    /// Why a file cannot be read.
    pub(crate) fn config_with_files_read_anew(&self) -> Result<Json, String> {
        let mut config = self.config.clone();
        for (pointer, from_files) in &self.config_files {
            let text = from_files.read_anew()?;
            if let Some(value) = config.pointer_mut(pointer) {
                *value = Json::String(text);
            }
        }
        Ok(config)
    }

    /// `config` as it may be shown: every value of `config_secrets` is replaced by a mark.
    pub fn redacted_config(&self) -> Json {
        let mut config = self.config.clone();
        for pointer in &self.config_secrets {
            if let Some(value) = config.pointer_mut(pointer) {
                *value = Json::from(REDACTED);
            }
        }
        config
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("name", &self.name)
            .field("plugin", &self.plugin)
            .field("config", &self.redacted_config())
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("queue_bytes", &self.queue_bytes)
            .field("shed_traces", &self.shed_traces)
            .field("spool", &self.spool)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Stands where a value came from a reference or from the environment.
const REDACTED: &str = "(not shown)";
