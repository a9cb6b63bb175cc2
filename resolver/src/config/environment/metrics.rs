//! `OTEL_METRICS_EXPORTER`, and what belongs to it. Without it there are no metrics: a library that is loaded into other
//! people's programs sends nothing more than it was asked for.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::config::draft::metrics::MetricsLayer;
use crate::config::reading::socket_address::socket_address;
use crate::config::reading::variable_reader::VariableReader;

/// What the variables say.
pub(super) fn read(reader: &mut VariableReader<'_>) -> MetricsLayer {
    let kinds = kinds(reader);
    if kinds.is_empty() {
        return MetricsLayer::default();
    }
    let interval = reader.milliseconds(INTERVAL).map(Duration::from_millis);
    let prometheus = kinds.contains(&Kind::Prometheus).then(|| prometheus(reader)).flatten();
    MetricsLayer {
        own: Some(Ok(true)),
        interval: interval.map(|interval| Ok(interval.max(SHORTEST))),
        // Who wants them asked for wants them sent to nobody.
        export: (!kinds.contains(&Kind::Sent)).then(|| Ok(Arc::default())),
        prometheus: prometheus.map(Ok),
        textfile: None,
    }
}

/// Whether metrics are sent to the otlp backend.
pub(super) fn are_sent(reader: &mut VariableReader<'_>) -> bool {
    // What is wrong with it is said once, by `read`.
    reader.text(EXPORTER).is_some_and(|text| text.split(',').any(|word| word.trim().eq_ignore_ascii_case("otlp")))
}

fn kinds(reader: &mut VariableReader<'_>) -> Vec<Kind> {
    let text = reader.text(EXPORTER).unwrap_or_default();
    let words = text.split(',').filter(|word| !word.trim().is_empty());
    words.filter_map(|word| reader.choice(EXPORTER, word, KINDS)).filter(|kind| *kind != Kind::None).collect()
}

fn prometheus(reader: &mut VariableReader<'_>) -> Option<std::net::SocketAddr> {
    let host = reader.text(HOST).unwrap_or_else(|| "localhost".into());
    let port = reader.number(PORT, "a port number", |port: &u16| *port > 0).unwrap_or(9464);
    let host = host.trim();
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let address = socket_address(&format!("{host}:{port}"));
    if address.is_none() {
        reader.warn(HOST, "is neither an IP address nor localhost: Prometheus cannot ask");
    }
    address
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sent,
    Prometheus,
    None,
}

const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const HOST: &str = "OTEL_EXPORTER_PROMETHEUS_HOST";
const PORT: &str = "OTEL_EXPORTER_PROMETHEUS_PORT";
const KINDS: &[(&str, Kind)] =
    &[("otlp", Kind::Sent), ("console", Kind::Sent), ("prometheus", Kind::Prometheus), ("none", Kind::None)];
/// As in the file.
const SHORTEST: Duration = Duration::from_secs(1);
