//! The `config` of a `jaeger` backend.

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{
    Compression, Endpoint, Headers, HttpSettings, ProxyUrl, SECRETS, TlsSettings, http_schema_properties,
};
use tracer_plugin_kit::{HostPort, Timeout, settings};

/// Checked settings.
pub(crate) struct Settings {
    pub(crate) transport: Transport,
}

/// How Jaeger is reached.
pub(crate) enum Transport {
    /// OTLP: Jaeger 1.35 and later.
    OtlpHttp(HttpSettings),
    /// The collector's Thrift endpoint.
    ThriftHttp(HttpSettings),
    /// The agent: removed from Jaeger since.
    ThriftUdp(AgentSettings),
}

/// Where an agent is, and what it takes.
pub(crate) struct AgentSettings {
    pub(crate) address: AgentAddress,
    /// Bytes of UDP payload.
    pub(crate) max_packet_size: usize,
}

/// `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentAddress(String);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    transport: TransportName,
    endpoint: Option<String>,
    max_packet_size: Option<PacketSize>,
    headers: Option<Headers>,
    compression: Option<Compression>,
    timeout: Option<Timeout>,
    tls: Option<TlsSettings>,
    proxy: Option<ProxyUrl>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TransportName {
    #[default]
    OtlpHttp,
    ThriftHttp,
    ThriftUdp,
}

/// What a UDP packet can hold over IPv4, and no less than a small span with its process.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct PacketSize(u32);

impl Settings {
    pub(crate) fn parse(config_json: &str) -> Result<Self, BackendError> {
        let table: Table = settings::parse(config_json, SECRETS)?;
        let transport = match table.transport {
            TransportName::OtlpHttp => Transport::OtlpHttp(table.http("http://localhost:4318", OTLP_PATH)?),
            TransportName::ThriftHttp => Transport::ThriftHttp(table.collector()?),
            TransportName::ThriftUdp => Transport::ThriftUdp(table.agent()?),
        };
        Ok(Settings { transport })
    }
}

impl Table {
    fn http(self, default: &str, path: &str) -> Result<HttpSettings, BackendError> {
        if self.max_packet_size.is_some() {
            return Err(useless("max_packet_size", "only transport = \"thrift_udp\" has packets"));
        }
        let given = self.endpoint.unwrap_or_else(|| default.to_owned());
        let endpoint = Endpoint::try_from(given).map_err(at_endpoint)?;
        // Thrift's path is not always there to be added: behind a gateway an address is used as it is.
        let endpoint = if path == OTLP_PATH || endpoint.is_bare() {
            endpoint.ending_in(path).map_err(at_endpoint)?
        } else {
            endpoint
        };
        let http = HttpSettings {
            endpoint,
            headers: self.headers.unwrap_or_default(),
            compression: self.compression.unwrap_or_default(),
            timeout: self.timeout.unwrap_or_default(),
            tls: self.tls,
            proxy: self.proxy,
        };
        http.consistent()
    }

    /// The Thrift endpoint of a collector. Jaeger 1 reads gzip as if it were Thrift; its versions of 2017 and 2018 want to be told
    /// that it is Thrift; to the later ones that says nothing.
    fn collector(self) -> Result<HttpSettings, BackendError> {
        if self.compression == Some(Compression::Gzip) {
            let message = "Jaeger's Thrift endpoint answers 400 to gzip: leave `compression` out, or set \
                           transport = \"otlp_http\", which takes it";
            return Err(BackendError::config("/compression", message));
        }
        let http = self.http("http://localhost:14268", THRIFT_PATH)?;
        let endpoint = http.endpoint.with_parameter("format", "jaeger.thrift").map_err(at_endpoint)?;
        Ok(HttpSettings { endpoint, ..http })
    }

    fn agent(self) -> Result<AgentSettings, BackendError> {
        let given = [
            ("headers", self.headers.is_some()),
            ("compression", self.compression.is_some()),
            ("timeout", self.timeout.is_some()),
            ("tls", self.tls.is_some()),
            ("proxy", self.proxy.is_some()),
        ];
        if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
            return Err(useless(key, "transport = \"thrift_udp\" has no such thing"));
        }
        let address = self.endpoint.unwrap_or_else(|| "localhost:6831".to_owned());
        Ok(AgentSettings {
            address: AgentAddress::parse(&address).map_err(at_endpoint)?,
            max_packet_size: self.max_packet_size.map_or(DEFAULT_PACKET, |size| size.0 as usize),
        })
    }
}

impl AgentAddress {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let unusable = |what: &str| {
            let example = "an agent's address is \"host:port\", for example \"localhost:6831\"";
            format!("the address cannot be used: {what}; {example}")
        };
        let text = text.strip_prefix("udp://").unwrap_or(text);
        if text.contains("://") {
            return Err(unusable("packets do not go by http"));
        }
        let host_port = HostPort::parse(text).map_err(unusable)?;
        match host_port.port() {
            Some(_) => Ok(AgentAddress(host_port.to_string())),
            None => Err(unusable("there is no port in it")),
        }
    }
}

impl TryFrom<u32> for PacketSize {
    type Error = &'static str;

    fn try_from(size: u32) -> Result<Self, &'static str> {
        if (1_000..=65_507).contains(&size) {
            Ok(PacketSize(size))
        } else {
            Err("a packet is from 1000 to 65507 bytes")
        }
    }
}

fn at_endpoint(message: String) -> BackendError {
    BackendError::config("/endpoint", message)
}

/// A setting that would have no effect is a mistake somewhere: better said than passed over.
fn useless(key: &str, why: &str) -> BackendError {
    BackendError::config(format!("/{key}"), format!("`{key}` has no effect here: {why}"))
}

const OTLP_PATH: &str = "/v1/traces";
const THRIFT_PATH: &str = "/api/traces";

/// What Jaeger's own clients used: it leaves room for headers below UDP's 65507.
const DEFAULT_PACKET: usize = 65_000;

pub(crate) const SCHEMA: &str = concat!(
    r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "jaeger",
  "description": "Jaeger, by OTLP or, for old installations, Thrift over HTTP or UDP.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "transport": {
      "description": "otlp_http for Jaeger 1.35 and later; thrift_http for an older collector; thrift_udp for an agent.",
      "enum": ["otlp_http", "thrift_http", "thrift_udp"],
      "default": "otlp_http"
    },
    "endpoint": {
      "description": "An address: http://localhost:4318, http://localhost:14268/api/traces or localhost:6831 by transport.",
      "type": "string",
      "minLength": 1
    },
    "max_packet_size": {
      "description": "thrift_udp: bytes of a packet. A span that is larger is lost. macOS takes 9216 at most.",
      "type": "integer",
      "minimum": 1000,
      "maximum": 65507,
      "default": 65000
    },"#,
    http_schema_properties!(),
    r#"
  }
}"#
);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(json: &str) -> String {
        match Settings::parse(json).unwrap().transport {
            Transport::OtlpHttp(http) | Transport::ThriftHttp(http) => http.endpoint.to_string(),
            Transport::ThriftUdp(agent) => agent.address.as_str().to_owned(),
        }
    }

    fn complaint(json: &str) -> String {
        Settings::parse(json).map(|_| ()).unwrap_err().pointer().to_owned()
    }

    #[test]
    fn each_transport_has_its_own_address() {
        assert_eq!(address("{}"), "http://localhost:4318/v1/traces");
        assert_eq!(address(r#"{"transport": "thrift_http"}"#), "http://localhost:14268/api/traces");
        assert_eq!(address(r#"{"transport": "thrift_udp"}"#), "localhost:6831");
        assert_eq!(address(r#"{"transport": "thrift_http", "endpoint": "https://j"}"#), "https://j/api/traces");
        assert_eq!(address(r#"{"transport": "thrift_http", "endpoint": "https://j/in"}"#), "https://j/in");
        assert_eq!(address(r#"{"transport": "thrift_udp", "endpoint": "[::1]:6831"}"#), "[::1]:6831");
    }

    #[test]
    fn a_setting_without_effect_is_pointed_at() {
        assert_eq!(complaint(r#"{"max_packet_size": 9000}"#), "/max_packet_size");
        assert_eq!(complaint(r#"{"transport": "thrift_udp", "compression": "gzip"}"#), "/compression");
        assert_eq!(complaint(r#"{"transport": "thrift_udp", "tls": {}}"#), "/tls");
        assert_eq!(complaint(r#"{"transport": "thrift_http", "compression": "gzip"}"#), "/compression");
        Settings::parse(r#"{"transport": "thrift_http", "compression": "none"}"#).map(|_| ()).unwrap();
        Settings::parse(r#"{"compression": "gzip"}"#).map(|_| ()).unwrap();
    }

    #[test]
    fn addresses_and_sizes_that_cannot_be_used_are_pointed_at() {
        for bad in [
            "http://localhost:6831",
            "localhost",
            "localhost:0",
            ":6831",
            "::1:6831",
            "localhost:99999",
            "localhost:+1",
        ] {
            assert_eq!(
                complaint(&format!(r#"{{"transport": "thrift_udp", "endpoint": "{bad}"}}"#)),
                "/endpoint",
                "{bad}"
            );
        }
        assert_eq!(complaint(r#"{"transport": "thrift_udp", "max_packet_size": 70000}"#), "/max_packet_size");
        assert_eq!(complaint(r#"{"transport": "grpc"}"#), "/transport");
        assert_eq!(complaint(r#"{"endpoint": "localhost:4318"}"#), "/endpoint");
    }

    #[test]
    fn the_schema_has_the_same_keys() {
        let error = Settings::parse(r#"{"?": 1}"#).map(|_| ()).unwrap_err();
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties = schema.pointer("/properties").unwrap().as_object().unwrap();
        assert!(properties.keys().all(|known| error.message().contains(&format!("`{known}`"))), "{error}");
        assert_eq!(error.message().matches('`').count() / 2 - 1, properties.len());
    }
}
