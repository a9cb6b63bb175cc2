//! Writes OTLP protobuf by hand: the few wire forms that a span needs.
//!
//! Field numbers follow `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto` of
//! opentelemetry-proto 1.x; the tests decode everything with the `opentelemetry-proto` crate.

#![forbid(unsafe_code)]

/// A field of one of the OTLP messages: its number, and its wire type as protobuf writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field(u32);

impl Field {
    pub(crate) const fn varint(number: u32) -> Self {
        Self(number << 3)
    }
    pub(crate) const fn fixed64(number: u32) -> Self {
        Self(number << 3 | 1)
    }
    pub(crate) const fn bytes(number: u32) -> Self {
        Self(number << 3 | 2)
    }
    const fn fixed32(number: u32) -> Self {
        Self(number << 3 | 5)
    }

    /// As protobuf writes them.
    pub(crate) fn number_and_type(self) -> u32 {
        self.0
    }

    // TracesData / ExportTraceServiceRequest, ResourceSpans, ScopeSpans.
    pub(crate) const RESOURCE: Self = Self::bytes(1);
    pub(crate) const SCOPE: Self = Self::bytes(1);
    pub(crate) const SPANS: Self = Self::bytes(2);
    // Resource, InstrumentationScope.
    pub(crate) const RESOURCE_ATTRIBUTES: Self = Self::bytes(1);
    pub(crate) const SCOPE_NAME: Self = Self::bytes(1);
    pub(crate) const SCOPE_VERSION: Self = Self::bytes(2);
    pub(crate) const SCOPE_ATTRIBUTES: Self = Self::bytes(3);
    // Span.
    pub(crate) const TRACE_ID: Self = Self::bytes(1);
    pub(crate) const SPAN_ID: Self = Self::bytes(2);
    pub(crate) const TRACE_STATE: Self = Self::bytes(3);
    pub(crate) const PARENT_SPAN_ID: Self = Self::bytes(4);
    pub(crate) const NAME: Self = Self::bytes(5);
    pub(crate) const KIND: Self = Self::varint(6);
    pub(crate) const START: Self = Self::fixed64(7);
    pub(crate) const END: Self = Self::fixed64(8);
    pub(crate) const ATTRIBUTES: Self = Self::bytes(9);
    pub(crate) const DROPPED_ATTRIBUTES: Self = Self::varint(10);
    pub(crate) const EVENTS: Self = Self::bytes(11);
    pub(crate) const DROPPED_EVENTS: Self = Self::varint(12);
    pub(crate) const LINKS: Self = Self::bytes(13);
    pub(crate) const DROPPED_LINKS: Self = Self::varint(14);
    pub(crate) const STATUS: Self = Self::bytes(15);
    pub(crate) const FLAGS: Self = Self::fixed32(16);
    // Span.Event.
    pub(crate) const EVENT_TIME: Self = Self::fixed64(1);
    pub(crate) const EVENT_NAME: Self = Self::bytes(2);
    pub(crate) const EVENT_ATTRIBUTES: Self = Self::bytes(3);
    pub(crate) const EVENT_DROPPED_ATTRIBUTES: Self = Self::varint(4);
    // Span.Link.
    pub(crate) const LINK_TRACE_ID: Self = Self::bytes(1);
    pub(crate) const LINK_SPAN_ID: Self = Self::bytes(2);
    pub(crate) const LINK_TRACE_STATE: Self = Self::bytes(3);
    pub(crate) const LINK_ATTRIBUTES: Self = Self::bytes(4);
    pub(crate) const LINK_DROPPED_ATTRIBUTES: Self = Self::varint(5);
    pub(crate) const LINK_FLAGS: Self = Self::fixed32(6);
    // Status.
    pub(crate) const STATUS_MESSAGE: Self = Self::bytes(2);
    pub(crate) const STATUS_CODE: Self = Self::varint(3);
    // KeyValue, AnyValue, ArrayValue.
    pub(crate) const KEY: Self = Self::bytes(1);
    pub(crate) const VALUE: Self = Self::bytes(2);
    pub(crate) const STRING_VALUE: Self = Self::bytes(1);
    pub(crate) const BOOL_VALUE: Self = Self::varint(2);
    pub(crate) const INT_VALUE: Self = Self::varint(3);
    pub(crate) const DOUBLE_VALUE: Self = Self::fixed64(4);
    pub(crate) const ARRAY_VALUE: Self = Self::bytes(5);
    pub(crate) const ARRAY_VALUES: Self = Self::bytes(1);
}

/// Appends protobuf fields to a byte vector.
pub(crate) struct SpanWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> SpanWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(crate) fn varint(&mut self, field: Field, value: u64) {
        self.raw_varint(u64::from(field.0));
        self.raw_varint(value);
    }

    pub(crate) fn fixed64(&mut self, field: Field, value: u64) {
        self.raw_varint(u64::from(field.0));
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, field: Field, value: u32) {
        self.raw_varint(u64::from(field.0));
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, field: Field, value: &[u8]) {
        self.raw_varint(u64::from(field.0));
        self.raw_varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// An embedded message, written by `content`; its length is filled in afterwards.
    pub(crate) fn message(&mut self, field: Field, content: impl FnOnce(&mut SpanWriter<'_>)) {
        self.raw_varint(u64::from(field.0));
        let start = self.out.len();
        content(self);
        let length = varint(self.out.len() as u64 - start as u64);
        self.out.splice(start..start, length.bytes());
    }

    /// A `KeyValue` with a string value.
    pub(crate) fn string_attribute(&mut self, field: Field, key: &str, value: &str) {
        self.attribute(field, key, |any| any.bytes(Field::STRING_VALUE, value.as_bytes()));
    }

    /// A `KeyValue` with an integer value.
    pub(crate) fn int_attribute(&mut self, field: Field, key: &str, value: i64) {
        self.attribute(field, key, |any| any.varint(Field::INT_VALUE, value as u64));
    }

    /// A `KeyValue` whose `AnyValue` is written by `any_value`.
    pub(crate) fn attribute(&mut self, field: Field, key: &str, any_value: impl FnOnce(&mut SpanWriter<'_>)) {
        self.message(field, |pair| {
            pair.bytes(Field::KEY, key.as_bytes());
            pair.message(Field::VALUE, any_value);
        });
    }

    fn raw_varint(&mut self, value: u64) {
        let encoded = varint(value);
        self.out.extend(encoded.bytes());
    }
}

/// A varint, at most ten bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Varint {
    bytes: [u8; 10],
    len: u8,
}

impl Varint {
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> {
        self.bytes.into_iter().take(usize::from(self.len))
    }

    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// All ten bytes, zeros after the last one.
    pub(crate) fn padded(&self) -> &[u8; 10] {
        &self.bytes
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// Encodes `value` as protobuf's base-128 varint, in its shortest form.
pub(crate) fn varint(mut value: u64) -> Varint {
    let mut encoded = Varint { bytes: [0; 10], len: 0 };
    for byte in &mut encoded.bytes {
        encoded.len += 1;
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    encoded
}
