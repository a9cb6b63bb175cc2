//! Every byte read back by the `opentelemetry-proto` crate.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn span(fields: &mut SpanFields) -> Span {
    let bytes = fields.finish();
    let span = Span::decode(bytes).unwrap();
    assert_eq!(span.encoded_len(), bytes.len(), "shortest lengths, nothing unknown");
    span
}

/// `key = value`, lists in brackets.
fn attributes(span: &Span) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let one = |value: &Value| match value {
        Value::ArrayValue(array) => {
            let values: Vec<_> = array.values.iter().map(|value| text(value.value.as_ref().unwrap())).collect();
            format!("[{}]", values.join("|"))
        }
        value => text(value),
    };
    span.attributes
        .iter()
        .map(|pair| format!("{} = {}", pair.key, one(pair.value.as_ref().unwrap().value.as_ref().unwrap())))
        .collect()
}

#[test]
fn trace_state_texts_and_lists_stand_side_by_side() {
    let mut fields = SpanFields::new(Some(b"a=1"));
    fields.text("key", b"value");
    fields.texts("list", [&b"one"[..], b"", b"three"].into_iter());
    fields.texts("nothing", std::iter::empty());
    let span = span(&mut fields);
    assert_eq!(attributes(&span), ["key = value", "list = [one||three]"]);
    assert_eq!((span.trace_state.as_str(), span.dropped_attributes_count), ("a=1", 0));
    assert_eq!(TraceStateField::decode(fields.finish()), Some("a=1"), "readers find it in front");
    assert!(SpanFields::new(None).finish().is_empty());
}

#[test]
fn what_is_no_text_is_replaced_and_what_is_long_ends_in_an_ellipsis() {
    let shown = |value: &[u8]| {
        let mut fields = SpanFields::new(None);
        fields.text("k", value);
        attributes(&span(&mut fields)).remove(0).split_off("k = ".len())
    };
    assert_eq!(shown(b""), "");
    assert_eq!(shown(b"a\xff\xfeb\xc3"), "a\u{fffd}\u{fffd}b\u{fffd}");
    assert_eq!(shown(b"nul\0"), "nul\0");
    let full = "x".repeat(256);
    assert_eq!(shown(full.as_bytes()), full);
    assert_eq!(shown(format!("{full}y").as_bytes()), format!("{}…", "x".repeat(253)));
    // Characters of two bytes: 253 is within one.
    assert_eq!(shown("é".repeat(200).as_bytes()), format!("{}…", "é".repeat(126)));
    // The limit is within a character, which is no wrong one for that.
    assert_eq!(shown(format!("{}é", "x".repeat(255)).as_bytes()), format!("{}…", "x".repeat(253)));
    assert_eq!(shown(&[0xff; 1_000]), format!("{}…", "\u{fffd}".repeat(85)));
    assert_eq!(shown("x".repeat(1 << 20).as_bytes()).len(), 256);
}

#[test]
fn what_does_not_fit_is_left_out_whole_and_counted() {
    let mut fields = SpanFields::new(Some(b"s="));
    let value = [b'x'; 256];
    for index in 0..9 {
        fields.text(&format!("key-{index}"), &value);
    }
    fields.text("small", b"still fits");
    fields.leave_out();
    let span = span(&mut fields);
    let kept = attributes(&span);
    assert_eq!((kept.len(), span.dropped_attributes_count), (8, 3), "{kept:?}");
    assert_eq!(kept.last().unwrap(), "small = still fits");
}

#[test]
fn however_full_it_is_what_was_left_out_is_counted() {
    // One after the other of all lengths that the last one that fits can have.
    for last in 0..=255 {
        let mut fields = SpanFields::new(None);
        (0..20).for_each(|_| fields.text("k", &[b'x'; 90]));
        (0..9).for_each(|_| fields.text("k", &vec![b'y'; last]));
        (0..300).for_each(|_| fields.text("k", b"z"));
        let span = span(&mut fields);
        let given = 20 + 9 + 300;
        assert_eq!(span.attributes.len() + span.dropped_attributes_count as usize, given, "{last}");
    }
}

proptest! {
    #[test]
    fn whatever_is_put_in_reads_back_and_stays_within_its_bounds(
        state in proptest::option::of("[a-z]{1,9}=[a-z]{0,300}"),
        texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
        lists in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..9), 0..4),
    ) {
        let mut fields = SpanFields::new(state.as_deref().map(str::as_bytes));
        for text in &texts {
            fields.text("text", text);
        }
        for list in &lists {
            fields.texts("list", list.iter().map(Vec::as_slice));
        }
        let span = span(&mut fields);
        let given = texts.len() + lists.iter().filter(|list| !list.is_empty()).count();
        prop_assert_eq!(span.attributes.len() + span.dropped_attributes_count as usize, given);
        prop_assert!(fields.finish().len() <= SpanFields::MAX_LEN);
    }
}
