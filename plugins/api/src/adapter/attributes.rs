//! From OTLP's values to the SDK's, which know no maps, no bytes and no arrays of mixed types.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as OtlpKeyValue};

/// The attributes that have a value, and how many have none.
pub(crate) fn key_values(attributes: Vec<OtlpKeyValue>) -> (Vec<KeyValue>, u32) {
    let offered = attributes.len();
    let kept: Vec<KeyValue> = attributes
        .into_iter()
        .filter_map(|attribute| Some(KeyValue::new(attribute.key, value(attribute.value?.value?)?)))
        .collect();
    let without_value = u32::try_from(offered - kept.len()).unwrap_or(u32::MAX);
    (kept, without_value)
}

fn value(value: Otlp) -> Option<Value> {
    Some(match value {
        Otlp::StringValue(text) => Value::String(text.into()),
        Otlp::BoolValue(value) => Value::Bool(value),
        Otlp::IntValue(value) => Value::I64(value),
        Otlp::DoubleValue(value) => Value::F64(value),
        Otlp::BytesValue(bytes) => Value::String(STANDARD.encode(&bytes).into()),
        Otlp::ArrayValue(array) => match uniform(&array.values) {
            Some(uniform) => Value::Array(uniform),
            None => Value::String(json(&Otlp::ArrayValue(array)).into()),
        },
        map @ Otlp::KvlistValue(_) => Value::String(json(&map).into()),
        // Only the profiling signal may have it; the protocol says to take it as absent.
        Otlp::StringValueStrindex(_) => return None,
    })
}

/// The SDK's array, if all members are of one type that it knows. An empty one has no type: it becomes one of strings.
fn uniform(values: &[AnyValue]) -> Option<Array> {
    fn all<T>(values: &[AnyValue], pick: impl Fn(&Otlp) -> Option<T>) -> Option<Vec<T>> {
        values.iter().map(|member| member.value.as_ref().and_then(&pick)).collect()
    }
    let strings =
        all(values, |it| if let Otlp::StringValue(it) = it { Some(StringValue::from(it.clone())) } else { None });
    if let Some(strings) = strings {
        return Some(Array::String(strings));
    }
    if let Some(bools) = all(values, |it| if let Otlp::BoolValue(it) = it { Some(*it) } else { None }) {
        return Some(Array::Bool(bools));
    }
    if let Some(integers) = all(values, |it| if let Otlp::IntValue(it) = it { Some(*it) } else { None }) {
        return Some(Array::I64(integers));
    }
    all(values, |it| if let Otlp::DoubleValue(it) = it { Some(*it) } else { None }).map(Array::F64)
}

fn json(value: &Otlp) -> String {
    let mut text = String::new();
    write_json(&mut text, Some(value));
    text
}

/// Recursion ends: the decoder refuses messages nested deeper than 100.
fn write_json(text: &mut String, value: Option<&Otlp>) {
    match value {
        None | Some(Otlp::StringValueStrindex(_)) => text.push_str("null"),
        Some(Otlp::StringValue(value)) => write_json_string(text, value),
        Some(Otlp::BoolValue(value)) => text.push_str(if *value { "true" } else { "false" }),
        Some(Otlp::IntValue(value)) => text.push_str(&value.to_string()),
        Some(Otlp::DoubleValue(value)) if value.is_finite() => text.push_str(&format!("{value:?}")),
        Some(Otlp::DoubleValue(value)) => write_json_string(text, not_finite(*value)),
        Some(Otlp::BytesValue(bytes)) => write_json_string(text, &STANDARD.encode(bytes)),
        Some(Otlp::ArrayValue(array)) => {
            text.push('[');
            for (index, member) in array.values.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_json(text, member.value.as_ref());
            }
            text.push(']');
        }
        Some(Otlp::KvlistValue(map)) => {
            text.push('{');
            for (index, member) in map.values.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_json_string(text, &member.key);
                text.push(':');
                write_json(text, member.value.as_ref().and_then(|it| it.value.as_ref()));
            }
            text.push('}');
        }
    }
}

/// As ProtoJSON spells them: JSON has no numbers for them.
fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn write_json_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    fn any(value: Otlp) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn array(values: Vec<AnyValue>) -> Otlp {
        Otlp::ArrayValue(ArrayValue { values })
    }

    fn entry(key: &str, value: Option<Otlp>) -> OtlpKeyValue {
        OtlpKeyValue { key: key.into(), value: value.map(any), key_strindex: 0 }
    }

    #[test]
    fn a_map_becomes_json_text() {
        let map = Otlp::KvlistValue(KeyValueList {
            values: vec![
                entry("say \"hi\"\n", Some(Otlp::StringValue("back\\slash é".into()))),
                entry("none", None),
                entry("numbers", Some(array(vec![any(Otlp::DoubleValue(f64::NAN)), any(Otlp::DoubleValue(2.0))]))),
                entry("bytes", Some(Otlp::BytesValue(vec![1, 2, 3]))),
                entry("is", Some(Otlp::BoolValue(true))),
            ],
        });
        let expected =
            r#"{"say \"hi\"\u000a":"back\\slash é","none":null,"numbers":["NaN",2.0],"bytes":"AQID","is":true}"#;
        assert_eq!(value(map), Some(Value::String(expected.into())));
    }

    #[test]
    fn a_mixed_array_becomes_json_text_and_a_uniform_one_stays_an_array() {
        let mixed = array(vec![any(Otlp::IntValue(-1)), any(Otlp::StringValue("x".into())), AnyValue { value: None }]);
        assert_eq!(value(mixed), Some(Value::String(r#"[-1,"x",null]"#.into())));
        let nested = array(vec![any(array(vec![any(Otlp::IntValue(1))]))]);
        assert_eq!(value(nested), Some(Value::String("[[1]]".into())));
        let uniform = array(vec![any(Otlp::IntValue(1)), any(Otlp::IntValue(i64::MIN))]);
        assert_eq!(value(uniform), Some(Value::Array(Array::I64(vec![1, i64::MIN]))));
        assert_eq!(value(array(vec![])), Some(Value::Array(Array::String(vec![]))));
    }

    #[test]
    fn an_attribute_without_a_value_is_dropped_and_counted() {
        let (kept, without_value) = key_values(vec![
            entry("a", None),
            entry("b", Some(Otlp::IntValue(1))),
            entry("c", Some(Otlp::StringValueStrindex(7))),
        ]);
        assert_eq!((kept, without_value), (vec![KeyValue::new("b", 1)], 2));
    }
}
