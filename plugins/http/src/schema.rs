//! The JSON Schema of the keys every HTTP backend has.

/// The properties of [`HttpSettings`](crate::HttpSettings) but `endpoint`, as JSON Schema text without the braces, for
/// `concat!` into a backend's schema.
#[macro_export]
macro_rules! http_schema_properties {
    () => {
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
    },
    "timeout": {
      "description": "The most one call may take: \"10s\", \"500ms\", or a whole number of milliseconds.",
      "type": ["string", "integer"],
      "pattern": "^[0-9]+(ms|s|m)?$",
      "x-explained": true,
      "minimum": 1,
      "maximum": 3600000,
      "default": "10s"
    },
    "tls": {
      "description": "Who is trusted, and who we are. For https endpoints.",
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "ca_file": {
          "description": "PEM file of the certificate authorities to trust, in place of the bundled public ones.",
          "type": "string",
          "minLength": 1
        },
        "cert_file": {
          "description": "PEM file of our certificate and its chain; goes with key_file.",
          "type": "string",
          "minLength": 1
        },
        "key_file": {
          "description": "PEM file of our private key, not encrypted; goes with cert_file.",
          "type": "string",
          "minLength": 1
        }
      },
      "dependentRequired": { "cert_file": ["key_file"], "key_file": ["cert_file"] }
    },
    "proxy": {
      "description": "The HTTP proxy to go through: http://host:port. The environment is not asked.",
      "type": "string",
      "x-secret": true
    }"#
    };
}
