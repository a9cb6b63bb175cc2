//! Our reading of JSON Schema, held against that of a library that knows all of it.

use serde_json::json;

use super::*;

/// What a schema can say of one value: every word, and some together.
fn words() -> Vec<Value> {
    vec![
        json!(true),
        json!(false),
        json!({}),
        json!({ "type": "string" }),
        json!({ "type": ["integer", "null"] }),
        json!({ "type": "number" }),
        json!({ "type": ["object", "array", "boolean"] }),
        json!({ "enum": ["none", true, 1, [1], { "x": 1 }, null] }),
        json!({ "const": 2.0 }),
        json!({ "const": { "x": [1] } }),
        json!({ "minimum": 1, "maximum": 3_600_000 }),
        json!({ "exclusiveMinimum": 0, "exclusiveMaximum": 2.5 }),
        json!({ "multipleOf": 2 }),
        json!({ "multipleOf": 0.5 }),
        json!({ "minLength": 1 }),
        json!({ "minLength": 2, "maxLength": 4 }),
        json!({ "pattern": "^https?://" }),
        json!({ "pattern": "^[0-9]+(ms|s|m)?$" }),
        json!({ "pattern": "\\d\\w\\." }),
        json!({ "minItems": 1, "maxItems": 2, "items": { "type": "string", "x-secret": true } }),
        json!({ "uniqueItems": true }),
        json!({ "prefixItems": [{ "type": "string" }, { "type": "integer" }], "items": false }),
        json!({ "contains": { "type": "integer" } }),
        json!({ "contains": { "type": "string" }, "minContains": 2, "maxContains": 2 }),
        json!({ "contains": { "type": "string" }, "minContains": 0 }),
        json!({ "type": "object", "properties": { "x": { "type": "integer" } }, "additionalProperties": false }),
        json!({ "additionalProperties": { "type": "string" }, "required": ["x"] }),
        json!({ "patternProperties": { "^x": { "type": "integer" } }, "additionalProperties": false }),
        json!({ "propertyNames": { "maxLength": 1, "pattern": "^[xz]" } }),
        json!({ "minProperties": 1, "maxProperties": 1 }),
        json!({ "dependentRequired": { "x": ["y"], "y": ["x"] } }),
        json!({ "dependentSchemas": { "x": { "required": ["y"], "properties": { "y": { "type": "string" } } } } }),
        json!({ "not": { "required": ["x", "y"] } }),
        json!({ "allOf": [{ "type": "integer" }, { "minimum": 2 }] }),
        json!({ "anyOf": [{ "type": "integer" }, { "const": "none" }] }),
        json!({ "oneOf": [{ "type": "integer" }, { "minimum": 2 }] }),
        json!({ "if": { "type": "string" }, "then": { "minLength": 4 }, "else": { "type": "integer" } }),
        json!({ "if": { "type": "string" }, "then": { "minLength": 4 } }),
        json!({ "then": { "type": "string" }, "format": "ipv4", "title": "t", "description": "d", "default": 1 }),
        json!({ "$ref": "#/$defs/positive", "maximum": 1 }),
        json!({ "$ref": "#/properties/b" }),
        json!({ "unheard": ["of"] }),
    ]
}

fn schemas() -> impl Iterator<Item = Value> {
    words().into_iter().map(|words| {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": { "positive": { "type": "integer", "minimum": 1 } },
            "properties": { "a": words, "b": { "type": "boolean" } },
        })
    })
}

fn values() -> Vec<Value> {
    let numbers = [json!(0), json!(1), json!(-1), json!(2), json!(2.5), json!(1.0), json!(3), json!(1e300), json!(0.3)];
    let mut values = vec![json!(null), json!(true), json!(3_600_001_u64), json!(u64::MAX), json!(i64::MIN)];
    values.extend(numbers);
    values.extend(
        ["", "x", "none", "äöüß", "äöüßa", "http://x", "https:/x", "10ms", "10h", "10s\n", "1a.", "a1."]
            .map(|text| json!(text)),
    );
    values.extend([json!([]), json!(["x"]), json!([1]), json!(["x", "y", "z"]), json!([1, 1.0]), json!(["x", 1])]);
    values.extend([json!(["x", 1, null]), json!([[1], [1]]), json!({}), json!({ "x": 1 }), json!({ "x": "1" })]);
    values.extend([json!({ "x": [1.0] }), json!({ "y": 1 }), json!({ "x": 1, "y": "2" }), json!({ "xx": 1, "z": "" })]);
    values
}

#[test]
fn settings_fit_a_schema_where_a_whole_validator_says_so() {
    let mut breaking = 0;
    for schema in schemas() {
        let own = SettingsSchema::parse(&schema.to_string()).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for value in values() {
            let settings = json!({ "a": value });
            let broken = broken_rules(&own, &settings);
            assert_eq!(broken.is_empty(), validator.is_valid(&settings), "{schema} {settings} {broken:?}");
            breaking += usize::from(!broken.is_empty());
        }
    }
    assert!(breaking > 500, "{breaking}");
}

#[test]
fn what_is_no_schema_to_a_whole_validator_is_none_to_us() {
    let wrong = [
        json!({ "type": "tabel" }),
        json!({ "type": [] }),
        json!({ "required": "a" }),
        json!({ "required": [1] }),
        json!({ "enum": "a" }),
        json!({ "minLength": -1 }),
        json!({ "maximum": "1" }),
        json!({ "multipleOf": 0 }),
        json!({ "uniqueItems": 1 }),
        json!({ "title": 1 }),
        json!({ "items": [{}] }),
        json!({ "allOf": [] }),
        json!({ "oneOf": [{}, 1] }),
        json!({ "properties": { "a": { "type": 1 } } }),
        json!({ "properties": { "a": 1 } }),
        json!({ "dependentRequired": { "a": "b" } }),
        json!({ "pattern": "(" }),
        json!({ "pattern": 1 }),
        json!({ "patternProperties": { "(": {} } }),
        json!({ "$ref": "#/$defs/a" }),
        json!({ "$ref": "https://localhost:1/schema.json" }),
    ];
    for schema in wrong {
        let refusal = SettingsSchema::parse(&schema.to_string()).unwrap_err();
        assert!(refusal.starts_with("config_schema is not a valid JSON Schema: "), "{schema}: {refusal}");
        let whole = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).offline().build(&schema);
        assert!(whole.is_err(), "{schema}");
    }
}

#[test]
fn a_word_that_would_be_passed_over_is_refused_with_its_place() {
    let schema = json!({ "properties": { "a/b": { "unevaluatedProperties": false } } });
    assert_eq!(
        SettingsSchema::parse(&schema.to_string()).unwrap_err(),
        "config_schema is not a valid JSON Schema: `unevaluatedProperties` is not for settings: see tracer_plugin.h (at \
         \"/properties/a~1b/unevaluatedProperties\")"
    );
}

#[test]
fn alternatives_that_multiply_end() {
    let schema = json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }, { "type": "null" }] });
    let own = SettingsSchema::parse(&schema.to_string()).unwrap();
    assert_eq!(broken_rules(&own, &json!({})), []);
}

/// A schema within itself: what lies deeper than is looked is taken to fit, and must not be held against anybody.
#[test]
fn what_is_not_checked_breaks_no_rule_by_fitting() {
    let (endless, mut wrong) = (json!({ "$ref": "#/$defs/endless" }), Vec::new());
    for word in [
        json!({ "not": endless }),
        json!({ "oneOf": [endless, endless] }),
        json!({ "contains": endless, "minContains": 0, "maxContains": 0 }),
        json!({ "contains": endless, "minContains": 2 }),
        json!({ "if": endless, "then": false }),
        json!({ "if": endless, "else": false }),
    ] {
        let mut schema = json!({ "$defs": { "endless": { "allOf": [endless] } }, "properties": { "a": word } });
        let breaks = |schema: &Value, value: Value| {
            broken_rules(&SettingsSchema::parse(&schema.to_string()).unwrap(), &json!({ "a": value }))
        };
        wrong.extend((!breaks(&schema, json!([1])).is_empty()).then(|| word.clone()));
        // The same, where all is checked and breaks it.
        let of = if word.get("contains").is_some() { "integer" } else { "array" };
        let of = if word.get("else").is_some() { "null" } else { of };
        schema["$defs"]["endless"] = json!({ "type": of });
        assert_eq!(breaks(&schema, json!([1])).len(), 1, "{word}");
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
