//! Links of one Kafka span to several others of this process.

#![forbid(unsafe_code)]

use super::span_writer::{Field, SpanWriter};

/// Says how many spans a span would have links to if links were not bounded: backends that show the count of OTLP are few.
const LEFT_OUT: &str = "tracer_resolver.links.left_out";

/// Appends `links` fields of `Span`, for each a trace id, a span id and trace flags, and how many were left out.
pub(crate) fn write_links(out: &mut Vec<u8>, links: impl Iterator<Item = ([u8; 16], [u8; 8], u8)>, left_out: u64) {
    let mut span = SpanWriter::new(out);
    for (trace_id, span_id, trace_flags) in links {
        span.message(Field::LINKS, |link| {
            link.bytes(Field::LINK_TRACE_ID, &trace_id);
            link.bytes(Field::LINK_SPAN_ID, &span_id);
            // It is known that they are not remote (bits 8 and 9).
            link.fixed32(Field::LINK_FLAGS, u32::from(trace_flags & 0x03) | 0x100);
        });
    }
    if left_out > 0 {
        span.int_attribute(Field::ATTRIBUTES, LEFT_OUT, i64::try_from(left_out).unwrap_or(i64::MAX));
        span.varint(Field::DROPPED_LINKS, u64::from(u32::try_from(left_out).unwrap_or(u32::MAX)));
    }
}
