//! From OTLP, as JSON or as protobuf, to spans.

mod json;
mod protobuf;

pub(super) use json::{from_json, from_line};
pub(super) use protobuf::from_protobuf;

use tracer_trace_tree::ReceivedSpan;

/// What a batch has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) spans: Vec<ReceivedSpan>,
    /// How many could not be told apart, for they lack a trace id or a span id.
    pub(super) without_ids: u64,
}

impl Read {
    fn push(&mut self, span: ReceivedSpan) {
        if span.trace_id.is_empty() || span.span_id.is_empty() {
            self.without_ids += 1;
        } else {
            self.spans.push(span);
        }
    }
}

/// What a service is called that does not say so.
const UNKNOWN_SERVICE: &str = "unknown_service";

const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];
const STATUS_CODES: [&str; 3] = ["unset", "ok", "error"];

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of a message of protobuf that holds bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [vec![(number << 3) | 2, u8::try_from(bytes.len()).unwrap()], bytes.to_vec()].concat()
    }

    fn protobuf() -> Vec<u8> {
        let attribute = [field(1, b"service.name"), field(2, &field(1, b"shop"))].concat();
        let span = |id: u8| field(2, &[field(1, &[7; 16]), field(2, &[id; 8])].concat());
        let scope_spans = [field(1, &field(1, b"s")), span(1), span(2)].concat();
        field(1, &[field(1, &field(1, &attribute)), field(2, &scope_spans)].concat())
    }

    fn json() -> String {
        let span =
            |id: u8| format!("{{\"traceId\":\"{}\",\"spanId\":\"{}\"}}", "07".repeat(16), format!("0{id}").repeat(8));
        let resource = "{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]}";
        let scope_spans = format!("{{\"scope\":{{\"name\":\"s\"}},\"spans\":[{},{}]}}", span(1), span(2));
        format!("{{\"resourceSpans\":[{{\"resource\":{resource},\"scopeSpans\":[{scope_spans}]}}]}}")
    }

    #[test]
    fn what_a_batch_says_once_is_kept_once_however_many_spans_it_is_said_of() {
        let read = [from_protobuf(&protobuf()).unwrap(), from_json(json().as_bytes()).unwrap()];
        assert_eq!(read[0], read[1]);
        for Read { spans, .. } in &read {
            let [first, second] = &spans[..] else { panic!("{spans:?}") };
            assert_eq!((first.service.as_str(), first.scope.as_str(), first.resource.len()), ("shop", "s", 1));
            assert!(std::ptr::eq(first.service.as_str(), second.service.as_str()));
            assert!(std::ptr::eq(first.scope.as_str(), second.scope.as_str()));
            assert!(std::ptr::eq(&*first.resource, &*second.resource));
        }
    }
}
