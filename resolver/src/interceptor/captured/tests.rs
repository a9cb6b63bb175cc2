//! What is told of a message, and what never is.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::*;

fn attributes(names: &[&str]) -> SpanAttributes {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Arc<[_]>>();
    SpanAttributes {
        capture_headers: texts(names),
        redact_headers: texts(&["*auth*"]),
        redact_values: texts(&["Bearer *"]),
        ..SpanAttributes::default()
    }
}

/// `key = value` of each attribute, and how many were left out.
fn told(attributes: &SpanAttributes, headers: &[(&str, Option<&[u8]>)], key: Option<&[u8]>) -> (Vec<String>, u32) {
    let captured = Captured::of(attributes).unwrap();
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), *value));
    let span = captured.with_fields(None, headers, key, |fields| Span::decode(fields).unwrap());
    let shown = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::ArrayValue(array) => {
            let texts = array.values.iter().map(|value| match value.value.as_ref().unwrap() {
                Value::StringValue(text) => text.as_str(),
                other => panic!("{other:?}"),
            });
            format!("[{}]", texts.collect::<Vec<_>>().join("|"))
        }
        other => panic!("{other:?}"),
    };
    let pairs = span.attributes.iter();
    let pairs =
        pairs.map(|pair| format!("{} = {}", pair.key, shown(pair.value.as_ref().unwrap().value.as_ref().unwrap())));
    (pairs.collect(), span.dropped_attributes_count)
}

fn headers_told(names: &[&str], headers: &[(&str, Option<&[u8]>)]) -> Vec<String> {
    told(&attributes(names), headers, None).0
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    assert!(Captured::of(&attributes(&[])).is_none());
    assert!(headers_told(&["tenant"], &[("other", Some(b"1")), ("Tenant", Some(b"1"))]).is_empty(), "case counts");
}

#[test]
fn values_of_one_name_are_a_list_in_their_order_and_a_name_stays_as_it_is() {
    assert_eq!(
        headers_told(
            &["x-tenant", "Retry_Count", "none"],
            &[
                ("Retry_Count", Some(b"1")),
                ("x-tenant", Some(b"a")),
                ("other", Some(b"x")),
                ("x-tenant", None),
                ("x-tenant", Some(b"")),
                ("x-tenant", Some(b"\xff"))
            ]
        ),
        ["messaging.header.x-tenant = [a||\u{fffd}]", "messaging.header.Retry_Count = [1]"]
    );
}

#[test]
fn there_is_a_bound_to_the_values_of_one_name_and_to_all() {
    let many: Vec<(&str, Option<&[u8]>)> = vec![("h", Some(b"v")); 40];
    assert_eq!(headers_told(&["h"], &many[..8]), [format!("messaging.header.h = [{}v]", "v|".repeat(7))]);
    assert_eq!(headers_told(&["h"], &many), [format!("messaging.header.h = [{}…]", "v|".repeat(8))]);
    let large: Vec<(&str, Option<&[u8]>)> = vec![("h", Some(&[b'x'; 300])); 8];
    let headers: Vec<_> = large.iter().copied().chain([("small", Some(&b"1"[..]))]).collect();
    let (kept, left_out) = told(&attributes(&["h", "small"]), &headers, None);
    assert_eq!((kept, left_out), (vec!["messaging.header.small = [1]".to_owned()], 1));
}

#[test]
fn a_header_that_smells_of_a_secret_is_told_to_be_there_and_no_more() {
    assert_eq!(
        headers_told(
            &["X-Authorization", "note"],
            &[("X-Authorization", Some(b"hunter2")), ("note", Some(b"bearer abc")), ("note", Some(b"bear"))]
        ),
        ["messaging.header.X-Authorization = [REDACTED]", "messaging.header.note = [REDACTED|bear]"]
    );
}

#[test]
fn a_value_that_is_too_long_to_be_looked_through_is_not_told() {
    let long = [b'x'; MAX_SEARCHED + 1];
    assert_eq!(headers_told(&["h"], &[("h", Some(&long))]), ["messaging.header.h = [REDACTED]"]);
    let (cut, _) =
        told(&SpanAttributes { redact_values: Arc::default(), ..attributes(&["h"]) }, &[("h", Some(&long))], None);
    assert_eq!(cut, [format!("messaging.header.h = [{}…]", "x".repeat(253))]);
}

#[test]
fn a_key_is_told_as_text_or_hashed_and_never_in_part() {
    let key = |message_key, key: Option<&[u8]>| told(&SpanAttributes { message_key, ..attributes(&["h"]) }, &[], key);
    let is = |text: &str| (vec![format!("messaging.kafka.message.key = {text}")], 0);
    let nothing = (Vec::new(), 0);
    for off in [MessageKey::Off, MessageKey::Plain, MessageKey::Hash] {
        assert_eq!(key(off, None), nothing);
    }
    assert_eq!(key(MessageKey::Off, Some(b"k")), nothing);
    assert_eq!(key(MessageKey::Plain, Some("kündin-7".as_bytes())), is("kündin-7"));
    assert_eq!(key(MessageKey::Plain, Some(b"")), is(""));
    assert_eq!(key(MessageKey::Plain, Some(b"\x00\x07\xff")), nothing, "no text");
    assert_eq!(key(MessageKey::Plain, Some(&[b'k'; 256])), is(&"k".repeat(256)));
    assert_eq!(key(MessageKey::Plain, Some(&[b'k'; 257])), (Vec::new(), 1));
    // `printf customer-7 | sha256sum`
    assert_eq!(key(MessageKey::Hash, Some(b"customer-7")), is(CUSTOMER_7));
    assert_eq!(key(MessageKey::Hash, Some(b"")), is("e3b0c44298fc1c149afbf4c8996fb924"));
    assert_eq!(key(MessageKey::Hash, Some(b"\xff")).0.len(), 1, "any bytes");
    assert_eq!(key(MessageKey::Hash, Some(&[b'k'; MAX_HASHED_KEY])).1, 0);
    assert_eq!(key(MessageKey::Hash, Some(&[b'k'; MAX_HASHED_KEY + 1])), (Vec::new(), 1));
}

const CUSTOMER_7: &str = "acade5fe58d0b5a805a02b8b3a546d8e";
