//! When spans began that the application encoded.

#![forbid(unsafe_code)]

/// `start_time_unix_nano` of each `spans` field of a `ScopeSpans`. Ends at what is no such field.
pub(super) fn span_starts(mut spans: &[u8]) -> impl Iterator<Item = u64> + '_ {
    std::iter::from_fn(move || match take_field(&mut spans)? {
        (SPANS, Value::Bytes(mut span)) => {
            let mut fields = std::iter::from_fn(|| take_field(&mut span));
            let start = fields.find_map(|field| match field {
                (START, Value::Fixed(start)) => Some(start),
                _ => None,
            });
            Some(start.unwrap_or(0))
        }
        _ => None,
    })
}

enum Value<'a> {
    Fixed(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of a protobuf message; `None` at its end, and where it is none.
fn take_field<'a>(message: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = take_varint(message)?;
    let value = match tag & 7 {
        0 => take_varint(message).map(|_| Value::Other)?,
        1 => Value::Fixed(u64::from_le_bytes(take_bytes(message, 8)?.try_into().ok()?)),
        2 => {
            let length = take_varint(message)?;
            Value::Bytes(take_bytes(message, usize::try_from(length).ok()?)?)
        }
        5 => take_bytes(message, 4).map(|_| Value::Other)?,
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_bytes<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(bytes)
}

/// Numbers of `opentelemetry/proto/trace/v1/trace.proto`.
const SPANS: u64 = 2;
const START: u64 = 7;

#[cfg(test)]
mod tests {
    use super::super::span_writer::{Field, SpanWriter};
    use super::*;

    #[test]
    fn starts_are_read_of_spans_that_our_own_writer_wrote_and_nothing_of_other_bytes() {
        let mut spans = Vec::new();
        for start in [9, u64::MAX] {
            SpanWriter::new(&mut spans).message(Field::SPANS, |span| {
                span.bytes(Field::NAME, b"a name");
                span.varint(Field::KIND, 3);
                span.fixed32(Field::FLAGS, 1);
                span.fixed64(Field::START, start);
            });
        }
        assert_eq!(span_starts(&spans).collect::<Vec<_>>(), [9, u64::MAX]);
        for cut in 0..spans.len() {
            assert!(span_starts(&spans[..cut]).count() < 2, "{cut}");
        }
        assert_eq!(span_starts(&[0xff; 40]).count(), 0);
        assert_eq!(span_starts(&[0x12, 0]).collect::<Vec<_>>(), [0], "a span without a start");
    }
}
