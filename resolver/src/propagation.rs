//! Contexts in record headers: read from the formats of several tracers, written in those that are asked for.
//!
//! Bytes in, bytes out: nothing allocates, nothing panics whatever a header holds, and values need not be UTF-8 or even
//! be there. Reading is one pass over the headers; writing happens on the stack. What the formats are and where this
//! differs from other readers is in `RATIONALE.md`.

#![forbid(unsafe_code)]

mod b3;
mod baggage;
mod datadog;
mod elastic;
mod extract;
mod hex;
mod inject;
mod jaeger;
mod ot_member;
mod reading;
mod skywalking;
mod trace_state;
mod w3c;
mod xray;

pub use crate::tracer::SpanContext;
pub use baggage::{
    BAGGAGE_MAX_BYTES, BAGGAGE_MAX_ENTRIES, BaggageEntries, BaggageEntry, WrittenBaggage, join_baggage, read_baggage,
    write_baggage,
};
pub use extract::{Extracted, RemoteParent, extract};
pub(crate) use inject::is_named;
pub use inject::{InjectedHeaders, Injection, concerns};
pub use ot_member::{OtMember, explicit_randomness, settled_trace_state, told_threshold};
use reading::Reading;
pub use trace_state::TraceStateBuffer;
pub use w3c::{parse_traceparent, write_traceparent};
