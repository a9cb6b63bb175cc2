//! The one field of a Kafka span whose length varies: its trace state.

#![forbid(unsafe_code)]

/// An encoded `Span.trace_state`, on the stack.
pub(crate) struct TraceStateField {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

/// What everyone must be able to pass on (W3C Trace Context, "tracestate limits").
const MAX: usize = 512;

impl TraceStateField {
    /// Bytes of the longest field.
    pub(crate) const MAX_LEN: usize = 3 + MAX;

    /// Field 3 of `Span`. A longer state than 512 bytes is left out.
    pub(crate) fn new(trace_state: &[u8]) -> Self {
        let mut field = Self { bytes: [0; Self::MAX_LEN], len: 0 };
        let len = trace_state.len();
        if len == 0 || len > MAX || std::str::from_utf8(trace_state).is_err() {
            return field;
        }
        let header: &[u8] = if len < 128 { &[0x1a, len as u8] } else { &[0x1a, len as u8 | 0x80, (len >> 7) as u8] };
        for (target, byte) in field.bytes.iter_mut().zip(header.iter().chain(trace_state)) {
            *target = *byte;
        }
        field.len = header.len() + len;
        field
    }

    /// The trace state in an encoded field.
    pub(crate) fn decode(field: &[u8]) -> Option<&str> {
        let state = match field {
            [0x1a, len, state @ ..] if *len < 128 => state.get(..usize::from(*len))?,
            [0x1a, low, high, state @ ..] => state.get(..usize::from(*low & 0x7f) | usize::from(*high) << 7)?,
            _ => return None,
        };
        std::str::from_utf8(state).ok()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}
