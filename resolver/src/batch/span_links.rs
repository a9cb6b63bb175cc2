//! Links of one Kafka span to several others.

#![forbid(unsafe_code)]

use super::span_writer::{Field, SpanWriter};
use crate::tracer::SpanContext;

/// A span that another one has a link to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkedSpan {
    pub context: SpanContext,
    /// Whether its context came from another process, or could have.
    pub is_remote: bool,
}

/// Says how many spans a span would have links to if links were not bounded: backends that show the count of OTLP are few.
const LEFT_OUT: &str = "tracer_resolver.links.left_out";

/// Appends `links` fields of `Span`, and how many were left out.
pub(crate) fn write_links(out: &mut Vec<u8>, links: impl Iterator<Item = LinkedSpan>, left_out: u64) {
    let mut span = SpanWriter::new(out);
    for LinkedSpan { context, is_remote } in links {
        span.message(Field::LINKS, |link| {
            link.bytes(Field::LINK_TRACE_ID, &context.trace_id);
            link.bytes(Field::LINK_SPAN_ID, &context.span_id);
            // Whether it is remote is known (bit 8), and is so or not (bit 9).
            let remote = if is_remote { 0x300 } else { 0x100 };
            link.fixed32(Field::LINK_FLAGS, u32::from(context.flags & 0x03) | remote);
        });
    }
    if left_out > 0 {
        span.int_attribute(Field::ATTRIBUTES, LEFT_OUT, i64::try_from(left_out).unwrap_or(i64::MAX));
        span.varint(Field::DROPPED_LINKS, u64::from(u32::try_from(left_out).unwrap_or(u32::MAX)));
    }
}
