//! A backend's settings against its plugin: the schema first, then the plugin's own opinion.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Number, Value};

use super::broken_rules::{Broken, Rule, broken_rules};
use super::complaint::Complaint;
use super::library::PluginLibrary;
use super::secrets::{self, Secrets};

impl PluginLibrary {
    /// The settings with references turned into what the schema wants: a value that was one whole reference is text,
    /// and becomes a number or a boolean where text is not allowed. `references` are JSON pointers to such values.
    pub(crate) fn typed_settings(&self, config: &Value, references: &[String]) -> Value {
        let mut typed = config.clone();
        let wanted = wanted_types(self.schema(), config);
        for pointer in references {
            let Some(types) = wanted.get(pointer.as_str()) else { continue };
            if let Some(value) = typed.pointer_mut(pointer) {
                if let Some(converted) = value.as_str().and_then(|text| converted(text, types)) {
                    *value = converted;
                }
            }
        }
        typed
    }

    /// Everything that is wrong with a backend's settings, in the order of its pointers; empty if they would do.
    ///
    /// `config` is what [`PluginLibrary::typed_settings`] returned; `secrets` are JSON pointers to values that must not
    /// be printed, beside those that the schema marks. The plugin itself is asked only when the schema has no complaint
    /// but of patterns that the plugin explains. Calls the plugin, which does no I/O here; any thread.
    pub(crate) fn check(&self, config: &Value, secrets: &[String]) -> Vec<Complaint> {
        let secrets = Secrets::marked(self.schema(), config).with_values_at(config, secrets);
        let broken = broken_rules(self.settings_schema(), config);
        let mut complaints = Vec::new();
        if broken.iter().all(|broken| is_explained(broken, self.schema(), config)) {
            complaints.extend(self.validate(config));
        }
        if complaints.is_empty() {
            complaints = broken.into_iter().map(|broken| complaint(broken, self.schema(), config)).collect();
        }
        for complaint in &mut complaints {
            complaint.message = secrets.redact(&complaint.message);
        }
        complaints.sort();
        complaints.dedup();
        complaints
    }
}

/// Whether the plugin's own words say better what is wrong: a text of another form, where the schema has `x-explained`.
fn is_explained(broken: &Broken, schema: &Value, config: &Value) -> bool {
    let mut explained = false;
    secrets::visit(schema, config, &mut |schema, _, pointer| {
        explained |= pointer == broken.pointer && schema.get("x-explained").and_then(Value::as_bool) == Some(true);
    });
    explained && broken.rule == Rule::Form
}

fn complaint(Broken { pointer, rule }: Broken, schema: &Value, config: &Value) -> Complaint {
    match rule {
        Rule::UnknownKey(key) => unknown_key(&pointer, &key, &known_keys(schema, config, &pointer)),
        // The rule itself is for programs; what the plugin says of the key is for people.
        Rule::Form => match description(schema, config, &pointer) {
            Some(description) => Complaint::of_value(pointer, format!("{}: {description}", Rule::Form.words())),
            None => Complaint::of_value(pointer, Rule::Form.words()),
        },
        Rule::Said(message) => Complaint::of_value(pointer, message),
    }
}

fn unknown_key(parent: &str, key: &str, known: &BTreeSet<&str>) -> Complaint {
    let mut pointer = parent.to_owned();
    secrets::push_token(&mut pointer, key);
    let list = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let close = known.iter().map(|known| (strsim::damerau_levenshtein(key, known), known));
    let close = close.filter(|(distance, known)| *distance <= known.len().min(key.len()).div_ceil(3)).min();
    let message = match close {
        Some((_, close)) => format!("unknown key `{key}`; did you mean `{close}`? (known: {list})"),
        None if known.is_empty() => format!("unknown key `{key}`; no key is allowed here"),
        None => format!("unknown key `{key}`; known: {list}"),
    };
    Complaint { pointer, message, is_of_key: true }
}

fn known_keys<'a>(schema: &'a Value, config: &'a Value, at: &str) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    secrets::visit(schema, config, &mut |schema, _, pointer| {
        if pointer == at {
            known.extend(
                schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str()),
            );
        }
    });
    known
}

/// What the plugin says that is wanted at a place.
fn description<'a>(schema: &'a Value, config: &'a Value, at: &str) -> Option<&'a str> {
    let mut found = None;
    secrets::visit(schema, config, &mut |schema, _, pointer| {
        if pointer == at {
            found = found.or(schema.get("description").and_then(Value::as_str));
        }
    });
    found.map(|text| text.trim_end_matches('.'))
}

/// For every place in the configuration, the types some schema allows there.
fn wanted_types<'a>(schema: &'a Value, config: &'a Value) -> BTreeMap<String, BTreeSet<&'a str>> {
    let mut wanted: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    secrets::visit(schema, config, &mut |schema, _, pointer| {
        let types = match schema.get("type") {
            Some(Value::String(one)) => std::slice::from_ref(one).iter().map(String::as_str).collect(),
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        wanted.entry(pointer.to_owned()).or_default().extend(types);
    });
    wanted
}

/// The text as another type, if text is not wanted and it reads as one that is.
fn converted(text: &str, wanted: &BTreeSet<&str>) -> Option<Value> {
    if wanted.contains("string") {
        return None;
    }
    let as_integer = || text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok();
    let as_number = || text.parse().ok().and_then(Number::from_f64).map(Value::Number);
    let as_boolean = || text.parse().map(Value::Bool).ok();
    let either = wanted.contains("integer") || wanted.contains("number");
    either
        .then(as_integer)
        .flatten()
        .or_else(|| wanted.contains("number").then(as_number).flatten())
        .or_else(|| wanted.contains("boolean").then(as_boolean).flatten())
}
