//! The file backend takes what its schema allows, and nothing else.

use tracer_plugin_file::File;

#[test]
fn the_schema_and_the_plugin_think_alike() {
    tracer_resolver_references::assert_alike::<File>(&[
        serde_json::json!({}),
        serde_json::json!({"path": "/tmp/spans.jsonl", "max_bytes": "1MiB", "max_files": 3}),
        serde_json::json!({"path": "stdout", "max_bytes": 4096}),
        serde_json::json!({"path": "stdout", "format": "text", "attributes": ["messaging.kafka.offset"]}),
        serde_json::json!({"format": "otlp_json"}),
        serde_json::json!({"format": "json"}),
        serde_json::json!({"format": "text", "attributes": "messaging.kafka.offset"}),
        serde_json::json!({"format": "text", "attributes": [1]}),
        serde_json::json!({"path": ""}),
        serde_json::json!({"path": 1}),
        serde_json::json!({"max_bytes": "1MB"}),
        serde_json::json!({"max_bytes": 0}),
        serde_json::json!({"max_files": 0}),
        serde_json::json!({"max_files": 1001}),
        serde_json::json!({"max_files": "3"}),
        serde_json::json!({"unknown": 1}),
    ]);
}
