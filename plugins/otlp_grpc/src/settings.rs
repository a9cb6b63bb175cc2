//! The `config` of an `otlp_grpc` backend.

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{Compression, Headers, ProxyUrl, SECRETS, TlsSettings, http_schema_properties};
use tracer_plugin_kit::{Timeout, settings};

use crate::address::Address;

/// Checked settings.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) endpoint: Address,
    /// The address for metrics, if it is another one.
    #[serde(rename = "metrics_endpoint")]
    pub(crate) metrics: Option<Address>,
    pub(crate) headers: Headers,
    pub(crate) compression: Compression,
    pub(crate) timeout: Timeout,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) proxy: Option<ProxyUrl>,
}

impl Settings {
    pub(crate) fn parse(config_json: &str) -> Result<Self, BackendError> {
        let settings: Settings = settings::parse(config_json, SECRETS)?;
        for (name, _) in settings.headers.iter() {
            if OURS.contains(&name) || name.starts_with("grpc-") {
                let message = "gRPC sets this header itself, or has no such: leave it out";
                return Err(BackendError::config(format!("/headers/{name}"), message));
            }
        }
        for address in std::iter::once(&settings.endpoint).chain(&settings.metrics) {
            if settings.tls.is_some() && !address.is_encrypted() {
                let message = format!("`tls` is set, but {address} is not encrypted: write https:// or remove `tls`");
                return Err(BackendError::config("/tls", message));
            }
            if settings.proxy.is_some() && matches!(address, Address::Socket(_)) {
                let message = format!("`proxy` is set, but {address} is on this machine: remove `proxy`");
                return Err(BackendError::config("/proxy", message));
            }
        }
        if settings.proxy.as_ref().is_some_and(ProxyUrl::is_encrypted) {
            let message = "a proxy for gRPC is asked without TLS: its address begins with http://";
            return Err(BackendError::config("/proxy", message));
        }
        Ok(settings)
    }
}

/// What HTTP/2 knows no more, or gRPC sets to one value.
const OURS: [&str; 4] = ["keep-alive", "proxy-connection", "te", "upgrade"];

pub(crate) const SCHEMA: &str = concat!(
    r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "otlp_grpc",
  "description": "OTLP over gRPC, to any collector.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "endpoint": {
      "description": "The collector: http://host:port, https://host:port for TLS, or unix:///path/of/the/socket.",
      "type": "string",
      "pattern": "^(https?://|unix:)",
      "x-explained": true,
      "default": "http://localhost:4317"
    },
    "metrics_endpoint": {
      "description": "Where metrics go, if that is another place.",
      "type": "string",
      "pattern": "^(https?://|unix:)",
      "x-explained": true
    },"#,
    http_schema_properties!(),
    r#"
  }
}"#
);

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(json: &str) -> (String, String) {
        let error = Settings::parse(json).map(|_| ()).unwrap_err();
        (error.pointer().to_owned(), error.message().to_owned())
    }

    #[test]
    fn without_settings_it_is_the_collector_on_this_host() {
        let settings = Settings::parse("{}").unwrap();
        assert_eq!(settings.endpoint.to_string(), "http://localhost:4317");
        assert!(settings.metrics.is_none() && settings.proxy.is_none());
    }

    #[test]
    fn an_unknown_key_is_pointed_at_and_the_known_ones_are_those_of_the_schema() {
        let (field, message) = complaint(r#"{"enpoint": "http://c"}"#);
        assert_eq!(field, "/enpoint");
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties = schema.pointer("/properties").unwrap().as_object().unwrap();
        for (known, _) in properties {
            assert!(message.contains(&format!("`{known}`")), "the schema has {known}, the settings do not: {message}");
        }
        assert_eq!(message.matches('`').count() / 2 - 1, properties.len());
    }

    #[test]
    fn what_would_have_no_effect_or_break_a_call_is_pointed_at() {
        for (json, pointer) in [
            (r#"{"tls": {"ca_file": "/ca.pem"}}"#, "/tls"),
            (r#"{"endpoint": "unix:///run/o", "tls": {"ca_file": "/ca.pem"}}"#, "/tls"),
            (r#"{"endpoint": "https://c", "metrics_endpoint": "http://m", "tls": {"ca_file": "/ca.pem"}}"#, "/tls"),
            (r#"{"endpoint": "unix:///run/o", "proxy": "http://p:3128"}"#, "/proxy"),
            (r#"{"proxy": "https://p:3128"}"#, "/proxy"),
            (r#"{"headers": {"te": "gzip"}}"#, "/headers/te"),
            (r#"{"headers": {"Upgrade": "x"}}"#, "/headers/upgrade"),
            (r#"{"headers": {"grpc-timeout": "1S"}}"#, "/headers/grpc-timeout"),
            (r#"{"headers": {"content-type": "x"}}"#, "/headers/content-type"),
            (r#"{"endpoint": "http://c:4317/v1/traces"}"#, "/endpoint"),
            (r#"{"metrics_endpoint": "c:4317"}"#, "/metrics_endpoint"),
            (r#"{"compression": "zstd"}"#, "/compression"),
            (r#"{"timeout": "soon"}"#, "/timeout"),
            (r#"{"endpoint": "https://c", "tls": {"cert_file": "/c.pem"}}"#, "/tls"),
        ] {
            assert_eq!(complaint(json).0, pointer, "{json}");
        }
    }

    #[test]
    fn secrets_are_not_in_the_errors_about_them() {
        for json in [
            r#"{"headers": "Bearer s3cret"}"#,
            r#"{"headers": {"authorization": "s3cret\n"}}"#,
            r#"{"headers": {"grpc-x": "s3cret"}}"#,
            r#"{"proxy": "https://me:s3cret@p:3128"}"#,
            r#"{"endpoint": "http://me:s3cret@c:4317"}"#,
        ] {
            assert!(!complaint(json).1.contains("s3cret"), "{json}");
        }
    }
}
