//! What went wrong with a request, and whether another try may help.

use std::fmt::Display;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{Field, fields};
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use ureq::http::response::Parts;

use crate::connection::Trouble;
use crate::retry_after::retry_after;
use crate::tls_failure::untrusted;
use crate::{Endpoint, HttpSettings};

/// Why a request came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// It is too large for the server, whatever is in it.
    TooLarge(BackendError),
    /// Anything else.
    Other(BackendError),
}

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TooLarge(error) | Failure::Other(error) => error,
        }
    }
}

/// No answer came. All of it may pass, even a certificate that is not trusted (theirs may be renewed), but for what is
/// wrong with the request itself.
pub(crate) fn unreachable(settings: &HttpSettings, error: &ureq::Error, limit: Duration) -> BackendError {
    Unreachable { settings, limit, who: settings.endpoint.to_string(), by_proxy: false }.because(error)
}

/// Whoever did not answer.
struct Unreachable<'a> {
    settings: &'a HttpSettings,
    limit: Duration,
    /// The server, or the proxy on the way to it.
    who: String,
    by_proxy: bool,
}

impl Unreachable<'_> {
    fn because(self, error: &ureq::Error) -> BackendError {
        let who = &self.who;
        match error {
            ureq::Error::Timeout(phase) => self.timed_out(phase),
            ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => self.timed_out(error),
            ureq::Error::Rustls(error) => self.untrusted(error),
            ureq::Error::Io(error) if is_hanging_up(error.kind()) => self.closed(),
            ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(error) => self.untrusted(error),
                None => BackendError::retryable(format!("{who}: {error}{}", self.broken_off())),
            },
            ureq::Error::HostNotFound => BackendError::retryable(format!("{who}: the host's name is not known")),
            ureq::Error::ConnectProxyFailed(what) => {
                BackendError::retryable(format!("{who}: {what}{}", ask_proxy(what)))
            }
            ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl => {
                BackendError::permanent(format!("{who}: the request cannot be made: {error}"))
            }
            error => match trouble(error) {
                Some(Trouble::Proxy(error)) => {
                    let proxy = self.settings.proxy.as_ref().map(|proxy| format!(" {proxy}")).unwrap_or_default();
                    let who = format!("the proxy{proxy} (`proxy`), on the way to {who}");
                    Unreachable { who, by_proxy: true, ..self }.because(error)
                }
                Some(Trouble::Handshake(error)) => self.in_the_handshake(error),
                Some(Trouble::NotHttp(said)) => BackendError::retryable(format!("{who}: {}", not_http(said))),
                _ => BackendError::retryable(format!("{who}: {error}{}", self.broken_off())),
            },
        }
    }

    fn timed_out(&self, what: &dyn Display) -> BackendError {
        BackendError::timeout(format!("{}: no answer within {:?} ({what})", self.who, self.limit))
    }

    fn untrusted(&self, error: &rustls::Error) -> BackendError {
        untrusted(&self.who, self.settings.tls.as_ref(), error, GRPC)
    }

    fn closed(&self) -> BackendError {
        let hint = match (self.by_proxy, self.settings.endpoint.is_https()) {
            (true, _) | (_, true) => self.broken_off(),
            _ if self.settings.endpoint.port() == Some(GRPC_PORT) => self.broken_off(),
            _ => " (if it always is: does that port speak HTTP, or does it want https://?)".to_owned(),
        };
        BackendError::retryable(format!("{}: the connection was closed without an answer{hint}", self.who))
    }

    fn in_the_handshake(&self, error: &std::io::Error) -> BackendError {
        if error.kind() == ErrorKind::TimedOut {
            return self.timed_out(error);
        }
        let hint = "does it speak TLS? see the scheme and the port of the address";
        BackendError::retryable(format!("{}: the connection ended in the TLS handshake: {error} ({hint})", self.who))
    }

    /// gRPC servers close at once when they are spoken to in HTTP/1, and not always with a word.
    fn broken_off(&self) -> String {
        if self.by_proxy || self.settings.endpoint.port() != Some(GRPC_PORT) {
            String::new()
        } else {
            format!(" ({GRPC})")
        }
    }
}

/// What closes with something unread, as whoever waited for TLS does, resets the connection.
fn is_hanging_up(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn trouble(error: &ureq::Error) -> Option<&Trouble> {
    match error {
        ureq::Error::Other(error) => error.downcast_ref(),
        _ => None,
    }
}

/// A proxy that answers, but not with a way through.
fn ask_proxy(what: &str) -> &'static str {
    if what.contains("407") { " (its user and password belong into `proxy`)" } else { "" }
}

/// Of what answers in something else.
fn not_http(said: &[u8]) -> String {
    match said {
        // An alert, or a handshake.
        [0x15 | 0x16, 3, ..] => "what answers speaks TLS: https:// in place of http://".to_owned(),
        // The settings, or the goodbye, of stream 0.
        [_, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => format!("what answers speaks HTTP/2 alone ({GRPC})"),
        other => format!("what answers does not speak HTTP, but {:?}", printable(other)),
    }
}

/// A status other than 2xx came.
pub(crate) fn refused(settings: &HttpSettings, head: &Parts, body: &[u8]) -> Failure {
    let status = head.status;
    let said = settings.headers.strike_out(explanation(&head.headers, body));
    let colon = if said.is_empty() { "" } else { ": " };
    let hint = hint(status, &head.headers, &said, settings.endpoint.uri().path());
    let message = format!("{} answered {status}{colon}{said}{hint}", settings.endpoint);
    if is_too_large(status, &said) {
        return Failure::TooLarge(BackendError::permanent(message));
    }
    if matches!(status.as_u16(), 401 | 403 | 407) {
        return Failure::Other(BackendError::credentials(message));
    }
    if !matches!(status.as_u16(), 429 | 502 | 503 | 504) {
        return Failure::Other(BackendError::permanent(message));
    }
    let wait = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Failure::Other(match wait.and_then(|value| retry_after(value, SystemTime::now())) {
        Some(wait) => BackendError::retryable(message).with_retry_after(wait),
        None => BackendError::retryable(message),
    })
}

/// The status for it; or that the answer says so under another one: a Collector and other servers in Go under 400, Zipkin
/// under 500.
fn is_too_large(status: StatusCode, said: &str) -> bool {
    const WORDS: [&str; 4] =
        ["request body too large", "request entity too large", "payload too large", "content too large"];
    let said = said.to_ascii_lowercase();
    status == StatusCode::PAYLOAD_TOO_LARGE
        || matches!(status.as_u16(), 400 | 500) && WORDS.iter().any(|words| said.contains(words))
}

/// The way out, where the answer alone tells it.
fn hint(status: StatusCode, headers: &HeaderMap, said: &str, path: &str) -> String {
    let wants_tls = said.contains("HTTP request to an HTTPS server") || said.contains("sent to HTTPS port");
    match status.as_u16() {
        300..=399 => {
            let target = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let target = target.and_then(|location| Endpoint::try_from(location.to_owned()).ok());
            let target = target.map(|target| format!(" to {target}")).unwrap_or_default();
            format!(" (redirects{target} are not followed: put the final address into `endpoint`)")
        }
        400 if wants_tls => " (https:// in place of http://)".to_owned(),
        401 | 403 | 407 => " (see `headers`)".to_owned(),
        404 | 405 => format!(" (see the path of `endpoint`: {})", usual_path(path)),
        400 if said.to_ascii_lowercase().contains("format") && path.contains("/api/traces") => {
            " (see the parameter `format` of `endpoint`: Jaeger takes jaeger.thrift)".to_owned()
        }
        _ => String::new(),
    }
}

/// Where such servers take spans as a rule.
fn usual_path(path: &str) -> &'static str {
    match path {
        path if path.ends_with("/v1/traces") => {
            "/v1/traces is OTLP's, so perhaps it is another server, or another port"
        }
        _ => "as a rule it is /v1/traces for OTLP, /api/v2/spans for Zipkin, /api/traces for Jaeger's Thrift",
    }
}

/// Why an answer is none of a backend's, although its status is a good one: no backend answers with a page for people.
pub(crate) fn no_answer(settings: &HttpSettings, head: &Parts, body: &[u8]) -> Option<BackendError> {
    let start = body.trim_ascii_start().get(..HTML.len()).unwrap_or_default().to_ascii_lowercase();
    let is_page = content_type(&head.headers).starts_with("text/html") && !body.is_empty() || start == HTML;
    is_page.then(|| {
        let said = settings.headers.strike_out(printable(body));
        let said: String = said.chars().take(60).collect();
        let (who, status) = (&settings.endpoint, head.status);
        BackendError::permanent(format!(
            "{who} answered {status} with a web page, which is no answer of a backend: see the host, port and path of \
             `endpoint`, or who answers in its place ({said:?})"
        ))
    })
}

/// What the server says its answer is, in lower case.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

const HTML: &[u8] = b"<!doctype html";

/// What the body says, on one line: the message of a protobuf status, as OTLP servers send it, or the text.
fn explanation(headers: &HeaderMap, body: &[u8]) -> String {
    if !content_type(headers).starts_with("application/x-protobuf") {
        return printable(body);
    }
    let message = fields(body).find_map(|(number, field)| match (number, field) {
        (2, Field::Bytes(message)) => Some(message),
        _ => None,
    });
    printable(message.unwrap_or_default())
}

/// At most `LONGEST_EXPLANATION` bytes of text, without anything that could forge a line of a log.
pub fn printable(bytes: &[u8]) -> String {
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
const GRPC_PORT: u16 = 4317;
const GRPC: &str = "it may be the port for OTLP over gRPC: that is `plugin = \"otlp_grpc\"`, without a file OTEL_EXPORTER_OTLP_PROTOCOL=grpc; \
                    OTLP over HTTP has a port of its own, commonly 4318";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_short_line() {
        assert_eq!(printable(b"bad\r\n\tspan\x1b[31m \xff"), "bad span [31m \u{fffd}");
        assert_eq!(printable("ä".repeat(500).as_bytes()), "ä".repeat(100));
    }

    #[test]
    fn a_wrong_path_or_format_is_told_with_what_is_usual() {
        let hint = |status: u16, said: &str, path: &str| {
            hint(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), said, path)
        };
        assert!(hint(404, "", "/v1/trace").contains("as a rule it is /v1/traces"));
        assert!(hint(404, "", "/otlp/v1/traces").contains("another server"));
        assert!(hint(400, "Unsupported format type", "/api/traces").contains("jaeger.thrift"));
        assert_eq!(hint(400, "bad format", "/v1/traces"), "");
    }

    #[test]
    fn what_speaks_no_http_is_told_by_its_first_bytes() {
        assert!(not_http(b"\x15\x03\x01\0\x02\x02\x46").contains("https://"));
        assert!(not_http(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0").contains("gRPC"));
        assert!(not_http(b"\0\0\x08\x07\0\0\0\0\0").contains("4318"));
        assert!(not_http(b"SSH-2.0-OpenSSH_9\r\n").contains("but \"SSH-2.0-OpenSSH_9\""));
    }

    #[test]
    fn the_message_of_a_protobuf_status_is_taken_out() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/x-protobuf".parse().unwrap());
        assert_eq!(explanation(&headers, b"\x08\x03\x12\x08no quota"), "no quota");
    }
}
