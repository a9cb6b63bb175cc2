//! The address a backend is reached at.

use std::fmt;

use serde::Deserialize;
use tracer_plugin_kit::HostPort;
use ureq::http::Uri;

use crate::address::{Address, NoAddress};

/// An `http` or `https` address, with a host and without credentials.
///
/// Prints itself without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint(Uri);

impl Endpoint {
    /// The address whose path ends in `suffix`: added, unless it is there already. The query stays.
    pub fn ending_in(&self, suffix: &str) -> Result<Self, String> {
        let path = self.0.path().trim_end_matches('/');
        if path.ends_with(suffix) {
            return Ok(self.clone());
        }
        let query = self.0.query().map(|query| format!("?{query}")).unwrap_or_default();
        Self::try_from(format!("{}{path}{suffix}{query}", self.origin()))
    }

    /// The address with `other` at the end of its path, where that ends in `suffix`. The query stays.
    pub fn with_other_ending(&self, suffix: &str, other: &str) -> Option<Self> {
        let path = self.0.path().trim_end_matches('/').strip_suffix(suffix)?;
        let query = self.0.query().map(|query| format!("?{query}")).unwrap_or_default();
        Self::try_from(format!("{}{path}{other}{query}", self.origin())).ok()
    }

    /// The address with a parameter in its query, unless one of that name is there already.
    pub fn with_parameter(&self, name: &str, value: &str) -> Result<Self, String> {
        let query = self.0.query().unwrap_or_default();
        if query.split('&').any(|parameter| parameter.split('=').next() == Some(name)) {
            return Ok(self.clone());
        }
        let and = if query.is_empty() { "" } else { "&" };
        Self::try_from(format!("{}{}?{query}{and}{name}={value}", self.origin(), self.0.path()))
    }

    /// Whether what is sent there is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Whether there is no path to speak of: none, or `/` alone.
    pub fn is_bare(&self) -> bool {
        self.0.path() == "/" || self.0.path().is_empty()
    }

    /// The host, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// The port, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.0.port_u16()
    }

    /// Whether a query follows the path.
    pub fn has_query(&self) -> bool {
        self.0.query().is_some()
    }

    /// Host and port as they are written.
    pub fn authority(&self) -> &str {
        self.0.authority().map(|authority| authority.as_str()).unwrap_or_default()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    fn origin(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        format!("{scheme}://{}", self.authority())
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    /// Reads an address. The message of an error does not repeat it, but where it is a bare host and port.
    fn try_from(text: String) -> Result<Self, String> {
        let address = Address::parse(&text).map_err(|what| unusable(&what, &text))?;
        if address.user_info.is_some() {
            return Err("no user or password in an address, it would be printed: use `headers`".to_owned());
        }
        let whole = format!("{}://{}{}", address.scheme(), address.host_port, address.path_and_query);
        whole.parse().map(Endpoint).map_err(|_| "the address cannot be used: its path or its query is none".to_owned())
    }
}

/// The sentence, with the form of an address, or the address itself, where that is what is missing.
fn unusable(what: &NoAddress, text: &str) -> String {
    let text = text.trim();
    let way_out = match what {
        NoAddress::NoScheme if HostPort::parse(text).is_ok() => format!("; write \"http://{text}\""),
        NoAddress::Empty | NoAddress::NoScheme | NoAddress::NoSlashes | NoAddress::OtherScheme => {
            "; an address is \"http://host:port\", with a path if need be".to_owned()
        }
        _ => String::new(),
    };
    format!("the address cannot be used: {what}{way_out}")
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin(), self.0.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn the_path_is_added_unless_it_is_there() {
        for (given, full) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("https://c/otlp", "https://c/otlp/v1/traces"),
            ("https://c/otlp/", "https://c/otlp/v1/traces"),
            ("https://c/v1/traces", "https://c/v1/traces"),
            ("https://c/v1/traces/", "https://c/v1/traces/"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(endpoint(given).ending_in("/v1/traces").unwrap().uri().to_string(), full);
        }
        let with_query = endpoint("https://c/a?tenant=7").ending_in("/v1/traces").unwrap();
        assert_eq!(with_query.uri().to_string(), "https://c/a/v1/traces?tenant=7");
    }

    #[test]
    fn a_known_end_of_the_path_is_changed_and_another_is_not() {
        let other =
            |text: &str| endpoint(text).with_other_ending("/v1/traces", "/v1/metrics").map(|it| it.uri().to_string());
        assert_eq!(other("https://c/otlp/v1/traces?a=b").as_deref(), Some("https://c/otlp/v1/metrics?a=b"));
        assert_eq!(other("https://c/v1/traces/").as_deref(), Some("https://c/v1/metrics"));
        assert_eq!(other("https://c/in"), None);
    }

    #[test]
    fn a_parameter_is_added_unless_it_is_there() {
        for (given, full) in [
            ("http://c/api/traces", "http://c/api/traces?format=jaeger.thrift"),
            ("http://c", "http://c/?format=jaeger.thrift"),
            ("http://c/?a=b", "http://c/?a=b&format=jaeger.thrift"),
            ("http://c/?", "http://c/?format=jaeger.thrift"),
            ("http://c/?a=b&format=x", "http://c/?a=b&format=x"),
            ("http://c/?formats=x", "http://c/?formats=x&format=jaeger.thrift"),
        ] {
            assert_eq!(endpoint(given).with_parameter("format", "jaeger.thrift").unwrap().uri().to_string(), full);
        }
    }

    #[test]
    fn an_address_is_printed_without_its_query() {
        assert_eq!(endpoint("https://c/a?token=s3cret").to_string(), "https://c/a");
        assert_eq!(format!("{:?}", endpoint("https://c/a?token=s3cret")), "https://c/a");
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_and_not_repeated() {
        for bad in [
            "",
            "collector:4318",
            "/v1/traces",
            "ftp://c/",
            "http://",
            "http://user:s3cret@c/",
            "https://s3cret@c",
            "http://c /x",
            "http://127.0.0.1:99999",
            "http://127.0.0.1:4318x",
            "http://127.0.0.1:",
            "http://127.0.0.1:-1",
            "http://127.0.0.1:0",
            "http://c:s3cret/x",
            "s3cret@c:4318",
            "grpc://s3cret:4317",
        ] {
            let message = Endpoint::try_from(bad.to_owned()).unwrap_err();
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn an_address_without_its_scheme_is_shown_with_it() {
        let message = |text: &str| Endpoint::try_from(text.to_owned()).unwrap_err();
        assert!(message("localhost:4318").ends_with("; write \"http://localhost:4318\""));
        assert!(message("c:4318/s3cret").ends_with("; an address is \"http://host:port\", with a path if need be"));
        assert!(message("http://c:4318x").ends_with("its port is no number from 1 to 65535"));
        assert!(message("grpc://c:4317").contains("plugin = \"otlp_grpc\""));
    }
}
