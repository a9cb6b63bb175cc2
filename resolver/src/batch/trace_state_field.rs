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

    /// The trace state that encoded fields begin with.
    pub(crate) fn decode(fields: &[u8]) -> Option<&str> {
        let (state, _) = Self::split(fields)?;
        std::str::from_utf8(state).ok()
    }

    /// These encoded fields with `trace_state` in place of the one that they begin with, if they do.
    pub(crate) fn replaced(fields: &[u8], trace_state: Option<&[u8]>) -> Vec<u8> {
        let others = Self::split(fields).map_or(fields, |(_, others)| others);
        let field = trace_state.map(Self::new);
        [field.as_ref().map(Self::as_slice).unwrap_or_default(), others].concat()
    }

    /// The trace state, and what follows it.
    fn split(fields: &[u8]) -> Option<(&[u8], &[u8])> {
        match fields {
            [0x1a, len, rest @ ..] if *len < 128 => rest.split_at_checked(usize::from(*len)),
            [0x1a, low, high, rest @ ..] => rest.split_at_checked(usize::from(*low & 0x7f) | usize::from(*high) << 7),
            _ => None,
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::TraceStateField;

    #[test]
    fn the_state_that_fields_begin_with_gives_way_to_another_and_what_follows_stays() {
        let long = "a=".to_owned() + &"b".repeat(300);
        for before in [None, Some("ot=th:8"), Some(&long)] {
            for after in [None, Some("ot=th:c"), Some(&long)] {
                let field = before.map(|state| TraceStateField::new(state.as_bytes()));
                let field = field.as_ref().map(TraceStateField::as_slice).unwrap_or_default();
                let replaced = TraceStateField::replaced(&[field, &[0x4a, 1, 7]].concat(), after.map(str::as_bytes));
                assert_eq!(TraceStateField::decode(&replaced), after);
                assert!(replaced.ends_with(&[0x4a, 1, 7]) && replaced.len() <= 3 + 3 + after.map_or(0, str::len));
            }
        }
    }
}
