//! Settings against a plugin's schema: every rule that they break, in words an operator knows.

#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::{Map, Number, Value};

use super::secrets;
use super::settings_schema::{SettingsSchema, target};
use crate::counted::counted;

/// A rule that is broken, and where: a JSON pointer into the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) pointer: String,
    pub(super) rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A table has a key of this name, and must not.
    UnknownKey(String),
    /// A text is not of the form that a pattern says. The pattern is for programs, and is not shown.
    Form,
    /// One sentence. Never quotes the value: it may be a secret.
    Said(String),
}

/// What of `schema` is broken by `settings`.
pub(super) fn broken_rules(schema: &SettingsSchema, settings: &Value) -> Vec<Broken> {
    let mut check = Check { root: schema.as_value(), steps: 0, depth: 0, is_cut: false };
    check.against(schema.as_value(), settings, "")
}

struct Check<'s> {
    root: &'s Value,
    steps: usize,
    depth: usize,
    /// Something was not checked, and so was found to fit: nothing is broken because it fits, from then on.
    is_cut: bool,
}

/// Schemas that are looked at, at the most, and one within the other: some refer to themselves, and alternatives multiply.
/// What is left then is not checked here, but by the plugin.
const MOST_STEPS: usize = 20_000;
const MOST_DEPTH: usize = 64;

impl<'s> Check<'s> {
    fn against(&mut self, schema: &'s Value, value: &Value, pointer: &str) -> Vec<Broken> {
        self.steps += 1;
        self.depth += 1;
        let mut found = Vec::new();
        match schema {
            Value::Bool(false) => found.push(said(pointer, NOT_HERE)),
            Value::Object(words) if self.steps < MOST_STEPS && self.depth < MOST_DEPTH => {
                for (word, wanted) in words {
                    self.word(words, word, wanted, value, pointer, &mut found);
                }
            }
            Value::Object(_) => self.is_cut = true,
            _ => {}
        }
        self.depth -= 1;
        found
    }

    /// `None` where that cannot be told.
    fn fits(&mut self, schema: &'s Value, value: &Value) -> Option<bool> {
        let fits = self.against(schema, value, "").is_empty();
        (!self.is_cut).then_some(fits)
    }

    fn word(
        &mut self,
        words: &'s Map<String, Value>,
        word: &str,
        wanted: &'s Value,
        value: &Value,
        pointer: &str,
        found: &mut Vec<Broken>,
    ) {
        match value {
            Value::Number(number) => found.extend(number_rule(word, wanted, number).map(|rule| said(pointer, rule))),
            Value::String(text) => {
                found.extend(text_rule(word, wanted, text).map(|rule| Broken { pointer: pointer.to_owned(), rule }));
            }
            Value::Array(items) => self.list_word(words, word, wanted, items, pointer, found),
            Value::Object(keys) => self.table_word(words, word, wanted, keys, pointer, found),
            Value::Null | Value::Bool(_) => {}
        }
        match word {
            "$ref" => {
                if let Some(schema) = wanted.as_str().and_then(|reference| target(self.root, reference)) {
                    found.append(&mut self.against(schema, value, pointer));
                }
            }
            "type" => {
                let types = match wanted {
                    Value::Array(types) => types.as_slice(),
                    one => std::slice::from_ref(one),
                };
                let types: Vec<_> = types.iter().filter_map(Value::as_str).collect();
                if !types.iter().any(|name| is_of_type(value, name)) {
                    let types = types.into_iter().map(with_article).collect::<Vec<_>>().join(" or ");
                    found.push(said(pointer, format!("must be {types}, not {}", type_of(value))));
                }
            }
            "enum" if !entries(wanted).any(|allowed| same(allowed, value)) => {
                let options = entries(wanted).map(Value::to_string).collect::<Vec<_>>().join(", ");
                found.push(said(pointer, format!("must be one of {options}")));
            }
            "const" if !same(wanted, value) => found.push(said(pointer, format!("must be {wanted}"))),
            "allOf" => entries(wanted).for_each(|schema| found.append(&mut self.against(schema, value, pointer))),
            "anyOf" | "oneOf" => {
                let all: Vec<_> = entries(wanted).map(|schema| self.against(schema, value, pointer)).collect();
                match all.iter().filter(|broken| broken.is_empty()).count() {
                    0 => found.push(said(pointer, format!("fits none of what is allowed: {}", alternatives(&all)))),
                    2.. if word == "oneOf" && !self.is_cut => {
                        found.push(said(pointer, "fits several of the forms that exclude each other"));
                    }
                    _ => {}
                }
            }
            "not" if self.fits(wanted, value) == Some(true) => found.push(said(pointer, NOT_HERE)),
            "if" => {
                let then = self.fits(wanted, value).map(|fits| if fits { "then" } else { "else" });
                if let Some(schema) = then.and_then(|then| words.get(then)) {
                    found.append(&mut self.against(schema, value, pointer));
                }
            }
            _ => {}
        }
    }

    fn list_word(
        &mut self,
        words: &'s Map<String, Value>,
        word: &str,
        wanted: &'s Value,
        items: &[Value],
        pointer: &str,
        found: &mut Vec<Broken>,
    ) {
        let count = |word: &str, default: u64| words.get(word).and_then(Value::as_u64).unwrap_or(default);
        match word {
            "minItems" if is_below(items.len(), wanted) && wanted == 1 => {
                found.push(said(pointer, "must have an entry"))
            }
            "minItems" if is_below(items.len(), wanted) => {
                found.push(said(pointer, format!("must have at least {}", of(wanted, "entry"))));
            }
            "maxItems" if is_above(items.len(), wanted) => {
                found.push(said(pointer, format!("must have at most {}", of(wanted, "entry"))));
            }
            "uniqueItems" if wanted == true => {
                let twice = |(at, item): (usize, &Value)| items.iter().take(at).any(|before| same(before, item));
                if items.iter().enumerate().any(twice) {
                    found.push(said(pointer, "has an entry twice"));
                }
            }
            "prefixItems" => {
                for (at, (schema, item)) in entries(wanted).zip(items).enumerate() {
                    found.append(&mut self.against(schema, item, &inside(pointer, &at.to_string())));
                }
            }
            "items" => {
                let before = words.get("prefixItems").map_or(0, |schemas| entries(schemas).count());
                for (at, item) in items.iter().enumerate().skip(before) {
                    found.append(&mut self.against(wanted, item, &inside(pointer, &at.to_string())));
                }
            }
            "contains" => {
                let fitting = items.iter().filter(|item| self.fits(wanted, item) == Some(true)).count() as u64;
                let is_off = fitting < count("minContains", 1) || fitting > count("maxContains", u64::MAX);
                if is_off && !self.is_cut {
                    found.push(said(pointer, "has too few or too many entries of one kind"));
                }
            }
            _ => {}
        }
    }

    fn table_word(
        &mut self,
        words: &'s Map<String, Value>,
        word: &str,
        wanted: &'s Value,
        keys: &Map<String, Value>,
        pointer: &str,
        found: &mut Vec<Broken>,
    ) {
        let lacks = |names: &Value| -> Vec<Broken> {
            let names = entries(names).filter_map(Value::as_str).filter(|name| !keys.contains_key(*name));
            names.map(|name| said(pointer, format!("lacks the key `{name}`"))).collect()
        };
        match word {
            "minProperties" if is_below(keys.len(), wanted) => {
                found.push(said(pointer, format!("must have at least {}", of(wanted, "key"))));
            }
            "maxProperties" if is_above(keys.len(), wanted) => {
                found.push(said(pointer, format!("must have at most {}", of(wanted, "key"))));
            }
            "required" => found.append(&mut lacks(wanted)),
            "dependentRequired" => {
                for (_, names) in members(wanted).filter(|(key, _)| keys.contains_key(*key)) {
                    found.append(&mut lacks(names));
                }
            }
            "dependentSchemas" => {
                let all = Value::Object(keys.clone());
                for (_, schema) in members(wanted).filter(|(key, _)| keys.contains_key(*key)) {
                    found.append(&mut self.against(schema, &all, pointer));
                }
            }
            "propertyNames" => {
                for key in keys.keys() {
                    if let Some(first) = self.against(wanted, &Value::String(key.clone()), pointer).first() {
                        found.push(said(pointer, format!("a key is not allowed: {}", first.rule.words())));
                    }
                }
            }
            "properties" => {
                for (key, schema) in members(wanted) {
                    if let Some(value) = keys.get(key) {
                        found.append(&mut self.against(schema, value, &inside(pointer, key)));
                    }
                }
            }
            "patternProperties" => {
                for (pattern, schema) in members(wanted) {
                    for (key, value) in keys.iter().filter(|(key, _)| matches(pattern, key)) {
                        found.append(&mut self.against(schema, value, &inside(pointer, key)));
                    }
                }
            }
            "additionalProperties" => {
                let properties = words.get("properties").and_then(Value::as_object);
                let patterns = words.get("patternProperties");
                let is_named = |key: &str| {
                    properties.is_some_and(|known| known.contains_key(key))
                        || patterns.is_some_and(|patterns| members(patterns).any(|(pattern, _)| matches(pattern, key)))
                };
                for (key, value) in keys.iter().filter(|(key, _)| !is_named(key)) {
                    if wanted == false {
                        found.push(Broken { pointer: pointer.to_owned(), rule: Rule::UnknownKey(key.clone()) });
                    } else {
                        found.append(&mut self.against(wanted, value, &inside(pointer, key)));
                    }
                }
            }
            _ => {}
        }
    }
}

impl Rule {
    /// One sentence.
    pub(super) fn words(&self) -> String {
        match self {
            Self::UnknownKey(key) => format!("unknown key `{key}`"),
            Self::Form => "does not have the form that the plugin wants".to_owned(),
            Self::Said(rule) => rule.clone(),
        }
    }
}

fn number_rule(word: &str, wanted: &Value, number: &Number) -> Option<String> {
    let wanted = wanted.as_number()?;
    let (side, holds) = match (word, compare(number, wanted)) {
        ("minimum", order) => ("at least", order.is_some_and(Ordering::is_ge)),
        ("maximum", order) => ("at most", order.is_some_and(Ordering::is_le)),
        ("exclusiveMinimum", order) => ("more than", order.is_some_and(Ordering::is_gt)),
        ("exclusiveMaximum", order) => ("less than", order.is_some_and(Ordering::is_lt)),
        ("multipleOf", _) => ("a multiple of", is_multiple(number, wanted)),
        _ => return None,
    };
    (!holds).then(|| format!("must be {side} {wanted}"))
}

fn text_rule(word: &str, wanted: &Value, text: &str) -> Option<Rule> {
    let length = || text.chars().count();
    let said = |sentence: String| Some(Rule::Said(sentence));
    match word {
        "minLength" if is_below(length(), wanted) && wanted == 1 => said("must not be empty".to_owned()),
        "minLength" if is_below(length(), wanted) => said(format!("must have at least {}", of(wanted, "character"))),
        "maxLength" if is_above(length(), wanted) => said(format!("must have at most {}", of(wanted, "character"))),
        "pattern" => wanted.as_str().is_some_and(|pattern| !matches(pattern, text)).then_some(Rule::Form),
        _ => None,
    }
}

/// A number that the schema says, with its noun.
fn of(wanted: &Value, what: &str) -> String {
    wanted.as_u64().map_or_else(|| format!("{wanted} {what}s"), |count| counted(count, what))
}

fn said(pointer: &str, rule: impl Into<String>) -> Broken {
    Broken { pointer: pointer.to_owned(), rule: Rule::Said(rule.into()) }
}

fn alternatives(all: &[Vec<Broken>]) -> String {
    let firsts: BTreeSet<_> = all.iter().filter_map(|broken| broken.first()).map(|first| first.rule.words()).collect();
    firsts.into_iter().collect::<Vec<_>>().join("; or ")
}

fn inside(pointer: &str, key: &str) -> String {
    let mut inside = pointer.to_owned();
    secrets::push_token(&mut inside, key);
    inside
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn members(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table.as_object().into_iter().flatten()
}

/// A pattern may match anywhere. One that cannot be read is no valid schema, and was refused.
fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn is_below(count: usize, limit: &Value) -> bool {
    limit.as_u64().is_some_and(|limit| (count as u64) < limit)
}

fn is_above(count: usize, limit: &Value) -> bool {
    limit.as_u64().is_some_and(|limit| count as u64 > limit)
}

/// Numbers are the same however they are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let found = |(key, one): (&String, &Value)| other.get(key).is_some_and(|other| same(one, other));
            one.len() == other.len() && one.iter().all(found)
        }
        _ => one == other,
    }
}

fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn is_multiple(number: &Number, of: &Number) -> bool {
    match (number.as_i128(), of.as_i128()) {
        (Some(number), Some(of)) => number.checked_rem(of) == Some(0),
        _ => {
            let times = number.as_f64().zip(of.as_f64()).map_or(f64::NAN, |(number, of)| number / of);
            (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match (value, name) {
        (Value::Null, "null") | (Value::Bool(_), "boolean") | (Value::Number(_), "number") => true,
        (Value::String(_), "string") | (Value::Array(_), "array") | (Value::Object(_), "object") => true,
        (Value::Number(number), "integer") => {
            number.as_i128().is_some() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => false,
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

const NOT_HERE: &str = "is not allowed here";

#[cfg(test)]
mod tests;
