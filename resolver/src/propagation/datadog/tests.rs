//! What Datadog's tracers write, what they read, and what neither does.

use proptest::prelude::*;

use super::*;

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;
const LOW: &str = "11803532876627986230";
const PARENT: &str = "67667974448284343";
const TID: &str = "_dd.p.tid=4bf92f3577b34da6";

/// Recorded: ddtrace 4.16.0 (PyPI) and dd-trace 5.132.0 (npm), `DD_TRACE_PROPAGATION_STYLE=datadog`.
#[test]
fn what_datadog_s_own_libraries_write_is_read() {
    for (headers, sampling) in [
        ([Some(LOW), Some(PARENT), Some("1"), Some("_dd.p.dm=-0,_dd.p.tid=4bf92f3577b34da6")], ParentSampling::Sampled),
        (
            [Some(LOW), Some(PARENT), Some("0"), Some("_dd.p.dm=-0,_dd.p.tid=4bf92f3577b34da6")],
            ParentSampling::NotSampled,
        ),
        (
            [Some(LOW), Some(PARENT), Some("-1"), Some("_dd.p.dm=-0,_dd.p.tid=4bf92f3577b34da6")],
            ParentSampling::NotSampled,
        ),
        ([Some(LOW), Some(PARENT), Some("2"), Some("_dd.p.dm=-0,_dd.p.tid=4bf92f3577b34da6")], ParentSampling::Sampled),
        ([Some(LOW), Some(PARENT), None, Some("_dd.p.dm=-0,_dd.p.tid=4bf92f3577b34da6")], ParentSampling::Deferred),
        (
            [Some(LOW), Some(PARENT), Some("1"), Some("_dd.p.dm=-4,_dd.p.usr.id=YWJj,_dd.p.tid=4bf92f3577b34da6")],
            ParentSampling::Sampled,
        ),
    ] {
        assert_eq!(read_text(headers), context(TRACE, SPAN, sampling), "{headers:?}");
    }
    let of_64_bits = [Some(LOW), Some(PARENT), Some("1"), None];
    assert_eq!(read_text(of_64_bits), context(TRACE & u128::from(u64::MAX), SPAN, ParentSampling::Sampled));
    let of_node = ["6504834412571958535", "6504834412571958535", "1", "_dd.p.tid=6b0b715d00000000,_dd.p.dm=-0"];
    let span = 0x5a45_d06f_2416_9d07;
    let trace = 0x6b0b_715d_0000_0000_u128 << 64 | u128::from(span);
    assert_eq!(read_text(of_node.map(Some)), context(trace, span, ParentSampling::Sampled));
}

/// As ddtrace 4.16.0: a trace of 64 bits is left.
#[test]
fn a_tag_that_is_no_upper_half_leaves_the_lower_one() {
    let lower = context(TRACE & u128::from(u64::MAX), SPAN, ParentSampling::Sampled);
    for tags in [
        "",
        "bad",
        "_dd.p.tid=",
        "_dd.p.tid=12",
        "_dd.p.tid=4BF92F3577B34DA6",
        "_dd.p.tid=4bf92f3577b34da60",
        "_dd.p.tid=4bf92f3577b34dax",
        "x_dd.p.tid=4bf92f3577b34da6",
        "_dd.p.tid=0000000000000000",
        "_dd.p.tid4bf92f3577b34da6",
        ",,,",
    ] {
        assert_eq!(read_text([Some(LOW), Some(PARENT), Some("1"), Some(tags)]), lower, "{tags}");
    }
}

#[test]
fn a_trace_without_a_parent_is_only_a_word_about_sampling() {
    for parent in [None, Some("0"), Some("000")] {
        for (priority, reading) in [
            (Some("1"), Reading::Hint(ParentSampling::Sampled)),
            (Some("-1"), Reading::Hint(ParentSampling::NotSampled)),
            (None, Reading::Nothing),
        ] {
            assert_eq!(read_text([Some(LOW), parent, priority, Some(TID)]), reading, "{parent:?} {priority:?}");
        }
    }
}

#[test]
fn malformed_values_are_refused() {
    for wrong in [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.5",
        "x",
        "0x10",
        "18446744073709551616",
        "99999999999999999999",
        "000000000000000000001",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        assert_eq!(read_text([Some(wrong), Some(PARENT), Some("1"), None]), Reading::Nothing, "trace {wrong}");
        assert_eq!(read_text([Some(LOW), Some(wrong), Some("1"), None]), Reading::Nothing, "parent {wrong}");
    }
    for wrong in ["", "x", "1.5", "-", "--1", "+1", " 1", "99999999999999999999"] {
        assert_eq!(read_text([Some(LOW), Some(PARENT), Some(wrong), None]), Reading::Nothing, "priority {wrong}");
    }
    assert_eq!(read_text([Some("0"), Some(PARENT), Some("1"), None]), Reading::Nothing);
    assert_eq!(read_text([Some("0"), Some("0"), Some("1"), None]), Reading::Nothing);
    assert_eq!(read_text([None, Some(PARENT), Some("1"), Some(TID)]), Reading::Nothing);
    assert_eq!(read_text([None; 4]), Reading::Nothing);
    let most = [Some("18446744073709551615"); 2];
    assert_eq!(
        read_text([most[0], most[1], Some("1"), Some("_dd.p.tid=ffffffffffffffff")]),
        context(u128::MAX, u64::MAX, ParentSampling::Sampled)
    );
}

/// Read by ddtrace 4.16.0 and dd-trace 5.132.0 as this very context.
#[test]
fn it_is_written_as_those_libraries_read_it() {
    let written = |trace: u128, flags| {
        let context = SpanContext { trace_id: trace.to_be_bytes(), span_id: SPAN.to_be_bytes(), flags };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let tags = tags(&context).map(|tags| text(&tags));
        (text(trace_id(&context).as_slice()), text(parent_id(&context).as_slice()), text(priority(&context)), tags)
    };
    let (low, parent) = (LOW.to_owned(), PARENT.to_owned());
    assert_eq!(written(TRACE, 1), (low.clone(), parent.clone(), "1".to_owned(), Some(TID.to_owned())));
    assert_eq!(written(TRACE, 0).2, "0");
    assert_eq!(written(TRACE, SpanContext::SAMPLED | SpanContext::DEBUG).2, "2");
    assert_eq!(written(TRACE & u128::from(u64::MAX), 1), (low, parent, "1".to_owned(), None));
}

fn read_text(headers: [Option<&str>; 4]) -> Reading {
    let [trace_id, parent_id, priority, tags] = headers.map(|value| value.map(str::as_bytes));
    read(&Headers { trace_id, parent_id, priority, tags })
}

fn context(trace_id: u128, span_id: u64, sampling: ParentSampling) -> Reading {
    let flags = if sampling == ParentSampling::Sampled { SpanContext::SAMPLED } else { 0 };
    Reading::Context(SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags }, sampling)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_back(high in prop_oneof![Just(0), any::<u64>()], low in prop_oneof![Just(0), any::<u64>()], span in 1..=u64::MAX, flags in 0..2_u8) {
        let trace = u128::from(high) << 64 | u128::from(low);
        prop_assume!(trace != 0);
        let written = SpanContext { trace_id: trace.to_be_bytes(), span_id: span.to_be_bytes(), flags };
        let (trace_id, parent_id, tags) = (trace_id(&written), parent_id(&written), tags(&written));
        let read = read(&Headers {
            trace_id: Some(trace_id.as_slice()),
            parent_id: Some(parent_id.as_slice()),
            priority: Some(priority(&written)),
            tags: tags.as_ref().map(|tags| &tags[..]),
        });
        prop_assert!(matches!(read, Reading::Context(read, _) if read == written), "{:?}", read);
    }

    #[test]
    fn arbitrary_bytes_are_refused_not_tripped_over(values in prop::array::uniform4(prop::option::of(prop::collection::vec(prop_oneof![Just(b'1'), Just(b'-'), Just(b','), any::<u8>()], 0..40)))) {
        let [trace_id, parent_id, priority, tags] = values.each_ref().map(|value| value.as_deref());
        if let Reading::Context(context, _) = read(&Headers { trace_id, parent_id, priority, tags }) {
            prop_assert!(context.is_valid());
        }
    }
}
