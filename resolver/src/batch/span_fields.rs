//! The fields of a Kafka span whose length varies, put together on the stack: its trace state, and attributes of its message.

#![forbid(unsafe_code)]

use super::span_writer::{Field, Varint, varint};
use super::trace_state_field::TraceStateField;

/// Encoded `Span` fields. An attribute that does not fit is left out, and counted as OpenTelemetry counts those.
pub(crate) struct SpanFields {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
    dropped: u32,
}

/// Attributes of one span, in bytes.
const ATTRIBUTES: usize = 1536;
/// Field and number of the attributes that were left out.
const DROPPED: usize = 1 + 5;
/// Bytes of one value; what is longer ends in an ellipsis.
const LONGEST_VALUE: usize = 256;
const ELLIPSIS: &str = "…";

impl SpanFields {
    /// Bytes of all fields together, at the most.
    pub(crate) const MAX_LEN: usize = TraceStateField::MAX_LEN + ATTRIBUTES + DROPPED;

    /// Begins with the trace state, if there is one: readers look for it there.
    pub(crate) fn new(trace_state: Option<&[u8]>) -> Self {
        let mut fields = Self { bytes: [0; Self::MAX_LEN], len: 0, dropped: 0 };
        if let Some(state) = trace_state {
            fields.push(TraceStateField::new(state).as_slice());
        }
        fields
    }

    /// An attribute with one text.
    pub(crate) fn text(&mut self, key: &str, value: &[u8]) {
        let text = Text(value);
        let (string, any) = (text.len(), nested(text.len()));
        self.attribute(key, any, |fields| {
            fields.tag(Field::STRING_VALUE, string);
            fields.push_text(text);
        });
    }

    /// An attribute with a list of texts; nothing if that is empty.
    pub(crate) fn texts<'v>(&mut self, key: &str, values: impl Iterator<Item = &'v [u8]> + Clone) {
        let values = values.map(Text);
        let array: usize = values.clone().map(|text| nested(nested(text.len()))).sum();
        if array == 0 {
            return;
        }
        self.attribute(key, nested(array), |fields| {
            fields.tag(Field::ARRAY_VALUE, array);
            for text in values {
                fields.tag(Field::ARRAY_VALUES, nested(text.len()));
                fields.tag(Field::STRING_VALUE, text.len());
                fields.push_text(text);
            }
        });
    }

    /// An attribute that there is, and that cannot be told.
    pub(crate) fn leave_out(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// All of them.
    pub(crate) fn finish(&mut self) -> &[u8] {
        if self.dropped > 0 {
            self.push(Field::DROPPED_ATTRIBUTES.tag().as_slice());
            self.push(varint(u64::from(self.dropped)).as_slice());
            self.dropped = 0;
        }
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// A `KeyValue` whose `AnyValue` has `any` bytes, written by `value`.
    fn attribute(&mut self, key: &str, any: usize, value: impl FnOnce(&mut Self)) {
        let pair = nested(key.len()) + nested(any);
        if self.len + nested(pair) > Self::MAX_LEN - DROPPED {
            return self.leave_out();
        }
        self.tag(Field::ATTRIBUTES, pair);
        self.tag(Field::KEY, key.len());
        self.push(key.as_bytes());
        self.tag(Field::VALUE, any);
        value(self);
    }

    /// What opens a field of `len` bytes.
    fn tag(&mut self, field: Field, len: usize) {
        self.push(field.tag().as_slice());
        self.push(varint(len as u64).as_slice());
    }

    fn push_text(&mut self, text: Text<'_>) {
        text.for_each_piece(|piece| self.push(piece.as_bytes()));
    }

    /// There is room: whoever begins a field has looked.
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

/// Bytes as an attribute has them: text, with U+FFFD for what is none, and not too long.
#[derive(Clone, Copy)]
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn len(self) -> usize {
        let mut len = 0;
        self.for_each_piece(|piece| len += piece.len());
        len
    }

    fn for_each_piece(self, mut each: impl FnMut(&str)) {
        // What replaces a byte is no shorter than the byte: nothing behind these can be shown. A few more, so that a character
        // that the limit cuts is known for one.
        let looked_at = self.0.get(..LONGEST_VALUE + 4).unwrap_or(self.0);
        let mut room = LONGEST_VALUE;
        for chunk in looked_at.utf8_chunks() {
            let invalid = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
            for piece in [chunk.valid(), invalid] {
                if piece.len() > room {
                    let end = (0..=room.saturating_sub(ELLIPSIS.len())).rev().find(|at| piece.is_char_boundary(*at));
                    each(piece.get(..end.unwrap_or(0)).unwrap_or_default());
                    return each(ELLIPSIS);
                }
                room -= piece.len();
                each(piece);
            }
        }
    }
}

/// Bytes of a field of `len` bytes, with its tag and length.
fn nested(len: usize) -> usize {
    1 + usize::from(varint(len as u64).len()) + len
}

impl Field {
    fn tag(self) -> Varint {
        varint(u64::from(self.number_and_type()))
    }
}

#[cfg(test)]
mod tests;
