//! Ids, and ids as text.

use super::otlp::Span;

/// The lower-case hexadecimal digits of an id.
pub fn hex(id: &[u8]) -> String {
    let mut text = String::with_capacity(id.len() * 2);
    for byte in id {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
    text
}

/// Whether an id is there: neither empty nor all zeroes.
pub fn is_set(id: &[u8]) -> bool {
    id.iter().any(|byte| *byte != 0)
}

/// Whether a span has the ids it must have. One that has not would make a server refuse the whole batch.
pub(crate) fn has_ids(span: &Span) -> bool {
    span.trace_id.len() == 16 && is_set(&span.trace_id) && span.span_id.len() == 8 && is_set(&span.span_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_hex() {
        assert_eq!(hex(&[0x00, 0x9a, 0xff, 0x10]), "009aff10");
    }

    #[test]
    fn an_id_of_zeroes_is_not_there() {
        assert!(!is_set(&[]) && !is_set(&[0; 8]) && is_set(&[0, 0, 1]));
    }

    #[test]
    fn a_span_has_ids_of_the_right_length_that_are_not_zero() {
        let span =
            |trace: &[u8], span: &[u8]| Span { trace_id: trace.to_vec(), span_id: span.to_vec(), ..Default::default() };
        assert!(has_ids(&span(&[1; 16], &[1; 8])));
        for bad in [
            span(&[], &[1; 8]),
            span(&[1; 8], &[1; 8]),
            span(&[0; 16], &[1; 8]),
            span(&[1; 16], &[]),
            span(&[1; 16], &[0; 8]),
        ] {
            assert!(!has_ids(&bad));
        }
    }
}
