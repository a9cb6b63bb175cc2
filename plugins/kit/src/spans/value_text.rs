//! Attribute values as text, by the rules of OpenTelemetry's mapping to non-OTLP formats.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::otlp::{AnyValue, KeyValue, Value};

/// A value as a tag's text: texts as they are, numbers and booleans as JSON writes them, arrays and maps as JSON,
/// bytes in base 64, nothing for an empty value.
pub fn value_text(value: Option<&AnyValue>) -> Cow<'_, str> {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => Cow::Borrowed(""),
        Some(Value::StringValue(text)) => Cow::Borrowed(text),
        Some(Value::BytesValue(bytes)) => Cow::Owned(base64(bytes)),
        Some(Value::DoubleValue(number)) => Cow::Owned(double_text(*number)),
        Some(other) => Cow::Owned(json(other).to_string()),
    }
}

/// A map of attributes as one JSON object, in their order; of a repeated key the last value counts.
pub fn value_json(attributes: &[KeyValue]) -> serde_json::Map<String, serde_json::Value> {
    attributes.iter().map(|attribute| (attribute.key.clone(), any_json(attribute.value.as_ref()))).collect()
}

/// Bytes in base 64, standard alphabet, padded.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn any_json(value: Option<&AnyValue>) -> serde_json::Value {
    value.and_then(|value| value.value.as_ref()).map_or(serde_json::Value::Null, json)
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::StringValue(text) => text.as_str().into(),
        Value::BoolValue(truth) => (*truth).into(),
        Value::IntValue(number) => (*number).into(),
        Value::DoubleValue(number) if number.is_finite() => (*number).into(),
        Value::DoubleValue(number) => double_text(*number).into(),
        Value::ArrayValue(array) => array.values.iter().map(|value| any_json(Some(value))).collect(),
        Value::KvlistValue(list) => value_json(&list.values).into(),
        Value::BytesValue(bytes) => base64(bytes).into(),
        Value::StringValueStrindex(_) => serde_json::Value::Null,
    }
}

/// As JSON writes it; JSON has no infinities, so these are the words protobuf's JSON uses.
fn double_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        serde_json::Value::from(number).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::otlp::{ArrayValue, KeyValueList};
    use super::*;

    fn text(value: Value) -> String {
        value_text(Some(&AnyValue { value: Some(value) })).into_owned()
    }

    #[test]
    fn every_kind_of_value_has_its_text() {
        assert_eq!(value_text(None), "");
        assert_eq!(text(Value::StringValue("a \"b\"".into())), "a \"b\"");
        assert_eq!(text(Value::BoolValue(true)), "true");
        assert_eq!(text(Value::IntValue(i64::MIN)), "-9223372036854775808");
        assert_eq!(text(Value::DoubleValue(0.25)), "0.25");
        assert_eq!(text(Value::DoubleValue(f64::NAN)), "NaN");
        assert_eq!(text(Value::DoubleValue(f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(text(Value::BytesValue(vec![0, 0xff, 0xfe, 0xfd])), "AP/+/Q==");
    }

    #[test]
    fn arrays_and_maps_are_json() {
        let any = |value| AnyValue { value: Some(value) };
        let array = ArrayValue {
            values: vec![any(Value::StringValue("a".into())), any(Value::IntValue(2)), AnyValue { value: None }],
        };
        assert_eq!(text(Value::ArrayValue(array.clone())), r#"["a",2,null]"#);
        let pair = KeyValue { key: "k".into(), value: Some(any(Value::ArrayValue(array))), ..Default::default() };
        assert_eq!(text(Value::KvlistValue(KeyValueList { values: vec![pair] })), r#"{"k":["a",2,null]}"#);
    }
}
