//! The messages of an OTLP trace request.
//!
//! As `opentelemetry/proto/{collector/trace,trace,resource,common}/v1` of opentelemetry-proto say them, with names as
//! prost makes them. The crate `opentelemetry-proto` has the same, and brings the whole SDK into every backend with it;
//! see `plugins/RATIONALE.md`. What is not here is skipped on reading, as protobuf wants it.

use prost::{Enumeration, Message, Oneof};

/// The body of a batch.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceRequest {
    /// One for each service.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// Spans of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// Whose they are.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// One for each scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
    /// Of the resource.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// What spans come from: a service.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// `service.name`, and others.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    /// How many were left out.
    #[prost(uint32, tag = "2")]
    pub dropped_attributes_count: u32,
    /// What the attributes describe.
    #[prost(message, repeated, tag = "3")]
    pub entity_refs: Vec<EntityRef>,
}

/// Which attributes of a resource describe one thing.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct EntityRef {
    /// Of its attributes.
    #[prost(string, tag = "1")]
    pub schema_url: String,
    /// Such as `service`.
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// Keys of the attributes that tell it from others.
    #[prost(string, repeated, tag = "3")]
    pub id_keys: Vec<String>,
    /// Keys of those that say more.
    #[prost(string, repeated, tag = "4")]
    pub description_keys: Vec<String>,
}

/// Spans of one scope.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// Who made them.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// In no order.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
    /// Of the spans.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// The library that makes spans.
#[derive(Clone, PartialEq, Message)]
pub struct InstrumentationScope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version; may be empty.
    #[prost(string, tag = "2")]
    pub version: String,
    /// More of it.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
    /// How many were left out.
    #[prost(uint32, tag = "4")]
    pub dropped_attributes_count: u32,
}

/// A span.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// As in W3C's header.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// 8 bytes; empty for a root.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// W3C's flags, and whether the parent is known to be remote.
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
    /// What was done.
    #[prost(string, tag = "5")]
    pub name: String,
    /// A [`SpanKind`].
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// Since 1970.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Since 1970.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// Each key once.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// How many were left out.
    #[prost(uint32, tag = "10")]
    pub dropped_attributes_count: u32,
    /// In the order of time.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
    /// How many were left out.
    #[prost(uint32, tag = "12")]
    pub dropped_events_count: u32,
    /// To other spans.
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<Link>,
    /// How many were left out.
    #[prost(uint32, tag = "14")]
    pub dropped_links_count: u32,
    /// How it ended; none is the same as unset.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

/// Something that happened within a span.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Since 1970.
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// What happened.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Each key once.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
    /// How many were left out.
    #[prost(uint32, tag = "4")]
    pub dropped_attributes_count: u32,
}

/// Another span that has to do with this one.
#[derive(Clone, PartialEq, Message)]
pub struct Link {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// As in W3C's header.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// Each key once.
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<KeyValue>,
    /// How many were left out.
    #[prost(uint32, tag = "5")]
    pub dropped_attributes_count: u32,
    /// As a span's.
    #[prost(fixed32, tag = "6")]
    pub flags: u32,
}

/// How a span ended.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Status {
    /// For people; only with an error.
    #[prost(string, tag = "2")]
    pub message: String,
    /// A [`StatusCode`].
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub code: i32,
}

/// A named value.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
    /// Of profiles only.
    #[prost(int32, tag = "3")]
    pub key_strindex: i32,
}

/// A value of any type.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// None is a value too: empty.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub value: Option<Value>,
}

/// Several values.
#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    /// In their order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// Several named values.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    /// Each key once.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// What an [`AnyValue`] is.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    StringValue(String),
    /// True or false.
    #[prost(bool, tag = "2")]
    BoolValue(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    IntValue(i64),
    /// Any number.
    #[prost(double, tag = "4")]
    DoubleValue(f64),
    /// Several.
    #[prost(message, tag = "5")]
    ArrayValue(ArrayValue),
    /// Several, named.
    #[prost(message, tag = "6")]
    KvlistValue(KeyValueList),
    /// Bytes.
    #[prost(bytes, tag = "7")]
    BytesValue(Vec<u8>),
    /// Of profiles only.
    #[prost(int32, tag = "8")]
    StringValueStrindex(i32),
}

/// Which end of which exchange a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Nobody said.
    Unspecified = 0,
    /// None: within one service.
    Internal = 1,
    /// Answers a request.
    Server = 2,
    /// Makes a request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Receives or processes a message.
    Consumer = 5,
}

/// How a span ended, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StatusCode {
    /// Nobody said.
    Unset = 0,
    /// Well: the application says so.
    Ok = 1,
    /// Not well.
    Error = 2,
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic as reference;
    use reference::common::v1::any_value::Value as ReferenceValue;

    use super::*;

    /// Every field, each with a value of its own, as OpenTelemetry's own crate has it.
    fn of_the_reference() -> reference::collector::trace::v1::ExportTraceServiceRequest {
        let any = |value| Some(reference::common::v1::AnyValue { value: Some(value) });
        let pair = |key: &str, value| reference::common::v1::KeyValue {
            key: key.into(),
            value: any(value),
            ..Default::default()
        };
        let attributes = |number: i64| {
            let list =
                reference::common::v1::KeyValueList { values: vec![pair("inner", ReferenceValue::IntValue(number))] };
            let array = reference::common::v1::ArrayValue {
                values: any(ReferenceValue::BoolValue(true)).into_iter().collect(),
            };
            vec![
                pair("string", ReferenceValue::StringValue(format!("text {number}"))),
                pair("bool", ReferenceValue::BoolValue(true)),
                pair("int", ReferenceValue::IntValue(-number)),
                pair("double", ReferenceValue::DoubleValue(0.5)),
                pair("array", ReferenceValue::ArrayValue(array)),
                pair("list", ReferenceValue::KvlistValue(list)),
                pair("bytes", ReferenceValue::BytesValue(vec![0, 255])),
            ]
        };
        let span = reference::trace::v1::Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: "a=b".into(),
            parent_span_id: vec![3; 8],
            flags: 0x301,
            name: "send orders".into(),
            kind: 4,
            start_time_unix_nano: 5,
            end_time_unix_nano: 6,
            attributes: attributes(7),
            dropped_attributes_count: 8,
            events: vec![reference::trace::v1::span::Event {
                time_unix_nano: 9,
                name: "event".into(),
                attributes: attributes(10),
                dropped_attributes_count: 11,
            }],
            dropped_events_count: 12,
            links: vec![reference::trace::v1::span::Link {
                trace_id: vec![13; 16],
                span_id: vec![14; 8],
                trace_state: "c=d".into(),
                attributes: attributes(15),
                dropped_attributes_count: 16,
                flags: 0x100,
            }],
            dropped_links_count: 17,
            status: Some(reference::trace::v1::Status { message: "no".into(), code: 2 }),
        };
        let scope = reference::common::v1::InstrumentationScope {
            name: "scope".into(),
            version: "1".into(),
            attributes: attributes(18),
            dropped_attributes_count: 19,
        };
        let resource = reference::resource::v1::Resource {
            attributes: attributes(20),
            dropped_attributes_count: 21,
            entity_refs: vec![reference::common::v1::EntityRef {
                schema_url: "schema three".into(),
                r#type: "service".into(),
                id_keys: vec!["string".into()],
                description_keys: vec!["int".into()],
            }],
        };
        let scope_spans =
            reference::trace::v1::ScopeSpans { scope: Some(scope), spans: vec![span], schema_url: "schema one".into() };
        let resource_spans = reference::trace::v1::ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            schema_url: "schema two".into(),
        };
        reference::collector::trace::v1::ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
    }

    #[test]
    fn every_field_is_where_opentelemetry_s_own_messages_have_it() {
        let theirs = of_the_reference();
        let bytes = theirs.encode_to_vec();
        let ours = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(ours.encode_to_vec(), bytes, "nothing is lost, nothing is moved");
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "the same names, too");
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let later = b"\x0a\x04hell\xfa\x3f\x01x";
        let read = KeyValue::decode(later.as_slice()).unwrap();
        assert_eq!(read, KeyValue { key: "hell".into(), ..KeyValue::default() });
    }
}
