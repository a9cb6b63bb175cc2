//! An OTLP request taken apart into its spans or metrics, and put together again from some of them, without a code
//! generator. Both signals are alike but for what is innermost.

use tracer_plugin_api::Signal;

use crate::protobuf_fields::{Field, fields, put_field};

/// What a batch is taken apart into, encoded.
pub trait Part: AsRef<[u8]> {
    /// How many items it is: one, for a span.
    fn items(&self) -> u32 {
        1
    }
}

impl Part for Vec<u8> {}

/// One encoded span or metric, and where it stands.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    place: Place,
    bytes: &'a [u8],
    items: u32,
}

impl<'a> Placed<'a> {
    /// The span or metric, encoded.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl AsRef<[u8]> for Placed<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl Part for Placed<'_> {
    fn items(&self) -> u32 {
        self.items
    }
}

/// The requests around them: what is said of their resources and scopes.
#[derive(Default)]
pub struct Frames {
    /// All fields of a `ResourceSpans` or `ResourceMetrics` but its scopes, encoded.
    resources: Vec<Vec<u8>>,
    /// All fields of a `ScopeSpans` or `ScopeMetrics` but its spans or metrics, encoded.
    scopes: Vec<Vec<u8>>,
}

/// Places in [`Frames`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    resource: usize,
    scope: usize,
}

/// The spans or metrics of a request, if they are `item_count` items: else it is not what it seems.
pub fn take_apart(signal: Signal, request: &[u8], item_count: u32) -> Option<(Frames, Vec<Placed<'_>>)> {
    let items_of = match signal {
        Signal::Traces => |_: &[u8]| 1,
        Signal::Metrics => data_points,
        _ => return None,
    };
    let mut frames = Frames::default();
    let mut parts = Vec::new();
    for of_resource in messages(request, REPEATED_IN_REQUEST) {
        for of_scope in messages(of_resource, REPEATED) {
            let place = Place { resource: frames.resources.len(), scope: frames.scopes.len() };
            parts.extend(messages(of_scope, REPEATED).map(|bytes| Placed { place, bytes, items: items_of(bytes) }));
            frames.scopes.push(frame(of_scope));
        }
        frames.resources.push(frame(of_resource));
    }
    (parts.iter().map(Part::items).sum::<u32>() == item_count).then_some((frames, parts))
}

/// The data points of a `Metric`.
fn data_points(metric: &[u8]) -> u32 {
    let data = fields(metric).filter_map(|field| match field {
        (KIND_GAUGE | KIND_SUM | KIND_HISTOGRAM | KIND_EXPONENTIAL_HISTOGRAM | KIND_SUMMARY, Field::Bytes(data)) => {
            Some(messages(data, DATA_POINTS).count())
        }
        _ => None,
    });
    u32::try_from(data.sum::<usize>()).unwrap_or(u32::MAX)
}

impl Frames {
    /// The most bytes by which a request grows when `next` is put behind `before`, or when it is the first.
    pub fn growth(&self, before: Option<&Placed<'_>>, next: &Placed<'_>) -> usize {
        let around = |frames: &[Vec<u8>], index: usize| frames.get(index).map_or(0, |frame| frame.len() + TAG);
        let alone = next.bytes.len() + TAG;
        let (new_resource, new_scope) =
            (around(&self.resources, next.place.resource), around(&self.scopes, next.place.scope));
        match before.map(|before| before.place) {
            Some(place) if place == next.place => alone,
            Some(place) if place.resource == next.place.resource => alone + new_scope,
            _ => alone + new_scope + new_resource,
        }
    }

    /// The request with these alone.
    pub fn put_together(&self, spans: &[Placed<'_>]) -> Vec<u8> {
        let mut request = Vec::new();
        for of_resource in spans.chunk_by(|one, next| one.place.resource == next.place.resource) {
            let place = of_resource.first().map(|span| span.place);
            let mut resource_spans =
                place.and_then(|place| self.resources.get(place.resource)).cloned().unwrap_or_default();
            for of_scope in of_resource.chunk_by(|one, next| one.place == next.place) {
                let place = of_scope.first().map(|span| span.place);
                let mut scope_spans = place.and_then(|place| self.scopes.get(place.scope)).cloned().unwrap_or_default();
                of_scope.iter().for_each(|span| put_field(&mut scope_spans, REPEATED, span.bytes));
                put_field(&mut resource_spans, REPEATED, &scope_spans);
            }
            put_field(&mut request, REPEATED_IN_REQUEST, &resource_spans);
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

/// `ResourceSpans`, `ScopeSpans` and those of metrics alike: what is not repeated in them is bytes, messages and texts.
fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    for (number, field) in fields(message) {
        if let (false, Field::Bytes(bytes)) = (number == REPEATED, field) {
            put_field(&mut frame, number, bytes);
        }
    }
    frame
}

/// `resource_spans`, `resource_metrics` of a request.
const REPEATED_IN_REQUEST: u64 = 1;
/// `scope_spans` of a `ResourceSpans`, `spans` of a `ScopeSpans`; `scope_metrics`, `metrics`.
const REPEATED: u64 = 2;
/// What a `Metric` may be.
const KIND_GAUGE: u64 = 5;
const KIND_SUM: u64 = 7;
const KIND_HISTOGRAM: u64 = 9;
const KIND_EXPONENTIAL_HISTOGRAM: u64 = 10;
const KIND_SUMMARY: u64 = 11;
/// `data_points` of each of them.
const DATA_POINTS: u64 = 1;
/// The most that a field's key and length take: five bytes of length are 32 GiB.
const TAG: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        fields.iter().for_each(|(number, bytes)| put_field(&mut message, *number, bytes));
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
        let (frames, spans) = take_apart(Signal::Traces, &request, 4).unwrap();
        // Of a frame's fields the repeated one comes last now; protobuf leaves that to the writer.
        let again = frames.put_together(&spans);
        assert_eq!(again.len(), request.len());
        let (frames, spans) = take_apart(Signal::Traces, &again, 4).unwrap();
        assert_eq!(frames.put_together(&spans), again);
    }

    #[test]
    fn a_part_keeps_what_is_around_its_spans() {
        let request = request();
        let (frames, spans) = take_apart(Signal::Traces, &request, 4).unwrap();
        let scope = message(&[(1, b"scope 2"), (2, b"c")]);
        let expected = message(&[
            (1, &message(&[(1, b"orders"), (3, b"url"), (2, &scope)])),
            (1, &message(&[(1, b"payments"), (2, &message(&[(2, b"d")]))])),
        ]);
        assert_eq!(frames.put_together(&spans[2..]), expected);
    }

    #[test]
    fn a_request_is_never_larger_than_it_was_said_to_grow() {
        let request = request();
        let (frames, spans) = take_apart(Signal::Traces, &request, 4).unwrap();
        for from in 0..spans.len() {
            let mut most = 0;
            for to in from..spans.len() {
                most += frames.growth((to > from).then(|| &spans[to - 1]), &spans[to]);
                let bytes = frames.put_together(&spans[from..=to]).len();
                assert!(bytes <= most && most <= bytes + 100, "{from} to {to}: {bytes}, {most}");
            }
        }
    }

    #[test]
    fn a_metric_is_as_many_items_as_it_has_data_points() {
        let sum = message(&[(1, b"sent"), (7, &message(&[(1, b"point"), (1, b"point")]))]);
        let histogram = message(&[(1, b"duration"), (9, &message(&[(1, b"point")]))]);
        let scope = message(&[(1, b"scope"), (2, &sum), (2, &histogram)]);
        let request = message(&[(1, &message(&[(1, b"orders"), (2, &scope)]))]);
        let (frames, metrics) = take_apart(Signal::Metrics, &request, 3).unwrap();
        assert_eq!(metrics.iter().map(Part::items).collect::<Vec<_>>(), [2, 1]);
        let second = message(&[(1, b"scope"), (2, &histogram)]);
        assert_eq!(frames.put_together(&metrics[1..]), message(&[(1, &message(&[(1, b"orders"), (2, &second)]))]));
        assert!(take_apart(Signal::Metrics, &request, 2).is_none());
    }

    #[test]
    fn what_does_not_hold_the_spans_it_should_is_not_taken_apart() {
        assert!(take_apart(Signal::Traces, &request(), 5).is_none());
        assert!(take_apart(Signal::Traces, b"\xff\xff", 1).is_none());
    }
}
