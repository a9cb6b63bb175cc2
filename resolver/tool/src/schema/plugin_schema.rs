//! A plugin's schema as a part of the file's: the plugin sees values, and the file may have references in their place.

#![forbid(unsafe_code)]

use serde_json::{Map, Value as Json, json};

/// `schema` as it stands at `place`, a reference such as `#/$defs/plugin_otlp`.
pub(super) fn embedded(schema: &Json, place: &str) -> Json {
    match schema {
        Json::Object(words) => {
            let words = words.iter().filter(|(word, _)| *word != "$schema");
            Json::Object(words.map(|(word, value)| (word.clone(), self::word(word, value, place))).collect())
        }
        other => other.clone(),
    }
}

fn word(word: &str, value: &Json, place: &str) -> Json {
    match (word, value) {
        ("$ref", Json::String(reference)) => match reference.strip_prefix('#') {
            Some(within) => json!(format!("{place}{within}")),
            None => value.clone(),
        },
        ("properties" | "patternProperties", Json::Object(members)) => {
            let members = members.iter().map(|(name, schema)| (name.clone(), or_reference(schema, place)));
            Json::Object(members.collect::<Map<_, _>>())
        }
        ("$defs" | "definitions" | "dependentSchemas", Json::Object(members)) => {
            let members = members.iter().map(|(name, schema)| (name.clone(), embedded(schema, place)));
            Json::Object(members.collect::<Map<_, _>>())
        }
        ("additionalProperties" | "items", schema) => or_reference(schema, place),
        ("prefixItems", Json::Array(schemas)) => schemas.iter().map(|schema| or_reference(schema, place)).collect(),
        ("allOf" | "anyOf" | "oneOf", Json::Array(schemas)) => {
            schemas.iter().map(|schema| embedded(schema, place)).collect()
        }
        ("contains" | "not" | "if" | "then" | "else" | "propertyNames", schema) => embedded(schema, place),
        _ => value.clone(),
    }
}

/// The schema of one value, for which a reference may stand; not for tables and lists, in which they stand.
fn or_reference(schema: &Json, place: &str) -> Json {
    let inner = embedded(schema, place);
    let Json::Object(words) = &inner else { return inner };
    let is = |kind: &str| words.get("type").is_some_and(|of| of == kind);
    let is_free_text = is("string")
        && !["pattern", "format", "enum", "const", "maxLength"].iter().any(|word| words.contains_key(*word));
    if is("object") || is("array") || is_free_text || words.is_empty() {
        return inner;
    }
    let mut outer = Map::new();
    for word in ["description", "default"] {
        if let Some(value) = words.get(word) {
            outer.insert(word.to_owned(), value.clone());
        }
    }
    outer.insert("anyOf".to_owned(), json!([inner, { "$ref": "#/$defs/reference" }]));
    Json::Object(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_to_the_new_place_and_may_stand_for_values() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": { "port": { "type": "integer", "description": "D." }, "tls": { "$ref": "#/$defs/tls" } },
            "$defs": { "tls": { "type": "object", "properties": { "name": { "type": "string" } } } },
        });
        assert_eq!(
            embedded(&schema, "#/$defs/p"),
            json!({
                "properties": {
                    "port": {
                        "description": "D.",
                        "anyOf": [{ "type": "integer", "description": "D." }, { "$ref": "#/$defs/reference" }],
                    },
                    "tls": { "anyOf": [{ "$ref": "#/$defs/p/$defs/tls" }, { "$ref": "#/$defs/reference" }] },
                },
                "$defs": { "tls": { "type": "object", "properties": { "name": { "type": "string" } } } },
            })
        );
    }
}
