//! OTLP/JSON: protobuf's JSON mapping, but ids in hexadecimal and enums as numbers.
//!
//! Defaults are left out, as the mapping allows and OpenTelemetry's own exporters do.

use serde::ser::{Serialize, SerializeMap, Serializer};
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::spans::otlp::{
    AnyValue, Event, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Link, Resource, ResourceSpans,
    ScopeSpans, Span, Status, Value,
};
use tracer_plugin_kit::spans::{base64, hex};

/// A batch as one line, which ends in a newline.
pub(crate) fn line(request: &ExportTraceServiceRequest) -> Result<Vec<u8>, BackendError> {
    line_of(&Json(request))
}

/// A message as one line, which ends in a newline.
pub(crate) fn line_of(message: &impl Serialize) -> Result<Vec<u8>, BackendError> {
    let mut line = serde_json::to_vec(message).map_err(|error| BackendError::internal(format!("JSON: {error}")))?;
    line.push(b'\n');
    Ok(line)
}

/// A message, or a field with a form of its own, as OTLP/JSON.
pub(crate) struct Json<'a, T: ?Sized>(pub(crate) &'a T);

/// A list of messages.
struct List<'a, T>(&'a [T]);

impl Serialize for Json<'_, ExportTraceServiceRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("resourceSpans", &self.0.resource_spans)?;
        object.end()
    }
}

impl Serialize for Json<'_, ResourceSpans> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.message("resource", self.0.resource.as_ref())?;
        object.list("scopeSpans", &self.0.scope_spans)?;
        object.text("schemaUrl", &self.0.schema_url)?;
        object.end()
    }
}

impl Serialize for Json<'_, Resource> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("attributes", &self.0.attributes)?;
        object.count("droppedAttributesCount", self.0.dropped_attributes_count)?;
        object.end()
    }
}

impl Serialize for Json<'_, ScopeSpans> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.message("scope", self.0.scope.as_ref())?;
        object.list("spans", &self.0.spans)?;
        object.text("schemaUrl", &self.0.schema_url)?;
        object.end()
    }
}

impl Serialize for Json<'_, InstrumentationScope> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.text("name", &self.0.name)?;
        object.text("version", &self.0.version)?;
        object.list("attributes", &self.0.attributes)?;
        object.count("droppedAttributesCount", self.0.dropped_attributes_count)?;
        object.end()
    }
}

impl Serialize for Json<'_, Span> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut object = Object::new(serializer)?;
        object.id("traceId", &span.trace_id)?;
        object.id("spanId", &span.span_id)?;
        object.text("traceState", &span.trace_state)?;
        object.id("parentSpanId", &span.parent_span_id)?;
        object.count("flags", span.flags)?;
        object.text("name", &span.name)?;
        object.number("kind", span.kind)?;
        object.nanos("startTimeUnixNano", span.start_time_unix_nano)?;
        object.nanos("endTimeUnixNano", span.end_time_unix_nano)?;
        object.list("attributes", &span.attributes)?;
        object.count("droppedAttributesCount", span.dropped_attributes_count)?;
        object.list("events", &span.events)?;
        object.count("droppedEventsCount", span.dropped_events_count)?;
        object.list("links", &span.links)?;
        object.count("droppedLinksCount", span.dropped_links_count)?;
        object.message("status", span.status.as_ref())?;
        object.end()
    }
}

impl Serialize for Json<'_, Event> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.nanos("timeUnixNano", self.0.time_unix_nano)?;
        object.text("name", &self.0.name)?;
        object.list("attributes", &self.0.attributes)?;
        object.count("droppedAttributesCount", self.0.dropped_attributes_count)?;
        object.end()
    }
}

impl Serialize for Json<'_, Link> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.id("traceId", &self.0.trace_id)?;
        object.id("spanId", &self.0.span_id)?;
        object.text("traceState", &self.0.trace_state)?;
        object.list("attributes", &self.0.attributes)?;
        object.count("droppedAttributesCount", self.0.dropped_attributes_count)?;
        object.count("flags", self.0.flags)?;
        object.end()
    }
}

impl Serialize for Json<'_, Status> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.text("message", &self.0.message)?;
        object.number("code", self.0.code)?;
        object.end()
    }
}

impl Serialize for Json<'_, KeyValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.0.serialize_entry("key", &self.0.key)?;
        object.message("value", self.0.value.as_ref())?;
        object.end()
    }
}

impl Serialize for Json<'_, AnyValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        match &self.0.value {
            // An index into a table that only profiles have: means nothing here.
            None | Some(Value::StringValueStrindex(_)) => {}
            Some(Value::StringValue(text)) => object.0.serialize_entry("stringValue", text)?,
            Some(Value::BoolValue(truth)) => object.0.serialize_entry("boolValue", truth)?,
            Some(Value::IntValue(number)) => object.0.serialize_entry("intValue", &number.to_string())?,
            Some(Value::DoubleValue(number)) => object.double("doubleValue", *number)?,
            Some(Value::ArrayValue(array)) => object.0.serialize_entry("arrayValue", &Values(&array.values))?,
            Some(Value::KvlistValue(list)) => object.0.serialize_entry("kvlistValue", &Values(&list.values))?,
            Some(Value::BytesValue(bytes)) => object.0.serialize_entry("bytesValue", &base64(bytes))?,
        }
        object.end()
    }
}

/// `ArrayValue` and `KeyValueList`: messages with one list, called `values`.
struct Values<'a, T>(&'a [T]);

impl<T> Serialize for Values<'_, T>
where
    for<'a> Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("values", self.0)?;
        object.end()
    }
}

impl<T> Serialize for List<'_, T>
where
    for<'a> Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Json))
    }
}

/// An object whose fields are left out when they hold their default.
pub(crate) struct Object<M>(M);

impl<M: SerializeMap> Object<M> {
    pub(crate) fn new<S: Serializer<SerializeMap = M>>(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Object)
    }

    pub(crate) fn message<T>(&mut self, key: &str, message: Option<&T>) -> Result<(), M::Error>
    where
        for<'a> Json<'a, T>: Serialize,
    {
        message.map_or(Ok(()), |message| self.0.serialize_entry(key, &Json(message)))
    }

    pub(crate) fn list<T>(&mut self, key: &str, list: &[T]) -> Result<(), M::Error>
    where
        for<'a> Json<'a, T>: Serialize,
    {
        if list.is_empty() { Ok(()) } else { self.0.serialize_entry(key, &List(list)) }
    }

    pub(crate) fn text(&mut self, key: &str, text: &str) -> Result<(), M::Error> {
        if text.is_empty() { Ok(()) } else { self.0.serialize_entry(key, text) }
    }

    pub(crate) fn id(&mut self, key: &str, id: &[u8]) -> Result<(), M::Error> {
        if id.is_empty() { Ok(()) } else { self.0.serialize_entry(key, &hex(id)) }
    }

    pub(crate) fn count(&mut self, key: &str, count: u32) -> Result<(), M::Error> {
        if count == 0 { Ok(()) } else { self.0.serialize_entry(key, &count) }
    }

    pub(crate) fn number(&mut self, key: &str, number: i32) -> Result<(), M::Error> {
        if number == 0 { Ok(()) } else { self.0.serialize_entry(key, &number) }
    }

    /// 64-bit integers are text: JSON's numbers are doubles to most readers.
    pub(crate) fn nanos(&mut self, key: &str, nanos: u64) -> Result<(), M::Error> {
        if nanos == 0 { Ok(()) } else { self.0.serialize_entry(key, &nanos.to_string()) }
    }

    pub(crate) fn truth(&mut self, key: &str, truth: bool) -> Result<(), M::Error> {
        if truth { self.0.serialize_entry(key, &true) } else { Ok(()) }
    }

    /// Of a choice of fields: said even if it is zero.
    pub(crate) fn integer(&mut self, key: &str, number: i64) -> Result<(), M::Error> {
        self.0.serialize_entry(key, &number.to_string())
    }

    pub(crate) fn integers(&mut self, key: &str, numbers: &[u64]) -> Result<(), M::Error> {
        let texts: Vec<_> = numbers.iter().map(u64::to_string).collect();
        if texts.is_empty() { Ok(()) } else { self.0.serialize_entry(key, &texts) }
    }

    /// Finite ones: the bounds of buckets.
    pub(crate) fn doubles(&mut self, key: &str, numbers: &[f64]) -> Result<(), M::Error> {
        if numbers.is_empty() { Ok(()) } else { self.0.serialize_entry(key, numbers) }
    }

    pub(crate) fn double(&mut self, key: &str, number: f64) -> Result<(), M::Error> {
        if number.is_finite() {
            self.0.serialize_entry(key, &number)
        } else if number.is_nan() {
            self.0.serialize_entry(key, "NaN")
        } else {
            self.0.serialize_entry(key, if number > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }

    pub(crate) fn end<Ok>(self) -> Result<Ok, M::Error>
    where
        M: SerializeMap<Ok = Ok>,
    {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tracer_plugin_kit::spans::otlp::{ArrayValue, KeyValueList};

    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
    }

    /// Every field of every message, with values that a careless writer would spoil.
    fn full_request() -> ExportTraceServiceRequest {
        let attributes = vec![
            attribute("text", Value::StringValue("line\n\"quoted\" ü".into())),
            attribute("truth", Value::BoolValue(false)),
            attribute("number", Value::IntValue(i64::MAX)),
            attribute("zero", Value::IntValue(0)),
            attribute("double", Value::DoubleValue(0.1)),
            attribute("bytes", Value::BytesValue(vec![0, 255, 254])),
            attribute(
                "array",
                Value::ArrayValue(ArrayValue {
                    values: vec![any(Value::IntValue(1)), any(Value::StringValue(String::new()))],
                }),
            ),
            attribute("map", Value::KvlistValue(KeyValueList { values: vec![attribute("k", Value::BoolValue(true))] })),
            KeyValue { key: "nothing".into(), value: Some(AnyValue { value: None }), ..Default::default() },
        ];
        let span = Span {
            trace_id: (0..16).map(|i| i * 17).collect(),
            span_id: vec![0xa0; 8],
            trace_state: "vendor=1".into(),
            parent_span_id: vec![0xb0; 8],
            flags: 0x101,
            name: "send orders".into(),
            kind: 4,
            start_time_unix_nano: u64::MAX - 1,
            end_time_unix_nano: u64::MAX,
            attributes: attributes.clone(),
            dropped_attributes_count: 1,
            events: vec![Event {
                time_unix_nano: 1,
                name: "e".into(),
                attributes: attributes.clone(),
                dropped_attributes_count: 2,
            }],
            dropped_events_count: 3,
            links: vec![Link {
                trace_id: vec![1; 16],
                span_id: vec![2; 8],
                trace_state: "l=1".into(),
                attributes,
                dropped_attributes_count: 4,
                flags: 1,
            }],
            dropped_links_count: 5,
            status: Some(Status { message: "no leader".into(), code: 2 }),
        };
        let scope = InstrumentationScope {
            name: "s".into(),
            version: "1".into(),
            attributes: vec![attribute("a", Value::IntValue(1))],
            dropped_attributes_count: 6,
        };
        let resource = Resource {
            attributes: vec![attribute("service.name", Value::StringValue("orders".into()))],
            dropped_attributes_count: 7,
            ..Default::default()
        };
        let scope_spans =
            ScopeSpans { scope: Some(scope), spans: vec![span, Span::default()], schema_url: "https://s/1".into() };
        let resource_spans = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            schema_url: "https://r/1".into(),
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
    }

    #[test]
    fn a_reader_that_is_not_ours_reads_back_what_went_in() {
        let request = full_request();
        let line = line(&request).unwrap();
        let read: opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest =
            serde_json::from_slice(&line).unwrap();
        assert_eq!(read.encode_to_vec(), request.encode_to_vec());
    }

    #[test]
    fn a_batch_is_one_line() {
        let line = line(&full_request()).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
    }

    #[test]
    fn ids_are_hex_long_integers_are_text_and_enums_are_numbers() {
        let json: serde_json::Value = serde_json::from_slice(&line(&full_request()).unwrap()).unwrap();
        let span = json.pointer("/resourceSpans/0/scopeSpans/0/spans/0").unwrap();
        assert_eq!(span["traceId"], "00112233445566778899aabbccddeeff");
        assert_eq!(span["parentSpanId"], "b0b0b0b0b0b0b0b0");
        assert_eq!(span["kind"], 4);
        assert_eq!(span["startTimeUnixNano"], "18446744073709551614");
        assert_eq!(span["flags"], 257);
        assert_eq!(span["status"], serde_json::json!({"message": "no leader", "code": 2}));
        assert_eq!(span["attributes"][2]["value"], serde_json::json!({"intValue": "9223372036854775807"}));
        assert_eq!(span["attributes"][3]["value"], serde_json::json!({"intValue": "0"}));
        assert_eq!(span["attributes"][5]["value"], serde_json::json!({"bytesValue": "AP/+"}));
        assert_eq!(span["attributes"][8], serde_json::json!({"key": "nothing", "value": {}}));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_words() {
        let double = |number| serde_json::to_value(Json(&any(Value::DoubleValue(number)))).unwrap();
        assert_eq!(double(f64::NAN), serde_json::json!({"doubleValue": "NaN"}));
        assert_eq!(double(f64::INFINITY), serde_json::json!({"doubleValue": "Infinity"}));
        assert_eq!(double(f64::NEG_INFINITY), serde_json::json!({"doubleValue": "-Infinity"}));
    }
}
