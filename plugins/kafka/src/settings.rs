//! The `config` of a `kafka` backend.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{
    ByteSize, HostPort, Timeout, TlsSettings, settings, timeout_schema_property, tls_schema_property,
};

use crate::property::Property;
use crate::sasl::{self, Mechanism, Sasl};
use crate::tls;

/// Checked settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) bootstrap_servers: Servers,
    pub(crate) traces_topic: TopicName,
    pub(crate) metrics_topic: TopicName,
    pub(crate) partition_traces_by_id: bool,
    compression: Compression,
    acks: Acks,
    max_message_bytes: ByteSize,
    pub(crate) timeout: Timeout,
    pub(crate) tls: Option<TlsSettings>,
    sasl: Option<Sasl>,
    properties: BTreeMap<String, Property>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            bootstrap_servers: Servers("localhost:9092".to_owned()),
            traces_topic: TopicName("otlp_spans".to_owned()),
            metrics_topic: TopicName("otlp_metrics".to_owned()),
            partition_traces_by_id: false,
            compression: Compression::None,
            acks: Acks::All,
            max_message_bytes: MAX_MESSAGE_BYTES,
            timeout: Timeout::DEFAULT,
            tls: None,
            sasl: None,
            properties: BTreeMap::new(),
        }
    }
}

impl Settings {
    pub(crate) fn parse(config_json: &str) -> Result<Self, BackendError> {
        let settings: Settings = settings::parse(config_json, SECRETS)?;
        let most = settings.max_message_bytes.bytes();
        if !(LEAST_BYTES..=MOST_BYTES).contains(&most) {
            let message = format!("takes {LEAST_BYTES} to {MOST_BYTES} bytes, not {most}");
            return Err(BackendError::config("/max_message_bytes", message));
        }
        for name in settings.properties.keys() {
            if let Some(instead) = settings.instead_of(name) {
                let message = format!("`{name}` is set by the backend itself: {instead}");
                return Err(BackendError::config(pointer(name), message));
            }
        }
        if cfg!(not(feature = "tls")) {
            if settings.tls.is_some() {
                return Err(BackendError::config("/tls", tls::NO_TLS));
            }
            if settings.sasl.as_ref().is_some_and(|sasl| sasl.mechanism() != Mechanism::Plain) {
                return Err(BackendError::config("/sasl/mechanism", tls::NO_TLS));
            }
        }
        Ok(settings)
    }

    /// What says the property of that name, if `properties` must not.
    fn instead_of(&self, name: &str) -> Option<&'static str> {
        let ours = OURS.iter().find(|(ours, _)| *ours == name).map(|(_, instead)| *instead);
        ours.or_else(|| match (&self.tls, &self.sasl) {
            (Some(_), _) if tls::NAMES.contains(&name) => Some("see `tls`"),
            (_, Some(_)) if sasl::NAMES.contains(&name) => Some("see `sasl`"),
            (Some(_), _) | (_, Some(_)) if name == PROTOCOL => Some("`tls` and `sasl` say it"),
            _ => None,
        })
    }

    /// How brokers are spoken to.
    pub(crate) fn security(&self) -> Security {
        let of = |name: &str| self.properties.get(name).map_or("", Property::value).to_ascii_uppercase();
        let said = of(PROTOCOL);
        let shows_itself = |name: &&str| !name.starts_with("ssl.ca") && self.properties.contains_key(*name);
        Security {
            has_tls: self.tls.is_some() || said.ends_with("SSL"),
            has_sasl: self.sasl.is_some() || said.starts_with("SASL"),
            has_identity: self.tls.as_ref().is_some_and(TlsSettings::has_identity)
                || tls::NAMES.iter().any(shows_itself),
            sends_password: match &self.sasl {
                Some(sasl) => sasl.mechanism() == Mechanism::Plain,
                None => {
                    said.starts_with("SASL")
                        && ["sasl.mechanism", "sasl.mechanisms"].map(of).contains(&"PLAIN".to_owned())
                }
            },
        }
    }

    /// Whether librdkafka takes the properties: each by itself. Nothing is opened, no thread started.
    pub(crate) fn check_properties(&self) -> Result<(), BackendError> {
        self.client_config().create_native_config().map(drop).map_err(|error| self.explain(&error))
    }

    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in DEFAULTS {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value.value());
        }
        match (&self.tls, &self.sasl) {
            (None, None) => {}
            (None, Some(_)) => drop(config.set(PROTOCOL, "sasl_plaintext")),
            (Some(_), None) => drop(config.set(PROTOCOL, "ssl")),
            (Some(_), Some(_)) => drop(config.set(PROTOCOL, "sasl_ssl")),
        }
        if let Some(tls) = &self.tls {
            tls::configure(tls, &mut config);
        }
        if let Some(sasl) = &self.sasl {
            sasl.configure(&mut config);
        }
        // The export's own time-out is exact: this one only has to come after it.
        let millis = self.timeout.duration().as_millis() + 1_000;
        config
            .set("bootstrap.servers", &self.bootstrap_servers.0)
            .set("compression.type", self.compression.word())
            .set("acks", self.acks.word())
            .set("message.max.bytes", self.max_message_bytes.bytes().to_string())
            .set("message.timeout.ms", millis.to_string());
        config
    }

    /// What the body of a message may have: librdkafka adds up key, body and what the protocol puts around them.
    pub(crate) fn most_bytes(&self) -> usize {
        usize::try_from(self.max_message_bytes.bytes()).unwrap_or(usize::MAX).saturating_sub(AROUND_A_BODY)
    }

    /// What librdkafka has against the properties, without the values, which may be secrets.
    pub(crate) fn explain(&self, error: &KafkaError) -> BackendError {
        match error {
            KafkaError::ClientConfig(code, said, name, _) => {
                let message = match code {
                    RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => format!("librdkafka has no property `{name}`"),
                    _ if said.contains("not available at build time") => {
                        format!("{}: {}", self.strike_out(said), tls::NO_TLS)
                    }
                    _ => self.strike_out(said),
                };
                BackendError::config(pointer(name), message)
            }
            KafkaError::ClientCreation(said) => BackendError::config("/properties", self.strike_out(said)),
            other => BackendError::config("/properties", self.strike_out(&other.to_string())),
        }
    }

    fn strike_out(&self, text: &str) -> String {
        let of_sasl = self.sasl.iter().flat_map(Sasl::secrets);
        let values = self.properties.values().map(Property::value).chain(of_sasl).filter(|value| !value.is_empty());
        // The longest first: one may stand in another.
        let mut values: Vec<&str> = values.collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value, "***"))
    }
}

/// One or several addresses, `host:port`, with commas between them.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Servers(String);

impl TryFrom<String> for Servers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        for server in text.split(',') {
            let address = server.trim();
            let address = address.split_once("://").map_or(address, |(_, address)| address);
            HostPort::parse(address).map_err(|what| {
                format!("{what}: servers are host:port, with commas between them, as in \"kafka-1:9092,kafka-2:9092\"")
            })?;
        }
        Ok(Servers(text))
    }
}

impl std::fmt::Display for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A name that Kafka takes for a topic.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TopicName(String);

impl TopicName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_of_kafka = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if matches!(name.as_str(), "" | "." | "..") || name.len() > 249 || !name.bytes().all(is_of_kafka) {
            return Err("a topic has 1 to 249 letters, digits, dots, `_` and `-`".to_owned());
        }
        Ok(TopicName(name))
    }
}

/// How brokers are spoken to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Security {
    pub(crate) has_tls: bool,
    pub(crate) has_sasl: bool,
    /// Whether we show a certificate to brokers that ask for one.
    pub(crate) has_identity: bool,
    /// The broker gets the password as it is.
    pub(crate) sends_password: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
}

impl Compression {
    fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Acks {
    All,
    Leader,
    None,
}

impl Acks {
    fn word(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::None => "0",
        }
    }
}

fn pointer(property: &str) -> String {
    format!("/properties/{}", property.replace('~', "~0").replace('/', "~1"))
}

/// What the user may change. The partitioner is that of the Collector's exporter: a trace is in one partition, whoever sends
/// its spans.
const DEFAULTS: &[(&str, &str)] = &[
    // An OpenSSL that is linked in knows of no authorities: those of the system are looked for where systems have them.
    #[cfg(feature = "tls")]
    ("ssl.ca.location", "probe"),
    ("client.id", "tracer-resolver"),
    ("linger.ms", "1"),
    ("partitioner", "fnv1a_random"),
    // A broker that is back is found within a second, not ten: what waits at a program's end has five.
    ("reconnect.backoff.max.ms", "1000"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// What a property must not say, and what says it.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "see `bootstrap_servers`"),
    ("metadata.broker.list", "see `bootstrap_servers`"),
    ("compression.type", "see `compression`"),
    ("compression.codec", "see `compression`"),
    ("acks", "see `acks`"),
    ("request.required.acks", "see `acks`"),
    ("message.max.bytes", "see `max_message_bytes`"),
    ("message.timeout.ms", "see `timeout`"),
    ("delivery.timeout.ms", "see `timeout`"),
    ("plugin.library.paths", "its client takes no plugins, and is never traced"),
    ("interceptors", "its client takes none, and is never traced"),
    ("transactional.id", "a batch is no transaction"),
    ("delivery.report.only.error", "it waits for every acknowledgement"),
    ("internal.termination.signal", "signals are the application's"),
    ("log.queue", "it reads the log itself"),
    ("enabled_events", "it handles the events itself"),
];

const SECRETS: &[&str] = &["/properties", "/sasl/username", "/sasl/password"];
const PROTOCOL: &str = "security.protocol";
/// As the Collector's exporter and Kafka's clients have it.
const MAX_MESSAGE_BYTES: ByteSize = ByteSize::of(1_000_000);
/// librdkafka's own range.
const LEAST_BYTES: u64 = 1_000;
const MOST_BYTES: u64 = 1_000_000_000;
/// What librdkafka counts around a body: the protocol's 36 bytes, the key's 32 digits, and a little more.
const AROUND_A_BODY: usize = 128;

pub(crate) const SCHEMA: &str = concat!(
    r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "kafka",
  "description": "OTLP protobuf into a Kafka topic, for a Collector's kafkareceiver or Jaeger's ingester.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "bootstrap_servers": {
      "description": "Brokers to begin with: host:port, with commas between them.",
      "type": "string",
      "minLength": 1,
      "default": "localhost:9092"
    },
    "traces_topic": {
      "description": "Where spans go.",
      "type": "string",
      "pattern": "^[A-Za-z0-9._-]{1,249}$",
      "x-explained": true,
      "default": "otlp_spans"
    },
    "metrics_topic": {
      "description": "Where metrics go.",
      "type": "string",
      "pattern": "^[A-Za-z0-9._-]{1,249}$",
      "x-explained": true,
      "default": "otlp_metrics"
    },
    "partition_traces_by_id": {
      "description": "A message is of one trace, and keyed by its id: all spans of a trace are in one partition.",
      "type": "boolean",
      "default": false
    },
    "compression": {
      "description": "How messages are sent and stored.",
      "enum": ["none", "gzip", "snappy", "lz4"],
      "default": "none"
    },
    "acks": {
      "description": "Who has to have a message before it counts as sent: all replicas in sync, the leader, or nobody.",
      "enum": ["all", "leader", "none"],
      "default": "all"
    },
    "max_message_bytes": {
      "description": "No message is larger, before compression: \"900KiB\", or bytes. A batch is cut; a larger span is lost.",
      "type": ["string", "integer"],
      "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$",
      "x-explained": true,
      "minimum": 1000,
      "maximum": 1000000000,
      "default": 1000000
    },"#,
    timeout_schema_property!("The most one batch may take"),
    ",",
    tls_schema_property!("those of the system", "With it, even empty, brokers are spoken to by TLS."),
    r#",
    "sasl": {
      "description": "Who we are, by name and password. For other mechanisms than these see properties.",
      "type": "object",
      "additionalProperties": false,
      "required": ["mechanism", "username", "password"],
      "properties": {
        "mechanism": {
          "description": "How the broker is convinced. PLAIN sends the password: take it with tls only.",
          "enum": ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
        },
        "username": { "description": "The user.", "type": "string", "x-secret": true },
        "password": { "description": "The password. Never printed.", "type": "string", "x-secret": true }
      }
    },
    "properties": {
      "description": "More properties of librdkafka, by its own names, such as client.id or security.protocol. Values are never printed.",
      "type": "object",
      "additionalProperties": { "type": ["string", "integer", "number", "boolean"], "x-secret": true },
      "default": {}
    }
  }
}"#
);

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(json: &str) -> (String, String) {
        let error = Settings::parse(json).and_then(|settings| settings.check_properties()).unwrap_err();
        (error.pointer().to_owned(), error.message().to_owned())
    }

    #[test]
    fn without_settings_it_is_as_the_collector_has_it() {
        let settings = Settings::parse("{}").unwrap();
        settings.check_properties().unwrap();
        assert_eq!(settings.bootstrap_servers.to_string(), "localhost:9092");
        assert_eq!((settings.traces_topic.as_str(), settings.metrics_topic.as_str()), ("otlp_spans", "otlp_metrics"));
        let config = settings.client_config();
        assert_eq!((config.get("message.max.bytes"), config.get("acks")), (Some("1000000"), Some("all")));
        assert_eq!(config.get("reconnect.backoff.max.ms"), Some("1000"));
    }

    #[test]
    fn properties_go_to_librdkafka_and_may_change_what_the_backend_would_say() {
        let json = r#"{"properties": {"client.id": "bank", "linger.ms": 20, "socket.keepalive.enable": true}}"#;
        let settings = Settings::parse(json).unwrap();
        settings.check_properties().unwrap();
        let config = settings.client_config();
        let of = |name| config.get(name);
        assert_eq!((of("client.id"), of("linger.ms")), (Some("bank"), Some("20")));
        assert_eq!(of("socket.keepalive.enable"), Some("true"));
    }

    #[test]
    fn what_the_backend_says_itself_is_pointed_at_with_the_key_that_says_it() {
        for (name, instead) in OURS {
            let (field, message) = complaint(&format!(r#"{{"properties": {{"{name}": "x"}}}}"#));
            assert_eq!(field, format!("/properties/{name}"));
            assert!(message.ends_with(instead), "{message}");
        }
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        for (json, field) in [
            (r#"{"brokers": "a:1"}"#, "/brokers"),
            (r#"{"bootstrap_servers": "a:9092,,b"}"#, "/bootstrap_servers"),
            (r#"{"bootstrap_servers": "a:99999"}"#, "/bootstrap_servers"),
            (r#"{"traces_topic": "a b"}"#, "/traces_topic"),
            (r#"{"metrics_topic": ".."}"#, "/metrics_topic"),
            (r#"{"compression": "brotli"}"#, "/compression"),
            (r#"{"acks": "2"}"#, "/acks"),
            (r#"{"max_message_bytes": 10}"#, "/max_message_bytes"),
            (r#"{"timeout": "soon"}"#, "/timeout"),
            (r#"{"properties": {"linger.sm": "5"}}"#, "/properties/linger.sm"),
            (r#"{"properties": {"linger.ms": "soon"}}"#, "/properties/linger.ms"),
            (r#"{"properties": {"linger.ms": ["5"]}}"#, "/properties/linger.ms"),
        ] {
            assert_eq!(complaint(json).0, field, "{json}");
        }
        assert_eq!(complaint(r#"{"properties": {"linger.sm": "5"}}"#).1, "librdkafka has no property `linger.sm`");
    }

    #[test]
    fn a_user_is_said_to_librdkafka_and_neither_twice_nor_in_an_error() {
        let sasl = r#""sasl": {"mechanism": "PLAIN", "username": "traces", "password": "s3cret"}"#;
        let config = Settings::parse(&format!("{{{sasl}}}")).unwrap().client_config();
        let of = |name| config.get(name);
        assert_eq!((of(PROTOCOL), of("sasl.mechanism")), (Some("sasl_plaintext"), Some("PLAIN")));
        assert_eq!((of("sasl.username"), of("sasl.password")), (Some("traces"), Some("s3cret")));
        for name in sasl::NAMES.iter().chain([&PROTOCOL]) {
            let (field, message) = complaint(&format!(r#"{{{sasl}, "properties": {{"{name}": "x"}}}}"#));
            assert_eq!(field, format!("/properties/{name}"));
            assert!(message.contains("`sasl`"), "{message}");
        }
        let (field, message) =
            complaint(r#"{"sasl": {"mechanism": "PLAIN", "username": "a", "password": ["s3cret"]}}"#);
        assert!(field.starts_with("/sasl") && !message.contains("s3cret"), "{field}: {message}");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn a_build_without_tls_says_where_one_with_it_is() {
        let scram = r#"{"sasl": {"mechanism": "SCRAM-SHA-512", "username": "a", "password": "b"}}"#;
        for (json, field) in [
            (r#"{"tls": {}}"#, "/tls"),
            (scram, "/sasl/mechanism"),
            (r#"{"properties": {"security.protocol": "ssl"}}"#, "/properties/security.protocol"),
        ] {
            let (found, message) = complaint(json);
            assert_eq!(found, field);
            assert!(message.contains("--features tls"), "{message}");
        }
    }

    #[test]
    fn no_value_of_a_property_is_in_the_error_about_it() {
        for json in [
            r#"{"properties": {"security.protocol": "s3cret"}}"#,
            r#"{"properties": {"linger.ms": "s3cret"}}"#,
            r#"{"properties": {"s3cre": "s3cret"}}"#,
            r#"{"properties": {"sasl.password": {"a": "s3cret"}}}"#,
            r#"{"properties": "s3cret"}"#,
        ] {
            let (_, message) = complaint(json);
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn the_keys_are_those_of_the_schema() {
        let (_, message) = complaint(r#"{"x": 1}"#);
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let keys = schema.pointer("/properties").unwrap().as_object().unwrap();
        keys.keys().for_each(|key| assert!(message.contains(&format!("`{key}`")), "{key}: {message}"));
        assert_eq!(message.matches('`').count() / 2 - 1, keys.len());
    }
}
