//! Every format written, and read back.

use Propagator::{B3, B3Multi, Baggage, Datadog, Elastic, Jaeger, SkyWalking, TraceContext, XRay};
use proptest::prelude::*;

use super::*;
use crate::propagation::{Extracted, TraceStateBuffer, extract};
use crate::tracer::sampler::ParentSampling;

const CONTEXT: SpanContext = SpanContext {
    trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes(),
    span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
    flags: SpanContext::SAMPLED | SpanContext::RANDOM,
};

/// J: composite, inject to all; B3, inject the several headers.
#[test]
fn all_formats_are_written_in_order() {
    let injection = Injection::new(&[Jaeger, TraceContext, B3Multi, B3, Datadog, XRay, Elastic, SkyWalking, Baggage]);
    let headers = injection.headers(&CONTEXT).with_trace_state(Some(b"a=1")).with_baggage(Some(b"k=v"));
    assert_eq!(
        text(&headers),
        [
            "uber-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
            "tracestate: a=1",
            "X-B3-TraceId: 4bf92f3577b34da6a3ce929d0e0e4736",
            "X-B3-SpanId: 00f067aa0ba902b7",
            "X-B3-Sampled: 1",
            "b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "x-datadog-trace-id: 11803532876627986230",
            "x-datadog-parent-id: 67667974448284343",
            "x-datadog-sampling-priority: 1",
            "x-datadog-tags: _dd.p.tid=4bf92f3577b34da6",
            "X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1",
            "elastic-apm-traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
            "baggage: k=v",
        ]
    );
}

#[test]
fn a_debug_context_says_so_where_the_format_can() {
    let injection = Injection::new(&[TraceContext, B3, B3Multi, Jaeger]);
    let headers = injection.headers(&SpanContext { flags: SpanContext::SAMPLED | SpanContext::DEBUG, ..CONTEXT });
    assert_eq!(
        text(&headers),
        [
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d",
            "X-B3-TraceId: 4bf92f3577b34da6a3ce929d0e0e4736",
            "X-B3-SpanId: 00f067aa0ba902b7",
            "X-B3-Flags: 1",
            "uber-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:3",
        ]
    );
}

/// J: W3C, an empty tracestate is not sent.
#[test]
fn nothing_is_written_for_an_empty_trace_state_or_baggage() {
    let injection = Injection::new(&[TraceContext, Baggage]);
    let headers = injection.headers(&CONTEXT).with_trace_state(Some(b"")).with_baggage(Some(b""));
    assert_eq!(text(&headers).len(), 1);
    // And neither of them in the company of a format that has no place for it.
    let injection = Injection::new(&[B3]);
    let headers = injection.headers(&CONTEXT).with_trace_state(Some(b"a=1")).with_baggage(Some(b"k=v"));
    assert_eq!(text(&headers).len(), 1);
}

#[test]
fn what_is_only_read_is_not_written_and_clears_nothing() {
    let injection = Injection::new(&[SkyWalking]);
    assert!(text(&injection.headers(&CONTEXT)).is_empty());
    assert!(injection.headers(&CONTEXT).names_to_clear().is_empty());
    assert!(!injection.carries_context());
}

#[test]
fn a_format_named_twice_is_written_once() {
    let injection = Injection::new(&[TraceContext, B3, TraceContext]);
    assert_eq!(text(&injection.headers(&CONTEXT)).len(), 2);
}

#[test]
fn no_format_writes_nothing_clears_nothing_and_knows_no_context_of_its_own() {
    let injection = Injection::new(&[]);
    let headers = injection.headers(&CONTEXT);
    assert!(text(&headers).is_empty());
    assert!(headers.names_to_clear().is_empty());
    assert_eq!(headers.size(), (0, 0));
    assert_eq!(injection.own_context(|_| None), None);
}

#[test]
fn every_name_of_a_format_is_cleared_in_any_spelling() {
    let clears = |inject: &[Propagator]| -> Vec<String> {
        let injection = Injection::new(inject);
        let headers = injection.headers(&CONTEXT);
        headers.names_to_clear().iter().map(|name| name.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(clears(&[TraceContext]), ["traceparent", "tracestate"]);
    assert_eq!(clears(&[Jaeger]), ["uber-trace-id", "second_span_uber-trace-id"]);
    let b3 = ["b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags"];
    assert_eq!(clears(&[B3]), b3);
    assert_eq!(clears(&[B3, B3Multi]), b3);
    let datadog = ["x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-tags"];
    assert_eq!(clears(&[Datadog]), datadog);
    assert_eq!(clears(&[XRay, Elastic]), ["X-Amzn-Trace-Id", "elastic-apm-traceparent", "elasticapmtraceparent"]);

    let injection = Injection::new(&[TraceContext, B3]);
    let headers = injection.headers(&CONTEXT);
    for name in ["traceparent", "Traceparent", "TRACESTATE", "x-b3-parentspanid", "B3"] {
        assert!(headers.replaces(name.as_bytes()), "{name}");
    }
    for name in ["", "trace", "uber-trace-id", "baggage", "order-id"] {
        assert!(!headers.replaces(name.as_bytes()), "{name}");
    }
}

#[test]
fn the_applications_own_baggage_stays_unless_some_is_written() {
    let injection = Injection::new(&[Baggage, TraceContext]);
    let without = injection.headers(&CONTEXT);
    assert!(!without.replaces(b"baggage"));
    assert!(without.replaces(b"tracestate"));
    assert!(without.with_baggage(Some(b"k=v")).replaces(b"baggage"));
}

#[test]
fn our_own_context_is_read_back_from_the_first_format_that_carries_one() {
    for inject in [
        &[TraceContext][..],
        &[Baggage, TraceContext, B3],
        &[B3],
        &[B3Multi, TraceContext],
        &[Jaeger],
        &[Baggage, Jaeger],
    ] {
        let injection = Injection::new(inject);
        let written = pairs(&injection.headers(&CONTEXT).with_baggage(Some(b"k=v")));
        let read = injection.own_context(|name| last(&written, name)).unwrap();
        assert_eq!(
            (read.trace_id, read.span_id, read.is_sampled()),
            (CONTEXT.trace_id, CONTEXT.span_id, true),
            "{inject:?}"
        );
    }
    assert_eq!(Injection::new(&[Baggage]).own_context(|_| Some(b"k=v")), None);
}

#[test]
fn somebody_elses_value_under_our_name_is_not_our_context() {
    for inject in [TraceContext, B3, B3Multi, Jaeger] {
        let injection = Injection::new(&[inject]);
        assert_eq!(injection.own_context(|_| None), None, "{inject:?}");
        for value in ["", "0", "00-", "x"] {
            assert_eq!(injection.own_context(|_| Some(value.as_bytes())), None, "{inject:?} {value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_injected_is_extracted(trace_id in 1..u128::MAX, span_id in 1..u64::MAX, flags in prop::sample::select(vec![0, SpanContext::SAMPLED, SpanContext::SAMPLED | SpanContext::DEBUG]), format in prop::sample::select(vec![TraceContext, B3, B3Multi, Jaeger])) {
        let context = SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags };
        let injection = Injection::new(&[format]);
        let written = pairs(&injection.headers(&context).with_trace_state(Some(b"a=1")));
        prop_assert_eq!(injection.own_context(|name| last(&written, name)).map(|own| (own.trace_id, own.span_id, own.is_sampled())), Some((context.trace_id, context.span_id, context.is_sampled())));

        let mut buffer = TraceStateBuffer::new();
        let headers = written.iter().map(|(name, value)| (name.to_bytes(), Some(value.as_slice())));
        let Extracted::Parent(parent) = extract(headers, &[format], &mut buffer) else { panic!("not extracted") };
        let carries_debug = format != TraceContext;
        let expected_flags = if carries_debug { flags } else { flags & SpanContext::SAMPLED };
        prop_assert_eq!(parent.context, SpanContext { flags: expected_flags, ..context });
        let expected = match (context.is_debug() && carries_debug, context.is_sampled()) {
            (true, _) => ParentSampling::Debug,
            (false, true) => ParentSampling::Sampled,
            (false, false) => ParentSampling::NotSampled,
        };
        prop_assert_eq!(parent.sampling, expected);
        prop_assert_eq!(parent.trace_state, (format == TraceContext).then_some(&b"a=1"[..]));
    }

    #[test]
    fn the_size_is_known_before_anything_is_written(inject in prop::sample::subsequence(vec![TraceContext, Baggage, B3, B3Multi, Jaeger, Datadog, XRay, Elastic, SkyWalking], 0..=9), flags: u8, trace_state in prop::option::of("[a-z=]{0,40}"), baggage in prop::option::of("[a-z=]{0,40}")) {
        let injection = Injection::new(&inject);
        let headers = injection
            .headers(&SpanContext { flags, ..CONTEXT })
            .with_trace_state(trace_state.as_deref().map(str::as_bytes))
            .with_baggage(baggage.as_deref().map(str::as_bytes));
        let written = pairs(&headers);
        prop_assert_eq!(headers.size(), (written.len(), written.iter().map(|(name, value)| name.count_bytes() + value.len()).sum()));
        prop_assert!(written.iter().all(|(name, _)| headers.names_to_clear().contains(name)));
    }
}

fn text(headers: &InjectedHeaders<'_>) -> Vec<String> {
    pairs(headers)
        .into_iter()
        .map(|(name, value)| format!("{}: {}", name.to_str().unwrap(), String::from_utf8(value).unwrap()))
        .collect()
}

fn pairs(headers: &InjectedHeaders<'_>) -> Vec<(&'static CStr, Vec<u8>)> {
    let mut pairs = Vec::new();
    headers.for_each(|name, value| pairs.push((name, value.to_vec())));
    pairs
}

fn last<'a>(headers: &'a [(&'static CStr, Vec<u8>)], name: &CStr) -> Option<&'a [u8]> {
    headers.iter().rev().find(|(found, _)| *found == name).map(|(_, value)| value.as_slice())
}

#[test]
fn every_name_that_a_format_reads_or_writes_is_known_in_any_spelling_and_no_other() {
    for name in [TraceContext, B3, B3Multi, Jaeger, Baggage].into_iter().flat_map(names) {
        assert!(concerns(name.to_bytes()), "{name:?}");
        assert!(concerns(&name.to_bytes().to_ascii_uppercase()), "{name:?}");
        assert!(!concerns(&name.to_bytes()[1..]), "{name:?}");
    }
    assert!(concerns(b"jaeger-debug-id"));
    for other in ["", "b", "t", "traceparents", "x-b3-other", "X-Request-ID", "kind"] {
        assert!(!concerns(other.as_bytes()), "{other}");
    }
}
