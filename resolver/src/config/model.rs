//! The checked configuration: plain data that every other module works from.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a file (or the environment) says, checked, with defaults < service < topic already merged.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it came from; errors and log lines name it.
    pub origin: Origin,
    /// In file order, which is the last tie-breaker of the matching rules.
    pub services: Vec<Service>,
    /// Index into `services`: receives the messages that no rule claims.
    pub default_service: Option<usize>,
    /// The settings of `[defaults]`, for services that exist only in code (`Resolver::tracer_provider`).
    pub defaults: Settings,
    /// In file order. `Settings::export` indexes into it.
    pub backends: Vec<Backend>,
    /// Where plugins are looked for, and their pins.
    pub plugins: Plugins,
    /// When finished spans leave for the backends.
    pub batch: Batch,
}

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A TOML file.
    File(PathBuf),
    /// The original JSON of 2019.
    LegacyFile(PathBuf),
    /// `OTEL_*` variables, because no file was named.
    Environment,
}

/// One service: which messages are its own, and how they are traced.
#[derive(Clone, Debug)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// Bytes of the file that name it.
    pub span: Range<usize>,
    /// Topics it produces to.
    pub produces: Vec<Pattern>,
    /// Topics it consumes from.
    pub consumes: Vec<Pattern>,
    /// Topics on both sides.
    pub topics: Vec<Pattern>,
    /// `client.id` constraint; empty is no constraint.
    pub client_ids: Vec<Pattern>,
    /// `group.id` constraint; empty is no constraint.
    pub group_ids: Vec<Pattern>,
    /// Topics never touched for this service, whatever its rules say.
    pub exclude: Vec<Pattern>,
    /// Its settings, `[defaults]` merged in.
    pub settings: Settings,
    /// Per-topic settings, the service's merged in; in file order.
    pub topic_settings: Vec<(Pattern, Settings)>,
    /// Resource attributes from the file, `[defaults]` merged in, without `service.name`.
    pub resource: Vec<(String, String)>,
}

/// A name pattern. Case-sensitive, always anchored.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The very name.
    Exact(String),
    /// `*` is any run of characters, dots too; `?` is one.
    Glob(String),
    /// `{ regex = "…" }`, compiled, and anchored at both ends by the reader.
    Regex(regex::Regex),
}

/// How messages are traced: the ladder's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether messages get spans.
    pub trace: Trace,
    /// Decides new traces, and every trace when `parent` is `Ignore`.
    pub sampler: Sampler,
    /// Whether a parent's decision wins.
    pub parent: ParentDecision,
    /// What a consumer span is to the span that sent the message.
    pub relation: Relation,
    /// What the consumption of a message means for what the thread sends next.
    pub ambient: Ambient,
    /// Formats written into headers.
    pub inject: Vec<Propagator>,
    /// Formats read from headers, in order; the first that yields a valid context is taken.
    pub extract: Vec<Propagator>,
    /// Write the consumer span's context back into the headers that the application reads.
    pub reinject: bool,
    /// Indices into `Config::backends`.
    pub export: Vec<usize>,
}

/// `trace = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A span per message and side.
    Spans,
    /// Context passes on, no span.
    Propagate,
    /// Untouched.
    Off,
}

/// `sampler = …`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// Share of traces by trace id, 0.0 to 1.0, as OpenTelemetry's `TraceIdRatioBased`.
    Ratio(f64),
    /// At most this many new traces a second.
    RateLimit(f64),
}

/// `parent = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentDecision {
    /// A parent's sampling decision wins over the sampler (`ParentBased`).
    Respect,
    /// The sampler decides every trace.
    Ignore,
}

/// `relation = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The consumer span is a child of the producer span: one trace shows one order's whole way.
    Parent,
    /// The consumer span starts a trace of its own and links to the producer span.
    Link,
}

/// `ambient = …`. For clients of other languages only: in Rust a processing guard says which message is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambient {
    /// What a thread sends continues the one message that it was handed last.
    Thread,
    /// It does not.
    Off,
}

/// A context format in record headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagator {
    /// `traceparent`, `tracestate`: W3C Trace Context.
    TraceContext,
    /// `baggage`: W3C Baggage.
    Baggage,
    /// `b3`: B3 single header. On reading, the multi-header form is taken too.
    B3,
    /// `X-B3-TraceId` and its family.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
}

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
    pub config: serde_json::Value,
    /// JSON pointer into `config` → bytes of the file, so that a plugin's complaint points at its line; see
    /// [`Backend::place_of`].
    pub config_spans: Vec<(String, Range<usize>)>,
    /// JSON pointers of the strings in `config` that were one whole reference: where the plugin's schema wants a number or a
    /// boolean, such a string is to be read as one.
    pub config_references: Vec<String>,
    /// JSON pointers of the strings in `config` that came, wholly or in part, from a reference or from the environment:
    /// never to be printed.
    pub config_secrets: Vec<String>,
    /// One `export` call may take this long.
    pub timeout: Duration,
    /// Batches under way at once, where the plugin allows it.
    pub concurrency: usize,
    /// Bytes of finished batches that may wait; more are dropped and counted.
    pub queue_bytes: usize,
    /// Retries of one batch.
    pub retry: Retry,
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

/// `[plugins]`.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    /// Searched in order before the default places; absolute, or relative to the file's folder (made absolute here).
    pub dirs: Vec<PathBuf>,
    /// `[plugins.NAME]`: an explicit file and a pin.
    pub entries: Vec<PluginEntry>,
}

/// `[plugins.NAME]`.
#[derive(Clone, Debug)]
pub struct PluginEntry {
    /// The plugin's type name.
    pub name: String,
    /// Bytes of the file that name it.
    pub span: Range<usize>,
    /// File name (looked up in the dirs) or absolute path; by default `libtracer_plugin_NAME.so`.
    pub file: Option<PathBuf>,
    /// SHA-256 over the bytes really loaded.
    pub sha256: Option<[u8; 32]>,
}

/// `[batch]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// A finished span leaves at most this long after it ended.
    pub delay: Duration,
    /// A batch leaves when it has grown to this many bytes of OTLP.
    pub max_bytes: usize,
}
