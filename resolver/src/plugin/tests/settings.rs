//! What is said about a backend's settings: pointed at, in few words, and without any secret.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

const SCHEMA: &str = r##"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": false,
    "required": ["endpoint"],
    "$defs": { "secret": { "type": "string", "x-secret": true, "minLength": 12 } },
    "properties": {
        "endpoint": { "description": "An address.", "type": "string", "pattern": "^https?://" },
        "compression": { "enum": ["gzip", "none"] },
        "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
        "ratio": { "type": "number", "exclusiveMinimum": 0 },
        "verify": { "type": "boolean" },
        "token": { "$ref": "#/$defs/secret" },
        "headers": { "type": "object", "additionalProperties": { "type": "string", "x-secret": true } },
        "hosts": { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true },
        "account": { "type": ["integer", "string"] },
        "limit": { "oneOf": [{ "type": "integer" }, { "const": "none" }] },
        "tls": {
            "type": "object",
            "additionalProperties": false,
            "properties": { "ca_file": { "type": "string" }, "cert_file": { "type": "string" } }
        }
    }
}"##;

fn library(plugin: &CPlugin) -> Arc<PluginLibrary> {
    let folder = Folder::new();
    plugin.install(&folder);
    loader(Trust::Strict).load("sample", &folder.plugins()).unwrap()
}

/// What is said, a line for each complaint: `pointer: message`.
fn said(library: &PluginLibrary, config: &Value, references: &[&str]) -> Vec<String> {
    let references: Vec<_> = references.iter().map(|&pointer| pointer.to_owned()).collect();
    let typed = library.typed_settings(config, &references);
    let complaints = library.check(&typed, &references);
    complaints.into_iter().map(|complaint| format!("{}: {}", complaint.pointer, complaint.message)).collect()
}

#[test]
fn every_broken_rule_is_told_at_once_with_its_place_and_what_would_be_right() {
    let library = library(&CPlugin { schema: SCHEMA, ..CPlugin::default() });
    assert_eq!(said(&library, &json!({ "endpoint": "http://x", "port": 9411, "limit": "none" }), &[]), [""; 0]);
    let wrong = json!({
        "compression": "zip", "port": 0, "ratio": 0, "verify": "yes", "hosts": [], "limit": "some",
        "headers": { "x": 1 }, "tls": { "ca_fil": "", "password": "" }, "endpiont": "http://x",
    });
    assert_eq!(
        said(&library, &wrong, &[]),
        [
            ": lacks the key `endpoint`",
            "/compression: must be one of \"gzip\", \"none\"",
            "/endpiont: unknown key `endpiont`; did you mean `endpoint`? (known: `account`, `compression`, `endpoint`, `headers`, \
             `hosts`, `limit`, `port`, `ratio`, `tls`, `token`, `verify`)",
            "/headers/x: must be a string, not an integer",
            "/hosts: must have an entry",
            "/limit: fits none of what is allowed: must be \"none\"; or must be an integer, not a string",
            "/port: must be at least 1",
            "/ratio: must be more than 0",
            "/tls/ca_fil: unknown key `ca_fil`; did you mean `ca_file`? (known: `ca_file`, `cert_file`)",
            "/tls/password: unknown key `password`; known: `ca_file`, `cert_file`",
            "/verify: must be a boolean, not a string",
        ]
    );
    assert_eq!(
        said(&library, &json!({ "endpoint": "ftp://x", "port": 65536, "hosts": ["a", "a"] }), &[]),
        [
            "/endpoint: does not have the form that the plugin wants: An address",
            "/hosts: has an entry twice",
            "/port: must be at most 65535",
        ]
    );
    assert_eq!(said(&library, &json!([]), &[]), [": must be a table, not an array"]);
}

#[test]
fn a_key_with_a_slash_is_pointed_at_as_json_pointers_do() {
    let library = library(&CPlugin { schema: SCHEMA, ..CPlugin::default() });
    let complaints = said(&library, &json!({ "endpoint": "http://x", "a/b~c": 1 }), &[]);
    assert!(complaints[0].starts_with("/a~1b~0c: unknown key `a/b~c`; known: "), "{complaints:?}");
}

#[test]
fn no_value_is_ever_printed_be_it_marked_as_a_secret_or_taken_from_a_reference() {
    let library = library(&CPlugin { schema: SCHEMA, ..CPlugin::default() });
    let config = json!({
        "endpoint": "hunter2-in-the-endpoint", "token": "hunter2", "compression": "hunter2", "port": "hunter2",
        "headers": { "authorization": ["hunter2"] }, "limit": "hunter2", "hosts": ["hunter2", "hunter2"],
    });
    let complaints = said(&library, &config, &["/compression", "/port"]).join("\n");
    assert_eq!(complaints.lines().count(), 7, "{complaints}");
    assert!(!complaints.contains("hunter2"), "{complaints}");
}

#[test]
fn what_was_a_reference_becomes_the_type_the_schema_wants_and_stays_text_where_text_is_allowed() {
    let library = library(&CPlugin { schema: SCHEMA, ..CPlugin::default() });
    let config = json!({
        "endpoint": "9411", "port": "9411", "ratio": "0.5", "verify": "true", "limit": "17", "token": "012345678901",
        "hosts": ["1"], "compression": "1", "account": "12",
    });
    let references = ["/endpoint", "/port", "/ratio", "/verify", "/limit", "/token", "/hosts/0", "/account", "/gone"]
        .map(str::to_owned);
    assert_eq!(
        library.typed_settings(&config, &references),
        json!({
            "endpoint": "9411", "port": 9411, "ratio": 0.5, "verify": true, "limit": 17, "token": "012345678901",
            "hosts": ["1"], "compression": "1", "account": "12",
        })
    );
    // What does not read as the type stays, and is complained about; what is no reference is not touched.
    let config = json!({ "endpoint": "http://x", "port": "many", "verify": "true" });
    assert_eq!(
        said(&library, &config, &["/port"]),
        ["/port: must be an integer, not a string", "/verify: must be a boolean, not a string",]
    );
}

/// `validate` in C: complains at `field`, with the configuration it got as its message.
fn complaining(code: &str, field: &str) -> CPlugin {
    CPlugin {
        schema: SCHEMA,
        more: format!(
            "#define OWN_VALIDATE\n#include <string.h>\n\
             static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {{\n\
             tracer_str config = args->config_json;\n\
                 size_t length = config.len < 383 ? config.len : 383;\n\
                 strcpy(error->field, {field:?});\n\
                 memcpy(error->message, config.ptr, length);\n\
                 return {code};\n}}"
        ),
        ..CPlugin::default()
    }
}

#[test]
fn the_plugins_own_complaint_is_pointed_at_and_redacted() {
    let library = library(&complaining("TRACER_ERR_CONFIG", "/tls/ca_file"));
    let config = json!({ "endpoint": "http://reference", "token": "s3cr3t-s3cr3t", "tls": { "ca_file": "x" } });
    assert_eq!(
        said(&library, &config, &["/endpoint"]),
        ["/tls/ca_file: {\"endpoint\":\"[redacted]\",\"tls\":{\"ca_file\":\"x\"},\"token\":\"[redacted]\"}"]
    );
}

#[test]
fn a_plugin_that_points_at_nothing_points_at_what_is_nearest() {
    let library = library(&complaining("TRACER_ERR_CONFIG", "/tls/key_file/x"));
    let config = json!({ "endpoint": "http://x", "tls": {} });
    assert!(said(&library, &config, &[])[0].starts_with("/tls: {"), "{:?}", said(&library, &config, &[]));
    let elsewhere = self::library(&complaining("TRACER_ERR_CONFIG", "not a pointer"));
    assert!(said(&elsewhere, &config, &[])[0].starts_with(": {"));
}

#[test]
fn a_plugin_is_not_asked_about_what_its_schema_refuses() {
    let library = library(&complaining("TRACER_ERR_CONFIG", ""));
    assert_eq!(said(&library, &json!({}), &[]), [": lacks the key `endpoint`"]);
}

#[test]
fn a_plugin_that_explains_a_pattern_is_asked_in_its_place_and_only_if_nothing_else_is_wrong() {
    let schema = r#"{ "type": "object", "additionalProperties": false, "properties": {
        "endpoint": { "description": "An address.", "type": "string", "pattern": "^https?://", "x-explained": true },
        "port": { "type": "integer" }
    } }"#;
    let explaining = library(&CPlugin { schema, ..complaining("TRACER_ERR_CONFIG", "/endpoint") });
    let config = json!({ "endpoint": "localhost:4318" });
    assert_eq!(said(&explaining, &config, &[]), ["/endpoint: {\"endpoint\":\"localhost:4318\"}"]);
    let description = "/endpoint: does not have the form that the plugin wants: An address";
    let more = json!({ "endpoint": "localhost:4318", "port": "x" });
    assert_eq!(said(&explaining, &more, &[]), [description, "/port: must be an integer, not a string"]);
    let schema_alone = schema.replace(", \"x-explained\": true", "");
    let unasked = library(&CPlugin {
        schema: Box::leak(schema_alone.into_boxed_str()),
        ..complaining("TRACER_ERR_CONFIG", "/endpoint")
    });
    assert_eq!(said(&unasked, &config, &[]), [description]);
    // What breaks the schema is never right, whatever the plugin says.
    let silent = library(&CPlugin { schema, ..CPlugin::default() });
    assert_eq!(said(&silent, &config, &[]), [description]);
}

#[test]
fn any_code_but_ok_is_a_complaint_and_an_unknown_one_says_so() {
    let config = json!({ "endpoint": "http://x" });
    let message = "{\"endpoint\":\"http://x\"}";
    for (code, expected) in [
        ("TRACER_ERR_INTERNAL", format!(": internal error of the plugin: {message}")),
        ("4711", format!(": its validate returned the unknown code 4711: {message}")),
        ("-1", format!(": its validate returned the unknown code -1: {message}")),
    ] {
        assert_eq!(said(&library(&complaining(code, "")), &config, &[]), [expected]);
    }
}

#[test]
fn an_error_struct_without_any_nul_is_read_to_its_end_and_no_further() {
    let full = CPlugin {
        schema: SCHEMA,
        more: "#define OWN_VALIDATE\n#include <string.h>\n\
               static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {\n\
               tracer_str config = args->config_json;\n\
                   (void)config; memset(error->field, 'f', 128); memset(error->message, 'm', 384);\n\
                   return TRACER_ERR_CONFIG;\n}"
            .to_owned(),
        ..CPlugin::default()
    };
    assert_eq!(said(&library(&full), &json!({ "endpoint": "http://x" }), &[]), [format!(": {}", "m".repeat(384))]);
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let library = library(&CPlugin { schema: r##"{"$ref": "#"}"##, ..CPlugin::default() });
    assert_eq!(said(&library, &json!({ "a": 1 }), &[]), [""; 0]);
}
