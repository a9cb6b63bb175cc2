//! What an author writes to make an exporter a backend.

use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SpanExporter;

use crate::{BackendError, Host};

/// What an exporter is made of.
#[derive(Debug)]
pub struct ExporterArgs<'a> {
    /// The backend's name in the configuration, for log lines.
    pub backend_name: &'a str,
    /// A JSON object: the backend's `config`. May hold secrets.
    pub config_json: &'a str,
    /// The way back to the application's log; may be cloned and kept.
    pub host: Host,
}

/// An OpenTelemetry exporter, and how to make it from a configuration. The constants mean what they mean in
/// [`Backend`](crate::Backend).
///
/// The exporter's future is driven by a plain loop on the export thread: no runtime is there. An exporter that needs
/// one (tonic, asynchronous reqwest) must own it: wrap the exporter in a type of yours that holds a
/// `tokio::runtime::Runtime` and whose `export` spawns onto it.
pub trait ExporterBackend: Send + Sync + 'static {
    /// What `plugin = "…"` in the configuration must say.
    const TYPE_NAME: &'static str;
    /// The plugin's version.
    const VERSION: &'static str;
    /// JSON Schema 2020-12 of the backend's `config`.
    const CONFIG_SCHEMA: &'static str;
    /// Whether the exporter talks to other machines.
    const NETWORK: bool = true;
    /// Whether statics of the exporter's do not survive `fork()`: a runtime that is shared, for example.
    const NOT_IN_FORKED_CHILDREN: bool = false;
    /// Forgets in a forked child what such statics have of the parent.
    const AFTER_FORK: Option<fn()> = None;
    /// The most exporters at once, one for each distinct resource, which is about one for each service. Beyond it the
    /// one that was idle longest is shut down.
    const MAX_RESOURCES: usize = 256;

    /// How long past the time of an export the adapter waits for the exporter's own error, which says more than that it was
    /// not in time. Well below the five seconds after which the host declares a call stuck.
    const LAST_WORD: Duration = Duration::from_millis(500);

    /// The exporter.
    type Exporter: SpanExporter + 'static;

    /// Says whether `config_json` would do for [`exporter`](Self::exporter). Pure: no thread, no connection.
    ///
    /// # Errors
    ///
    /// [`BackendError::config`], with the JSON pointer of the setting at fault.
    fn validate(config_json: &str) -> Result<(), BackendError> {
        let _ = config_json;
        Ok(())
    }

    /// Makes an exporter. Called once when the backend is created and again for each further resource;
    /// `set_resource` is called on it afterwards. Must not wait for the network.
    ///
    /// An exporter with a time limit of its own is given one below the backend's `timeout`: what it says of its failure is
    /// heard up to [`LAST_WORD`](Self::LAST_WORD) after that, and later than that only that it was too slow is known.
    ///
    /// # Errors
    ///
    /// A configuration that cannot work.
    fn exporter(args: &ExporterArgs<'_>) -> Result<Self::Exporter, BackendError>;

    /// What an exporter's error means. The SDK's failures do not say whether a retry helps; without better knowledge it
    /// may, and a retry that was in vain costs less than spans lost.
    fn classify(error: &OTelSdkError) -> BackendError {
        match error {
            OTelSdkError::AlreadyShutdown => BackendError::shutdown(),
            OTelSdkError::Timeout(_) => BackendError::timeout(error.to_string()),
            OTelSdkError::InternalFailure(why) => BackendError::retryable(why.clone()),
        }
    }
}
