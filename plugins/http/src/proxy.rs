//! The HTTP proxy to go through.

use std::fmt;

use serde::Deserialize;

/// The address of an HTTP proxy, perhaps with credentials. Never printed.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct ProxyUrl(ureq::Proxy);

impl ProxyUrl {
    pub(crate) fn proxy(&self) -> ureq::Proxy {
        self.0.clone()
    }
}

impl TryFrom<String> for ProxyUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const EXPECTED: &str = "expected the address of an HTTP proxy such as \"http://proxy.example:3128\"";
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(EXPECTED.to_owned());
        }
        ureq::Proxy::new(&text).map(ProxyUrl).map_err(|_| EXPECTED.to_owned())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProxyUrl({})", self.0.host())
    }
}
