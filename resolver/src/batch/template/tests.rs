//! Every byte that the encoder writes, read back by the `opentelemetry-proto` crate.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::batch::record::OriginAddress;
use crate::batch::{TimeInQueue, TraceStateField};

fn facts() -> SpanFacts {
    let client = ClientFacts {
        client_id: "checkout-7".to_owned(),
        group_id: Some("payments".to_owned()),
        server: Some(("broker-1".to_owned(), Some(9092))),
    };
    SpanFacts { client: Arc::new(client), older_names: false, batches: false }
}

fn span() -> FinishedSpan {
    FinishedSpan {
        origin: OriginAddress(std::ptr::null()),
        trace_id: [0xa1; 16],
        span_id: [0xb2; 8],
        parent_span_id: [0; 8],
        link_trace_id: [0; 16],
        link_span_id: [0; 8],
        start: 1_700_000_000_000_000_001,
        end: 1_700_000_000_000_250_002,
        offset: -1,
        time_in_queue: TimeInQueue::UNKNOWN,
        partition: -1,
        outcome: Outcome::OK,
        kind: SpanKind::Send,
        flags: SpanFlags::default(),
        trace_flags: 1,
        extra_len: 0,
    }
}

fn encoded(facts: SpanFacts, span: &FinishedSpan, extra: &[u8]) -> Vec<u8> {
    encoded_of("orders", facts, span, extra)
}

fn encoded_of(topic: &str, facts: SpanFacts, span: &FinishedSpan, extra: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    SpanTemplates::new(facts).encode(topic, &mut out, span, extra, |outcome| format!("ERROR_{}", outcome.0));
    out
}

/// The one `spans` field of a `ScopeSpans`.
fn decoded(field: &[u8]) -> Span {
    let scope_spans = opentelemetry_proto::tonic::trace::v1::ScopeSpans::decode(field).unwrap();
    assert_eq!(scope_spans.spans.len(), 1);
    scope_spans.spans.into_iter().next().unwrap()
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes
        .iter()
        .map(|KeyValue { key, value, .. }| {
            let value = match value {
                Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
                Some(AnyValue { value: Some(Value::IntValue(number)) }) => format!("{number}i"),
                Some(AnyValue { value: Some(Value::BoolValue(truth)) }) => truth.to_string(),
                other => panic!("{key}: {other:?}"),
            };
            (key.clone(), value)
        })
        .collect()
}

#[test]
fn a_processed_message_says_all_that_is_known_of_it() {
    let span = FinishedSpan {
        kind: SpanKind::Process,
        parent_span_id: [0xc3; 8],
        partition: 1_234_567_890,
        offset: i64::MAX,
        time_in_queue: TimeInQueue(u32::MAX.into()),
        outcome: Outcome(7),
        flags: SpanFlags(SpanFlags::PARENT_REMOTE | SpanFlags::TOMBSTONE),
        ..span()
    };
    let decoded = decoded(&encoded(facts(), &span, TraceStateField::new(b"vendor=1").as_slice()));
    let expected = [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "orders"),
        ("messaging.client.id", "checkout-7"),
        ("messaging.consumer.group.name", "payments"),
        ("server.address", "broker-1"),
        ("server.port", "9092i"),
        ("messaging.destination.partition.id", "1234567890"),
        ("messaging.kafka.offset", "9223372036854775807i"),
        ("kafka.record.queue_time_ms", "4294967295i"),
        ("messaging.kafka.message.tombstone", "true"),
        ("error.type", "ERROR_7"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    assert_eq!(attributes(&decoded.attributes), expected);
    assert_eq!((decoded.name.as_str(), decoded.kind, decoded.flags), ("process orders", 5, 0x301));
    assert_eq!((decoded.trace_state.as_str(), decoded.status.unwrap().code), ("vendor=1", 2));
    assert_eq!(decoded.parent_span_id, [0xc3; 8]);
}

#[test]
fn older_names_stand_beside_those_of_today_and_nothing_else_changes() {
    for (kind, operation) in
        [(SpanKind::Send, "publish"), (SpanKind::Receive, "receive"), (SpanKind::Process, "process")]
    {
        let span = FinishedSpan { kind, partition: 3, offset: 42, ..span() };
        let today = decoded(&encoded(facts(), &span, &[]));
        let both = decoded(&encoded(SpanFacts { older_names: true, ..facts() }, &span, &[]));
        let mut expected = attributes(&today.attributes);
        for (key, value) in [
            ("messaging.operation", operation),
            ("messaging.client_id", "checkout-7"),
            ("messaging.kafka.consumer.group", "payments"),
            ("messaging.kafka.destination.partition", "3i"),
            ("messaging.kafka.message.offset", "42i"),
        ] {
            expected.insert(key.to_owned(), value.to_owned());
        }
        assert_eq!(attributes(&both.attributes), expected);
        assert_eq!((both.name, both.kind), (today.name, today.kind));
    }
    let nowhere = FinishedSpan { partition: -1, offset: -1, ..span() };
    let both = decoded(&encoded(SpanFacts { older_names: true, ..facts() }, &nowhere, &[]));
    assert!(!attributes(&both.attributes).keys().any(|key| key.ends_with(".partition") || key.ends_with(".offset")));
}

#[test]
fn a_debug_trace_shows_only_the_flags_that_w3c_knows() {
    let decoded = decoded(&encoded(facts(), &FinishedSpan { trace_flags: 0x81, ..span() }, &[]));
    assert_eq!(decoded.flags, 0x101);
}

#[test]
fn no_span_is_shorter_than_a_microsecond() {
    for parent_span_id in [[0; 8], [3; 8]] {
        for (end, length) in [(1_000_000, 1_000), (1_000_999, 1_000), (1_001_001, 1_001), (0, 1_000)] {
            let span = FinishedSpan { parent_span_id, start: 1_000_000, end, kind: SpanKind::Receive, ..span() };
            let decoded = decoded(&encoded(facts(), &span, &[]));
            assert_eq!(decoded.end_time_unix_nano - decoded.start_time_unix_nano, length, "{end}");
        }
    }
}

#[test]
fn a_link_is_one_reference_to_a_remote_span() {
    let linked = FinishedSpan { link_trace_id: [4; 16], link_span_id: [5; 8], ..span() };
    let links = decoded(&encoded(facts(), &linked, &[])).links;
    assert_eq!(links.len(), 1);
    assert_eq!((&links[0].trace_id[..], &links[0].span_id[..], links[0].flags), (&[4; 16][..], &[5; 8][..], 0x300));
}

#[test]
fn services_wrapped_in_place_and_side_by_side_read_the_same() {
    let resource = ServiceResource::new([("service.name", "shop")], [("process.pid", 42)]);
    let spans = [encoded(facts(), &span(), &[]), encoded(facts(), &span(), &[])].concat();
    let mut beside = Vec::new();
    resource.wrap(&mut beside, std::iter::once((own_scope(), &spans[..])));
    let mut in_place = vec![0; resource.head_room(own_scope())];
    in_place.extend_from_slice(&spans);
    let start = resource.wrap_in_place(&mut in_place, own_scope());
    assert_eq!(in_place[start..], beside[..]);

    let request = ExportTraceServiceRequest::decode(&beside[..]).unwrap();
    assert_eq!(request.encoded_len(), beside.len(), "every length is in its shortest form, nothing is unknown");
    let resource_spans = &request.resource_spans[0];
    assert_eq!(attributes(&resource_spans.resource.as_ref().unwrap().attributes)["process.pid"], "42i");
    assert_eq!(resource_spans.scope_spans[0].scope.as_ref().unwrap().name, "tracer-resolver");
    assert_eq!((resource_spans.scope_spans[0].spans.len(), request.resource_spans.len()), (2, 1));
    assert_eq!(resource_spans.schema_url, resource_spans.scope_spans[0].schema_url);
}

proptest! {
    #[test]
    fn any_span_reads_back_as_it_was(
        topic in "[a-zA-Z0-9._-]{1,249}",
        client_id in ".{0,300}",
        ids in any::<([u8; 16], [u8; 8], [u8; 8])>(),
        times in any::<(u64, u64)>(),
        place in any::<(i32, i64, i64)>(),
        kind in 0_u8..3,
        extra in proptest::option::of("[a-z]{1,16}=[a-z]{1,200}"),
    ) {
        let kind = [SpanKind::Send, SpanKind::Receive, SpanKind::Process][usize::from(kind)];
        let span = FinishedSpan {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            start: times.0,
            end: times.1,
            partition: place.0,
            offset: place.1,
            time_in_queue: TimeInQueue(place.2),
            kind,
            ..span()
        };
        let client = ClientFacts { client_id: client_id.clone(), ..ClientFacts::default() };
        let facts = SpanFacts { client: Arc::new(client), older_names: false, batches: false };
        let state = extra.as_deref().map_or(Vec::new(), |state| TraceStateField::new(state.as_bytes()).as_slice().to_vec());
        let field = encoded_of(&topic, facts, &span, &state);
        let decoded = decoded(&field);
        prop_assert_eq!(&decoded.trace_id[..], &ids.0[..]);
        prop_assert_eq!(&decoded.span_id[..], &ids.1[..]);
        let parent: &[u8] = if ids.2 == [0; 8] { &[] } else { &ids.2 };
        prop_assert_eq!(&decoded.parent_span_id[..], parent);
        let end = times.1.max(times.0.saturating_add(1_000));
        prop_assert_eq!((decoded.start_time_unix_nano, decoded.end_time_unix_nano), (times.0, end));
        prop_assert_eq!(&decoded.trace_state, extra.as_deref().unwrap_or_default());
        let read = attributes(&decoded.attributes);
        prop_assert_eq!(read.get("messaging.destination.name"), Some(&topic));
        prop_assert_eq!(read.get("messaging.client.id"), Some(&client_id).filter(|id| !id.is_empty()));
        let number = |value: i64| (value >= 0).then(|| format!("{value}i"));
        prop_assert_eq!(read.get("messaging.kafka.offset").cloned(), number(place.1));
        prop_assert_eq!(read.get("kafka.record.queue_time_ms").cloned(), number(place.2));
        let partition = (place.0 >= 0).then(|| place.0.to_string());
        prop_assert_eq!(read.get("messaging.destination.partition.id").cloned(), partition);
        let again = opentelemetry_proto::tonic::trace::v1::ScopeSpans { spans: vec![decoded], ..Default::default() };
        prop_assert_eq!(again.encoded_len(), field.len(), "shortest lengths, nothing unknown");
    }
}
