//! Every format read, in every order, well-formed and not.

use Propagator::{B3, B3Multi, Baggage, Datadog, Elastic, Jaeger, SkyWalking, TraceContext, XRay};
use proptest::prelude::*;

use super::*;

const W3C: &str = "00-000000000000000000000000000000a1-00000000000000b1-01";
const W3C_LATER: &str = "00-000000000000000000000000000000a2-00000000000000b2-00";
const ALL: [Propagator; 9] = [TraceContext, Baggage, B3, B3Multi, Jaeger, Datadog, XRay, Elastic, SkyWalking];
const SW8: &str =
    "1-MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDY=-MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDc=-0-a-b-c-d";

#[test]
fn the_last_header_of_a_name_counts() {
    assert_eq!(ids(&[("traceparent", W3C), ("traceparent", W3C_LATER)]), Some((0xa2, 0xb2)));
    assert_eq!(ids(&[("b3", "1"), ("b3", &b3(1)), ("b3", &b3(2))]), Some((2, 2)));
    assert_eq!(ids(&[("uber-trace-id", "1:1:0:1"), ("uber-trace-id", "2:2:0:1")]), Some((2, 2)));
    assert_eq!(
        ids(&[
            ("X-B3-TraceId", &hex(1)),
            ("X-B3-TraceId", &hex(2)),
            ("X-B3-SpanId", &hex(3)),
            ("X-B3-SpanId", &hex(4))
        ]),
        Some((2, 4))
    );
}

/// J: W3C, capitalised headers; B3 in any letter case.
#[test]
fn names_are_compared_without_regard_to_case() {
    assert_eq!(ids(&[("Traceparent", W3C)]), Some((0xa1, 0xb1)));
    assert_eq!(ids(&[("TRACEPARENT", W3C)]), Some((0xa1, 0xb1)));
    assert_eq!(ids(&[("B3", &b3(3))]), Some((3, 3)));
    for names in [["X-B3-TraceId", "X-B3-SpanId"], ["x-b3-traceid", "x-b3-spanid"], ["X-B3-TRACEID", "x-B3-SpanID"]] {
        assert_eq!(ids(&[(names[0], &hex(3)), (names[1], &hex(4))]), Some((3, 4)), "{names:?}");
    }
    assert_eq!(ids(&[("Uber-Trace-Id", "5:6:0:1")]), Some((5, 6)));
    for names in [["x-datadog-trace-id", "x-datadog-parent-id"], ["X-Datadog-Trace-Id", "X-DATADOG-PARENT-ID"]] {
        assert_eq!(ids(&[(names[0], "10"), (names[1], "11")]), Some((10, 11)), "{names:?}");
    }
    let tags = [("X-Datadog-Tags", "_dd.p.tid=0000000000000001"), ("X-Datadog-Sampling-Priority", "-1")];
    let datadog = [("x-datadog-trace-id", "10"), ("x-datadog-parent-id", "11"), tags[0], tags[1]];
    assert_eq!(ids(&datadog), Some((1 << 64 | 10, 11)));
    assert_eq!(read_text(&ALL, &datadog, |found| found.sampling()), ParentSampling::NotSampled);
    for name in ["X-Amzn-Trace-Id", "x-amzn-trace-id", "X-AMZN-TRACE-ID"] {
        assert_eq!(ids(&[(name, XRAY)]), Some((8, 9)), "{name}");
    }
    assert_eq!(ids(&[("Elastic-Apm-Traceparent", W3C)]), Some((0xa1, 0xb1)));
    assert_eq!(ids(&[("SW8", SW8)]), Some((6, 7)));
}

#[test]
fn every_format_is_read_in_its_turn_and_only_if_it_is_named() {
    let w3c = W3C_LATER.to_owned();
    let headers = [
        ("sw8", SW8),
        ("elastic-apm-traceparent", &*w3c),
        ("x-datadog-trace-id", "10"),
        ("x-datadog-parent-id", "11"),
        ("X-Amzn-Trace-Id", XRAY),
        ("uber-trace-id", "1:1:0:1"),
        ("b3", &*b3(2)),
        ("traceparent", W3C),
    ];
    let each = [
        (TraceContext, (0xa1, 0xb1)),
        (B3, (2, 2)),
        (Jaeger, (1, 1)),
        (Datadog, (10, 11)),
        (XRay, (8, 9)),
        (Elastic, (0xa2, 0xb2)),
        (SkyWalking, (6, 7)),
    ];
    for (format, expected) in each {
        assert_eq!(ids_by(&[format], &headers), Some(expected), "{format:?}");
        for (other, _) in each.iter().filter(|(other, _)| *other != format) {
            assert_eq!(ids_by(&[Baggage, format, *other], &headers), Some(expected), "{format:?} before {other:?}");
        }
        let told = read_text(&[format], &headers, |found| found.parent().map(|parent| parent.format));
        assert_eq!(told, Some(format));
    }
    // A word about sampling is worth less than any context.
    let hints = [("X-Amzn-Trace-Id", "Root=1-00000000-000000000000000000000008;Sampled=0"), ("b3", &*b3(2))];
    assert_eq!(ids_by(&[XRay, B3], &hints), Some((2, 2)));
    assert_eq!(read_text(&[XRay], &hints, |found| found.sampling()), ParentSampling::NotSampled);
}

const XRAY: &str = "Root=1-00000000-000000000000000000000008;Parent=0000000000000009;Sampled=1";

#[test]
fn a_name_that_only_looks_like_one_of_ours_is_not() {
    for name in [
        "",
        "traceparens",
        "xraceparent",
        "trace-parent",
        "b4",
        "b33",
        "x-b3-spanie",
        "uber-trace-ie",
        "x-datadog-trace-ie",
        "x-datadog-tagx",
        "x-amzn-trace-ie",
        "elastic-apm-traceparens",
        "elasticapmtraceparens",
        "sw9",
        "s",
        " traceparent",
        "traceparent\0",
    ] {
        assert!(read(&ALL, &[(name, Some(W3C.as_bytes()))], |found| *found == Extracted::Nothing), "{name:?}");
    }
}

/// J: composite, extract first, second, none, and their order.
#[test]
fn the_first_format_in_order_that_yields_a_valid_context_is_taken() {
    let headers = [("uber-trace-id", "1:1:0:1"), ("b3", &*b3(2)), ("traceparent", W3C)];
    assert_eq!(ids_by(&[TraceContext, B3, Jaeger], &headers), Some((0xa1, 0xb1)));
    assert_eq!(ids_by(&[B3, Jaeger, TraceContext], &headers), Some((2, 2)));
    assert_eq!(ids_by(&[Jaeger, TraceContext], &headers), Some((1, 1)));
    assert_eq!(ids_by(&[Baggage, Jaeger], &headers), Some((1, 1)));
    assert_eq!(ids_by(&[Baggage], &headers), None);
    assert_eq!(ids_by(&[], &headers), None);
    assert_eq!(ids_by(&ALL, &[]), None);
    let broken = [("traceparent", "00-zz"), ("b3", "x"), ("uber-trace-id", "1:1:0:1")];
    assert_eq!(ids_by(&[TraceContext, B3, Jaeger], &broken), Some((1, 1)));
}

#[test]
fn the_format_that_was_read_is_told() {
    let format =
        |headers: &[(&str, &str)]| read_text(&ALL, headers, |found| found.parent().map(|parent| parent.format));
    assert_eq!(format(&[("traceparent", W3C)]), Some(TraceContext));
    assert_eq!(format(&[("b3", &b3(1))]), Some(B3));
    assert_eq!(format(&[("X-B3-TraceId", &hex(1)), ("X-B3-SpanId", &hex(1))]), Some(B3));
    assert_eq!(format(&[("uber-trace-id", "1:1:0:1")]), Some(Jaeger));
}

#[test]
fn both_forms_of_b3_are_read_under_either_name_the_single_one_first() {
    let multi = [("X-B3-TraceId", &*hex(7)), ("X-B3-SpanId", &*hex(7))];
    let both = [("b3", &*b3(8)), multi[0], multi[1]];
    let broken = [("b3", "nonsense"), multi[0], multi[1]];
    let state_only = [("b3", "0"), multi[0], multi[1]];
    for name in [B3, B3Multi] {
        assert_eq!(ids_by(&[name], &multi), Some((7, 7)));
        assert_eq!(ids_by(&[name], &both), Some((8, 8)));
        assert_eq!(ids_by(&[name], &broken), Some((7, 7)));
        assert_eq!(ids_by(&[name], &state_only), Some((7, 7)));
    }
}

#[test]
fn the_second_span_of_old_records_is_preferred_as_the_later_hop() {
    let first = ("uber-trace-id", "1:1:0:1");
    let second = ("second_span_uber-trace-id", "1:2:0:1");
    assert_eq!(ids(&[first, second]), Some((1, 2)));
    assert_eq!(ids(&[second, first]), Some((1, 2)));
    assert_eq!(ids(&[second]), Some((1, 2)));
    assert_eq!(ids(&[first, ("second_span_uber-trace-id", "broken")]), Some((1, 1)));
}

/// K6: a header with a null value; J: null under a tracing key costs only that header.
#[test]
fn headers_without_a_value_are_as_good_as_absent() {
    let null = [("traceparent", Some(W3C.as_bytes())), ("traceparent", None), ("tracestate", None), ("other", None)];
    assert_eq!(read(&ALL, &null, |found| found.parent().map(|parent| number(parent.context.trace_id))), Some(0xa1));
    for name in [
        "traceparent",
        "tracestate",
        "b3",
        "X-B3-TraceId",
        "X-B3-SpanId",
        "X-B3-Sampled",
        "uber-trace-id",
        "jaeger-debug-id",
        "baggage",
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-tags",
        "X-Amzn-Trace-Id",
        "elastic-apm-traceparent",
        "elasticapmtraceparent",
        "sw8",
    ] {
        assert!(read(&ALL, &[(name, None)], |found| *found == Extracted::Nothing), "{name}");
    }
}

#[test]
fn values_need_not_be_utf_8() {
    for name in
        ["traceparent", "tracestate", "b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled", "uber-trace-id", "baggage"]
    {
        assert!(read(&ALL, &[(name, Some(&[0xff, 0x00, 0xc3]))], |found| *found == Extracted::Nothing), "{name}");
    }
}

/// J: W3C, tracestate carried.
#[test]
fn the_trace_state_comes_with_its_traceparent_and_with_nothing_else() {
    let state = |order: &[Propagator], headers: &[(&str, &str)]| {
        read_text(order, headers, |found| {
            found.parent().and_then(|parent| parent.trace_state).map(|state| String::from_utf8(state.to_vec()).unwrap())
        })
    };
    assert_eq!(state(&ALL, &[("tracestate", "a=1"), ("traceparent", W3C)]).as_deref(), Some("a=1"));
    assert_eq!(
        state(&ALL, &[("Tracestate", "a=1"), ("traceparent", W3C), ("tracestate", "b=2"), ("tracestate", "c=3")])
            .as_deref(),
        Some("a=1,b=2,c=3")
    );
    assert_eq!(state(&ALL, &[("traceparent", W3C), ("tracestate", "")]), None);
    // A tracestate that cannot be trusted does not take the traceparent with it.
    assert_eq!(state(&ALL, &[("traceparent", W3C), ("tracestate", "Bad")]), None);
    assert_eq!(ids(&[("traceparent", W3C), ("tracestate", "Bad")]), Some((0xa1, 0xb1)));
    assert_eq!(state(&[B3, TraceContext], &[("traceparent", W3C), ("tracestate", "a=1"), ("b3", &b3(1))]), None);
    assert_eq!(state(&ALL, &[("tracestate", "a=1")]), None);
}

#[test]
fn sampling_is_told_with_and_without_a_context() {
    let sampling = |headers: &[(&str, &str)]| read_text(&ALL, headers, |found| found.sampling());
    assert_eq!(sampling(&[]), ParentSampling::NoParent);
    assert_eq!(sampling(&[("traceparent", W3C)]), ParentSampling::Sampled);
    assert_eq!(sampling(&[("traceparent", W3C_LATER)]), ParentSampling::NotSampled);
    assert_eq!(sampling(&[("b3", &b3(1))]), ParentSampling::Deferred);
    assert_eq!(sampling(&[("b3", "0")]), ParentSampling::NotSampled);
    assert_eq!(sampling(&[("X-B3-Sampled", "0")]), ParentSampling::NotSampled);
    assert_eq!(sampling(&[("X-B3-Flags", "1")]), ParentSampling::Debug);
    assert_eq!(sampling(&[("uber-trace-id", "1:2:0:3")]), ParentSampling::Debug);
    // A context of a later format is worth more than the word of an earlier one.
    assert_eq!(sampling(&[("b3", "0"), ("uber-trace-id", "1:2:0:1")]), ParentSampling::Sampled);
    // Of several words the first format's counts.
    assert_eq!(sampling(&[("b3", "0"), ("jaeger-debug-id", "x")]), ParentSampling::NotSampled);
}

/// J: ad hoc, a debug id alone forces a kept trace; beside a context it means nothing.
#[test]
fn a_debug_id_without_a_context_forces_a_new_trace_to_be_kept() {
    let hint = |order: &[Propagator], headers: &[(&str, &str)]| {
        read_text(order, headers, |found| match found {
            Extracted::Hint { sampling, debug_id } => Some((*sampling, debug_id.map(<[u8]>::to_vec))),
            _ => None,
        })
    };
    let forced = Some((ParentSampling::Debug, Some(b"find-me".to_vec())));
    assert_eq!(hint(&ALL, &[("jaeger-debug-id", "find-me")]), forced);
    assert_eq!(
        hint(&[TraceContext, B3], &[("jaeger-debug-id", "find-me")]),
        None,
        "only where Jaeger's format is read"
    );
    assert_eq!(hint(&ALL, &[("jaeger-debug-id", "")]), None);
    for context in [("traceparent", W3C), ("uber-trace-id", "1:2:0:0")] {
        let headers = [("jaeger-debug-id", "find-me"), context];
        assert_eq!(hint(&ALL, &headers), None);
        assert_ne!(read_text(&ALL, &headers, |found| found.sampling()), ParentSampling::Debug);
    }
    assert_eq!(hint(&ALL, &[("b3", "d"), ("jaeger-debug-id", "find-me")]), Some((ParentSampling::Debug, None)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_headers_make_it_panic_and_what_is_found_is_valid(headers in prop::collection::vec((any_name(), prop::option::weighted(0.9, any_value())), 0..12), order in any_order()) {
        let headers: Vec<(&str, Option<&[u8]>)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        read(&order, &headers, |found| {
            if let Extracted::Parent(parent) = found {
                assert!(parent.context.is_valid());
                assert!(order.contains(&parent.format) || (parent.format == B3 && order.contains(&B3Multi)));
                assert!(parent.trace_state.is_none_or(|state| !state.is_empty() && state.len() <= 512));
                assert!(parent.sampling != ParentSampling::NoParent);
            }
        });
    }

    #[test]
    fn foreign_headers_change_nothing(ours in prop::collection::vec((any_name(), any_value()), 0..6), foreign in prop::collection::vec(("[a-z]{1,6}-x", any_value(), any::<prop::sample::Index>()), 0..6), order in any_order()) {
        let mut all: Vec<(&str, Option<&[u8]>)> = ours.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))).collect();
        let alone = read(&order, &all, |found| format!("{found:?}"));
        for (name, value, at) in &foreign {
            all.insert(at.index(all.len() + 1), (name, Some(value)));
        }
        prop_assert_eq!(read(&order, &all, |found| format!("{found:?}")), alone);
    }
}

fn any_order() -> impl Strategy<Value = Vec<Propagator>> {
    prop::sample::subsequence(ALL.to_vec(), 0..=9).prop_shuffle()
}

fn any_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "traceparent",
        "tracestate",
        "b3",
        "X-B3-TraceId",
        "x-b3-spanid",
        "X-B3-Sampled",
        "X-B3-Flags",
        "uber-trace-id",
        "second_span_uber-trace-id",
        "jaeger-debug-id",
        "baggage",
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-tags",
        "X-Amzn-Trace-Id",
        "elastic-apm-traceparent",
        "elasticapmtraceparent",
        "sw8",
        "other",
    ])
    .prop_map(str::to_owned)
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        "00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]",
        "[0-9a-f]{16}-[0-9a-f]{16}(-[01d])?",
        "[0-9a-f]{1,16}:[0-9a-f]{1,16}:0:[0-3]",
        "[0-9a-f]{16}",
        "[01d]",
        "[0-9]{1,21}",
        "_dd.p.tid=[0-9a-f]{16}",
        "Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;Parent=[0-9a-f]{16})?(;Sampled=[01?])?",
        "[01]-[A-Za-z0-9]{44}-[A-Za-z0-9]{44}-[0-9]-a-b-c-d",
        "[a-z]=[a-z]{1,9}(,[a-z]=1){0,40}",
    ];
    prop_oneof![4 => text.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..70)]
}

fn ids(headers: &[(&str, &str)]) -> Option<(u128, u64)> {
    ids_by(&ALL, headers)
}

fn ids_by(order: &[Propagator], headers: &[(&str, &str)]) -> Option<(u128, u64)> {
    read_text(order, headers, |found| {
        found.parent().map(|parent| (number(parent.context.trace_id), u64::from_be_bytes(parent.context.span_id)))
    })
}

fn read_text<T>(order: &[Propagator], headers: &[(&str, &str)], then: impl FnOnce(&Extracted<'_>) -> T) -> T {
    let headers: Vec<(&str, Option<&[u8]>)> =
        headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))).collect();
    read(order, &headers, then)
}

fn read<T>(order: &[Propagator], headers: &[(&str, Option<&[u8]>)], then: impl FnOnce(&Extracted<'_>) -> T) -> T {
    let mut buffer = TraceStateBuffer::new();
    then(&extract(headers.iter().map(|(name, value)| (name.as_bytes(), *value)), order, &mut buffer))
}

fn number(id: [u8; 16]) -> u128 {
    u128::from_be_bytes(id)
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn b3(id: u64) -> String {
    format!("{id:032x}-{id:016x}")
}
