//! What went wrong with a request, and whether another try may help.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use tracer_plugin_api::BackendError;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use ureq::http::response::Parts;

use crate::protobuf_fields::{Field, fields};
use crate::retry_after::retry_after;
use crate::{Endpoint, HttpSettings};

/// No answer came. All of it may pass, even a certificate that is not trusted (theirs may be renewed), but for what is
/// wrong with the request itself.
pub(crate) fn unreachable(endpoint: &Endpoint, error: &ureq::Error, limit: Duration) -> BackendError {
    match error {
        ureq::Error::Timeout(phase) => timed_out(endpoint, phase, limit),
        ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => timed_out(endpoint, error, limit),
        ureq::Error::Rustls(error) => untrusted(endpoint, error),
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => untrusted(endpoint, error),
            None => BackendError::retryable(format!("{endpoint}: {error}")),
        },
        ureq::Error::HostNotFound => BackendError::retryable(format!("{endpoint}: the host's name is not known")),
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl => {
            BackendError::permanent(format!("{endpoint}: the request cannot be made: {error}"))
        }
        error => BackendError::retryable(format!("{endpoint}: {error}")),
    }
}

fn timed_out(endpoint: &Endpoint, what: &dyn std::fmt::Display, limit: Duration) -> BackendError {
    BackendError::timeout(format!("{endpoint}: no answer within {limit:?} ({what})"))
}

/// The handshake came to nothing. Which half of it is the user's to mend shows in rustls' own words.
fn untrusted(endpoint: &Endpoint, error: &rustls::Error) -> BackendError {
    BackendError::retryable(format!(
        "{endpoint}: no trusted connection: {error} (see `tls.ca_file`, and the name in the certificate)"
    ))
}

/// A status other than 2xx came.
pub(crate) fn refused(settings: &HttpSettings, head: &Parts, body: &[u8]) -> BackendError {
    let status = head.status;
    let said = settings.headers.strike_out(explanation(&head.headers, body));
    let colon = if said.is_empty() { "" } else { ": " };
    let hint = hint(status, &head.headers);
    let message = format!("{} answered {status}{colon}{said}{hint}", settings.endpoint);
    if !matches!(status.as_u16(), 429 | 502 | 503 | 504) {
        return BackendError::permanent(message);
    }
    let wait = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    match wait.and_then(|value| retry_after(value, SystemTime::now())) {
        Some(wait) => BackendError::retryable(message).with_retry_after(wait),
        None => BackendError::retryable(message),
    }
}

/// The way out, where the status alone tells it.
fn hint(status: StatusCode, headers: &HeaderMap) -> String {
    match status.as_u16() {
        300..=399 => {
            let target = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let target = target.and_then(|location| Endpoint::try_from(location.to_owned()).ok());
            let target = target.map(|target| format!(" to {target}")).unwrap_or_default();
            format!(" (redirects{target} are not followed: put the final address into `endpoint`)")
        }
        401 | 403 | 407 => " (see `headers`)".to_owned(),
        404 | 405 => " (see the path of `endpoint`)".to_owned(),
        _ => String::new(),
    }
}

/// What the body says, on one line: the message of a protobuf status, as OTLP servers send it, or the text.
fn explanation(headers: &HeaderMap, body: &[u8]) -> String {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    if !content_type.starts_with(b"application/x-protobuf") {
        return printable(body);
    }
    let message = fields(body).find_map(|(number, field)| match (number, field) {
        (2, Field::Bytes(message)) => Some(message),
        _ => None,
    });
    printable(message.unwrap_or_default())
}

/// At most [`LONGEST_EXPLANATION`] bytes of text, without anything that could forge a line of a log.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..LONGEST_EXPLANATION * 4).unwrap_or(bytes)).into_owned();
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let mut line = words.join(" ");
    while line.len() > LONGEST_EXPLANATION {
        line.pop();
    }
    line
}

const LONGEST_EXPLANATION: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_short_line() {
        assert_eq!(printable(b"bad\r\n\tspan\x1b[31m \xff"), "bad span [31m \u{fffd}");
        assert_eq!(printable("ä".repeat(500).as_bytes()), "ä".repeat(100));
    }

    #[test]
    fn the_message_of_a_protobuf_status_is_taken_out() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/x-protobuf".parse().unwrap());
        assert_eq!(explanation(&headers, b"\x08\x03\x12\x08no quota"), "no quota");
    }
}
