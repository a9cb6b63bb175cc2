//! Where a backend's settings lead: the host and the port to try before its plugin is asked.

#![forbid(unsafe_code)]

use serde_json::Value as Json;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_udp: bool,
}

/// What the settings say, as far as addresses go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// The backend itself.
    pub(super) endpoint: Option<Address>,
    /// What is to be gone through on the way to it.
    pub(super) proxy: Option<Address>,
    /// Whether the backend is spoken to by TLS.
    pub(super) is_encrypted: bool,
}

impl Addresses {
    /// Of a backend of this plugin with these settings. Plugins of others may name their addresses otherwise: then
    /// there is none.
    pub(super) fn of(plugin: &str, settings: &Json) -> Self {
        let text = |key: &str| settings.get(key).and_then(Json::as_str);
        let transport = text("transport").unwrap_or_default();
        let default = match (plugin, transport) {
            ("otlp", _) | ("jaeger", "" | "otlp_http") => Some("http://localhost:4318"),
            ("otlp_grpc", _) => Some("http://localhost:4317"),
            ("jaeger", "thrift_http") => Some("http://localhost:14268"),
            ("jaeger", "thrift_udp") => Some("localhost:6831"),
            ("zipkin", _) => Some("http://localhost:9411"),
            _ => None,
        };
        let written = text("traces_endpoint").or_else(|| text("endpoint")).or(default);
        let is_udp = transport == "thrift_udp";
        Self {
            endpoint: written.and_then(|text| parse(text, is_udp)),
            proxy: text("proxy").and_then(|text| parse(text, false)),
            is_encrypted: written.is_some_and(|text| text.starts_with("https://")),
        }
    }
}

/// Host and port of `http://host:port/…`, or of `host:port`. What is no address, the plugin refuses.
fn parse(text: &str, is_udp: bool) -> Option<Address> {
    let (scheme, rest) = text.trim().split_once("://").unwrap_or(("", text.trim()));
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (authority, None),
    };
    let default = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let port = port.map_or(default, |port| port.parse().ok())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| Address { host: host.to_owned(), port, is_udp })
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(plugin: &str, settings: &Json) -> Option<String> {
        Addresses::of(plugin, settings).endpoint.map(|address| address.to_string())
    }

    #[test]
    fn host_and_port_are_read_out_of_whatever_form_an_address_has() {
        for (text, expected) in [
            ("http://collector:4318/v1/traces?token=x", Some("collector:4318")),
            ("https://c", Some("c:443")),
            ("http://c/", Some("c:80")),
            ("http://[::1]:4318", Some("[::1]:4318")),
            ("https://[::1]", Some("[::1]:443")),
            ("http://user:pass@proxy:3128", Some("proxy:3128")),
            ("c:6831", Some("c:6831")),
            ("c", None),
            ("", None),
            ("http://", None),
        ] {
            assert_eq!(endpoint("any", &json!({ "endpoint": text })).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn without_an_endpoint_it_is_the_plugins_own() {
        assert_eq!(endpoint("otlp", &json!({})).as_deref(), Some("localhost:4318"));
        assert_eq!(endpoint("otlp_grpc", &json!({})).as_deref(), Some("localhost:4317"));
        assert_eq!(endpoint("otlp_grpc", &json!({ "endpoint": "unix:///run/otel.sock" })), None);
        assert_eq!(endpoint("jaeger", &json!({ "transport": "thrift_udp" })).as_deref(), Some("localhost:6831"));
        assert_eq!(endpoint("file", &json!({ "path": "/a" })), None);
        let both = json!({ "endpoint": "http://a:1", "traces_endpoint": "https://b:2/in" });
        assert!(Addresses::of("otlp", &both).is_encrypted);
    }
}
