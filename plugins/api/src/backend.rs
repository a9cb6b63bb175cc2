//! What a plugin author writes.

#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime};

use crate::{BackendError, Extension, Host, ServiceNames, abi};

/// A place that spans, or metrics, are sent to: implement it, then write [`export_plugin!`](crate::export_plugin)`(YourType);`.
///
/// One value is one backend of the configuration, shared by all services that name it. The host queues, batches,
/// samples and retries; a backend does none of these. A panic in any method is contained and ends the instance: the
/// host makes a new one, at most three times.
pub trait Backend: Sized + Send + Sync + 'static {
    /// What `plugin = "…"` in the configuration must say: `[a-z][a-z0-9_-]*`, such as `"zipkin"`.
    const TYPE_NAME: &'static str;

    /// The plugin's version: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;

    /// JSON Schema 2020-12, as text, of the backend's `config` table.
    ///
    /// The host checks the user's settings against it before it calls anything. Every object says
    /// `"additionalProperties": false`, every secret string `"x-secret": true`, every property has a `"description"`.
    /// The host does not fill in a `"default"`. With `"x-explained": true` beside a `"pattern"`,
    /// [`validate`](Self::validate) is asked about a text that does not match, and says in its own words what is wrong.
    const CONFIG_SCHEMA: &'static str;

    /// What batches the backend takes. Those of other signals never come.
    const SIGNALS: &'static [Signal] = &[Signal::Traces];

    /// Whether [`export`](Self::export) may be called up to [`CreateArgs::max_concurrency`] times at once.
    const CONCURRENT_EXPORT: bool = false;

    /// Whether the backend talks to other machines. Lists of plugins show it; nothing depends on it.
    const NETWORK: bool = true;

    /// Whether the backend's code keeps something in statics that does not survive `fork()`: threads, a runtime, sockets.
    /// Hosts do not use it then in a forked child of the process that loaded it.
    const NOT_IN_FORKED_CHILDREN: bool = false;

    /// Forgets, in a forked child of the process that loaded the plugin, what its statics have of the parent: threads that are
    /// not there, locks that these may have held, connections that are shared with it. The other way out besides
    /// [`NOT_IN_FORKED_CHILDREN`](Self::NOT_IN_FORKED_CHILDREN).
    ///
    /// Called once in each child, on a thread of the host's, before anything else is asked of the plugin there. The parent's
    /// instances are gone without a word, and are to be left alone.
    const AFTER_FORK: Option<fn()> = None;

    /// Says whether `config_json`, a JSON object, would do for [`create`](Self::create).
    ///
    /// Pure: writes no file, starts no thread, opens no connection; tools call it and never create. Any thread, several
    /// at once.
    ///
    /// # Errors
    ///
    /// [`BackendError::config`], with the JSON pointer of the setting at fault.
    fn validate(config_json: &str) -> Result<(), BackendError>;

    /// Makes an instance. May start threads and read files; must not wait for the network.
    ///
    /// # Errors
    ///
    /// A configuration that cannot work. An unreachable backend is not an error here but of each export.
    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError>;

    /// Ships one batch and returns when the backend has answered, or gives up after `timeout`.
    ///
    /// Runs on: an export thread of the host's, which no application and no Kafka thread waits for: it may block. One
    /// call at a time, unless [`CONCURRENT_EXPORT`](Self::CONCURRENT_EXPORT); not always the same thread.
    ///
    /// # Errors
    ///
    /// Which kind decides what becomes of the batch: see [`ErrorKind`](crate::ErrorKind).
    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError>;

    /// Pushes out what the backend itself still holds back, within `timeout`; zero is without waiting.
    ///
    /// # Errors
    ///
    /// When something is still held back at the end; the host logs it.
    fn flush(&self, timeout: Duration) -> Result<(), BackendError> {
        let _ = timeout;
        Ok(())
    }

    /// Ends the work within `timeout`: flushes, closes, joins threads. Called at most once, while nothing else runs; no
    /// export follows. The value is dropped afterwards. Not called at the end of a process, where [`flush`](Self::flush) is.
    ///
    /// # Errors
    ///
    /// [`BackendError::timeout`] says that threads of the instance still run: the value is then leaked, never dropped.
    fn shutdown(&self, timeout: Duration) -> Result<(), BackendError> {
        let _ = timeout;
        Ok(())
    }

    /// Counters since [`create`](Self::create); `None` if the backend does not count. Any thread; must not block, not even on
    /// a lock that an export holds.
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// What the plugin offers beyond the contract, by its id; `None` for an id it does not know. Pure; any thread. That of
    /// [`AFTER_FORK`](Self::AFTER_FORK) is not asked for here.
    fn extension(id: &str) -> Option<Extension> {
        let _ = id;
        None
    }
}

/// What an instance is made of.
#[derive(Debug)]
pub struct CreateArgs<'a> {
    /// The backend's name in the configuration, for log lines. Which service an item belongs to is said by the resources
    /// in each batch.
    pub backend_name: &'a str,
    /// A JSON object: references replaced, schema checked, [`Backend::validate`] passed. May hold secrets.
    pub config_json: &'a str,
    /// The most exports at once; at least 1, and 1 unless [`Backend::CONCURRENT_EXPORT`].
    pub max_concurrency: u32,
    /// How long the host waits before it does without the backend.
    pub timeout: Duration,
    /// The way back to the host; may be cloned and kept.
    pub host: Host,
}

impl<'a> CreateArgs<'a> {
    /// What a unit test hands to [`Backend::create`]: one export at a time, a [detached](Host::detached) host.
    pub fn detached(backend_name: &'a str, config_json: &'a str) -> Self {
        let timeout = Duration::from_secs(10);
        Self { backend_name, config_json, max_concurrency: 1, timeout, host: Host::detached() }
    }
}

/// What a batch is of, and with it what its items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Items are spans; a body is an `ExportTraceServiceRequest`.
    Traces,
    /// Items are data points; a body is an `ExportMetricsServiceRequest`.
    Metrics,
}

impl Signal {
    /// The number of the header.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Traces => abi::TRACER_SIGNAL_TRACES,
            Self::Metrics => abi::TRACER_SIGNAL_METRICS,
        }
    }
}

/// One batch, of one signal.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// What it is of: one of [`Backend::SIGNALS`].
    pub signal: Signal,
    /// OTLP protobuf: the request of the signal, uncompressed, never empty. Its resources may be several services.
    pub body: &'a [u8],
    /// Items in `body`; at least 1.
    pub item_count: u32,
    /// 1 for the first try, one more for each retry.
    pub attempt: u32,
    /// The same on every retry; unique in the process.
    pub batch_id: u64,
    /// What the try before left with [`BackendError::with_retry_cookie`]; 0 on the first, and if it left nothing.
    pub retry_cookie: u64,
    /// The host means to make no further try: if this one fails, the items are lost.
    pub is_last_try: bool,
    /// The process, or tracing, is about to end, and waits for this.
    pub is_shutting_down: bool,
    /// Start of the oldest span, or of the time that the oldest data point is of; `None` if it is not known.
    pub oldest_start: Option<SystemTime>,
    /// When the first try began; `None` if it is not known.
    pub first_attempt: Option<SystemTime>,
    /// `ResourceSpans` or `ResourceMetrics` in `body`; 0 if it is not known.
    pub resource_count: u32,
    /// Whose items they are, without decoding them; empty if it is not known.
    pub service_names: ServiceNames<'a>,
}

impl<'a> Batch<'a> {
    /// A first try with what every batch has; the rest is not known, or no. For tests: change what they are about.
    pub const fn first_try(signal: Signal, body: &'a [u8], item_count: u32, batch_id: u64) -> Self {
        Self {
            signal,
            body,
            item_count,
            attempt: 1,
            batch_id,
            retry_cookie: 0,
            is_last_try: false,
            is_shutting_down: false,
            oldest_start: None,
            first_attempt: None,
            resource_count: 0,
            service_names: ServiceNames::unknown(),
        }
    }
}

/// Counters since `create`; all but `in_flight` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches being exported at this moment.
    pub in_flight: u32,
    /// Items the backend has taken, of all signals.
    pub items_sent: u64,
    /// Items the backend refused, in partial successes and in permanent errors.
    pub items_rejected: u64,
    /// Exports that ended well or in part.
    pub batches_sent: u64,
    /// Exports that failed.
    pub batches_failed: u64,
    /// Bytes on the wire, after compression, retries included.
    pub bytes_sent: u64,
    /// Connections opened after the first one.
    pub reconnects: u64,
}
