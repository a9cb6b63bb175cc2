//! The headers the user wants on every request.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use ureq::http::{HeaderName, HeaderValue};

/// Header names and values. Prints the names only.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<Name, Secret>);

impl Headers {
    /// The names, in lower case, and the values, marked as sensitive.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name.0.as_str(), &value.0))
    }

    /// `text` with every header value in it struck out.
    pub fn strike_out(&self, text: String) -> String {
        let values = self.0.values().filter_map(|value| value.0.to_str().ok());
        values
            .flat_map(str::split_whitespace)
            .filter(|word| word.len() >= SHORTEST_SECRET)
            .fold(text, |text, word| text.replace(word, "***"))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys().map(|name| name.0.as_str())).finish()
    }
}

/// A header name that is the user's to set, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = HeaderName::try_from(text.as_str())
            .map_err(|_| "expected a header name such as \"authorization\"".to_owned())?;
        if OURS.contains(&name.as_str()) {
            return Err(format!("expected another header: `{name}` is set by the backend itself"));
        }
        Ok(Name(name.as_str().to_owned()))
    }
}

/// A header value, never printed.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Secret(HeaderValue);

impl TryFrom<String> for Secret {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| "expected a header value: one line of visible characters".to_owned())?;
        value.set_sensitive(true);
        Ok(Secret(value))
    }
}

/// What describes the body, the connection or the target: it follows from what is sent.
const OURS: [&str; 7] =
    ["connection", "content-encoding", "content-length", "content-type", "expect", "host", "transfer-encoding"];

/// Shorter words than this are no secrets, and striking them out would make any text unreadable.
const SHORTEST_SECRET: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(json: &str) -> Result<Headers, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn headers_print_their_names_only() {
        let headers = headers(r#"{"Authorization": "Bearer s3cret"}"#).unwrap();
        assert_eq!(format!("{headers:?}"), r#"{"authorization"}"#);
    }

    #[test]
    fn a_value_that_comes_back_in_an_answer_is_struck_out() {
        let headers = headers(r#"{"authorization": "Bearer s3cret-token"}"#).unwrap();
        assert_eq!(headers.strike_out("no user for s3cret-token here".to_owned()), "no user for *** here");
    }

    #[test]
    fn names_and_values_that_would_break_the_request_are_refused() {
        for bad in [
            r#"{"a b": "x"}"#,
            r#"{"": "x"}"#,
            r#"{"a": "x\r\ny: z"}"#,
            r#"{"Content-Length": "3"}"#,
            r#"{"Host": "h"}"#,
            r#"{"a": 3}"#,
        ] {
            assert!(headers(bad).is_err(), "{bad} was taken");
        }
    }
}
