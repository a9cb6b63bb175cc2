//! From a collection to Prometheus's text, by OpenTelemetry's rules for it ("Prometheus and OpenMetrics Compatibility").
//!
//! One text holds several services. So each sample says which service it is of, by the label `service_name`, and there is
//! a `target_info` for each of them, which has all of its resource.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::metrics::{Attributes, Metric, Points, Value};

/// Version 0.0.4 of the text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What one service has measured, and its resource.
pub(crate) struct Target<'a> {
    /// `service.name` is among them.
    pub resource: &'a [(String, String)],
    /// The process's number, where several processes are read as one: then each sample says whose it is.
    pub process: Option<u32>,
    pub metrics: Vec<&'a Metric>,
}

/// All of it as text.
pub(crate) fn text(targets: &[Target<'_>]) -> String {
    let mut out = String::new();
    target_info(&mut out, targets);
    // Samples of one name stand together, whosever they are.
    let mut written: Vec<&str> = Vec::new();
    for metric in targets.iter().flat_map(|target| &target.metrics) {
        if !written.contains(&metric.name) {
            written.push(metric.name);
            family(&mut out, metric, targets);
        }
    }
    out
}

fn target_info(out: &mut String, targets: &[Target<'_>]) {
    if targets.is_empty() {
        return;
    }
    out.push_str("# HELP target_info Target metadata\n# TYPE target_info gauge\n");
    for target in targets {
        let own = |key: &str| target.process.is_none() || key != PROCESS;
        let labels = target.resource.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let labels = labels.filter(|(key, _)| own(key)).chain(process_of(target));
        sample(out, "target_info", &labels_of(labels), "", "1");
    }
}

/// All samples of the metrics that are called as `like` is.
fn family(out: &mut String, like: &Metric, targets: &[Target<'_>]) {
    let name = name_of(like);
    let kind = match like.points {
        Points::Sum(_) => "counter",
        Points::UpDown(_) | Points::Gauge(_) => "gauge",
        Points::Histogram { .. } => "histogram",
    };
    let help = like.description.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a string does not fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for target in targets {
        for metric in target.metrics.iter().filter(|metric| metric.name == like.name) {
            samples(out, &name, &metric.points, target);
        }
    }
}

fn samples(out: &mut String, name: &str, points: &Points, target: &Target<'_>) {
    match points {
        Points::Sum(points) | Points::UpDown(points) | Points::Gauge(points) => {
            for point in points {
                sample(out, name, &point_labels(&point.attributes, target), "", &point.value.to_string());
            }
        }
        Points::Histogram { bounds, points } => {
            for point in points {
                let labels = point_labels(&point.attributes, target);
                let mut up_to_here = 0_u64;
                let bounds = bounds.iter().map(f64::to_string).chain(std::iter::once("+Inf".to_owned()));
                for (bound, count) in bounds.zip(&point.counts) {
                    up_to_here = up_to_here.saturating_add(*count);
                    sample(out, &format!("{name}_bucket"), &labels, &bound, &up_to_here.to_string());
                }
                sample(out, &format!("{name}_sum"), &labels, "", &point.sum.to_string());
                sample(out, &format!("{name}_count"), &labels, "", &up_to_here.to_string());
            }
        }
    }
}

/// One line; `le`, if it is not empty, is the label of a bucket.
fn sample(out: &mut String, name: &str, labels: &[(String, String)], le: &str, value: &str) {
    out.push_str(name);
    let mut separator = '{';
    let bucket = (!le.is_empty()).then_some(("le", le));
    for (key, text) in labels.iter().map(|(key, text)| (key.as_str(), text.as_str())).chain(bucket) {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _ = write!(out, "{separator}{key}=\"{text}\"");
        separator = ',';
    }
    out.push_str(if separator == '{' { " " } else { "} " });
    out.push_str(value);
    out.push('\n');
}

fn point_labels(attributes: &Attributes, target: &Target<'_>) -> Vec<(String, String)> {
    let service = target.resource.iter().filter(|(key, _)| key == "service.name");
    let service = service.map(|(key, value)| (key.as_str(), value.clone()));
    let scope = [("otel.scope.name", SCOPE.to_owned()), ("otel.scope.version", env!("CARGO_PKG_VERSION").to_owned())];
    let own = attributes.iter().map(|(key, value)| {
        let value = match value {
            Value::Text(text) => text.clone().into_owned(),
            Value::Int(number) => number.to_string(),
            Value::Bool(is) => is.to_string(),
        };
        (*key, value)
    });
    labels_of(service.chain(process_of(target)).chain(scope).chain(own))
}

fn process_of(target: &Target<'_>) -> Option<(&'static str, String)> {
    target.process.map(|process| (PROCESS, process.to_string()))
}

/// Names that labels can have. Values of keys that become one label are joined, in the order of the keys.
fn labels_of<'k>(attributes: impl Iterator<Item = (&'k str, String)>) -> Vec<(String, String)> {
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort_by(|one, other| one.0.cmp(other.0));
    let mut labels: Vec<(String, String)> = Vec::with_capacity(attributes.len());
    for (key, value) in attributes {
        let key = label_name(key);
        match labels.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => {
                known.push(';');
                known.push_str(&value);
            }
            None => labels.push((key, value)),
        }
    }
    labels
}

/// `messaging.destination.name` → `messaging_destination_name`.
fn label_name(key: &str) -> String {
    let name = squeezed(key, |c| c.is_ascii_alphanumeric());
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("key_{name}") } else { name }
}

/// The name with the unit, and what counters end in.
fn name_of(metric: &Metric) -> String {
    let mut name = squeezed(metric.name, |c| c.is_ascii_alphanumeric() || c == ':');
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    let is_counter = matches!(metric.points, Points::Sum(_));
    if is_counter && name.ends_with("_total") {
        name.truncate(name.len() - "_total".len());
    }
    let unit = unit_in_words(metric.unit, matches!(metric.points, Points::Gauge(_)));
    if !unit.is_empty() && !name.ends_with(&format!("_{unit}")) {
        name = format!("{name}_{unit}");
    }
    if is_counter { format!("{name}_total") } else { name }
}

/// A unit of UCUM as Prometheus writes it; nothing for what is in braces.
fn unit_in_words(unit: &str, is_gauge: bool) -> String {
    let mut bare = String::new();
    let mut depth = 0;
    for character in unit.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 => bare.push(character),
            _ => {}
        }
    }
    if bare == "1" {
        return if is_gauge { "ratio".to_owned() } else { String::new() };
    }
    let (of, per) = bare.split_once('/').unwrap_or((&bare, ""));
    let word = |unit: &str, words: &[(&str, &str)]| {
        let known = words.iter().find(|(short, _)| *short == unit);
        known.map_or_else(|| squeezed(unit, |c| c.is_ascii_alphanumeric()), |(_, word)| (*word).to_owned())
    };
    match (word(of, UNITS), word(per, PER_UNITS)) {
        (of, per) if per.is_empty() => of,
        (of, per) if of.is_empty() => format!("per_{per}"),
        (of, per) => format!("{of}_per_{per}"),
    }
}

/// With `_` for each run of characters that may not stand there.
fn squeezed(text: &str, may_stand: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if may_stand(character) {
            out.push(character);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

const SCOPE: &str = "tracer-resolver";
const PROCESS: &str = "process.pid";

const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("%", "percent"),
    ("Hz", "hertz"),
];

const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

#[cfg(test)]
mod tests;
