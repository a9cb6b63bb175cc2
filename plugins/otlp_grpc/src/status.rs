//! The status of a call, as the trailers of gRPC say it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderValue};
use tracer_plugin_http::printable;
use tracer_plugin_kit::{Field, fields};

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: Code,
    /// One short line.
    pub(crate) message: String,
    /// `google.rpc.RetryInfo` of the details: the server says that it may be asked again, after this time.
    pub(crate) retry_after: Option<Duration>,
}

/// One of gRPC's; a number that is none counts as UNKNOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    pub(crate) const OK: Code = Code(0);
    pub(crate) const CANCELLED: Code = Code(1);
    pub(crate) const UNKNOWN: Code = Code(2);
    pub(crate) const DEADLINE_EXCEEDED: Code = Code(4);
    pub(crate) const PERMISSION_DENIED: Code = Code(7);
    pub(crate) const RESOURCE_EXHAUSTED: Code = Code(8);
    pub(crate) const ABORTED: Code = Code(10);
    pub(crate) const OUT_OF_RANGE: Code = Code(11);
    pub(crate) const UNIMPLEMENTED: Code = Code(12);
    pub(crate) const INTERNAL: Code = Code(13);
    pub(crate) const UNAVAILABLE: Code = Code(14);
    pub(crate) const DATA_LOSS: Code = Code(15);
    pub(crate) const UNAUTHENTICATED: Code = Code(16);

    /// As gRPC's documents write it.
    pub(crate) fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }

    pub(crate) fn number(self) -> u8 {
        self.0
    }

    fn read(text: &HeaderValue) -> Code {
        let number = text.to_str().ok().and_then(|text| text.trim().parse::<u8>().ok());
        number.filter(|number| usize::from(*number) < NAMES.len()).map_or(Code::UNKNOWN, Code)
    }
}

impl Status {
    /// Of trailers, or of the headers of an answer without a body; `None` if they say nothing of it.
    pub(crate) fn read(trailers: &HeaderMap) -> Option<Self> {
        let code = Code::read(trailers.get("grpc-status")?);
        let message = trailers.get("grpc-message").map(|text| percent_decoded(text.as_bytes())).unwrap_or_default();
        let details = trailers.get("grpc-status-details-bin").map(HeaderValue::as_bytes).unwrap_or_default();
        Some(Status { code, message: printable(&message), retry_after: retry_after(details) })
    }
}

/// Bytes that are not percent-encoded as they should be stand for themselves.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (byte, after) = match after.split_first_chunk::<2>() {
            Some(([high, low], beyond)) if *first == b'%' => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, beyond),
                _ => (*first, after),
            },
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    decoded
}

/// `retry_delay` of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`, in base64; at most an hour, as
/// over HTTP.
fn retry_after(details: &[u8]) -> Option<Duration> {
    let details: Vec<u8> = details.iter().copied().filter(|byte| *byte != b'=').collect();
    let status = STANDARD_NO_PAD.decode(details).ok()?;
    let info = fields(&status).find_map(|field| match field {
        (3, Field::Bytes(any)) => retry_info(any),
        _ => None,
    })?;
    let delay = fields(info).find_map(|field| match field {
        (1, Field::Bytes(delay)) => Some(delay),
        _ => None,
    });
    // Without a delay: at once. Both numbers are signed, and a time that has passed is now.
    let number = |wanted: u64| {
        let found = fields(delay.unwrap_or_default()).filter_map(|field| match field {
            (number, Field::Varint(value)) if number == wanted => Some(value.cast_signed()),
            _ => None,
        });
        found.last().unwrap_or_default()
    };
    let (seconds, nanos) = (number(1), number(2));
    let Ok(seconds) = u64::try_from(seconds) else { return Some(Duration::ZERO) };
    let nanos = u64::try_from(nanos).unwrap_or_default();
    Some(
        Duration::from_secs(seconds.min(LONGEST))
            .saturating_add(Duration::from_nanos(nanos))
            .min(Duration::from_secs(LONGEST)),
    )
}

/// The message inside a `google.protobuf.Any`, if it is that one.
fn retry_info(any: &[u8]) -> Option<&[u8]> {
    let text = |wanted: u64| {
        fields(any).find_map(move |field| match field {
            (number, Field::Bytes(bytes)) if number == wanted => Some(bytes),
            _ => None,
        })
    };
    text(1)?.ends_with(b"/google.rpc.RetryInfo").then(|| text(2).unwrap_or_default())
}

/// Seconds.
const LONGEST: u64 = 3600;
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn trailers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        fields.iter().flat_map(|(n, bytes)| [&[n << 3 | 2, bytes.len() as u8][..], bytes].concat()).collect()
    }

    /// Details with a delay of these bytes, after a detail of another kind.
    fn details(delay: &[u8]) -> Vec<u8> {
        let other = message(&[(1, b"type.googleapis.com/google.rpc.DebugInfo"), (2, b"\x0a\x01x")]);
        let info = message(&[(1, b"type.googleapis.com/google.rpc.RetryInfo"), (2, &message(&[(1, delay)]))]);
        message(&[(2, b"slower"), (3, &other), (3, &info)])
    }

    #[test]
    fn a_status_is_read_with_its_message() {
        let status =
            Status::read(&trailers(&[("grpc-status", "14"), ("grpc-message", "a%20b %e2%82%ac 100%")])).unwrap();
        assert_eq!((status.code, status.message.as_str()), (Code::UNAVAILABLE, "a b \u{20ac} 100%"));
        assert_eq!(Status::read(&trailers(&[("grpc-message", "x")])), None);
        for strange in ["17", "-1", "x", "", "300"] {
            assert_eq!(Status::read(&trailers(&[("grpc-status", strange)])).unwrap().code, Code::UNKNOWN, "{strange}");
        }
        assert_eq!(printable(&percent_decoded(b"a%0Ab%zz%4")), "a b%zz%4", "no line of a log can be forged");
    }

    #[test]
    fn the_time_to_wait_is_found_among_the_details_with_and_without_padding() {
        let wait = |text: &str| {
            Status::read(&trailers(&[("grpc-status", "8"), ("grpc-status-details-bin", text)])).unwrap().retry_after
        };
        let three_and_a_half = details(b"\x08\x03\x10\x80\xca\xb5\xee\x01");
        assert_eq!(wait(&STANDARD.encode(&three_and_a_half)), Some(Duration::from_millis(3500)));
        assert_eq!(wait(&STANDARD_NO_PAD.encode(&three_and_a_half)), Some(Duration::from_millis(3500)));
        assert_eq!(wait(&STANDARD.encode(details(b""))), Some(Duration::ZERO));
        let minus_one = details(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(wait(&STANDARD.encode(minus_one)), Some(Duration::ZERO));
        assert_eq!(wait(&STANDARD.encode(details(b"\x08\xff\xff\xff\xff\x0f"))), Some(Duration::from_secs(3600)));
        assert_eq!(wait(&STANDARD.encode(message(&[(2, b"no details")]))), None);
        assert_eq!(wait("!!"), None);
    }
}
