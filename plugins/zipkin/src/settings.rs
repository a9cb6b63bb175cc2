//! The `config` of a `zipkin` backend.

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{
    Compression, Endpoint, Headers, HttpSettings, ProxyUrl, SECRETS, TlsSettings, http_schema_properties,
};
use tracer_plugin_kit::{Timeout, settings};

/// Checked settings.
pub(crate) struct Settings {
    pub(crate) http: HttpSettings,
    /// Whether every span carries the attributes of its resource as tags.
    pub(crate) resource_tags: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    endpoint: Option<Endpoint>,
    resource_tags: bool,
    headers: Headers,
    compression: Compression,
    timeout: Timeout,
    tls: Option<TlsSettings>,
    proxy: Option<ProxyUrl>,
}

impl Default for Table {
    fn default() -> Self {
        Table {
            endpoint: None,
            resource_tags: true,
            headers: Headers::default(),
            compression: Compression::default(),
            timeout: Timeout::default(),
            tls: None,
            proxy: None,
        }
    }
}

impl Settings {
    pub(crate) fn parse(config_json: &str) -> Result<Self, BackendError> {
        let table: Table = settings::parse(config_json, SECRETS)?;
        let http = HttpSettings {
            endpoint: address(table.endpoint)?,
            headers: table.headers,
            compression: table.compression,
            timeout: table.timeout,
            tls: table.tls,
            proxy: table.proxy,
        };
        Ok(Settings { http: http.consistent()?, resource_tags: table.resource_tags })
    }
}

/// An address without a path means a Zipkin server, whose path is known; any other is used as it is.
fn address(given: Option<Endpoint>) -> Result<Endpoint, BackendError> {
    match given {
        Some(endpoint) if endpoint.is_bare() => {
            endpoint.ending_in(PATH).map_err(|message| BackendError::config("/endpoint", message))
        }
        Some(endpoint) => Ok(endpoint),
        None => Endpoint::try_from(DEFAULT.to_owned()).map_err(BackendError::internal),
    }
}

const PATH: &str = "/api/v2/spans";
const DEFAULT: &str = "http://localhost:9411/api/v2/spans";

pub(crate) const SCHEMA: &str = concat!(
    r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "zipkin",
  "description": "Zipkin JSON v2.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "endpoint": {
      "description": "Where to POST. An address without a path gets /api/v2/spans.",
      "type": "string",
      "pattern": "^https?://",
      "default": "http://localhost:9411/api/v2/spans"
    },
    "resource_tags": {
      "description": "Whether every span carries the attributes of its resource as tags: Zipkin has no resources.",
      "type": "boolean",
      "default": true
    },"#,
    http_schema_properties!(),
    r#"
  }
}"#
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_means_a_zipkin_server() {
        let endpoint = |json: &str| Settings::parse(json).unwrap().http.endpoint.to_string();
        assert_eq!(endpoint("{}"), "http://localhost:9411/api/v2/spans");
        assert_eq!(endpoint(r#"{"endpoint": "https://z"}"#), "https://z/api/v2/spans");
        assert_eq!(endpoint(r#"{"endpoint": "https://z/zipkin/spans"}"#), "https://z/zipkin/spans");
    }

    #[test]
    fn an_unknown_key_is_pointed_at_and_the_known_ones_are_those_of_the_schema() {
        let error = Settings::parse(r#"{"endpiont": "http://z"}"#).map(|_| ()).unwrap_err();
        assert_eq!(error.pointer(), "/endpiont");
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties = schema.pointer("/properties").unwrap().as_object().unwrap();
        for known in properties.keys() {
            assert!(error.message().contains(&format!("`{known}`")), "{known}: {error}");
        }
        assert_eq!(error.message().matches('`').count() / 2 - 1, properties.len());
    }
}
