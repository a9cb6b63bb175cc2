//! Values that must never be printed, and the walk through a schema that finds them.

#![forbid(unsafe_code)]

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Strings to be blotted out wherever somebody else's words are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// The values that the schema marks with `"x-secret": true`.
    pub(super) fn marked(schema: &Value, config: &Value) -> Self {
        let mut secrets = Self::default();
        visit(schema, config, &mut |schema, value, _| {
            if schema.get("x-secret") == Some(&Value::Bool(true)) {
                secrets.add_all(value);
            }
        });
        secrets
    }

    /// As well, the values at these JSON pointers.
    pub(super) fn with_values_at(mut self, config: &Value, pointers: &[String]) -> Self {
        for value in pointers.iter().filter_map(|pointer| config.pointer(pointer)) {
            self.add_all(value);
        }
        self
    }

    /// The text without any of them, nor a beginning of one where the text was cut off.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[redacted]"));
        let kept = text.trim_end_matches(['…', '\u{fffd}']).len();
        let cut_off = self.0.iter().find_map(|secret| {
            let beginnings = secret.char_indices().rev().map(|(end, _)| secret.get(..end).unwrap_or_default());
            let beginnings = beginnings.take_while(|beginning| beginning.len() >= SHORTEST);
            let mut matching =
                beginnings.filter(|beginning| text.get(..kept).is_some_and(|text| text.ends_with(beginning)));
            matching.next().map(str::len)
        });
        if let Some(length) = cut_off {
            text.replace_range(kept - length..kept, "[redacted]");
        }
        text
    }

    fn add_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(values) => values.iter().for_each(|value| self.add_all(value)),
            Value::Object(values) => values.values().for_each(|value| self.add_all(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn add(&mut self, text: &str) {
        // "Bearer abc…": the part that matters may be quoted alone.
        let parts = text.split_whitespace().filter(|part| part.len() >= 8);
        for secret in std::iter::once(text).chain(parts) {
            if secret.len() >= SHORTEST && !self.0.iter().any(|known| known == secret) {
                self.0.push(secret.to_owned());
            }
        }
        // A secret that contains another goes first, or a piece of it would stay.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// Shows `look` every object schema that applies to a value inside `config`, with that value and its JSON pointer.
/// Both branches of alternatives are taken as applying: who asks wants to miss nothing.
pub(super) fn visit<'a>(schema: &'a Value, config: &'a Value, look: Look<'a, '_>) {
    Walk { root: schema, look, steps: 0, depth: 0 }.at(schema, config, &mut String::new());
}

/// Is shown a schema, a value it applies to, and the value's JSON pointer.
pub(super) type Look<'a, 'l> = &'l mut dyn FnMut(&'a Map<String, Value>, &'a Value, &str);

struct Walk<'a, 'l> {
    root: &'a Value,
    look: Look<'a, 'l>,
    steps: usize,
    depth: usize,
}

impl<'a> Walk<'a, '_> {
    fn at(&mut self, schema: &'a Value, value: &'a Value, pointer: &mut String) {
        let Value::Object(object) = schema else { return };
        // Definitions that refer to each other in a ring would never end, and alternatives multiply.
        self.steps += 1;
        if self.steps > MOST_STEPS || self.depth == DEEPEST {
            return;
        }
        self.depth += 1;
        self.object(object, value, pointer);
        self.depth -= 1;
    }

    fn object(&mut self, object: &'a Map<String, Value>, value: &'a Value, pointer: &mut String) {
        (self.look)(object, value, pointer);
        if let Some(target) =
            object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'))
        {
            if let Some(target) = self.root.pointer(target) {
                self.at(target, value, pointer);
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for alternative in object.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.at(alternative, value, pointer);
            }
        }
        for keyword in ["if", "then", "else"] {
            if let Some(branch) = object.get(keyword) {
                self.at(branch, value, pointer);
            }
        }
        match value {
            Value::Object(values) => {
                for (key, schema) in object.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten() {
                    if values.contains_key(key) {
                        self.at(schema, value, pointer);
                    }
                }
                for (key, value) in values {
                    self.below(pointer, key, |walk, pointer| walk.property(object, key, value, pointer));
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    let place = object.get("prefixItems").and_then(|items| items.get(index));
                    let of_all = place.or_else(|| object.get("items"));
                    for schema in of_all.into_iter().chain(object.get("contains")) {
                        self.below(pointer, &index.to_string(), |walk, pointer| walk.at(schema, value, pointer));
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn property(&mut self, object: &'a Map<String, Value>, key: &str, value: &'a Value, pointer: &mut String) {
        let named = object.get("properties").and_then(|properties| properties.get(key));
        if let Some(schema) = named {
            self.at(schema, value, pointer);
        }
        // Those of patterns apply beside it. For another key it does not matter which matches: too many secrets are better than one
        // too few.
        for (pattern, schema) in object.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
            if named.is_none() || Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(key)) {
                self.at(schema, value, pointer);
            }
        }
        if let Some(schema) = object.get("additionalProperties").filter(|_| named.is_none()) {
            self.at(schema, value, pointer);
        }
    }

    fn below(&mut self, pointer: &mut String, token: &str, walk: impl FnOnce(&mut Self, &mut String)) {
        let length = pointer.len();
        push_token(pointer, token);
        walk(self, pointer);
        pointer.truncate(length);
    }
}

/// Appends one reference token to a JSON pointer (RFC 6901).
pub(super) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// Anything shorter would blot out half of every message, and is no secret.
const SHORTEST: usize = 4;

const MOST_STEPS: usize = 10_000;
const DEEPEST: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn marked_values_are_found_wherever_a_schema_can_hide_them() {
        let schema = json!({
            "$defs": { "token": { "type": "string", "x-secret": true } },
            "properties": {
                "password": { "x-secret": true },
                "auth": { "oneOf": [{ "type": "null" }, { "properties": { "token": { "$ref": "#/$defs/token" } } }] },
                "list": { "items": { "$ref": "#/$defs/token" } },
                "headers": { "additionalProperties": { "x-secret": true } },
                "endpoint": {}
            }
        });
        let config = json!({
            "password": "hunter22", "auth": { "token": "tok-1234" }, "list": ["list-5678"],
            "headers": { "authorization": "Bearer eyJhbGciOi" }, "endpoint": "http://collector"
        });
        let secrets = Secrets::marked(&schema, &config);
        let spoken = "hunter22 tok-1234 list-5678 Bearer eyJhbGciOi / eyJhbGciOi http://collector";
        assert_eq!(secrets.redact(spoken), "[redacted] [redacted] [redacted] [redacted] / [redacted] http://collector");
    }

    #[test]
    fn marks_are_found_in_every_word_that_holds_a_schema_of_a_value() {
        let marked = json!({ "x-secret": true });
        let cases = [
            (
                json!({ "dependentSchemas": { "a": { "properties": { "b": marked } } } }),
                json!({ "a": 1, "b": "hush-1" }),
                true,
            ),
            (
                json!({ "dependentSchemas": { "c": { "properties": { "b": marked } } } }),
                json!({ "b": "hush-1" }),
                false,
            ),
            (json!({ "contains": marked }), json!(["hush-1"]), true),
            (json!({ "items": {}, "contains": marked }), json!(["hush-1"]), true),
            (
                json!({ "properties": { "b": {} }, "patternProperties": { "^b": marked } }),
                json!({ "b": "hush-1" }),
                true,
            ),
            (
                json!({ "properties": { "b": {} }, "patternProperties": { "^c": marked } }),
                json!({ "b": "hush-1" }),
                false,
            ),
            (json!({ "properties": { "b": {} }, "additionalProperties": marked }), json!({ "b": "hush-1" }), false),
        ];
        let is_wrong = |(schema, config, is_found): &(Value, Value, bool)| {
            (Secrets::marked(schema, config).redact("hush-1") == "[redacted]") != *is_found
        };
        let wrong: Vec<_> = cases.iter().filter(|case| is_wrong(case)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({ "$ref": "#", "allOf": [{ "$ref": "#" }] });
        assert_eq!(Secrets::marked(&schema, &json!({ "a": "long enough" })).redact("long enough"), "long enough");
    }

    #[test]
    fn a_secret_that_contains_another_leaves_nothing_behind() {
        let config = json!({ "a": "abcd", "b": "abcdefgh" });
        let secrets = Secrets::default().with_values_at(&config, &["/a".into(), "/b".into()]);
        assert_eq!(secrets.redact("abcdefgh"), "[redacted]");
    }

    #[test]
    fn a_secret_cut_off_at_the_end_of_a_message_does_not_show_its_beginning() {
        let secrets = Secrets::default().with_values_at(&json!(["s3cr3t-token"]), &["/0".into()]);
        assert_eq!(secrets.redact("login with s3cr3t-to"), "login with [redacted]");
        assert_eq!(secrets.redact("login with s3cr3t-to…"), "login with [redacted]…");
        assert_eq!(secrets.redact("login with s3"), "login with s3", "too short to tell");
    }
}
