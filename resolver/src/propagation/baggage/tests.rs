//! Baggage as other implementations write and read it, and as hostile senders do.

use std::collections::{BTreeMap, HashMap};

use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;
use proptest::prelude::*;

use super::*;

#[test]
fn entries_are_read_with_their_white_space_taken_off() {
    assert_eq!(read(&["a=1,b=2"]), [("a", "1", ""), ("b", "2", "")].map(owned));
    assert_eq!(read(&[" a = 1 ;p ; q=2 ,\tb=2"]), [("a", "1", "p ; q=2"), ("b", "2", "")].map(owned));
    assert_eq!(read(&["empty="]), [("empty", "", "")].map(owned));
}

#[test]
fn several_headers_are_one_list() {
    assert_eq!(read(&["a=1", "", "b=2,c=3"]), [("a", "1", ""), ("b", "2", ""), ("c", "3", "")].map(owned));
}

#[test]
fn values_are_percent_decoded_and_keep_their_equals_signs() {
    assert_eq!(read(&["a=%C3%A9%20%2c%zz%"]), [("a", "é ,%zz%", "")].map(owned));
    assert_eq!(read(&["a=YWI=="]), [("a", "YWI==", "")].map(owned));
    assert_eq!(read(&["a=%ff"]), [("a", "\u{fffd}", "")].map(owned));
    assert_eq!(read(&["a%20b=1"]), [("a b", "1", "")].map(owned));
}

#[test]
fn a_malformed_entry_costs_only_itself() {
    for malformed in ["novalue", "=1", " =1", "a b=1", "\u{e9}=1", "a=\u{7f}", "a=\u{e9}", "", ";", "a=1;\u{1}"] {
        let header = format!("x=1,{malformed},y=2");
        assert_eq!(read(&[&header]), [("x", "1", ""), ("y", "2", "")].map(owned), "{malformed}");
    }
    let bytes: [&[u8]; 1] = [b"x=1,a=\xff,y=2"];
    assert_eq!(read_baggage(bytes).count(), 2);
}

#[test]
fn no_more_than_64_entries_and_8192_bytes_are_read() {
    let many = (0..100).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&[&many]).len(), BAGGAGE_MAX_ENTRIES);
    let thousand = format!("a={}", "x".repeat(998));
    let large = vec![thousand.as_str(); 20].join(",");
    assert_eq!(read(&[&large]).len(), 8);
    assert_eq!(read(&vec![thousand.as_str(); 20]).len(), 8);
    assert_eq!(read(&[&format!("a={}", "x".repeat(9_000)), "b=1"]).len(), 0);
}

#[test]
fn a_header_of_just_the_limit_is_read_and_junk_counts_towards_it() {
    let entry = |length: usize| format!("a={}", "x".repeat(length - 2));
    assert_eq!(read(&[&entry(BAGGAGE_MAX_BYTES)]).len(), 1);
    assert_eq!(read(&[&entry(BAGGAGE_MAX_BYTES + 1)]).len(), 0);
    assert_eq!(read(&[&",".repeat(100), "a=1"]).len(), 1);
    assert_eq!(read(&[&",".repeat(BAGGAGE_MAX_BYTES), "a=1"]).len(), 0);
}

#[test]
fn entries_are_written_percent_encoded() {
    assert_eq!(written(&[("a", "1", ""), ("b", "é ,;=%\\\"", " p;q=1 ")]).0, "a=1,b=%C3%A9%20%2C%3B%3D%25%5C%22;p;q=1");
    assert_eq!(written(&[("a b%", "", "")]).0, "a%20b%25=");
    assert_eq!(written(&[("a", "1", "x,y\u{e9}")]).0, "a=1;x%2Cy%C3%A9");
    assert_eq!(written(&[]).0, "");
}

#[test]
fn what_does_not_fit_is_left_out_whole_and_counted() {
    let many: Vec<String> = (0..70).map(|index| format!("k{index}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "v", "")).collect();
    assert_eq!(written(&many).1, 6);
    let large = "x".repeat(5_000);
    let (text, dropped) = written(&[("a", &large, ""), ("b", &large, ""), ("c", "1", ""), ("", "2", "")]);
    assert_eq!((text.len(), dropped), (5_002 + 4, 2));
    assert!(text.ends_with(",c=1"));

    let mut roomy = [0; 2 * BAGGAGE_MAX_BYTES];
    let written = write_baggage([("a", &*large, ""), ("b", &large, "")], &mut roomy);
    assert_eq!((written.length, written.dropped), (5_002, 1));

    let mut small = [0; 7];
    let written = write_baggage([("a", "1", ""), ("b", "22", ""), ("c", "3", "")], &mut small);
    assert_eq!((&small[..written.length], written.dropped), (&b"a=1,c=3"[..], 1));
    assert_eq!(write_baggage([("a", "1", "")], &mut []), WrittenBaggage { length: 0, dropped: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_written_is_read_back(entries in prop::collection::vec(("\\PC{1,8}", "\\PC{0,8}"), 0..8)) {
        let borrowed: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value.as_str(), "")).collect();
        let (text, dropped) = written(&borrowed);
        prop_assert_eq!(dropped, 0);
        prop_assert_eq!(read(&[&text]), borrowed.iter().map(|&entry| owned(entry)).collect::<Vec<_>>());
    }

    #[test]
    fn the_sdk_reads_what_we_write(entries in prop::collection::btree_map("[a-z0-9é%, ;]{1,5}[a-z]", "[a-z][a-z0-9é%,;= ]{0,5}[a-z]", 0..8)) {
        let entries: BTreeMap<String, String> = entries.into_iter().map(|(key, value)| (key.trim().to_owned(), value)).collect();
        let borrowed: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value.as_str(), "")).collect();
        let headers = HashMap::from([("baggage".to_owned(), written(&borrowed).0)]);
        let context = BaggagePropagator::new().extract_with_context(&opentelemetry::Context::new(), &headers);
        // Some names are none to the SDK's API (it wants tokens) and are refused there, after reading.
        let expected: BTreeMap<String, String> = entries.iter().filter(|(key, _)| key.bytes().all(is_token)).map(|(key, value)| (key.clone(), value.clone())).collect();
        let found: BTreeMap<String, String> = context.baggage().iter().map(|(key, (value, _))| (key.to_string(), value.to_string())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn we_read_what_the_sdk_writes(entries in prop::collection::btree_map("[a-z0-9]{1,5}", "[a-z0-9é%,;= ]{0,5}", 0..8)) {
        let mut headers = HashMap::new();
        let baggage = entries.iter().map(|(key, value)| KeyValueMetadata::new(key.clone(), value.clone(), ""));
        BaggagePropagator::new().inject_context(&opentelemetry::Context::new().with_baggage(baggage), &mut headers);
        let header = headers.get("baggage").map_or("", String::as_str);
        let found: BTreeMap<String, String> = read(&[header]).into_iter().map(|(key, value, _)| (key, value)).collect();
        // The SDK takes white space off, and writes a percent sign as it is, which may then look like an escape.
        let expected: BTreeMap<String, String> = entries
            .iter()
            .map(|(key, value)| (key.clone(), percent_decode(value.trim()).into_owned()))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_bytes_are_refused_not_tripped_over(headers in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b','), Just(b'='), Just(b'%'), any::<u8>()], 0..100), 0..4)) {
        for entry in read_baggage(headers.iter().map(Vec::as_slice)) {
            prop_assert!(!entry.key().is_empty());
            let _ = (entry.value(), entry.metadata());
        }
    }
}

type Entry = (String, String, String);

fn read(headers: &[&str]) -> Vec<Entry> {
    read_baggage(headers.iter().map(|header| header.as_bytes()))
        .map(|entry| (entry.key().into_owned(), entry.value().into_owned(), entry.metadata().to_owned()))
        .collect()
}

fn written(entries: &[(&str, &str, &str)]) -> (String, usize) {
    let mut buffer = [0; BAGGAGE_MAX_BYTES];
    let written = write_baggage(entries.iter().copied(), &mut buffer);
    (String::from_utf8(buffer[..written.length].to_vec()).unwrap(), written.dropped)
}

fn owned((key, value, metadata): (&str, &str, &str)) -> Entry {
    (key.to_owned(), value.to_owned(), metadata.to_owned())
}

#[test]
fn as_much_as_the_limit_is_joined_and_no_byte_more() {
    let whole = vec![b'a'; BAGGAGE_MAX_BYTES];
    let part = vec![b'a'; BAGGAGE_MAX_BYTES - 2];
    let mut joined = Vec::new();
    join_baggage(&mut joined, &mut [&whole[..], b"b"].into_iter());
    assert_eq!(joined, whole);
    join_baggage(&mut joined, &mut [&part[..], b"bc", b"b"].into_iter());
    assert_eq!(joined, [&part[..], b",b"].concat());
}
