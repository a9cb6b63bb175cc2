//! `OTEL_TRACES_EXPORTER` and what the exporters are told by variables of their own.

#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::metrics;
use super::percent_encoding::percent_decoded;
use crate::config::draft::backend::implied;
use crate::config::draft::sending::SendingSettings;
use crate::config::model::Backend;
use crate::config::reading::basic_authorization::basic_authorization;
use crate::config::reading::variable_reader::VariableReader;
use crate::config::report::findings::Broken;

/// The backends to export to; empty for `none`.
pub(super) fn read(sending: Result<SendingSettings, Broken>, reader: &mut VariableReader<'_>) -> Vec<Backend> {
    let Ok(sending) = sending else { return Vec::new() };
    let mut kinds = Vec::new();
    let text = reader.text(EXPORTER).unwrap_or_else(|| "otlp".into());
    for word in text.split(',').filter(|word| !word.trim().is_empty()) {
        if let Some(kind) = reader.choice(EXPORTER, word, KINDS) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    if kinds.is_empty() {
        // Nothing but unknown names: as if it were unset.
        kinds.push(Kind::Otlp);
    }
    if kinds.len() > 1 && kinds.contains(&Kind::None) {
        reader.warn(EXPORTER, "says `none` and names exporters too: the exporters count");
    }
    kinds
        .into_iter()
        .filter_map(|kind| match kind {
            Kind::Otlp => Some(otlp(sending, reader)),
            Kind::Zipkin => Some(zipkin(sending, reader)),
            Kind::Jaeger => Some(jaeger(sending, reader)),
            // Stdout is the application's, which may print there what another program reads.
            Kind::Console => {
                Some(implied("console", "file", json!({ "path": "stderr", "format": "text" }), sending, 0..0))
            }
            Kind::None => None,
        })
        .collect()
}

fn otlp(sending: SendingSettings, reader: &mut VariableReader<'_>) -> Backend {
    let mut config = Map::new();
    let of = |suffix: &str| (format!("OTEL_EXPORTER_OTLP_TRACES_{suffix}"), format!("OTEL_EXPORTER_OTLP_{suffix}"));
    let get = |suffix: &str, reader: &mut VariableReader<'_>| {
        let (traces, all) = of(suffix);
        reader.first_text(&[&traces, &all]).map(|(name, text)| (name.to_owned(), text))
    };
    if let Some((name, protocol)) = get("PROTOCOL", reader) {
        if protocol.trim() != "http/protobuf" {
            let what = format!("is {protocol:?}; the otlp plugin speaks http/protobuf only, so that is used");
            reader.warn(&name, &what);
        }
    }
    // The one for all signals is a base that the plugin adds its path to; the one for traces is used as it stands.
    let endpoint = get("ENDPOINT", reader);
    let is_encrypted = endpoint.as_ref().is_some_and(|(_, text)| text.trim().starts_with("https:"));
    if let Some((name, text)) = endpoint {
        let key = if name.contains("_TRACES_") { "traces_endpoint" } else { "endpoint" };
        config.insert(key.into(), text.trim().into());
    }
    if let Some(endpoint) = metrics_endpoint(config.contains_key("traces_endpoint"), reader) {
        config.insert("metrics_endpoint".into(), endpoint.into());
    }
    if let Some((name, text)) = get("HEADERS", reader) {
        let headers = headers(&name, &text, reader);
        if !headers.is_empty() {
            config.insert("headers".into(), Json::Object(headers));
        }
    }
    if let Some((name, text)) = get("COMPRESSION", reader) {
        if let Some(compression) = reader.choice(&name, &text, &[("gzip", "gzip"), ("none", "none")]) {
            config.insert("compression".into(), compression.into());
        }
    }
    let mut tls = Map::new();
    for (suffix, key) in [("CERTIFICATE", "ca_file"), ("CLIENT_CERTIFICATE", "cert_file"), ("CLIENT_KEY", "key_file")] {
        if let Some((name, path)) = get(suffix, reader) {
            if is_encrypted {
                tls.insert(key.into(), path.into());
            } else {
                reader.warn(&name, "has no effect: the endpoint does not begin with https://");
            }
        }
    }
    if !tls.is_empty() {
        config.insert("tls".into(), Json::Object(tls));
    }
    let (traces, all) = of("TIMEOUT");
    let timeout = timeout(&[&traces, &all], reader);
    with_timeout("otlp", config, timeout, sending)
}

/// Where metrics go, if that is not where the plugin would send them by itself. An address for traces says nothing of it.
fn metrics_endpoint(has_own_for_traces: bool, reader: &mut VariableReader<'_>) -> Option<String> {
    if !metrics::are_sent(reader) {
        return None;
    }
    if let Some(whole) = reader.text("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") {
        return Some(whole.trim().to_owned());
    }
    let base = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|| "http://localhost:4318".into());
    has_own_for_traces.then(|| format!("{}/v1/metrics", base.trim().trim_end_matches('/')))
}

fn zipkin(sending: SendingSettings, reader: &mut VariableReader<'_>) -> Backend {
    let mut config = Map::new();
    if let Some(endpoint) = reader.text("OTEL_EXPORTER_ZIPKIN_ENDPOINT") {
        config.insert("endpoint".into(), endpoint.trim().into());
    }
    let timeout = timeout(&["OTEL_EXPORTER_ZIPKIN_TIMEOUT"], reader);
    with_timeout("zipkin", config, timeout, sending)
}

/// Thrift where the old variables ask for it; without them OTLP, which every living Jaeger takes.
fn jaeger(sending: SendingSettings, reader: &mut VariableReader<'_>) -> Backend {
    let mut config = Map::new();
    let endpoint = reader.text("OTEL_EXPORTER_JAEGER_ENDPOINT");
    let agent = reader.text("OTEL_EXPORTER_JAEGER_AGENT_HOST");
    let asked = reader.text("OTEL_EXPORTER_JAEGER_PROTOCOL");
    let asked = asked.and_then(|word| reader.choice("OTEL_EXPORTER_JAEGER_PROTOCOL", &word, JAEGER_PROTOCOLS));
    let transport = asked.or(match (&endpoint, &agent) {
        (Some(_), _) => Some("thrift_http"),
        (None, Some(_)) => Some("thrift_udp"),
        (None, None) => None,
    });
    if let Some(transport) = transport {
        config.insert("transport".into(), transport.into());
    }
    if transport == Some("thrift_udp") {
        let wants = "a port number";
        let port = reader.number("OTEL_EXPORTER_JAEGER_AGENT_PORT", wants, |port: &u16| *port > 0);
        let agent = agent.unwrap_or_else(|| "localhost".into());
        config.insert("endpoint".into(), format!("{}:{}", agent.trim(), port.unwrap_or(6831)).into());
        // A packet has no credentials, and nobody answers it.
        return with_timeout("jaeger", config, None, sending);
    }
    if let Some(endpoint) = endpoint {
        config.insert("endpoint".into(), endpoint.trim().into());
    }
    let user = reader.text("OTEL_EXPORTER_JAEGER_USER");
    if let (Some(user), Some(password)) = (user, reader.text("OTEL_EXPORTER_JAEGER_PASSWORD")) {
        config.insert("headers".into(), json!({ "authorization": basic_authorization(&user, &password) }));
    }
    let timeout = timeout(&["OTEL_EXPORTER_JAEGER_TIMEOUT"], reader);
    with_timeout("jaeger", config, timeout, sending)
}

fn headers(name: &str, text: &str, reader: &mut VariableReader<'_>) -> Map<String, Json> {
    let mut headers = Map::new();
    for (key, value) in reader.pairs(name, text) {
        match percent_decoded(&value) {
            Some(value) => drop(headers.insert(key, Json::String(value))),
            None => reader.warn(name, &format!("has a header {key:?} that is not percent-encoded; it is left out")),
        }
    }
    headers
}

fn timeout(names: &[&str], reader: &mut VariableReader<'_>) -> Option<u64> {
    let (name, _) = reader.first_text(names)?;
    reader.milliseconds(name)
}

/// The host's limit and the plugin's own are the same.
fn with_timeout(
    plugin: &str,
    mut config: Map<String, Json>,
    timeout: Option<u64>,
    sending: SendingSettings,
) -> Backend {
    if let Some(milliseconds) = timeout {
        config.insert("timeout".into(), milliseconds.into());
    }
    let timeout = timeout.map_or(sending.timeout, Duration::from_millis);
    implied(plugin, plugin, Json::Object(config), SendingSettings { timeout, ..sending }, 0..0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Otlp,
    Zipkin,
    Jaeger,
    Console,
    None,
}

const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const KINDS: &[(&str, Kind)] = &[
    ("otlp", Kind::Otlp),
    ("zipkin", Kind::Zipkin),
    ("jaeger", Kind::Jaeger),
    ("console", Kind::Console),
    ("logging", Kind::Console),
    ("none", Kind::None),
];
const JAEGER_PROTOCOLS: &[(&str, &str)] =
    &[("http/thrift.binary", "thrift_http"), ("udp/thrift.compact", "thrift_udp")];
