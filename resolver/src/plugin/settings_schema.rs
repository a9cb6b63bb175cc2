//! `SettingsSchema`: what a plugin says of its settings.
//!
//! `plugin/RATIONALE.md`: "Why is a schema read by code of ours?"

#![forbid(unsafe_code)]

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::{c_text, secrets};

/// A JSON Schema 2020-12 of which every word is understood, or says nothing that could be broken.
#[derive(Clone, Debug)]
pub(super) struct SettingsSchema(Value);

impl SettingsSchema {
    /// Reads a schema; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let schema: Value =
            serde_json::from_str(text).map_err(|error| format!("config_schema is not JSON: {error}"))?;
        if !schema.is_object() {
            return Err("config_schema is JSON, but not an object".to_owned());
        }
        match (Reader { root: &schema }).schema(&schema) {
            Ok(()) => Ok(Self(schema)),
            Err(Defect { pointer, what }) => Err(format!(
                "config_schema is not a valid JSON Schema: {}",
                c_text::printable(format!("{what} (at \"{pointer}\")").as_bytes(), 300)
            )),
        }
    }

    pub(super) fn as_value(&self) -> &Value {
        &self.0
    }
}

/// What is wrong with a schema, and where: a JSON pointer into it.
struct Defect {
    pointer: String,
    what: String,
}

struct Reader<'s> {
    root: &'s Value,
}

impl Reader<'_> {
    fn schema(&self, schema: &Value) -> Result<(), Defect> {
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(words) => words.iter().try_for_each(|(word, value)| within(word, self.word(word, value))),
            _ => defect("a schema is an object or a boolean"),
        }
    }

    fn word(&self, word: &str, value: &Value) -> Result<(), Defect> {
        match word {
            "$schema" => must(value == DRAFT, &format!("schemas are written in {DRAFT}")),
            "$ref" => match value.as_str() {
                Some(reference) if target(self.root, reference).is_some() => Ok(()),
                Some(reference) => defect(&format!("\"{reference}\" leads to nothing in this document")),
                None => defect("a reference is a string"),
            },
            "type" => match value {
                Value::Array(types) => {
                    must(!types.is_empty(), "a list of types names one at least")?;
                    types.iter().try_for_each(is_type)
                }
                one => is_type(one),
            },
            "properties" | "$defs" | "definitions" | "dependentSchemas" => {
                named(value)?.iter().try_for_each(|(name, schema)| within(name, self.schema(schema)))
            }
            "patternProperties" => named(value)?.iter().try_for_each(|(pattern, schema)| {
                is_pattern(pattern)?;
                within(pattern, self.schema(schema))
            }),
            "additionalProperties" | "propertyNames" | "items" | "contains" | "not" | "if" | "then" | "else" => {
                self.schema(value)
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
                let Some(schemas) = schemas else { return defect("a list of schemas is wanted, with one at least") };
                (0..).zip(schemas).try_for_each(|(at, schema): (usize, _)| within(&at.to_string(), self.schema(schema)))
            }
            "required" => are_names(value),
            "dependentRequired" => named(value)?.iter().try_for_each(|(key, names)| within(key, are_names(names))),
            "enum" => must(value.is_array(), "a list of values is wanted"),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                must(value.is_number(), "a number is wanted")
            }
            "multipleOf" => must(value.as_f64().is_some_and(|of| of > 0.0), "a number above 0 is wanted"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => must(value.is_u64(), "a whole number is wanted"),
            "uniqueItems" => must(value.is_boolean(), "a boolean is wanted"),
            "pattern" => is_pattern(value.as_str().unwrap_or("(")),
            "title" | "description" | "$comment" | "format" => must(value.is_string(), "a string is wanted"),
            "$id"
            | "$anchor"
            | "$dynamicRef"
            | "$dynamicAnchor"
            | "$vocabulary"
            | "unevaluatedProperties"
            | "unevaluatedItems" => defect(&format!("`{word}` is not for settings: see tracer_plugin.h")),
            // `const`, `default`, and whatever else only describes.
            _ => Ok(()),
        }
    }
}

/// What a reference leads to.
pub(super) fn target<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn must(holds: bool, what: &str) -> Result<(), Defect> {
    if holds { Ok(()) } else { defect(what) }
}

fn defect<T>(what: &str) -> Result<T, Defect> {
    Err(Defect { pointer: String::new(), what: what.to_owned() })
}

/// The same, of what is at `key`.
fn within<T>(key: &str, result: Result<T, Defect>) -> Result<T, Defect> {
    result.map_err(|inner| {
        let mut pointer = String::new();
        secrets::push_token(&mut pointer, key);
        Defect { pointer: pointer + &inner.pointer, ..inner }
    })
}

fn named(value: &Value) -> Result<&Map<String, Value>, Defect> {
    value.as_object().map_or_else(|| defect("an object is wanted"), Ok)
}

fn are_names(value: &Value) -> Result<(), Defect> {
    must(value.as_array().is_some_and(|names| names.iter().all(Value::is_string)), "a list of names is wanted")
}

fn is_type(name: &Value) -> Result<(), Defect> {
    let known =
        matches!(name.as_str(), Some("null" | "boolean" | "object" | "array" | "number" | "string" | "integer"));
    must(known, &format!("there is no type {name}"))
}

fn is_pattern(pattern: &str) -> Result<(), Defect> {
    Regex::new(pattern).map(drop).or_else(|error| defect(&format!("the pattern cannot be read: {error}")))
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
