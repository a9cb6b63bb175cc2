//! From OTLP, as JSON or as protobuf, to spans.

mod json;
mod protobuf;

pub(super) use json::from_json;
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
