//! Where a collector listens: a host and a port, or a socket of this machine.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use tracer_plugin_http::Endpoint;

/// `http://host:port`, `https://host:port`, or `unix:///path/of/the/socket`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Address {
    Network(Endpoint),
    Socket(PathBuf),
}

impl Address {
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Address::Network(endpoint) if endpoint.is_https())
    }

    /// What the name look-up and a proxy are asked for: host and port, the port of the scheme if none is written.
    pub(crate) fn place(&self) -> String {
        match self {
            Address::Network(endpoint) => format!("{}:{}", endpoint.host(), self.port().unwrap_or_default()),
            Address::Socket(path) => path.display().to_string(),
        }
    }

    pub(crate) fn port(&self) -> Option<u16> {
        let Address::Network(endpoint) = self else { return None };
        Some(endpoint.port().unwrap_or(if endpoint.is_https() { 443 } else { 80 }))
    }

    /// What a server's certificate must be for.
    pub(crate) fn host(&self) -> &str {
        match self {
            Address::Network(endpoint) => endpoint.host().trim_start_matches('[').trim_end_matches(']'),
            Address::Socket(_) => LOCALHOST,
        }
    }

    /// `:authority` of a call.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Address::Network(endpoint) => endpoint.authority(),
            Address::Socket(_) => LOCALHOST,
        }
    }
}

impl Default for Address {
    fn default() -> Self {
        // Cannot fail: a test reads it.
        Address::try_from(DEFAULT.to_owned()).unwrap_or(Address::Socket(PathBuf::new()))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.trim().strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') && !path.ends_with('/') {
                true => Ok(Address::Socket(PathBuf::from(path))),
                false => {
                    Err("a socket of this machine is written \"unix:///run/otel.sock\", with its whole path".to_owned())
                }
            };
        }
        let endpoint = Endpoint::try_from(text)?;
        if !endpoint.is_bare() || endpoint.has_query() {
            return Err(
                "an address of OTLP over gRPC ends with its port, as in \"http://collector:4317\": a path such as \
                        /v1/traces is OTLP over HTTP, `plugin = \"otlp\"`"
                    .to_owned(),
            );
        }
        Ok(Address::Network(endpoint))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Network(endpoint) => formatter.write_str(endpoint.to_string().trim_end_matches('/')),
            Address::Socket(path) => write!(formatter, "unix://{}", path.display()),
        }
    }
}

const DEFAULT: &str = "http://localhost:4317";
const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        Address::try_from(text.to_owned())
    }

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_socket() {
        for (text, shown, place, authority) in [
            ("http://localhost:4317", "http://localhost:4317", "localhost:4317", "localhost:4317"),
            (" HTTPS://c:4317/ ", "https://c:4317", "c:4317", "c:4317"),
            ("https://api.example", "https://api.example", "api.example:443", "api.example"),
            ("http://[::1]:4317", "http://[::1]:4317", "[::1]:4317", "[::1]:4317"),
            ("unix:///run/o.sock", "unix:///run/o.sock", "/run/o.sock", "localhost"),
            ("unix:/run/o.sock", "unix:///run/o.sock", "/run/o.sock", "localhost"),
        ] {
            let address = read(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.place().as_str()), (shown, place), "{text}");
            assert_eq!(address.authority(), authority, "{text}");
        }
        assert_eq!(Address::default(), read("http://localhost:4317").unwrap());
        assert_eq!(read("https://[::1]:4317").unwrap().host(), "::1");
    }

    #[test]
    fn what_is_meant_for_another_protocol_is_refused_with_the_way_out() {
        for (text, word) in [
            ("http://c:4317/v1/traces", "plugin = \"otlp\""),
            ("http://c:4317?x=1", "ends with its port"),
            ("c:4317", "write \"http://c:4317\""),
            ("grpc://c:4317", "begins with http://"),
            ("unix:run/o.sock", "whole path"),
            ("unix://", "whole path"),
            ("unix:///run/", "whole path"),
            ("http://me:s3cret@c:4317", "use `headers`"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(word) && !message.contains("s3cret"), "{text}: {message}");
        }
    }
}
