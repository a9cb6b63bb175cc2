//! An OTLP request taken apart into its spans, and put together again from some of them, without a code generator.

use crate::protobuf_fields::{Field, fields};

/// One encoded span, and where it stands.
pub(crate) struct PlacedSpan<'a> {
    place: Place,
    span: &'a [u8],
}

impl AsRef<[u8]> for PlacedSpan<'_> {
    fn as_ref(&self) -> &[u8] {
        self.span
    }
}

/// The requests around the spans: what is said of their resources and scopes.
#[derive(Default)]
pub(crate) struct Frames {
    /// All fields of a `ResourceSpans` but its scopes, encoded.
    resources: Vec<Vec<u8>>,
    /// All fields of a `ScopeSpans` but its spans, encoded.
    scopes: Vec<Vec<u8>>,
}

/// Places in [`Frames`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    resource: usize,
    scope: usize,
}

/// The spans of an `ExportTraceServiceRequest`, if there are `span_count` of them: else it is not what it seems.
pub(crate) fn take_apart(request: &[u8], span_count: u32) -> Option<(Frames, Vec<PlacedSpan<'_>>)> {
    let mut frames = Frames::default();
    let mut spans = Vec::new();
    for resource_spans in messages(request, REPEATED_IN_REQUEST) {
        for scope_spans in messages(resource_spans, REPEATED) {
            let place = Place { resource: frames.resources.len(), scope: frames.scopes.len() };
            spans.extend(messages(scope_spans, REPEATED).map(|span| PlacedSpan { place, span }));
            frames.scopes.push(frame(scope_spans));
        }
        frames.resources.push(frame(resource_spans));
    }
    (u32::try_from(spans.len()) == Ok(span_count)).then_some((frames, spans))
}

impl Frames {
    /// The request with these spans alone.
    pub(crate) fn put_together(&self, spans: &[PlacedSpan<'_>]) -> Vec<u8> {
        let mut request = Vec::new();
        for of_resource in spans.chunk_by(|one, next| one.place.resource == next.place.resource) {
            let place = of_resource.first().map(|span| span.place);
            let mut resource_spans =
                place.and_then(|place| self.resources.get(place.resource)).cloned().unwrap_or_default();
            for of_scope in of_resource.chunk_by(|one, next| one.place == next.place) {
                let place = of_scope.first().map(|span| span.place);
                let mut scope_spans = place.and_then(|place| self.scopes.get(place.scope)).cloned().unwrap_or_default();
                of_scope.iter().for_each(|span| put(&mut scope_spans, REPEATED, span.span));
                put(&mut resource_spans, REPEATED, &scope_spans);
            }
            put(&mut request, REPEATED_IN_REQUEST, &resource_spans);
        }
        request
    }
}

fn messages(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |field| match field {
        (found, Field::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

/// `ResourceSpans` and `ScopeSpans` alike: what is not repeated in them is bytes, messages and texts.
fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    for (number, field) in fields(message) {
        if let (false, Field::Bytes(bytes)) = (number == REPEATED, field) {
            put(&mut frame, number, bytes);
        }
    }
    frame
}

/// Appends a field of bytes.
fn put(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(message, number << 3 | 2);
    varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn varint(message: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        message.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

/// `resource_spans` of a request.
const REPEATED_IN_REQUEST: u64 = 1;
/// `scope_spans` of a `ResourceSpans`, `spans` of a `ScopeSpans`.
const REPEATED: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        fields.iter().for_each(|(number, bytes)| put(&mut message, *number, bytes));
        message
    }

    /// Two resources; the first has two scopes, with one and two spans, the second one with one.
    fn request() -> Vec<u8> {
        let long = vec![b'x'; 300];
        let first = message(&[(1, b"scope 1"), (2, b"a"), (3, b"url")]);
        let second = message(&[(1, b"scope 2"), (2, &long), (2, b"c")]);
        let one = message(&[(1, b"orders"), (2, &first), (2, &second), (3, b"url")]);
        let two = message(&[(1, b"payments"), (2, &message(&[(2, b"d")]))]);
        message(&[(1, &one), (1, &two)])
    }

    #[test]
    fn all_spans_together_say_what_the_request_said() {
        let request = request();
        let (frames, spans) = take_apart(&request, 4).unwrap();
        // Of a frame's fields the repeated one comes last now; protobuf leaves that to the writer.
        let again = frames.put_together(&spans);
        assert_eq!(again.len(), request.len());
        let (frames, spans) = take_apart(&again, 4).unwrap();
        assert_eq!(frames.put_together(&spans), again);
    }

    #[test]
    fn a_part_keeps_what_is_around_its_spans() {
        let request = request();
        let (frames, spans) = take_apart(&request, 4).unwrap();
        let scope = message(&[(1, b"scope 2"), (2, b"c")]);
        let expected = message(&[
            (1, &message(&[(1, b"orders"), (3, b"url"), (2, &scope)])),
            (1, &message(&[(1, b"payments"), (2, &message(&[(2, b"d")]))])),
        ]);
        assert_eq!(frames.put_together(&spans[2..]), expected);
    }

    #[test]
    fn what_does_not_hold_the_spans_it_should_is_not_taken_apart() {
        assert!(take_apart(&request(), 5).is_none());
        assert!(take_apart(b"\xff\xff", 1).is_none());
    }
}
