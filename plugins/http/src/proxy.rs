//! The HTTP proxy to go through.

use std::fmt;

use serde::Deserialize;
use tracer_plugin_kit::HostPort;

use crate::address::Address;

/// The address of an HTTP proxy, perhaps with credentials. Prints its host and port only.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct ProxyUrl {
    proxy: ureq::Proxy,
    host_port: HostPort,
}

impl ProxyUrl {
    pub(crate) fn proxy(&self) -> ureq::Proxy {
        self.proxy.clone()
    }

    /// Whether it is itself spoken to by TLS.
    pub fn is_encrypted(&self) -> bool {
        self.proxy.protocol() == ureq::ProxyProtocol::Https
    }

    /// Where it listens: `host:port`, an IPv6 address in brackets.
    pub fn address(&self) -> String {
        format!("{}:{}", self.proxy.host(), self.proxy.port())
    }

    /// User and password, if there are any.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.proxy.username().map(|user| (user, self.proxy.password().unwrap_or_default()))
    }
}

impl TryFrom<String> for ProxyUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const EXPECTED: &str = "expected the address of an HTTP proxy such as \"http://proxy.example:3128\"";
        let unusable = |what: &dyn fmt::Display| format!("{EXPECTED}: {what}");
        let address = Address::parse(&text).map_err(|what| unusable(&what))?;
        if !matches!(address.path_and_query, "" | "/") {
            return Err(unusable(&"a proxy's address ends with its port"));
        }
        let user_info = address.user_info.map(|user_info| format!("{user_info}@")).unwrap_or_default();
        let whole = format!("{}://{user_info}{}", address.scheme(), address.host_port);
        let proxy = ureq::Proxy::new(&whole).map_err(|_| {
            unusable(&"user and password cannot be read (% is written %25, and : in a user's name %3A)")
        })?;
        Ok(ProxyUrl { proxy, host_port: address.host_port })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.host_port, formatter)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProxyUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Result<ProxyUrl, String> {
        ProxyUrl::try_from(text.to_owned())
    }

    #[test]
    fn a_proxy_is_printed_without_its_credentials() {
        let proxy = proxy("http://user:s3cret@proxy.example:3128/").unwrap();
        assert_eq!((proxy.proxy().port(), proxy.proxy().password()), (3128, Some("s3cret")));
        assert_eq!(format!("{proxy} {proxy:?}"), "proxy.example:3128 ProxyUrl(proxy.example:3128)");
    }

    #[test]
    fn an_address_that_is_no_proxy_s_is_refused_with_the_reason_and_not_repeated() {
        for (bad, reason) in [
            ("proxy:3128", "does not begin with http://"),
            ("http://127.0.0.1:99999", "its port is no number from 1 to 65535"),
            ("http://127.0.0.1:3128x", "its port is no number from 1 to 65535"),
            ("http://127.0.0.1:", "no port after the `:`"),
            ("http://127.0.0.1:-1", "its port is no number from 1 to 65535"),
            ("http://user:s3c/ret@p:3128", "/ is written %2F"),
            ("http://user:s3cret@p:3128/path", "ends with its port"),
            ("http://user:s3cret%ff@p:3128", "cannot be read"),
            ("socks5://s3cret@p:1080", "nothing else is spoken here"),
        ] {
            let message = proxy(bad).unwrap_err();
            assert!(message.contains(reason) && message.starts_with("expected "), "{bad}: {message}");
            assert!(message.matches("expected ").count() == 1 && !message.contains("s3c"), "{bad}: {message}");
        }
    }
}
