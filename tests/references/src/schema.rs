//! Whether a plugin and its JSON Schema say the same of a configuration: what the schema says is asked of a validator that
//! is not ours.

use serde_json::Value;
use tracer_plugin_api::Backend;

/// Of each of `configs` the plugin and its schema think alike.
///
/// The schema must also be valid JSON Schema 2020-12, and refuse unknown keys at every level.
///
/// # Panics
///
/// If not.
pub fn assert_alike<B: Backend>(configs: &[Value]) {
    let schema: Value = serde_json::from_str(B::CONFIG_SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    assert_closed(&schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for config in configs {
        let plugin = B::validate(&config.to_string());
        assert_eq!(validator.is_valid(config), plugin.is_ok(), "{config}: the plugin says {plugin:?}");
    }
}

fn assert_closed(schema: &Value) {
    let is_object = schema.get("type") == Some(&Value::from("object"));
    assert!(!is_object || schema.get("additionalProperties").is_some(), "an object takes unknown keys: {schema}");
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.values()).for_each(assert_closed);
}
