//! Whether a plugin and its JSON Schema say the same of a configuration.

use serde_json::Value;

/// Configurations of which the schema and `accepts` do not think alike: each with what the schema says of it.
///
/// The schema itself must be valid JSON Schema 2020-12 and refuse unknown keys at every level.
///
/// # Errors
///
/// What is wrong with the schema itself.
pub fn disagreements(schema: &str, configs: &[Value], accepts: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let schema: Value = serde_json::from_str(schema).map_err(|error| format!("no JSON: {error}"))?;
    jsonschema::draft202012::meta::validate(&schema).map_err(|error| format!("no JSON Schema: {error}"))?;
    assert_closed(&schema)?;
    let validator = jsonschema::draft202012::new(&schema).map_err(|error| error.to_string())?;
    let differ = configs.iter().filter(|config| validator.is_valid(config) != accepts(&config.to_string()));
    Ok(differ.map(|config| format!("{config}: the schema says {}", validator.is_valid(config))).collect())
}

fn assert_closed(schema: &Value) -> Result<(), String> {
    if schema.get("type") == Some(&Value::from("object")) && schema.get("additionalProperties").is_none() {
        return Err(format!("an object takes unknown keys: {schema}"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.values()).try_for_each(assert_closed)
}
