//! Values as TOML writes them, on one line.

#![forbid(unsafe_code)]

use serde_json::Value as Json;
use tracer_resolver::config::{
    Ambient, Conventions, Measuring, MessageKey, ParentDecision, Pattern, Propagator, Relation, Sampler, Trace,
};

/// Any value. Null, which TOML has not, is an empty text; no setting is null.
pub(crate) fn value(value: &Json) -> String {
    match value {
        Json::Null => "\"\"".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => string(text),
        Json::Array(items) => list(items.iter().map(self::value)),
        Json::Object(members) if members.is_empty() => "{}".to_owned(),
        Json::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, member)| format!("{} = {}", self::key(key), self::value(member))).collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

/// A text in quotes: in single ones where that saves escapes.
pub(crate) fn string(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && c != '\'';
    if text.contains(['\\', '"']) && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A key: quoted unless it is bare.
pub(crate) fn key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { string(key) }
}

/// A text that is not to be taken for a reference.
pub(crate) fn literal(text: &str) -> String {
    string(&text.replace('$', "$$"))
}

/// An array.
pub(crate) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A name, a glob or a regular expression.
pub(crate) fn pattern(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Exact(text) | Pattern::Glob(text) => literal(text),
        Pattern::Regex(_) => format!("{{ regex = {} }}", literal(pattern.text())),
    }
}

pub(crate) fn sampler(sampler: Sampler) -> String {
    match sampler {
        Sampler::AlwaysOn => "\"always_on\"".to_owned(),
        Sampler::AlwaysOff => "\"always_off\"".to_owned(),
        Sampler::Ratio(ratio) => format!("{{ ratio = {ratio:?} }}"),
        Sampler::ConsistentProbability(share) => format!("{{ consistent_probability = {share:?} }}"),
        Sampler::RateLimit(limit) => format!("{{ rate_limit = {limit:?} }}"),
    }
}

pub(crate) fn trace(trace: Trace) -> &'static str {
    match trace {
        Trace::Spans => "\"spans\"",
        Trace::Propagate => "\"propagate\"",
        Trace::Off => "\"off\"",
    }
}

pub(crate) fn measure(measure: Measuring) -> &'static str {
    match measure {
        Measuring::Off => "\"off\"",
        Measuring::On => "\"on\"",
        Measuring::Only => "\"only\"",
    }
}

pub(crate) fn parent(parent: ParentDecision) -> &'static str {
    match parent {
        ParentDecision::Respect => "\"respect\"",
        ParentDecision::Ignore => "\"ignore\"",
    }
}

pub(crate) fn relation(relation: Relation) -> &'static str {
    match relation {
        Relation::Parent => "\"parent\"",
        Relation::Link => "\"link\"",
        Relation::Batch => "\"batch\"",
    }
}

pub(crate) fn ambient(ambient: Ambient) -> &'static str {
    match ambient {
        Ambient::Thread => "\"thread\"",
        Ambient::Off => "\"off\"",
    }
}

pub(crate) fn message_key(key: MessageKey) -> &'static str {
    match key {
        MessageKey::Off => "\"off\"",
        MessageKey::Hash => "\"hash\"",
        MessageKey::Plain => "\"plain\"",
    }
}

pub(crate) fn conventions(conventions: Conventions) -> &'static str {
    match conventions {
        Conventions::Messaging => "\"messaging\"",
        Conventions::MessagingDup => "\"messaging/dup\"",
    }
}

/// Texts that are not to be taken for references.
pub(crate) fn texts(texts: &[String]) -> String {
    list(texts.iter().map(|text| literal(text)))
}

/// The word for a format.
pub(crate) fn format_name(format: Propagator) -> &'static str {
    match format {
        Propagator::TraceContext => "tracecontext",
        Propagator::Baggage => "baggage",
        Propagator::B3 => "b3",
        Propagator::B3Multi => "b3multi",
        Propagator::Jaeger => "jaeger",
        Propagator::Datadog => "datadog",
        Propagator::XRay => "xray",
        Propagator::Elastic => "elastic",
        Propagator::SkyWalking => "skywalking",
    }
}

/// Formats; none of them is `["none"]`.
pub(crate) fn formats(formats: &[Propagator]) -> String {
    if formats.is_empty() {
        return "[\"none\"]".to_owned();
    }
    list(formats.iter().map(|format| string(format_name(*format))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_written_as_a_person_would() {
        let json = serde_json::json!({ "a b": ["x", 1, 0.5, true], "c": {}, "p": "C:\\x" });
        assert_eq!(value(&json), r#"{ "a b" = ["x", 1, 0.5, true], c = {}, p = 'C:\x' }"#);
        assert_eq!(sampler(Sampler::Ratio(1.0)), "{ ratio = 1.0 }");
        assert_eq!(formats(&[]), "[\"none\"]");
    }

    proptest! {
        #[test]
        fn whatever_text_is_written_is_read_back(text in "(?s).{0,40}") {
            let file = format!("{} = {}\n", key(&text), string(&text));
            let outline = tracer_resolver::config::Outline::of(&file);
            prop_assert_eq!(outline.at(&[&text]).map(|written| written.value.clone()), Some(Json::from(text.clone())));
        }
    }
}
