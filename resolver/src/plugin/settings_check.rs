//! A backend's settings against its plugin: the schema first, then the plugin's own opinion.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Number, Value};

use super::PluginLibrary;
use super::secrets::{self, Secrets};

/// One thing that is wrong with a backend's `config`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    /// JSON pointer into the `config`; empty for all of it.
    pub(crate) pointer: String,
    /// What is wrong and what would be right. Holds no value of the configuration.
    pub(crate) message: String,
}

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
        let errors: Vec<_> = self.validator().iter_errors(config).collect();
        let mut complaints = Vec::new();
        if errors.iter().all(|error| is_explained(error, self.schema(), config)) {
            complaints.extend(self.validate(config));
        }
        if complaints.is_empty() {
            complaints = errors.iter().flat_map(|error| self::complaints(error, self.schema(), config)).collect();
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
fn is_explained(error: &ValidationError<'_>, schema: &Value, config: &Value) -> bool {
    let at = error.instance_path().as_str();
    let mut explained = false;
    secrets::visit(schema, config, &mut |schema, _, pointer| {
        explained |= pointer == at && schema.get("x-explained").and_then(Value::as_bool) == Some(true);
    });
    explained && matches!(error.kind(), ValidationErrorKind::Pattern { .. })
}

/// What the schema says, in words an operator knows.
fn complaints(error: &ValidationError<'_>, schema: &Value, config: &Value) -> Vec<Complaint> {
    let pointer = error.instance_path().as_str();
    let here = |message: String| vec![Complaint { pointer: pointer.to_owned(), message }];
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(schema, config, pointer);
            unexpected.iter().map(|key| unknown_key(pointer, key, &known)).collect()
        }
        ValidationErrorKind::PropertyNames { error } => here(format!("a key is not allowed: {}", rule(error))),
        // The rule itself is for programs; what the plugin says of the key is for people.
        ValidationErrorKind::Pattern { .. } => match description(schema, config, pointer) {
            Some(description) => here(format!("{}: {description}", rule(error))),
            None => here(rule(error)),
        },
        _ => here(rule(error)),
    }
}

/// One sentence for one broken rule. Never quotes the value: it may be a secret.
fn rule(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            format!("must be {}, not {}", types(kind), type_of(error.instance()))
        }
        ValidationErrorKind::Required { property } => {
            format!(
                "lacks the key {}",
                property.as_str().map_or_else(|| property.to_string(), |key| format!("`{key}`"))
            )
        }
        ValidationErrorKind::Enum { options } => format!("must be one of {}", listed(options)),
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("must have at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit: 1 } => "must have an entry".to_owned(),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} entries"),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} entries"),
        ValidationErrorKind::MinProperties { limit } => format!("must have at least {limit} keys"),
        ValidationErrorKind::MaxProperties { limit } => format!("must have at most {limit} keys"),
        ValidationErrorKind::Pattern { .. } => "does not have the form that the plugin wants".to_owned(),
        ValidationErrorKind::Format { format } => format!("is not a valid {format}"),
        ValidationErrorKind::UniqueItems => "has an entry twice".to_owned(),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            format!("fits none of what is allowed: {}", alternatives(context))
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "fits several of the forms that exclude each other".to_owned()
        }
        ValidationErrorKind::Not { .. } | ValidationErrorKind::FalseSchema => "is not allowed here".to_owned(),
        // What is left is rare, and the library's words for it are those of schemas.
        _ => "breaks a rule of the plugin's; its documentation says which values it takes".to_owned(),
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
    Complaint { pointer, message }
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

fn alternatives(context: &[Vec<ValidationError<'_>>]) -> String {
    let firsts: BTreeSet<_> = context.iter().filter_map(|errors| errors.first()).map(rule).collect();
    firsts.into_iter().collect::<Vec<_>>().join("; or ")
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => with_article(one.as_str()).to_owned(),
        TypeKind::Multiple(several) => {
            several.iter().map(|one| with_article(one.as_str())).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    with_article(match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    })
}

/// JSON's names, and TOML's where they differ: TOML is what the user writes.
fn with_article(json_type: &str) -> &'static str {
    match json_type {
        "boolean" => "a boolean",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "array" => "an array",
        "object" => "a table",
        _ => "null",
    }
}

fn listed(options: &Value) -> String {
    match options {
        Value::Array(options) => options.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
