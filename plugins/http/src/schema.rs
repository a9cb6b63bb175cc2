//! The JSON Schema of the keys every HTTP backend has.

/// The properties of [`HttpSettings`](crate::HttpSettings) but `endpoint`, as JSON Schema text without the braces, for
/// `concat!` into a backend's schema.
#[macro_export]
macro_rules! http_schema_properties {
    () => {
        concat!(
            r#"
    "headers": {
      "description": "Sent with every request, for example authorization. Values are never printed.",
      "type": "object",
      "additionalProperties": { "type": "string", "x-secret": true },
      "default": {}
    },
    "compression": {
      "description": "How bodies are sent.",
      "enum": ["none", "gzip"],
      "default": "none"
    },"#,
            $crate::timeout_schema_property!("The most one call may take"),
            ",",
            $crate::tls_schema_property!("the bundled public ones", "For https endpoints."),
            r#",
    "proxy": {
      "description": "The HTTP proxy to go through: http://host:port. The environment is not asked.",
      "type": "string",
      "x-secret": true
    }"#
        )
    };
}
