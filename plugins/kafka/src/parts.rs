//! An OTLP request as messages: taken apart into its spans or metrics, and put together again by size, or by trace.

#![forbid(unsafe_code)]

use std::collections::HashMap;

use tracer_plugin_api::Signal;

/// A request of either signal, taken apart. Both are alike but for what is innermost.
pub(crate) struct Request<'a> {
    parts: Vec<Part<'a>>,
    /// All fields of each `ResourceSpans` or `ResourceMetrics` but its scopes, encoded.
    resources: Vec<Vec<u8>>,
    /// All fields of each `ScopeSpans` or `ScopeMetrics` but its spans or metrics, encoded.
    scopes: Vec<Vec<u8>>,
}

/// A span or a metric, encoded, and where it stands.
struct Part<'a> {
    bytes: &'a [u8],
    items: u32,
    resource: usize,
    scope: usize,
}

/// What one Kafka message holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    /// The trace's id in hexadecimal, where messages are of one trace each.
    pub(crate) key: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Positions of its parts in the request.
    pub(crate) parts: Vec<usize>,
}

impl<'a> Request<'a> {
    /// `None` if the request has other than `item_count` items: it is not what it seems.
    pub(crate) fn take_apart(signal: Signal, request: &'a [u8], item_count: u32) -> Option<Self> {
        let items_of = match signal {
            Signal::Traces => |_: &[u8]| 1,
            Signal::Metrics => data_points,
            _ => return None,
        };
        let mut apart = Request { parts: Vec::new(), resources: Vec::new(), scopes: Vec::new() };
        for of_resource in messages(request, IN_REQUEST) {
            for of_scope in messages(of_resource, REPEATED) {
                let (resource, scope) = (apart.resources.len(), apart.scopes.len());
                let parts = messages(of_scope, REPEATED);
                apart.parts.extend(parts.map(|bytes| Part { bytes, items: items_of(bytes), resource, scope }));
                apart.scopes.push(frame(of_scope));
            }
            apart.resources.push(frame(of_resource));
        }
        (apart.parts.iter().map(|part| part.items).sum::<u32>() == item_count).then_some(apart)
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn items(&self, part: usize) -> u32 {
        self.parts.get(part).map_or(0, |part| part.items)
    }

    /// Messages of these parts, none above `most_bytes` unless it has one part only. With `by_trace` each is of one trace,
    /// as the Collector's exporter makes them, and is keyed by it.
    pub(crate) fn messages(&self, parts: &[usize], most_bytes: usize, by_trace: bool) -> Vec<Message> {
        if !by_trace {
            return self.packed(None, parts, most_bytes);
        }
        let mut order = Vec::new();
        let mut of_trace: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for &part in parts {
            let id = self.parts.get(part).and_then(|part| messages(part.bytes, TRACE_ID).next()).unwrap_or_default();
            let of_this = of_trace.entry(id).or_default();
            if of_this.is_empty() {
                order.push(id);
            }
            of_this.push(part);
        }
        let key_of = |id: &[u8]| (!id.is_empty()).then(|| id.iter().map(|byte| format!("{byte:02x}")).collect());
        order
            .iter()
            .flat_map(|id| self.packed(key_of(id), of_trace.get(id).map_or(&[][..], Vec::as_slice), most_bytes))
            .collect()
    }

    fn packed(&self, key: Option<String>, parts: &[usize], most_bytes: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        let (mut from, mut bytes, mut before) = (0, 0, None);
        for (position, &index) in parts.iter().enumerate() {
            let Some(part) = self.parts.get(index) else { continue };
            let frame = |frames: &[Vec<u8>], index: usize| frames.get(index).map_or(0, |frame| frame.len() + TAG);
            let new_resource = frame(&self.resources, part.resource);
            let new_scope = frame(&self.scopes, part.scope);
            let alone = part.bytes.len() + TAG;
            let more = match before {
                Some((resource, scope)) if (resource, scope) == (part.resource, part.scope) => alone,
                Some((resource, _)) if resource == part.resource => alone + new_scope,
                _ => alone + new_scope + new_resource,
            };
            if position > from && bytes + more > most_bytes {
                messages.extend(self.put_together(key.clone(), parts.get(from..position)));
                (from, bytes) = (position, alone + new_scope + new_resource);
            } else {
                bytes += more;
            }
            before = Some((part.resource, part.scope));
        }
        messages.extend(self.put_together(key, parts.get(from..)));
        messages
    }

    fn put_together(&self, key: Option<String>, parts: Option<&[usize]>) -> Option<Message> {
        let indices = parts.filter(|parts| !parts.is_empty())?;
        let parts: Vec<&Part<'_>> = indices.iter().filter_map(|&index| self.parts.get(index)).collect();
        let mut body = Vec::new();
        for of_resource in parts.chunk_by(|one, next| one.resource == next.resource) {
            let first = of_resource.first()?;
            let mut resource = self.resources.get(first.resource).cloned().unwrap_or_default();
            for of_scope in of_resource.chunk_by(|one, next| one.scope == next.scope) {
                let first = of_scope.first()?;
                let mut scope = self.scopes.get(first.scope).cloned().unwrap_or_default();
                of_scope.iter().for_each(|part| put(&mut scope, REPEATED, part.bytes));
                put(&mut resource, REPEATED, &scope);
            }
            put(&mut body, IN_REQUEST, &resource);
        }
        Some(Message { key, body, parts: indices.to_vec() })
    }
}

/// The data points of a `Metric`: of a gauge, sum, histogram, exponential histogram or summary.
fn data_points(metric: &[u8]) -> u32 {
    let of_kind = [5, 7, 9, 10, 11].into_iter().flat_map(|kind| messages(metric, kind));
    let points = of_kind.map(|data| messages(data, 1).count()).sum::<usize>();
    u32::try_from(points).unwrap_or(u32::MAX)
}

/// The fields of bytes that are not repeated: of what is around spans and metrics all others are of that kind.
fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    fields(message)
        .filter(|(number, _)| *number != REPEATED)
        .for_each(|(number, bytes)| put(&mut frame, number, bytes));
    frame
}

fn messages(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(found, bytes)| (found == number).then_some(bytes))
}

/// The fields of bytes, texts and messages, in their order. Ends where the bytes are no protobuf.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut rest)?;
            let length = match key & 7 {
                0 => {
                    varint(&mut rest)?;
                    continue;
                }
                1 => 8,
                2 => usize::try_from(varint(&mut rest)?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (bytes, after) = rest.split_at_checked(length)?;
            rest = after;
            if key & 7 == 2 {
                return Some((key >> 3, bytes));
            }
        }
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends a field of bytes.
fn put(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(message, number << 3 | 2);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        message.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

/// `resource_spans` or `resource_metrics` of a request.
const IN_REQUEST: u64 = 1;
/// `scope_spans` of a `ResourceSpans`, `spans` of a `ScopeSpans`; `scope_metrics`, `metrics`.
const REPEATED: u64 = 2;
/// `trace_id` of a `Span`.
const TRACE_ID: u64 = 1;
/// The most that a field's key and length take: five bytes of length are 32 GiB.
const TAG: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        fields.iter().for_each(|(number, bytes)| put(&mut message, *number, bytes));
        message
    }

    fn span(trace: u8, name: &[u8]) -> Vec<u8> {
        message(&[(1, &[trace; 16]), (5, name)])
    }

    /// Two services; traces 1 and 2 in both.
    fn request() -> Vec<u8> {
        let scope = |spans: &[Vec<u8>]| {
            let mut scope = message(&[(1, b"scope")]);
            spans.iter().for_each(|span| put(&mut scope, 2, span));
            put(&mut scope, 3, b"url");
            scope
        };
        let one = message(&[(1, b"orders"), (2, &scope(&[span(1, b"a"), span(2, b"b"), span(1, b"c")])), (3, b"url")]);
        let two = message(&[(1, b"payments"), (2, &scope(&[span(2, b"d"), span(1, b"e")]))]);
        message(&[(1, &one), (1, &two)])
    }

    fn parts_of(messages: &[Message]) -> Vec<Vec<usize>> {
        messages.iter().map(|message| message.parts.clone()).collect()
    }

    #[test]
    fn all_together_it_says_what_the_request_said() {
        let request = request();
        let apart = Request::take_apart(Signal::Traces, &request, 5).unwrap();
        let [whole] = &apart.messages(&[0, 1, 2, 3, 4], usize::MAX, false)[..] else { panic!() };
        assert_eq!(whole.body.len(), request.len());
        let again = Request::take_apart(Signal::Traces, &whole.body, 5).unwrap();
        assert_eq!(again.messages(&[0, 1, 2, 3, 4], usize::MAX, false), std::slice::from_ref(whole));
    }

    #[test]
    fn by_trace_a_message_is_of_one_trace_with_the_services_around_its_spans() {
        let request = request();
        let apart = Request::take_apart(Signal::Traces, &request, 5).unwrap();
        let messages = apart.messages(&[0, 1, 2, 3, 4], usize::MAX, true);
        assert_eq!(parts_of(&messages), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(messages[0].key.as_deref(), Some("01".repeat(16).as_str()));
        let scope = |spans: &[(u8, &[u8])]| {
            let mut scope = message(&[(1, b"scope"), (3, b"url")]);
            spans.iter().for_each(|(trace, name)| put(&mut scope, 2, &span(*trace, name)));
            scope
        };
        let one = message(&[(1, b"orders"), (3, b"url"), (2, &scope(&[(2, b"b")]))]);
        let two = message(&[(1, b"payments"), (2, &scope(&[(2, b"d")]))]);
        assert_eq!(messages[1].body, message(&[(1, &one), (1, &two)]));
    }

    #[test]
    fn no_message_is_larger_than_it_may_be_unless_it_has_one_part() {
        let request = request();
        let apart = Request::take_apart(Signal::Traces, &request, 5).unwrap();
        for (most, by_trace) in (1..request.len() + 40).flat_map(|most| [(most, false), (most, true)]) {
            let messages = apart.messages(&[0, 1, 2, 3, 4], most, by_trace);
            assert!(messages.iter().all(|message| message.body.len() <= most || message.parts.len() == 1), "{most}");
            let mut parts: Vec<_> = parts_of(&messages).concat();
            parts.sort_unstable();
            assert_eq!(parts, [0, 1, 2, 3, 4], "{most}");
        }
    }

    #[test]
    fn a_metric_is_as_many_items_as_it_has_data_points() {
        let sum = message(&[(1, b"sent"), (7, &message(&[(1, b"point"), (1, b"point")]))]);
        let scope = message(&[(1, b"scope"), (2, &sum), (2, &message(&[(9, &message(&[(1, b"point")]))]))]);
        let request = message(&[(1, &message(&[(1, b"orders"), (2, &scope)]))]);
        let apart = Request::take_apart(Signal::Metrics, &request, 3).unwrap();
        assert_eq!((apart.len(), apart.items(0), apart.items(1)), (2, 2, 1));
        assert!(Request::take_apart(Signal::Metrics, &request, 4).is_none());
        assert!(Request::take_apart(Signal::Traces, b"\xff\xff", 1).is_none());
    }
}
