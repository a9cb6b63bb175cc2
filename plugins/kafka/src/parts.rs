//! An OTLP request as messages: taken apart into its spans or metrics, and put together again by size, or by trace.

#![forbid(unsafe_code)]

use std::collections::HashMap;

use tracer_plugin_api::Signal;
use tracer_plugin_kit::{Field, Frames, Part, Placed, fields, take_apart};

/// A request of either signal, taken apart.
pub(crate) struct Request<'a> {
    frames: Frames,
    parts: Vec<Placed<'a>>,
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
        let (frames, parts) = take_apart(signal, request, item_count)?;
        Some(Request { frames, parts })
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn items(&self, part: usize) -> u32 {
        self.parts.get(part).map_or(0, Part::items)
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
            let id = self.parts.get(part).map(trace_id).unwrap_or_default();
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
            let more = self.frames.growth(before, part);
            if position > from && bytes + more > most_bytes {
                messages.extend(self.put_together(key.clone(), parts.get(from..position)));
                (from, bytes) = (position, self.frames.growth(None, part));
            } else {
                bytes += more;
            }
            before = Some(part);
        }
        messages.extend(self.put_together(key, parts.get(from..)));
        messages
    }

    fn put_together(&self, key: Option<String>, parts: Option<&[usize]>) -> Option<Message> {
        let indices = parts.filter(|parts| !parts.is_empty())?;
        let parts: Vec<Placed<'_>> = indices.iter().filter_map(|&index| self.parts.get(index)).copied().collect();
        let body = self.frames.put_together(&parts);
        Some(Message { key, body, parts: indices.to_vec() })
    }
}

/// Empty if it has none.
fn trace_id<'a>(span: &Placed<'a>) -> &'a [u8] {
    let id = fields(span.bytes()).find_map(|field| match field {
        (TRACE_ID, Field::Bytes(id)) => Some(id),
        _ => None,
    });
    id.unwrap_or_default()
}

/// `trace_id` of a `Span`.
const TRACE_ID: u64 = 1;

#[cfg(test)]
mod tests {
    use tracer_plugin_kit::put_field;

    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        fields.iter().for_each(|(number, bytes)| put_field(&mut message, *number, bytes));
        message
    }

    fn span(trace: u8, name: &[u8]) -> Vec<u8> {
        message(&[(1, &[trace; 16]), (5, name)])
    }

    /// Two services; traces 1 and 2 in both.
    fn request() -> Vec<u8> {
        let scope = |spans: &[Vec<u8>]| {
            let mut scope = message(&[(1, b"scope")]);
            spans.iter().for_each(|span| put_field(&mut scope, 2, span));
            put_field(&mut scope, 3, b"url");
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
            spans.iter().for_each(|(trace, name)| put_field(&mut scope, 2, &span(*trace, name)));
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
}
