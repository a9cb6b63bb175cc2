//! The `config` of an `otlp` backend.

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{
    Compression, Endpoint, Headers, HttpSettings, ProxyUrl, SECRETS, TlsSettings, http_schema_properties,
};
use tracer_plugin_kit::{Timeout, settings};

/// Checked settings.
pub(crate) struct Settings {
    /// With the address for traces.
    pub(crate) traces: HttpSettings,
    /// The address for metrics, to which all else applies too; `None` if it is not known.
    pub(crate) metrics: Option<Endpoint>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    endpoint: Option<Endpoint>,
    traces_endpoint: Option<Endpoint>,
    metrics_endpoint: Option<Endpoint>,
    headers: Headers,
    compression: Compression,
    timeout: Timeout,
    tls: Option<TlsSettings>,
    proxy: Option<ProxyUrl>,
}

impl Settings {
    pub(crate) fn parse(config_json: &str) -> Result<Self, BackendError> {
        let table: Table = settings::parse(config_json, SECRETS)?;
        let metrics = metrics_address(&table)?;
        let endpoint = address(table.endpoint, table.traces_endpoint)?;
        let http = HttpSettings {
            endpoint,
            headers: table.headers,
            compression: table.compression,
            timeout: table.timeout,
            tls: table.tls,
            proxy: table.proxy,
        };
        let traces = http.consistent()?;
        if let Some(metrics) = &metrics {
            HttpSettings { endpoint: metrics.clone(), ..traces.clone() }.consistent()?;
        }
        Ok(Settings { traces, metrics })
    }
}

/// As OpenTelemetry's exporters have it: the path is added to the base address, never to the address for traces.
fn address(base: Option<Endpoint>, traces: Option<Endpoint>) -> Result<Endpoint, BackendError> {
    match (base, traces) {
        (Some(_), Some(_)) => {
            let message = "`endpoint` and `traces_endpoint` exclude each other: keep the one you mean";
            Err(BackendError::config("/traces_endpoint", message))
        }
        (None, Some(traces)) => Ok(traces),
        (Some(base), None) => base.ending_in(PATH).map_err(|message| BackendError::config("/endpoint", message)),
        (None, None) => Endpoint::try_from(DEFAULT.to_owned()).map_err(BackendError::internal),
    }
}

/// By the same rule. An address for traces alone, used as it is, says where metrics go only if it ends as all do.
fn metrics_address(table: &Table) -> Result<Option<Endpoint>, BackendError> {
    if let Some(metrics) = &table.metrics_endpoint {
        return Ok(Some(metrics.clone()));
    }
    let beside = |traces: &Endpoint| traces.with_other_ending(PATH, METRICS_PATH);
    match (&table.endpoint, &table.traces_endpoint) {
        (Some(base), _) => beside(base)
            .map_or_else(|| base.ending_in(METRICS_PATH), Ok)
            .map(Some)
            .map_err(|message| BackendError::config("/endpoint", message)),
        (None, Some(traces)) => Ok(beside(traces)),
        (None, None) => {
            Endpoint::try_from(DEFAULT.to_owned()).map(|traces| beside(&traces)).map_err(BackendError::internal)
        }
    }
}

const PATH: &str = "/v1/traces";
const METRICS_PATH: &str = "/v1/metrics";
const DEFAULT: &str = "http://localhost:4318/v1/traces";

pub(crate) const SCHEMA: &str = concat!(
    r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "otlp",
  "description": "OTLP/HTTP with protobuf bodies, to any collector.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "endpoint": {
      "description": "Base address of the collector; /v1/traces, and /v1/metrics for metrics, is added unless the path ends in it.",
      "type": "string",
      "pattern": "^https?://",
      "x-explained": true,
      "default": "http://localhost:4318"
    },
    "traces_endpoint": {
      "description": "The whole address for traces, used as it is. In place of endpoint.",
      "type": "string",
      "pattern": "^https?://",
      "x-explained": true
    },
    "metrics_endpoint": {
      "description": "The whole address for metrics, used as it is.",
      "type": "string",
      "pattern": "^https?://",
      "x-explained": true
    },"#,
    http_schema_properties!(),
    r#"
  },
  "not": { "required": ["endpoint", "traces_endpoint"] }
}"#
);

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(json: &str) -> String {
        Settings::parse(json).unwrap().traces.endpoint.to_string()
    }

    fn complaint(json: &str) -> (String, String) {
        let error = Settings::parse(json).map(|_| ()).unwrap_err();
        (error.pointer().to_owned(), error.message().to_owned())
    }

    #[test]
    fn without_an_endpoint_it_is_the_collector_on_this_host() {
        assert_eq!(endpoint("{}"), "http://localhost:4318/v1/traces");
    }

    #[test]
    fn a_base_address_gets_the_path_and_an_address_for_traces_does_not() {
        assert_eq!(endpoint(r#"{"endpoint": "https://c:4318"}"#), "https://c:4318/v1/traces");
        assert_eq!(endpoint(r#"{"traces_endpoint": "https://c/in"}"#), "https://c/in");
    }

    #[test]
    fn metrics_go_where_opentelemetry_s_exporters_send_them() {
        let metrics = |json: &str| Settings::parse(json).unwrap().metrics.map(|endpoint| endpoint.to_string());
        for (json, address) in [
            ("{}", Some("http://localhost:4318/v1/metrics")),
            (r#"{"endpoint": "https://c:4318"}"#, Some("https://c:4318/v1/metrics")),
            (r#"{"endpoint": "https://c/otlp/"}"#, Some("https://c/otlp/v1/metrics")),
            // A base that is none: the path of one signal stands in it already.
            (r#"{"endpoint": "https://c/otlp/v1/traces"}"#, Some("https://c/otlp/v1/metrics")),
            (r#"{"endpoint": "https://c", "metrics_endpoint": "https://m/in"}"#, Some("https://m/in")),
            (r#"{"traces_endpoint": "https://c/v1/traces"}"#, Some("https://c/v1/metrics")),
            (r#"{"traces_endpoint": "https://c/in"}"#, None),
            (r#"{"traces_endpoint": "https://c/in", "metrics_endpoint": "https://m/in"}"#, Some("https://m/in")),
        ] {
            assert_eq!(metrics(json).as_deref(), address, "{json}");
        }
        assert_eq!(complaint(r#"{"metrics_endpoint": "c:4318"}"#).0, "/metrics_endpoint");
        let (field, message) = complaint(
            r#"{"endpoint": "https://c", "metrics_endpoint": "http://plain/in", "tls": {"ca_file": "/ca.pem"}}"#,
        );
        assert!(field == "/tls" && message.contains("http://plain/in"), "{field} {message}");
    }

    #[test]
    fn both_addresses_at_once_are_refused() {
        let (field, _) = complaint(r#"{"endpoint": "http://a", "traces_endpoint": "http://b"}"#);
        assert_eq!(field, "/traces_endpoint");
    }

    #[test]
    fn an_unknown_key_is_pointed_at_and_the_known_ones_are_those_of_the_schema() {
        let (field, message) = complaint(r#"{"enpoint": "http://c"}"#);
        assert_eq!(field, "/enpoint");
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        for (known, _) in schema.pointer("/properties").unwrap().as_object().unwrap() {
            assert!(message.contains(&format!("`{known}`")), "the schema has {known}, the settings do not: {message}");
        }
        assert_eq!(
            message.matches('`').count() / 2 - 1,
            schema.pointer("/properties").unwrap().as_object().unwrap().len()
        );
    }

    #[test]
    fn errors_point_into_the_tables_below() {
        assert_eq!(complaint(r#"{"tls": {"cafile": "x"}}"#).0, "/tls/cafile");
        assert_eq!(complaint(r#"{"compression": "zstd"}"#).0, "/compression");
        assert_eq!(complaint(r#"{"timeout": "soon"}"#).0, "/timeout");
        assert_eq!(complaint(r#"{"endpoint": "c:4318"}"#).0, "/endpoint");
        assert_eq!(complaint(r#"{"headers": {"a b": "x"}}"#).0, "/headers/a b");
    }

    #[test]
    fn tls_for_an_address_that_is_not_encrypted_is_refused() {
        assert_eq!(complaint(r#"{"endpoint": "http://c", "tls": {"ca_file": "/ca.pem"}}"#).0, "/tls");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let (field, message) = complaint(r#"{"endpoint": "https://c", "tls": {"cert_file": "/c.pem"}}"#);
        assert_eq!(field, "/tls");
        assert!(message.contains("key_file"), "{message}");
    }

    #[test]
    fn secrets_are_not_in_the_errors_about_them() {
        for json in [
            r#"{"headers": "Bearer s3cret"}"#,
            r#"{"headers": {"authorization": "s3cret\n"}}"#,
            r#"{"proxy": "s3cret"}"#,
            r#"{"proxy": ["s3cret"]}"#,
        ] {
            let (_, message) = complaint(json);
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}
