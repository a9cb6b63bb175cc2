//! What X-Ray's libraries write, in any order, well-formed and not.

use proptest::prelude::*;

use super::*;

const ROOT: &str = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736";
const PARENT: &str = "Parent=00f067aa0ba902b7";

fn context(sampling: ParentSampling) -> Reading {
    let flags = if sampling == ParentSampling::Sampled { SpanContext::SAMPLED } else { 0 };
    Reading::Context(SpanContext { flags, ..ids() }, sampling)
}

fn ids() -> SpanContext {
    SpanContext {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes(),
        span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
        flags: 0,
    }
}

/// Recorded: opentelemetry-propagator-aws-xray 1.0.2 and aws-xray-sdk 2.15.0 (PyPI), @opentelemetry/propagator-aws-xray
/// 2.2.0 (npm).
#[test]
fn what_the_libraries_write_is_read() {
    for (written, sampling) in [
        ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1", ParentSampling::Sampled),
        ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=0", ParentSampling::NotSampled),
        ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=?", ParentSampling::Deferred),
        (
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=0;Foo=bar",
            ParentSampling::NotSampled,
        ),
    ] {
        assert_eq!(read(written.as_bytes()), context(sampling), "{written}");
    }
}

#[test]
fn fields_stand_in_any_order_with_white_space_and_others_among_them() {
    for text in [
        format!("Sampled=1;{PARENT};{ROOT}"),
        format!("{ROOT}; {PARENT} ;\tSampled=1"),
        format!("Self=1-67891234-12456789abcdef012345678;{ROOT};{PARENT};Sampled=1;Lineage=a87bd80c:1|68fd508a:5"),
        format!(";;{ROOT};;{PARENT};Sampled=1;"),
    ] {
        assert_eq!(read(text.as_bytes()), context(ParentSampling::Sampled), "{text}");
    }
    assert_eq!(read(format!("{ROOT};{PARENT}").as_bytes()), context(ParentSampling::Deferred));
}

#[test]
fn a_trace_without_a_parent_is_only_a_word_about_sampling() {
    assert_eq!(read(format!("{ROOT};Sampled=1").as_bytes()), Reading::Hint(ParentSampling::Sampled));
    assert_eq!(read(format!("{ROOT};Sampled=0").as_bytes()), Reading::Hint(ParentSampling::NotSampled));
    for undecided in [ROOT.to_owned(), format!("{ROOT};Sampled=?")] {
        assert_eq!(read(undecided.as_bytes()), Reading::Nothing, "{undecided}");
    }
}

#[test]
fn malformed_values_are_refused() {
    for text in [
        String::new(),
        ";".to_owned(),
        "Sampled=1".to_owned(),
        format!("{PARENT};Sampled=1"),
        format!("{ROOT};Parent=;Sampled=1"),
        format!("{ROOT};Parent=0000000000000000;Sampled=1"),
        format!("{ROOT};Parent=00f067aa0ba902b;Sampled=1"),
        format!("{ROOT};Parent=00f067aa0ba902b70;Sampled=1"),
        format!("{ROOT};Parent=00F067AA0BA902B7;Sampled=1"),
        format!("{ROOT};{PARENT};Sampled="),
        format!("{ROOT};{PARENT};Sampled=2"),
        format!("{ROOT};{PARENT};Sampled=true"),
        format!("Root=1-00000000-000000000000000000000000;{PARENT};Sampled=1"),
        format!("Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;{PARENT};Sampled=1"),
        format!("Root=1-4bf92f3-577b34da6a3ce929d0e0e4736;{PARENT};Sampled=1"),
        format!("Root=1-4bf92f3577b34da6a3ce929d0e0e4736;{PARENT};Sampled=1"),
        format!("Root=1-4bf92f35-77b34da6a3ce929d0e0e473;{PARENT};Sampled=1"),
        format!("Root=1-4bf92f35-77b34da6a3ce929d0e0e47366;{PARENT};Sampled=1"),
        format!("Root=1-4bf92f35-77b34da6a3ce929d0e0e473x;{PARENT};Sampled=1"),
        format!("Root=1-4bf92f3\u{e9}-77b34da6a3ce929d0e0e4736;{PARENT};Sampled=1"),
        format!("root=1-4bf92f35-77b34da6a3ce929d0e0e4736;{PARENT};Sampled=1"),
        format!("Root = 1-4bf92f35-77b34da6a3ce929d0e0e4736;{PARENT};Sampled=1"),
    ] {
        assert_eq!(read(text.as_bytes()), Reading::Nothing, "{text}");
    }
}

/// Read by opentelemetry-propagator-aws-xray 1.0.2, aws-xray-sdk 2.15.0 and @opentelemetry/propagator-aws-xray 2.2.0 as this
/// very context.
#[test]
fn it_is_written_as_the_libraries_write_it() {
    let written = |flags| String::from_utf8(write(&SpanContext { flags, ..ids() }).to_vec()).unwrap();
    assert_eq!(written(SpanContext::SAMPLED | SpanContext::RANDOM), format!("{ROOT};{PARENT};Sampled=1"));
    assert_eq!(written(0), format!("{ROOT};{PARENT};Sampled=0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_back(trace_id in 1..u128::MAX, span_id in 1..u64::MAX, flags in 0..2_u8) {
        let context = SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags };
        let Reading::Context(read, _) = read(&write(&context)) else { panic!("not read") };
        prop_assert_eq!(read, context);
    }

    #[test]
    fn arbitrary_bytes_are_refused_not_tripped_over(fields in prop::collection::vec((prop::sample::select(vec!["Root=1-", "Parent=", "Sampled=", ""]), prop::collection::vec(any::<u8>(), 0..40)), 0..6)) {
        let text: Vec<u8> = fields.into_iter().flat_map(|(name, value)| [name.as_bytes(), &value, b";"].concat()).collect();
        let _ = read(&text);
    }
}
