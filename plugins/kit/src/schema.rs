//! The JSON Schema of keys that several backends have.

/// The property `timeout` of a JSON Schema, for `concat!` into a backend's schema.
#[macro_export]
macro_rules! timeout_schema_property {
    ($what:literal) => {
        concat!(
            r#"
    "timeout": {
      "description": ""#,
            $what,
            r#": \"10s\", \"500ms\", or a whole number of milliseconds.",
      "type": ["string", "integer"],
      "pattern": "^[0-9]+(ms|s|m)?$",
      "x-explained": true,
      "minimum": 1,
      "maximum": 3600000,
      "default": "10s"
    }"#
        )
    };
}

/// The property `tls`, of [`TlsSettings`](crate::TlsSettings): which authorities it is in place of, and for what it is.
#[macro_export]
macro_rules! tls_schema_property {
    ($instead_of:literal, $for_what:literal) => {
        concat!(
            r#"
    "tls": {
      "description": "Who is trusted, and who we are. "#,
            $for_what,
            r#"",
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "ca_file": {
          "description": "PEM file of the certificate authorities to trust, in place of "#,
            $instead_of,
            r#".",
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
    }"#
        )
    };
}
