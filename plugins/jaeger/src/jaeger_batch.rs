//! OTLP spans as Jaeger's Thrift structs, by OpenTelemetry's "OpenTelemetry to Jaeger Transformation".
//!
//! The numbers are the field ids of `jaeger.thrift`.

use tracer_plugin_kit::spans::otlp::{Event, InstrumentationScope, Resource, Span};
use tracer_plugin_kit::spans::{is_set, service_name};

use crate::tags::{Tag, TagValue, span_tags};
use crate::thrift::{Kind, Writer};

/// `Batch`: the spans of one process, each of them written before by [`write_span`] with the same protocol.
pub(crate) fn write_batch<W: Writer>(writer: &mut W, process: &[u8], spans: &[Vec<u8>]) {
    writer.begin_struct();
    writer.field(1, Kind::Struct);
    writer.written(process);
    writer.field(2, Kind::List);
    writer.list(Kind::Struct, spans.len());
    for span in spans {
        writer.written(span);
    }
    writer.end_struct();
}

/// `Process`: a resource. Its attributes but the name are tags.
pub(crate) fn process<W: Writer>(resource: Option<&Resource>) -> Vec<u8> {
    let attributes = resource.map(|resource| resource.attributes.as_slice()).unwrap_or_default();
    let tags: Vec<_> = attributes.iter().filter(|attribute| attribute.key != "service.name").map(Tag::of).collect();
    let mut writer = W::default();
    writer.begin_struct();
    writer.bytes_field(1, service_name(resource).as_bytes());
    if !tags.is_empty() {
        writer.structs_field(2, &tags, write_tag);
    }
    writer.end_struct();
    writer.into_bytes()
}

/// `Span`.
pub(crate) fn span<W: Writer>(scope: Option<&InstrumentationScope>, span: &Span) -> Vec<u8> {
    let (high, low) = trace_id(&span.trace_id);
    let references = references(span);
    let tags = span_tags(scope, span);
    let mut writer = W::default();
    writer.begin_struct();
    writer.i64_field(1, low);
    writer.i64_field(2, high);
    writer.i64_field(3, id(&span.span_id));
    writer.i64_field(4, id(&span.parent_span_id));
    writer.bytes_field(5, span.name.as_bytes());
    if !references.is_empty() {
        writer.structs_field(6, &references, write_reference);
    }
    // Unsampled spans are not exported, and older writers leave the bit out of OTLP's flags.
    writer.i32_field(7, (span.flags & 0xff) as i32 | SAMPLED);
    writer.i64_field(8, micros(span.start_time_unix_nano));
    // Jaeger warns of a span that takes no time at all.
    writer.i64_field(9, micros(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)).max(1));
    if !tags.is_empty() {
        writer.structs_field(10, &tags, write_tag);
    }
    if !span.events.is_empty() {
        writer.structs_field(11, &span.events, write_log);
    }
    writer.end_struct();
    writer.into_bytes()
}

/// A `SpanRef`.
struct Reference {
    child_of: bool,
    high: i64,
    low: i64,
    span_id: i64,
}

/// One per link. With links, the parent is a reference too, and the first: a collector that finds the parent among the
/// links would otherwise take that link for all there is to say, and the parent would be lost.
fn references(span: &Span) -> Vec<Reference> {
    let (high, low) = trace_id(&span.trace_id);
    let parent = Reference { child_of: true, high, low, span_id: id(&span.parent_span_id) };
    let links = span.links.iter().map(|link| {
        let (high, low) = trace_id(&link.trace_id);
        Reference { child_of: false, high, low, span_id: id(&link.span_id) }
    });
    let parent = Some(parent).filter(|_| is_set(&span.parent_span_id) && !span.links.is_empty());
    parent.into_iter().chain(links).collect()
}

fn write_reference<W: Writer>(writer: &mut W, reference: &Reference) {
    writer.i32_field(1, if reference.child_of { 0 } else { 1 });
    writer.i64_field(2, reference.low);
    writer.i64_field(3, reference.high);
    writer.i64_field(4, reference.span_id);
}

/// `Log`: an event. Its name is the field `event`, unless an attribute is called that.
fn write_log<W: Writer>(writer: &mut W, event: &Event) {
    let mut fields: Vec<Tag<'_>> = event.attributes.iter().map(Tag::of).collect();
    if fields.iter().all(|field| field.key != "event") {
        fields.push(Tag::text("event", &event.name));
    }
    if event.dropped_attributes_count > 0 {
        let count = TagValue::Long(i64::from(event.dropped_attributes_count));
        fields.push(Tag { key: "otel.event.dropped_attributes_count", value: count });
    }
    writer.i64_field(1, micros(event.time_unix_nano));
    writer.structs_field(2, &fields, write_tag);
}

fn write_tag<W: Writer>(writer: &mut W, tag: &Tag<'_>) {
    let tag_type = match &tag.value {
        TagValue::Text(_) => 0,
        TagValue::Double(_) => 1,
        TagValue::Bool(_) => 2,
        TagValue::Long(_) => 3,
        TagValue::Binary(_) => 4,
    };
    writer.bytes_field(1, tag.key.as_bytes());
    writer.i32_field(2, tag_type);
    match &tag.value {
        TagValue::Text(text) => writer.bytes_field(3, text.as_bytes()),
        TagValue::Double(number) => writer.double_field(4, *number),
        TagValue::Bool(truth) => writer.bool_field(5, *truth),
        TagValue::Long(number) => writer.i64_field(6, *number),
        TagValue::Binary(bytes) => writer.bytes_field(7, bytes),
    }
}

/// Big endian, the sign bit taken as it comes. Zero for an id that is not there.
fn id(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_be_bytes)
}

/// The high and the low half.
fn trace_id(bytes: &[u8]) -> (i64, i64) {
    match bytes.split_at_checked(8) {
        Some((high, low)) => (id(high), id(low)),
        None => (0, 0),
    }
}

fn micros(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)
}

const SAMPLED: i32 = 1;
