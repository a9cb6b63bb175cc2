//! An SDK span as OTLP protobuf.

#![forbid(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use crate::batch::{Field, SpanWriter};

/// Appends one `spans` field of `ScopeSpans`.
pub(super) fn span(out: &mut Vec<u8>, data: &SpanData) {
    SpanWriter::new(out).message(Field::SPANS, |span| {
        span.bytes(Field::TRACE_ID, &data.span_context.trace_id().to_bytes());
        span.bytes(Field::SPAN_ID, &data.span_context.span_id().to_bytes());
        trace_state(span, Field::TRACE_STATE, &data.span_context);
        let child = data.parent_span_id != SpanId::INVALID;
        if child {
            span.bytes(Field::PARENT_SPAN_ID, &data.parent_span_id.to_bytes());
        }
        span.bytes(Field::NAME, data.name.as_bytes());
        span.varint(Field::KIND, kind(&data.span_kind));
        span.fixed64(Field::START, nanos(data.start_time));
        span.fixed64(Field::END, nanos(data.end_time));
        attributes(span, Field::ATTRIBUTES, &data.attributes);
        count(span, Field::DROPPED_ATTRIBUTES, data.dropped_attributes_count);
        for one in data.events.iter() {
            span.message(Field::EVENTS, |message| event(message, one));
        }
        count(span, Field::DROPPED_EVENTS, data.events.dropped_count);
        for one in data.links.iter() {
            span.message(Field::LINKS, |message| link(message, one));
        }
        count(span, Field::DROPPED_LINKS, data.links.dropped_count);
        if data.status != Status::Unset {
            span.message(Field::STATUS, |message| status(message, &data.status));
        }
        let remote = child && data.parent_span_is_remote;
        span.fixed32(Field::FLAGS, flags(data.span_context.trace_flags().to_u8(), remote));
    });
}

/// The encoded `InstrumentationScope` field of `ScopeSpans`.
pub(super) fn scope(scope: &InstrumentationScope) -> Vec<u8> {
    let mut out = Vec::new();
    SpanWriter::new(&mut out).message(Field::SCOPE, |message| {
        message.bytes(Field::SCOPE_NAME, scope.name().as_bytes());
        if let Some(version) = scope.version() {
            message.bytes(Field::SCOPE_VERSION, version.as_bytes());
        }
        for attribute in scope.attributes() {
            key_value(message, Field::SCOPE_ATTRIBUTES, attribute);
        }
    });
    out
}

fn event(message: &mut SpanWriter<'_>, event: &Event) {
    message.fixed64(Field::EVENT_TIME, nanos(event.timestamp));
    message.bytes(Field::EVENT_NAME, event.name.as_bytes());
    attributes(message, Field::EVENT_ATTRIBUTES, &event.attributes);
    count(message, Field::EVENT_DROPPED_ATTRIBUTES, event.dropped_attributes_count);
}

fn link(message: &mut SpanWriter<'_>, link: &Link) {
    message.bytes(Field::LINK_TRACE_ID, &link.span_context.trace_id().to_bytes());
    message.bytes(Field::LINK_SPAN_ID, &link.span_context.span_id().to_bytes());
    trace_state(message, Field::LINK_TRACE_STATE, &link.span_context);
    attributes(message, Field::LINK_ATTRIBUTES, &link.attributes);
    count(message, Field::LINK_DROPPED_ATTRIBUTES, link.dropped_attributes_count);
    let flags = flags(link.span_context.trace_flags().to_u8(), link.span_context.is_remote());
    message.fixed32(Field::LINK_FLAGS, flags);
}

fn status(message: &mut SpanWriter<'_>, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => message.varint(Field::STATUS_CODE, 1),
        Status::Error { description } => {
            if !description.is_empty() {
                message.bytes(Field::STATUS_MESSAGE, description.as_bytes());
            }
            message.varint(Field::STATUS_CODE, 2);
        }
    }
}

fn trace_state(message: &mut SpanWriter<'_>, field: Field, context: &SpanContext) {
    let state = context.trace_state().header();
    if !state.is_empty() {
        message.bytes(field, state.as_bytes());
    }
}

/// OTLP wants each key once. The SDK keeps every value that was set for a key, so the last one is taken here.
fn attributes(message: &mut SpanWriter<'_>, field: Field, attributes: &[KeyValue]) {
    for (index, attribute) in attributes.iter().enumerate() {
        let is_replaced = attributes.iter().skip(index + 1).any(|later| later.key == attribute.key);
        if !is_replaced {
            key_value(message, field, attribute);
        }
    }
}

fn key_value(message: &mut SpanWriter<'_>, field: Field, attribute: &KeyValue) {
    message.attribute(field, attribute.key.as_str(), |any| match &attribute.value {
        Value::Bool(value) => boolean(any, *value),
        Value::I64(value) => integer(any, *value),
        Value::F64(value) => double(any, *value),
        Value::String(value) => string(any, value.as_str()),
        Value::Array(Array::Bool(values)) => array(any, values, |any, value| boolean(any, *value)),
        Value::Array(Array::I64(values)) => array(any, values, |any, value| integer(any, *value)),
        Value::Array(Array::F64(values)) => array(any, values, |any, value| double(any, *value)),
        Value::Array(Array::String(values)) => array(any, values, |any, value| string(any, value.as_str())),
        // Kinds to come: as text, which loses nothing that can be read.
        other => string(any, &other.as_str()),
    });
}

fn array<T>(any: &mut SpanWriter<'_>, values: &[T], write: impl Fn(&mut SpanWriter<'_>, &T)) {
    any.message(Field::ARRAY_VALUE, |array| {
        for value in values {
            array.message(Field::ARRAY_VALUES, |any| write(any, value));
        }
    });
}

fn string(any: &mut SpanWriter<'_>, value: &str) {
    any.bytes(Field::STRING_VALUE, value.as_bytes());
}

fn boolean(any: &mut SpanWriter<'_>, value: bool) {
    any.varint(Field::BOOL_VALUE, u64::from(value));
}

fn integer(any: &mut SpanWriter<'_>, value: i64) {
    any.varint(Field::INT_VALUE, value as u64);
}

fn double(any: &mut SpanWriter<'_>, value: f64) {
    any.fixed64(Field::DOUBLE_VALUE, value.to_bits());
}

fn count(message: &mut SpanWriter<'_>, field: Field, dropped: u32) {
    if dropped > 0 {
        message.varint(field, u64::from(dropped));
    }
}

fn flags(trace_flags: u8, remote: bool) -> u32 {
    u32::from(trace_flags) | if remote { 0x300 } else { 0x100 }
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
