//! The address a backend is reached at.

use std::fmt;

use serde::Deserialize;
use ureq::http::Uri;

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

    /// Whether what is sent there is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Whether there is no path to speak of: none, or `/` alone.
    pub fn is_bare(&self) -> bool {
        self.0.path() == "/" || self.0.path().is_empty()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    fn origin(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map(|authority| authority.as_str()).unwrap_or_default();
        format!("{scheme}://{authority}")
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    /// Reads an address. The message of an error does not repeat it.
    fn try_from(text: String) -> Result<Self, String> {
        const EXAMPLE: &str = "write, for example, \"https://collector.example:4318\"";
        let uri: Uri = text.trim().parse().map_err(|_| format!("this is not an address: {EXAMPLE}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(format!("an address begins with http:// or https://: {EXAMPLE}"));
        }
        let authority = uri.authority().ok_or_else(|| format!("the address has no host: {EXAMPLE}"))?;
        if authority.host().is_empty() {
            return Err(format!("the address has no host: {EXAMPLE}"));
        }
        if authority.as_str().contains('@') {
            return Err("no user or password in an address, it would be printed: use `headers`".to_owned());
        }
        Ok(Endpoint(uri))
    }
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
        ] {
            let message = Endpoint::try_from(bad.to_owned()).unwrap_err();
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}
