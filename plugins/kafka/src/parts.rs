//! An OTLP request as messages: taken apart into its spans or metrics, and put together again by size, or by trace.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashMap;

use tracer_plugin_api::Signal;
use tracer_plugin_kit::{Field, Frames, Part, Placed, fields, take_apart};

use crate::acknowledged::Numbers;

/// A request of either signal, taken apart.
pub(crate) struct Request<'a> {
    frames: Frames,
    parts: Vec<Placed<'a>>,
    /// By part, where messages are of one trace each: the trace's id in hexadecimal, empty if it has none.
    keys: Option<Vec<String>>,
    numbers: Numbers,
}

/// What one Kafka message holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Message<'a> {
    /// The trace's id in hexadecimal, where messages are of one trace each.
    pub(crate) key: Option<String>,
    /// Of a request that goes as it is, the request.
    pub(crate) body: Cow<'a, [u8]>,
    /// Positions of its parts in the request.
    pub(crate) parts: Vec<usize>,
}

impl<'a> Request<'a> {
    /// `None` if the request has other than `item_count` items: it is not what it seems. With `by_trace` messages are of one
    /// trace each, as the Collector's exporter makes them, and are keyed by it.
    pub(crate) fn take_apart(signal: Signal, request: &'a [u8], item_count: u32, by_trace: bool) -> Option<Self> {
        let (frames, parts) = take_apart(signal, request, item_count)?;
        let keys: Option<Vec<String>> = by_trace.then(|| parts.iter().map(key).collect());
        let numbers = match &keys {
            Some(keys) => Numbers::of_traces(keys.iter().map(String::as_str)),
            None => Numbers::of_order(parts.len()),
        };
        Some(Request { frames, parts, keys, numbers })
    }

    /// How it is said which of its parts are done.
    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(crate) fn items(&self, part: usize) -> u32 {
        self.parts.get(part).map_or(0, Part::items)
    }

    /// Messages of these parts, none above `most_bytes` unless it has one part only.
    pub(crate) fn messages(&self, parts: &[usize], most_bytes: usize) -> Vec<Message<'static>> {
        let Some(keys) = &self.keys else { return self.packed(None, parts, most_bytes) };
        let mut order = Vec::new();
        let mut of_trace: HashMap<&str, Vec<usize>> = HashMap::new();
        for &part in parts {
            let key = keys.get(part).map_or("", String::as_str);
            let of_this = of_trace.entry(key).or_default();
            if of_this.is_empty() {
                order.push(key);
            }
            of_this.push(part);
        }
        let key_of = |key: &str| (!key.is_empty()).then(|| key.to_owned());
        order
            .iter()
            .flat_map(|key| self.packed(key_of(key), of_trace.get(key).map_or(&[][..], Vec::as_slice), most_bytes))
            .collect()
    }

    /// Cut where it can be said what was acknowledged, as far as the size lets it.
    fn packed(&self, key: Option<String>, parts: &[usize], most_bytes: usize) -> Vec<Message<'static>> {
        let mut messages = Vec::new();
        let (mut from, mut position) = (0, 0);
        while from < parts.len() {
            let (mut bytes, mut before, mut cut) = (0, None, None);
            while let Some((part, index)) =
                parts.get(position).and_then(|index| Some((self.parts.get(*index)?, *index)))
            {
                if position > from && self.numbers.is_cut(index) {
                    cut = Some(position);
                }
                bytes += self.frames.growth(before, part);
                if position > from && bytes > most_bytes {
                    position = cut.unwrap_or(position);
                    break;
                }
                before = Some(part);
                position += 1;
            }
            // A position that is none of the request's would keep this going for ever.
            position = position.max(from + 1);
            messages.extend(self.put_together(key.clone(), parts.get(from..position)));
            from = position;
        }
        messages
    }

    fn put_together(&self, key: Option<String>, parts: Option<&[usize]>) -> Option<Message<'static>> {
        let indices = parts.filter(|parts| !parts.is_empty())?;
        let parts: Vec<Placed<'_>> = indices.iter().filter_map(|&index| self.parts.get(index)).copied().collect();
        let body = Cow::Owned(self.frames.put_together(&parts));
        Some(Message { key, body, parts: indices.to_vec() })
    }
}

/// The id of a span's trace in hexadecimal; empty if it has none.
fn key(span: &Placed<'_>) -> String {
    let id = fields(span.bytes()).find_map(|field| match field {
        (TRACE_ID, Field::Bytes(id)) => Some(id),
        _ => None,
    });
    id.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
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

    fn parts_of(messages: &[Message<'_>]) -> Vec<Vec<usize>> {
        messages.iter().map(|message| message.parts.clone()).collect()
    }

    #[test]
    fn all_together_it_says_what_the_request_said() {
        let request = request();
        let apart = Request::take_apart(Signal::Traces, &request, 5, false).unwrap();
        let [whole] = &apart.messages(&[0, 1, 2, 3, 4], usize::MAX)[..] else { panic!() };
        assert_eq!(whole.body.len(), request.len());
        let again = Request::take_apart(Signal::Traces, &whole.body, 5, false).unwrap();
        assert_eq!(again.messages(&[0, 1, 2, 3, 4], usize::MAX), std::slice::from_ref(whole));
    }

    #[test]
    fn by_trace_a_message_is_of_one_trace_with_the_services_around_its_spans() {
        let request = request();
        let apart = Request::take_apart(Signal::Traces, &request, 5, true).unwrap();
        let messages = apart.messages(&[0, 1, 2, 3, 4], usize::MAX);
        assert_eq!(parts_of(&messages), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(messages[0].key.as_deref(), Some("01".repeat(16).as_str()));
        let scope = |spans: &[(u8, &[u8])]| {
            let mut scope = message(&[(1, b"scope"), (3, b"url")]);
            spans.iter().for_each(|(trace, name)| put_field(&mut scope, 2, &span(*trace, name)));
            scope
        };
        let one = message(&[(1, b"orders"), (3, b"url"), (2, &scope(&[(2, b"b")]))]);
        let two = message(&[(1, b"payments"), (2, &scope(&[(2, b"d")]))]);
        assert_eq!(messages[1].body.as_ref(), message(&[(1, &one), (1, &two)]));
    }

    #[test]
    fn no_message_is_larger_than_it_may_be_unless_it_has_one_part() {
        let request = request();
        for (most, by_trace) in (1..request.len() + 40).flat_map(|most| [(most, false), (most, true)]) {
            let apart = Request::take_apart(Signal::Traces, &request, 5, by_trace).unwrap();
            let messages = apart.messages(&[0, 1, 2, 3, 4], most);
            assert!(messages.iter().all(|message| message.body.len() <= most || message.parts.len() == 1), "{most}");
            let mut parts: Vec<_> = parts_of(&messages).concat();
            parts.sort_unstable();
            assert_eq!(parts, [0, 1, 2, 3, 4], "{most}");
        }
    }
}
