//! The ids and flags that travel.

/// A span as others refer to it. Ids are big-endian, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The trace it is part of.
    pub trace_id: [u8; 16],
    /// The span itself.
    pub span_id: [u8; 8],
    /// [`SpanContext::SAMPLED`], [`SpanContext::RANDOM`], [`SpanContext::DEBUG`].
    pub flags: u8,
}

impl SpanContext {
    /// The span is recorded (W3C).
    pub const SAMPLED: u8 = 0x01;
    /// The trace id is random in at least its last seven bytes (W3C level 2). Set with ids of
    /// [`new_trace_id`](super::ids::new_trace_id), kept from a parent, and never added to a parent's id.
    pub const RANDOM: u8 = 0x02;
    /// The trace must be kept by everyone below (B3, Jaeger). Ours alone: a `traceparent` has no such flag.
    pub const DEBUG: u8 = 0x80;

    /// Whether both ids are ids: all zero is none.
    #[inline]
    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// Whether both name one span, whatever their flags.
    #[inline]
    pub fn is_same_span(&self, other: &Self) -> bool {
        (self.trace_id, self.span_id) == (other.trace_id, other.span_id)
    }

    /// Whether the span is recorded.
    #[inline]
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// Whether the trace must be kept by everyone below.
    #[inline]
    pub fn is_debug(&self) -> bool {
        self.flags & Self::DEBUG != 0
    }
}
