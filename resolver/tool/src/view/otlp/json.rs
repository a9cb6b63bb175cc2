//! OTLP as JSON: protobuf's JSON mapping, but ids in hexadecimal.
//!
//! Read as that mapping wants it: long integers as text or as numbers, enums as numbers or by their names, and what is not
//! known is passed over.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tracer_trace_tree::{ReceivedLink, ReceivedSpan, Resource, SharedText};

use super::{KINDS, Read, STATUS_CODES, UNKNOWN_SERVICE};

/// Reads an `ExportTraceServiceRequest`, or a line of such a file.
///
/// # Errors
///
/// Why it is none.
pub(crate) fn from_json(text: &[u8]) -> Result<Read, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(request) = &value else { return Err("JSON, but no object".to_owned()) };
    let resource_spans = match field(request, "resourceSpans", "resource_spans") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(_) => return Err("resourceSpans is no list".to_owned()),
        // A batch of nothing.
        None if request.is_empty() => &[],
        None => return Err("an object without resourceSpans".to_owned()),
    };
    let mut read = Read::default();
    for of_resource in resource_spans {
        // Shared by all their spans: a batch of a few megabytes may have a hundred thousand of them.
        let resource = Resource::from(attributes(&of_resource["resource"]));
        let named = resource.get("service.name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let service = SharedText::from(named.unwrap_or(UNKNOWN_SERVICE));
        for of_scope in list(of_resource, "scopeSpans", "scope_spans") {
            let scope = SharedText::from(text_of(&of_scope["scope"], "name", "name"));
            for span in list(of_scope, "spans", "spans") {
                let (service, scope, resource) = (service.clone(), scope.clone(), resource.clone());
                read.push(ReceivedSpan { service, scope, resource, ..received(span) });
            }
        }
    }
    Ok(read)
}

/// Reads a line of a file that the `file` backend writes. Metrics are lines of it too: there is no span in them to show.
///
/// # Errors
///
/// As [`from_json`].
pub(crate) fn from_line(text: &[u8]) -> Result<Read, String> {
    let read = from_json(text);
    if read.is_ok() {
        return read;
    }
    let is_of_metrics = match serde_json::from_slice(text) {
        Ok(Value::Object(request)) => {
            matches!(field(&request, "resourceMetrics", "resource_metrics"), Some(Value::Array(_)))
        }
        _ => false,
    };
    if is_of_metrics { Ok(Read::default()) } else { read }
}

fn received(span: &Value) -> ReceivedSpan {
    let status = &span["status"];
    ReceivedSpan {
        name: text_of(span, "name", "name"),
        kind: word(&span["kind"], &KINDS, "SPAN_KIND_"),
        trace_id: id(span, "traceId", "trace_id", 32),
        span_id: id(span, "spanId", "span_id", 16),
        parent_span_id: id(span, "parentSpanId", "parent_span_id", 16),
        links: list(span, "links", "links")
            .iter()
            .map(|link| ReceivedLink {
                trace_id: id(link, "traceId", "trace_id", 32),
                span_id: id(link, "spanId", "span_id", 16),
            })
            .collect(),
        attributes: attributes(span),
        events: list(span, "events", "events")
            .iter()
            .map(|event| (text_of(event, "name", "name"), number(event, "timeUnixNano", "time_unix_nano")))
            .collect(),
        start_unix_nano: number(span, "startTimeUnixNano", "start_time_unix_nano"),
        end_unix_nano: number(span, "endTimeUnixNano", "end_time_unix_nano"),
        status_code: match word(&status["code"], &STATUS_CODES, "STATUS_CODE_") {
            word if word.is_empty() => "unset".to_owned(),
            word => word,
        },
        status_message: text_of(status, "message", "message"),
        trace_state: text_of(span, "traceState", "trace_state"),
        flags: u32::try_from(number(span, "flags", "flags")).unwrap_or_default(),
        ..Default::default()
    }
}

/// A field by its name in JSON, or by that in the protocol's files, which readers have to take too.
fn field<'a>(of: &'a Map<String, Value>, name: &str, original: &str) -> Option<&'a Value> {
    of.get(name).or_else(|| of.get(original)).filter(|value| !value.is_null())
}

fn in_value<'a>(of: &'a Value, name: &str, original: &str) -> Option<&'a Value> {
    field(of.as_object()?, name, original)
}

fn list<'a>(of: &'a Value, name: &str, original: &str) -> &'a [Value] {
    in_value(of, name, original).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of(of: &Value, name: &str, original: &str) -> String {
    in_value(of, name, original).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(of: &Value, name: &str, original: &str) -> u64 {
    let value = in_value(of, name, original);
    value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())).unwrap_or_default()
}

/// An enum's value: its number, or its name behind `prefix`.
fn word(value: &Value, words: &[&str], prefix: &str) -> String {
    let by_number = || words.get(usize::try_from(value.as_u64()?).ok()?).copied().map(str::to_owned);
    let by_name = || {
        let name = value.as_str()?.strip_prefix(prefix)?.to_ascii_lowercase();
        words.contains(&name.as_str()).then_some(name)
    };
    by_number().or_else(by_name).unwrap_or_default()
}

/// Empty unless it has so many hexadecimal digits, and one that is not zero.
fn id(of: &Value, name: &str, original: &str, digits: usize) -> String {
    let text = text_of(of, name, original).to_ascii_lowercase();
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && text.bytes().any(|byte| byte != b'0') { text } else { String::new() }
}

fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let pairs = list(of, "attributes", "attributes").iter();
    pairs.map(|pair| (text_of(pair, "key", "key"), plain(&pair["value"]))).collect()
}

/// An `AnyValue` as it would stand in any JSON.
fn plain(value: &Value) -> Value {
    let Some(object) = value.as_object() else { return Value::Null };
    if let Some(text) = field(object, "stringValue", "string_value") {
        return text.clone();
    }
    if let Some(whole) = field(object, "intValue", "int_value") {
        let parsed = whole.as_str().and_then(|text| text.parse::<i64>().ok());
        return parsed.map_or_else(|| whole.clone(), Value::from);
    }
    for (name, original) in
        [("boolValue", "bool_value"), ("doubleValue", "double_value"), ("bytesValue", "bytes_value")]
    {
        if let Some(value) = field(object, name, original) {
            return value.clone();
        }
    }
    let values = |name, original| in_value(value, name, original).map(|list_of| list(list_of, "values", "values"));
    if let Some(values) = values("arrayValue", "array_value") {
        return values.iter().map(plain).collect();
    }
    match values("kvlistValue", "kvlist_value") {
        Some(pairs) => {
            pairs.iter().map(|pair| (text_of(pair, "key", "key"), plain(&pair["value"]))).collect::<Map<_, _>>().into()
        }
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn only(text: &str) -> ReceivedSpan {
        let mut read = from_json(text.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.without_ids), (1, 0));
        read.spans.remove(0)
    }

    const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":"b7ad6b7169203331",
        "parentSpanId":"","name":"send","kind":4,"startTimeUnixNano":"1800000000000000001","endTimeUnixNano":1800000000000000002,
        "status":{"code":2,"message":"no leader"},"flags":257,"unknown":[{}],
        "links":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7"}],
        "events":[{"name":"e","timeUnixNano":"5"}],
        "attributes":[{"key":"i","value":{"intValue":"9223372036854775807"}},{"key":"n","value":{"intValue":7}},
          {"key":"d","value":{"doubleValue":"NaN"}},{"key":"a","value":{"arrayValue":{"values":[{"boolValue":true},{}]}}},
          {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"bytesValue":"AP8="}}]}}},{"key":"0"}]}]}]}]}"#;

    #[test]
    fn a_span_is_read_with_all_that_it_says() {
        let span = only(SPAN);
        let words: [&str; 6] =
            [&span.service, &span.scope, &span.name, &span.kind, &span.status_code, &span.status_message];
        assert_eq!(words, ["shop", "s", "send", "producer", "error", "no leader"]);
        assert_eq!(
            (span.trace_id.as_str(), span.span_id.as_str()),
            ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
        );
        assert_eq!((span.parent_span_id.as_str(), span.links[0].span_id.as_str()), ("", "00f067aa0ba902b7"));
        assert_eq!((span.start_unix_nano, span.duration_nano(), span.flags), (1_800_000_000_000_000_001, 1, 257));
        assert_eq!(span.events, [("e".to_owned(), 5)]);
        let attributes: Value = span.attributes.into_iter().collect::<Map<_, _>>().into();
        assert_eq!(
            attributes,
            json!({"0": null, "i": i64::MAX, "n": 7, "d": "NaN", "a": [true, null], "m": {"k": "AP8="}})
        );
    }

    #[test]
    fn names_of_the_protocol_and_of_enums_are_read_as_their_json_forms() {
        let other = SPAN
            .replace("resourceSpans", "resource_spans")
            .replace("scopeSpans", "scope_spans")
            .replace("traceId", "trace_id")
            .replace("spanId", "span_id")
            .replace("\"kind\":4", "\"kind\":\"SPAN_KIND_PRODUCER\"")
            .replace("\"code\":2", "\"code\":\"STATUS_CODE_ERROR\"")
            .replace("intValue", "int_value");
        assert_eq!(only(&other), only(SPAN));
    }

    #[test]
    fn what_is_no_batch_of_spans_says_why() {
        for (text, why) in [
            ("", "no JSON"),
            ("{\"resourceSpans\":[", "no JSON"),
            ("[]", "no object"),
            ("7", "no object"),
            ("{\"resourceLogs\":[]}", "without resourceSpans"),
            ("{\"resourceSpans\":{}}", "no list"),
            (&"[".repeat(100_000), "no JSON"),
        ] {
            let said = from_json(text.as_bytes()).unwrap_err();
            assert!(said.contains(why), "{text:.20}: {said}");
        }
        assert_eq!(from_json(b"{}"), Ok(Read::default()));
    }

    #[test]
    fn a_line_of_metrics_is_passed_over_and_no_other_that_has_no_spans() {
        for metrics in [r#"{"resourceMetrics":[{"scopeMetrics":[]}]}"#, r#"{"resource_metrics":[]}"#] {
            assert_eq!(from_line(metrics.as_bytes()), Ok(Read::default()));
            assert!(from_json(metrics.as_bytes()).is_err(), "the address for spans does not take them");
        }
        for other in ["", "{\"resourceLogs\":[]}", "{\"resourceMetrics\":7}", "[]", "{\"resourceMetrics\":["] {
            assert!(from_line(other.as_bytes()).is_err(), "{other}");
        }
        assert_eq!(from_line(SPAN.as_bytes()), from_json(SPAN.as_bytes()));
    }

    #[test]
    fn a_span_without_ids_is_counted_and_the_others_are_kept() {
        for ids in [r#""spanId":"b7ad6b7169203331""#, r#""traceId":"x","spanId":"1""#, r#""traceId":7,"spanId":{}"#] {
            let read =
                from_json(format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids}}},3]}}]}}]}}"#).as_bytes());
            assert_eq!(read, Ok(Read { spans: Vec::new(), without_ids: 2 }));
        }
    }

    #[test]
    fn whatever_a_line_holds_nothing_panics() {
        // Every prefix, and every byte turned into another.
        for cut in 0..SPAN.len() {
            let _ = from_json(&SPAN.as_bytes()[..cut]);
            let mut turned = SPAN.as_bytes().to_vec();
            turned[cut] = b'1';
            let _ = from_json(&turned);
        }
    }
}
