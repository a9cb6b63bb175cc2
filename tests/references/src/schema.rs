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

/// The same for a plugin that speaks HTTP: of its own `configs`, and of what all of that kind have.
///
/// # Panics
///
/// As [`assert_alike`].
pub fn assert_alike_by_http<B: Backend>(configs: &[Value]) {
    assert_alike::<B>(&[
        serde_json::json!({}),
        serde_json::json!({"endpoint": "https://h:1", "tls": {"ca_file": "/ca.pem"}}),
        serde_json::json!({"endpoint": "https://h:1", "tls": {"cert_file": "/c", "key_file": "/k"}}),
        serde_json::json!({"endpoint": "https://h:1", "tls": {"cert_file": "/c"}}),
        serde_json::json!({"endpoint": "https://h:1", "tls": {"insecure": true}}),
        serde_json::json!({"endpoint": 4318}),
        serde_json::json!({"compression": "gzip", "timeout": "500ms", "headers": {"a": "b"}, "proxy": "http://p:3128"}),
        serde_json::json!({"timeout": 10000}),
        serde_json::json!({"timeout": 0}),
        serde_json::json!({"timeout": "10 s"}),
        serde_json::json!({"compression": "zstd"}),
        serde_json::json!({"headers": {"a": 1}}),
        serde_json::json!({"headers": "a=b"}),
        serde_json::json!({"proxy": 3128}),
        serde_json::json!({"unknown": 1}),
    ]);
    assert_alike::<B>(configs);
}

fn assert_closed(schema: &Value) {
    let is_object = schema.get("type") == Some(&Value::from("object"));
    assert!(!is_object || schema.get("additionalProperties").is_some(), "an object takes unknown keys: {schema}");
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.values()).for_each(assert_closed);
}
