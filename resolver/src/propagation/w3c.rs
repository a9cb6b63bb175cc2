//! `traceparent`: W3C Trace Context, levels 1 and 2.

use super::{Reading, hex};
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// Writes a `traceparent` of version 00.
///
/// Flags that version does not define are left out. The context should be valid; a reader refuses it otherwise.
#[inline(always)]
pub fn write_traceparent(context: &SpanContext) -> [u8; 55] {
    let mut text = *b"00-................................-................-0.";
    text[3..35].copy_from_slice(&hex::encode_16(&context.trace_id));
    text[36..52].copy_from_slice(&hex::encode_8(&context.span_id));
    text[54] = hex::encode_digit(context.flags & KNOWN_FLAGS);
    text
}

/// Reads a `traceparent` of version 00, as [`write_traceparent`] writes it: the way back for our own header.
#[inline]
pub fn parse_traceparent(text: &[u8; 55]) -> Option<SpanContext> {
    if text[..3] != *b"00-" { None } else { parse_fields(text) }
}

/// Reads a `traceparent` of any version, strictly as the specification says.
pub(super) fn read(text: &[u8]) -> Reading {
    let Some(context) = parse(text) else { return Reading::Nothing };
    let sampling = if context.is_sampled() { ParentSampling::Sampled } else { ParentSampling::NotSampled };
    Reading::Context(context, sampling)
}

fn parse(text: &[u8]) -> Option<SpanContext> {
    let (fields, rest) = text.split_first_chunk::<55>()?;
    match hex::decode_byte(fields.first_chunk()?)? {
        0x00 if rest.is_empty() => {}
        0x00 | 0xff => return None,
        // A version to come may add fields after the ones we know.
        _ if rest.first().is_none_or(|&byte| byte == b'-') => {}
        _ => return None,
    }
    parse_fields(fields)
}

/// Reads all but the version.
#[inline]
fn parse_fields(text: &[u8; 55]) -> Option<SpanContext> {
    if text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
        return None;
    }
    let trace_id = hex::decode_16(text[3..].first_chunk()?)?;
    let span_id = hex::decode_8(text[36..].first_chunk()?)?;
    let flags = hex::decode_byte(text.last_chunk()?)? & KNOWN_FLAGS;
    let context = SpanContext { trace_id, span_id, flags };
    context.is_valid().then_some(context)
}

/// All others are to be ignored on reading and zero on writing.
const KNOWN_FLAGS: u8 = SpanContext::SAMPLED | SpanContext::RANDOM;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// J: W3C, 128-bit extract.
    #[test]
    fn a_traceparent_of_the_specification_is_read() {
        let context = parse(VALID.as_bytes()).unwrap();
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
        assert_eq!(context.span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        assert_eq!(context.flags, SpanContext::SAMPLED);
        assert_eq!(read(VALID.as_bytes()), Reading::Context(context, ParentSampling::Sampled));
    }

    /// J: W3C, inject.
    #[test]
    fn an_unsampled_context_is_written_with_all_its_zeros() {
        let context = SpanContext {
            trace_id: 0xc281_c279_76c8_5681_0000_0000_0000_0001_u128.to_be_bytes(),
            span_id: 2_u64.to_be_bytes(),
            flags: 0,
        };
        assert_eq!(&write_traceparent(&context), b"00-c281c27976c856810000000000000001-0000000000000002-00");
    }

    /// J: W3C, 64-bit round trip.
    #[test]
    fn a_trace_id_of_64_bits_keeps_its_leading_zeros() {
        let context = SpanContext { trace_id: 7_u128.to_be_bytes(), span_id: 2_u64.to_be_bytes(), flags: 1 };
        assert_eq!(parse_traceparent(&write_traceparent(&context)), Some(context));
    }

    #[test]
    fn level_2_keeps_the_random_flag_and_drops_flags_that_nobody_defined() {
        for (written, kept) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("fc", 0)] {
            let text = VALID.replace("-01", &format!("-{written}"));
            assert_eq!(parse(text.as_bytes()).unwrap().flags, kept, "{text}");
        }
        let all = SpanContext { flags: 0xff, ..parse(VALID.as_bytes()).unwrap() };
        assert!(write_traceparent(&all).ends_with(b"-03"));
        let debug =
            SpanContext { flags: SpanContext::DEBUG | SpanContext::SAMPLED, ..parse(VALID.as_bytes()).unwrap() };
        assert_eq!(&write_traceparent(&debug), VALID.as_bytes());
    }

    #[test]
    fn a_version_to_come_is_read_as_far_as_we_know_it() {
        let next = VALID.replacen("00", "01", 1);
        for tail in ["", "-", "-extra", "-extra-more"] {
            assert!(parse(format!("{next}{tail}").as_bytes()).is_some(), "{tail:?}");
            assert!(parse_traceparent(format!("{next}{tail}").as_bytes().first_chunk().unwrap()).is_none());
        }
        assert!(parse(VALID.replacen("00", "fe", 1).as_bytes()).is_some());
        assert!(parse(format!("{next}extra").as_bytes()).is_none());
        assert!(parse(format!("{next}.").as_bytes()).is_none());
    }

    /// J: W3C, zero trace id and zero span id.
    #[test]
    fn what_the_specification_calls_invalid_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0100",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "FF-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            "01_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        ] {
            assert_eq!(read(text.as_bytes()), Reading::Nothing, "{text}");
            if let Ok(text) = <&[u8; 55]>::try_from(text.as_bytes()) {
                assert_eq!(parse_traceparent(text), None);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_written_is_read_back(trace_id in 1..u128::MAX, span_id in 1..u64::MAX, flags in 0..4u8) {
            let context = SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags };
            let text = write_traceparent(&context);
            prop_assert_eq!(parse_traceparent(&text), Some(context));
            prop_assert_eq!(parse(&text), Some(context));
        }

        #[test]
        fn arbitrary_bytes_are_refused_not_tripped_over(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
        }

        #[test]
        fn the_sdk_agrees_about_what_is_valid(text in traceparents()) {
            let ours = parse(text.as_bytes());
            let sdk = sdk_context(&text);
            if sdk_is_laxer(&text) {
                prop_assert!(ours.is_none(), "{}", text);
            } else {
                prop_assert_eq!(ours.map(|ours| (ours.trace_id, ours.span_id, ours.is_sampled())), sdk, "{}", text);
            }
        }
    }

    /// Where the SDK takes what the specification refuses (our reasons are in RATIONALE.md).
    fn sdk_is_laxer(text: &str) -> bool {
        let fields: Vec<&str> = text.trim().split_terminator('-').collect();
        let widths = fields.iter().map(|field| field.len()).take(4).collect::<Vec<_>>() != [2, 32, 16, 2];
        let signs = fields.iter().take(4).any(|field| field.contains('+'));
        let upper_case_version = text.chars().take(2).any(|character| character.is_ascii_uppercase());
        let trailing_dash = text.starts_with("00") && text.ends_with('-');
        widths || signs || upper_case_version || trailing_dash || text.trim() != text
    }

    fn sdk_context(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
        let headers = HashMap::from([("traceparent".to_owned(), text.to_owned())]);
        let context = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &headers);
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| (context.trace_id().to_bytes(), context.span_id().to_bytes(), context.is_sampled()))
    }

    /// Valid ones, and ones with a single thing wrong.
    fn traceparents() -> impl Strategy<Value = String> {
        let id = |digits: usize| {
            let pattern = |weight, pattern: String| (weight, string_regex(&pattern).unwrap().boxed());
            prop::strategy::Union::new_weighted(vec![
                pattern(9, format!("[0-9a-f]{{{digits}}}")),
                pattern(1, format!("[0-9a-fA-Fg+]{{{digits}}}")),
                pattern(1, format!("0{{{digits}}}")),
                pattern(1, format!("[0-9a-f]{{0,{}}}", digits + 2)),
            ])
        };
        let tail = prop_oneof![6 => Just(String::new()), 1 => Just("-".to_owned()), 1 => Just(" ".to_owned()), 1 => "-[a-z]{0,3}".boxed()];
        (prop_oneof![6 => Just("00".to_owned()), 2 => "[0-9a-fA-F]{2}".boxed()], id(32), id(16), id(2), tail)
            .prop_map(|(version, trace, span, flags, tail)| format!("{version}-{trace}-{span}-{flags}{tail}"))
    }
}
