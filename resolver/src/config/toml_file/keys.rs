//! Every key that a file may have, by the section that takes it. Messages and tests work from this one list.

#![forbid(unsafe_code)]

/// The top of the file.
pub(crate) const TOP: &[&str] = &[
    "version",
    "default_service",
    "defaults",
    "services",
    "backends",
    "batch",
    "metrics",
    "plugins",
    "reload",
    "trust",
    "test",
];

/// A list of keys with those in it that each of the three layers of settings has.
macro_rules! with_settings {
    ([$($before:literal),*], [$($after:literal),*]) => {
        &[
            $($before,)*
            "trace",
            "measure",
            "sampler",
            "parent",
            "relation",
            "ambient",
            "propagators",
            "reinject",
            "commit_spans",
            "export",
            "capture_headers",
            "redact_headers",
            "redact_values",
            "message_key",
            "conventions",
            $($after,)*
        ]
    };
}

/// `[services.NAME.topic."PATTERN"]`: what each of the three layers has.
pub(crate) const TOPIC: &[&str] = with_settings!([], []);

/// `[defaults]`.
pub(crate) const DEFAULTS: &[&str] = with_settings!([], ["exclude", "resource"]);

/// `[services.NAME]`.
pub(crate) const SERVICE: &[&str] =
    with_settings!(["produces", "consumes", "topics", "client_ids", "group_ids"], ["exclude", "resource", "topic"]);

/// `propagators = { … }`.
pub(crate) const PROPAGATORS: &[&str] = &["inject", "extract"];

/// `sampler = { … }`: one of them.
pub(crate) const SAMPLER: &[&str] = &["ratio", "consistent_probability", "rate_limit"];

/// `{ regex = "…" }` in place of a pattern.
pub(crate) const PATTERN: &[&str] = &["regex"];

/// `[backends.NAME]`.
pub(crate) const BACKEND: &[&str] =
    &["plugin", "config", "timeout", "concurrency", "queue_bytes", "shed_traces", "spool", "spool_limit", "retry"];

/// `retry = { … }` of a backend.
pub(crate) const RETRY: &[&str] = &["initial", "max", "max_elapsed"];

/// `[batch]`.
pub(crate) const BATCH: &[&str] = &["delay", "max_bytes"];

/// `[metrics]`.
pub(crate) const METRICS: &[&str] = &["self", "interval", "export", "prometheus", "prometheus_open", "textfile"];

/// `[plugins]`, beside the tables of single plugins.
pub(crate) const PLUGINS: &[&str] = &["dirs"];

/// `[plugins.NAME]`.
pub(crate) const PLUGIN: &[&str] = &["file", "sha256"];

/// `[reload]`.
pub(crate) const RELOAD: &[&str] = &["enabled", "interval"];

/// `[trust]`.
pub(crate) const TRUST: &[&str] = &["allow_world_writable"];

/// `[[test]]`: what the file is to mean, for the command `check`.
pub(crate) const TEST: &[&str] = &["topic", "side", "client_id", "group_id", "service", "trace", "sampler", "export"];

/// Each section as it is written, with its keys. Not `[[test]]`: its keys have the names of others, and nobody who wrote one
/// of them elsewhere meant a test.
pub(crate) const SECTIONS: &[(&str, &[&str])] = &[
    ("the top of the file", TOP),
    ("[defaults]", DEFAULTS),
    ("[services.NAME]", SERVICE),
    ("[services.NAME.topic.\"PATTERN\"]", TOPIC),
    ("propagators", PROPAGATORS),
    ("sampler", SAMPLER),
    ("a pattern", PATTERN),
    ("[backends.NAME]", BACKEND),
    ("retry", RETRY),
    ("[batch]", BATCH),
    ("[metrics]", METRICS),
    ("[plugins]", PLUGINS),
    ("[plugins.NAME]", PLUGIN),
    ("[reload]", RELOAD),
    ("[trust]", TRUST),
];

/// The sections that take `key`, for whoever put it into another.
pub(crate) fn sections_with(key: &str) -> Vec<&'static str> {
    SECTIONS.iter().filter(|(_, keys)| keys.contains(&key)).map(|(section, _)| *section).collect()
}

/// The key that is called otherwise elsewhere, if it is one of `known`: no slip leads from one word to the other.
pub(crate) fn by_another_word(key: &str, known: &[&str]) -> Option<&'static str> {
    let meant = match key.to_ascii_lowercase().replace('-', "_").as_str() {
        "exporter" | "exporters" if known.contains(&"backends") => "backends",
        "backend" | "backends" | "exporter" | "exporters" | "exports_to" => "export",
        "sampling" | "sample" | "sample_rate" | "sample_ratio" | "sampling_rate" | "sampling_ratio" | "ratio" => {
            "sampler"
        }
        "value" | "param" | "arg" | "probability" | "percentage" | "rate" => "ratio",
        "attributes" | "labels" | "resource_attributes" | "tags" => "resource",
        "headers" | "captured_headers" | "header_attributes" => "capture_headers",
        "commits" | "settle" | "settle_spans" => "commit_spans",
        "receive_spans" | "poll_spans" | "batch_spans" => "relation",
        "key" | "record_key" => "message_key",
        "redact" | "mask" => "redact_headers",
        "metrics" | "metric" => "measure",
        "semconv" | "semconv_stability" => "conventions",
        "ignore" | "ignored" | "excluded" | "exclude_topics" => "exclude",
        "propagation" | "formats" => "propagators",
        "settings" | "options" | "plugin_config" => "config",
        "type" | "kind" => "plugin",
        "enabled" | "enable" | "disabled" if known.contains(&"self") => "self",
        "enabled" | "enable" | "disabled" | "tracing" | "traced" => "trace",
        "producer" | "publish" | "publishes" | "send" | "sends" | "write" | "writes" => "produces",
        "consumer" | "receive" | "receives" | "subscribe" | "subscribes" | "read" | "reads" => "consumes",
        "client" => "client_ids",
        "group" | "consumer_group" | "consumer_groups" => "group_ids",
        _ => return None,
    };
    known.contains(&meant).then_some(meant)
}
