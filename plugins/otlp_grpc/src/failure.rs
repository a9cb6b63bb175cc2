//! What went wrong with a call, and whether another try may help.

use std::io::ErrorKind;
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use rustls::Error as TlsError;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{Answer, Failure, printable, untrusted};

use crate::address::Address;
use crate::call::Reply;
use crate::connection::Trouble;
use crate::message::{LONGEST_ANSWER, payload};
use crate::service::Service;
use crate::settings::Settings;
use crate::status::{Code, Status};
use crate::wire::Told;

/// No answer came. All of it may pass, even a certificate that is not trusted: theirs may be renewed.
pub(crate) fn unreachable(settings: &Settings, address: &Address, trouble: &Trouble, limit: Duration) -> BackendError {
    let proxy = settings.proxy.as_ref().map(|proxy| format!("the proxy {proxy} (`proxy`), on the way to {address}"));
    // Whoever is connected to, and whoever is spoken to.
    let (first, who) = (proxy.unwrap_or_else(|| address.to_string()), address.to_string());
    match trouble {
        Trouble::TimedOut(what) => BackendError::timeout(format!("{who}: no answer within {limit:?} ({what})")),
        Trouble::NotKnown(error) => BackendError::retryable(format!("{first}: the host's name is not known: {error}")),
        Trouble::Unreachable(error) => BackendError::retryable(format!("{first}: {error}")),
        Trouble::Proxy(what) => {
            let hint = if what.contains("407") { " (its user and password belong into `proxy`)" } else { "" };
            BackendError::retryable(format!("{first}: {what}{hint}"))
        }
        Trouble::Handshake(error, told) => match &told.untrusted {
            Some(error) => tls_failure(settings, &who, error),
            None => {
                let hint = "does it speak TLS? see the scheme and the port of the address";
                let message = format!("{who}: the connection ended in the TLS handshake: {} ({hint})", in_words(error));
                BackendError::retryable(message)
            }
        },
        Trouble::Lost(error, told) => match (&told.untrusted, error) {
            (Some(error), _) => tls_failure(settings, &who, error),
            (None, error) => BackendError::retryable(format!("{who}: {}", lost(address, error.as_ref(), told))),
        },
        Trouble::Reset(error) => {
            let reason = error.reason().map(|reason| format!("{reason:?}")).unwrap_or_default();
            let by =
                if error.is_remote() { "by the server (RST_STREAM" } else { "here, over what the server said (HTTP/2" };
            BackendError::retryable(format!("{who}: the call was broken off {by}, {reason})"))
        }
    }
}

fn tls_failure(settings: &Settings, who: &str, error: &TlsError) -> BackendError {
    untrusted(who, settings.tls.as_ref(), error, OTHER_PROTOCOL)
}

fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "it was closed".to_owned(),
        _ => error.to_string(),
    }
}

/// Of a connection that is over: what was heard on it tells most.
fn lost(address: &Address, error: Option<&h2::Error>, told: &Told) -> String {
    match told.heard.as_slice() {
        [] => {
            let hint = match (address.is_encrypted(), address.port()) {
                (_, Some(HTTP_PORT)) => format!(" ({OTHER_PROTOCOL})"),
                (true, _) => String::new(),
                (false, _) => " (if it always is: does that port speak gRPC, or does it want https://?)".to_owned(),
            };
            return format!("the connection was closed without an answer{hint}");
        }
        [0x15 | 0x16, 3, ..] if !address.is_encrypted() => {
            return "what answers speaks TLS: https:// in place of http://".to_owned();
        }
        said if said.starts_with(b"HTTP/") => {
            let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return format!("what answers speaks HTTP/1 alone ({}; {OTHER_PROTOCOL})", printable(line));
        }
        // The settings, or the goodbye, of stream 0.
        [_, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => {}
        other => return format!("what answers does not speak HTTP/2, but {:?}", printable(other)),
    }
    match error {
        Some(error) if error.is_go_away() && error.is_remote() => {
            let reason = error.reason().map(|reason| format!("{reason:?}")).unwrap_or_default();
            format!("the server ended the connection (GOAWAY, {reason})")
        }
        Some(error) => format!("the connection broke: {error}"),
        None => "the server closed the connection before it had answered".to_owned(),
    }
}

/// What an answer means. (<https://opentelemetry.io/docs/specs/otlp/#failures>)
pub(crate) fn judge(
    settings: &Settings,
    address: &Address,
    service: Service,
    reply: &Reply,
) -> Result<Answer, Failure> {
    let status = reply.trailers.as_ref().and_then(Status::read).or_else(|| Status::read(&reply.head.headers));
    let Some(status) = status else { return Err(Failure::Other(no_status(settings, address, reply))) };
    if status.code == Code::OK {
        // The message of a status of gRPC is always OTLP's: nothing else is asked for under that name.
        return Ok(Answer { body: payload(&reply.body), content_type: String::new() });
    }
    let said = settings.headers.strike_out(status.message.clone());
    let colon = if said.is_empty() { "" } else { ": " };
    let (name, number) = (status.code.name(), status.code.number());
    let message = format!("{address} answered {name} ({number}){colon}{said}{}", hint(status.code, service));
    if is_too_large(&status) {
        return Err(Failure::TooLarge(BackendError::permanent(message)));
    }
    let error = match status.code {
        Code::DEADLINE_EXCEEDED => BackendError::timeout(message),
        Code::CANCELLED | Code::ABORTED | Code::OUT_OF_RANGE | Code::UNAVAILABLE | Code::DATA_LOSS => {
            BackendError::retryable(message)
        }
        // It comes back only if the server says so.
        Code::RESOURCE_EXHAUSTED if status.retry_after.is_some() => BackendError::retryable(message),
        Code::UNAUTHENTICATED | Code::PERMISSION_DENIED => BackendError::credentials(message),
        _ => BackendError::permanent(message),
    };
    Err(Failure::Other(match status.retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }))
}

/// Servers in Go and C, in Java, in Rust, in .NET say it in these words, and under two codes.
fn is_too_large(status: &Status) -> bool {
    const WORDS: [&str; 4] =
        ["larger than max", "exceeds maximum size", "message length too large", "exceeds the maximum"];
    let said = status.message.to_ascii_lowercase();
    matches!(status.code, Code::RESOURCE_EXHAUSTED | Code::OUT_OF_RANGE)
        && status.retry_after.is_none()
        && WORDS.iter().any(|words| said.contains(words))
}

fn hint(code: Code, service: Service) -> &'static str {
    match (code, service) {
        (Code::UNAUTHENTICATED | Code::PERMISSION_DENIED, _) => " (see `headers`)",
        (Code::UNIMPLEMENTED, Service::Traces) => " (it takes no OTLP traces: is it a collector? see `endpoint`)",
        (Code::UNIMPLEMENTED, Service::Metrics) => {
            " (it takes no OTLP metrics: give it a pipeline for them, or see `metrics_endpoint`)"
        }
        (Code::RESOURCE_EXHAUSTED, _) => " (and did not say when to try again)",
        _ => "",
    }
}

/// An answer that is none of gRPC's: somebody stands between, or it is another server. HTTP's status counts, as gRPC's
/// table has it.
fn no_status(settings: &Settings, address: &Address, reply: &Reply) -> BackendError {
    let status = reply.head.status;
    let kind = reply.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if status == StatusCode::OK && kind.starts_with("application/grpc") {
        let what = if reply.body.len() > LONGEST_ANSWER { "is too long to be one" } else { "ended without a status" };
        return BackendError::retryable(format!("{address}: the answer {what}"));
    }
    let said: String = settings.headers.strike_out(printable(&reply.body));
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let code = match status.as_u16() {
        429 | 502 | 503 | 504 => Code::UNAVAILABLE,
        400 => Code::INTERNAL,
        401 => Code::UNAUTHENTICATED,
        403 => Code::PERMISSION_DENIED,
        404 => Code::UNIMPLEMENTED,
        _ => Code::UNKNOWN,
    };
    let message = format!(
        "{address} answered in HTTP and not in gRPC, {status}{said} (is it the port for gRPC? see `endpoint`, or who \
         answers in its place)"
    );
    match code {
        Code::UNAVAILABLE => BackendError::retryable(message),
        Code::UNAUTHENTICATED | Code::PERMISSION_DENIED => BackendError::credentials(message),
        _ => BackendError::permanent(message),
    }
}

const HTTP_PORT: u16 = 4318;
const OTHER_PROTOCOL: &str = "it may be the port for OTLP over HTTP: that is `plugin = \"otlp\"`, without a file \
    OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; OTLP over gRPC has a port of its own, commonly 4317";
