//! Ids, and ids as text.

use super::otlp::Span;

/// The lower-case hexadecimal digits of an id.
pub fn hex(id: &[u8]) -> String {
    hex::encode(id)
}

/// Whether an id is there: neither empty nor all zeroes.
pub fn is_set(id: &[u8]) -> bool {
    id.iter().any(|byte| *byte != 0)
}

/// Whether a span's ids are right: its own there, its parent's there or not. A server would refuse the whole batch because
/// of one that are not.
pub(crate) fn has_ids(span: &Span) -> bool {
    let is_id = |id: &[u8], length: usize| id.len() == length && is_set(id);
    is_id(&span.trace_id, 16) && is_id(&span.span_id, 8) && matches!(span.parent_span_id.len(), 0 | 8)
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
        let child_of = |parent: &[u8]| Span { parent_span_id: parent.to_vec(), ..span(&[1; 16], &[1; 8]) };
        assert!(has_ids(&child_of(&[0; 8])) && has_ids(&child_of(&[2; 8])) && !has_ids(&child_of(&[2; 4])));
    }
}
