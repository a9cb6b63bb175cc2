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
    let asked = get("PROTOCOL", reader);
    let protocol = asked.as_ref().and_then(|(name, word)| reader.choice(name, word, PROTOCOLS));
    let protocol = protocol.unwrap_or(Protocol::Http);
    let endpoint = get("ENDPOINT", reader).map(|(name, text)| (name, protocol.address(&text, reader)));
    if let (Protocol::Http, None, Some((name, text))) = (protocol, &asked, &endpoint) {
        if text.trim_end_matches('/').ends_with(":4317") {
            reader.warn(
                name,
                "has port 4317, which is OTLP over gRPC as a rule: if it is, set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
            );
        }
    }
    let is_encrypted = endpoint.as_ref().is_some_and(|(_, text)| text.starts_with("https:"));
    let is_for_traces = endpoint.as_ref().is_some_and(|(name, _)| name.contains("_TRACES_"));
    if let Some((_, text)) = endpoint {
        config.insert(protocol.endpoint_key(is_for_traces).into(), text.into());
    }
    if let Some(endpoint) = metrics_endpoint(protocol, is_for_traces, reader) {
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
    named_with_timeout("otlp", protocol.plugin(), config, timeout, sending)
}

/// How OTLP is spoken, and with it which plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    fn plugin(self) -> &'static str {
        match self {
            Protocol::Http => "otlp",
            Protocol::Grpc => "otlp_grpc",
        }
    }

    /// Over HTTP the address for all signals is a base that the plugin adds its path to, and the one for traces is used as
    /// it stands. gRPC has no paths.
    fn endpoint_key(self, is_for_traces: bool) -> &'static str {
        if self == Protocol::Http && is_for_traces { "traces_endpoint" } else { "endpoint" }
    }

    /// For gRPC an address may be a host and a port alone; whether that is encrypted a variable of its own says.
    fn address(self, text: &str, reader: &mut VariableReader<'_>) -> String {
        let text = text.trim();
        if self == Protocol::Http || text.is_empty() || text.contains("://") || text.starts_with("unix:") {
            return text.to_owned();
        }
        let insecure = reader.first_text(&["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"]);
        let is_insecure = insecure.is_some_and(|(_, word)| word.trim().eq_ignore_ascii_case("true"));
        format!("{}://{text}", if is_insecure { "http" } else { "https" })
    }
}

/// Where metrics go, if that is not where the plugin would send them by itself. An address for traces says nothing of it.
fn metrics_endpoint(protocol: Protocol, is_for_traces: bool, reader: &mut VariableReader<'_>) -> Option<String> {
    if !metrics::are_sent(reader) {
        return None;
    }
    let own = reader.text(METRICS_PROTOCOL);
    if own
        .as_deref()
        .and_then(|word| reader.choice(METRICS_PROTOCOL, word, PROTOCOLS))
        .is_some_and(|own| own != protocol)
    {
        reader.warn(METRICS_PROTOCOL, "has no effect: metrics go by the same backend as spans, and in its protocol");
    }
    if let Some(whole) = reader.text("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") {
        return Some(protocol.address(&whole, reader));
    }
    let base = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT");
    is_for_traces.then(|| match (protocol, base) {
        (Protocol::Http, base) => {
            let base = base.unwrap_or_else(|| "http://localhost:4318".into());
            format!("{}/v1/metrics", base.trim().trim_end_matches('/'))
        }
        (Protocol::Grpc, Some(base)) => protocol.address(&base, reader),
        (Protocol::Grpc, None) => "http://localhost:4317".to_owned(),
    })
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

fn with_timeout(plugin: &str, config: Map<String, Json>, timeout: Option<u64>, sending: SendingSettings) -> Backend {
    named_with_timeout(plugin, plugin, config, timeout, sending)
}

/// The host's limit and the plugin's own are the same.
fn named_with_timeout(
    name: &str,
    plugin: &str,
    mut config: Map<String, Json>,
    timeout: Option<u64>,
    sending: SendingSettings,
) -> Backend {
    if let Some(milliseconds) = timeout {
        config.insert("timeout".into(), milliseconds.into());
    }
    let timeout = timeout.map_or(sending.timeout, Duration::from_millis);
    implied(name, plugin, Json::Object(config), SendingSettings { timeout, ..sending }, 0..0)
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
const METRICS_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL";
const PROTOCOLS: &[(&str, Protocol)] = &[("http/protobuf", Protocol::Http), ("grpc", Protocol::Grpc)];
const JAEGER_PROTOCOLS: &[(&str, &str)] =
    &[("http/thrift.binary", "thrift_http"), ("udp/thrift.compact", "thrift_udp")];
