//! B3: `b3` in one header, or `X-B3-*` in several.

use super::{Reading, hex};
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// The `b3` value of a context, `{trace}-{span}-{state}`. No parent: messages carry none.
#[inline]
pub(super) fn write_single(context: &SpanContext) -> [u8; 51] {
    let mut text = *b"................................-................-.";
    text[..32].copy_from_slice(&hex::encode_16(&context.trace_id));
    text[33..49].copy_from_slice(&hex::encode_8(&context.span_id));
    text[50] = match (context.is_debug(), context.is_sampled()) {
        (true, _) => b'd',
        (false, true) => b'1',
        (false, false) => b'0',
    };
    text
}

/// Reads `b3`: `{trace}-{span}`, `{trace}-{span}-{state}`, `{trace}-{span}-{state}-{parent}` or the state alone.
pub(super) fn read_single(text: &[u8]) -> Reading {
    if let [state] = text {
        return single_state(*state).map_or(Reading::Nothing, Reading::Hint);
    }
    match parse_single(text) {
        Some((trace_id, span_id, sampling)) => context(trace_id, span_id, sampling),
        None => Reading::Nothing,
    }
}

/// The values of the several headers, each the last of its name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Multi<'a> {
    pub(super) trace_id: Option<&'a [u8]>,
    pub(super) span_id: Option<&'a [u8]>,
    pub(super) sampled: Option<&'a [u8]>,
    pub(super) flags: Option<&'a [u8]>,
}

/// Reads `X-B3-TraceId` and its family. The parent's id is of no use to us and is not looked at.
pub(super) fn read_multi(headers: &Multi<'_>) -> Reading {
    let Some(sampling) = multi_state(headers) else { return Reading::Nothing };
    let (trace_id, span_id) = match (headers.trace_id, headers.span_id) {
        (Some(trace_id), Some(span_id)) => (trace_id, span_id),
        (None, None) if sampling != ParentSampling::Deferred => return Reading::Hint(sampling),
        _ => return Reading::Nothing,
    };
    match (parse_trace_id(trace_id), parse_span_id(span_id)) {
        (Some(trace_id), Some(span_id)) => context(trace_id, span_id, sampling),
        _ => Reading::Nothing,
    }
}

fn context(trace_id: [u8; 16], span_id: [u8; 8], sampling: ParentSampling) -> Reading {
    let flags = match sampling {
        ParentSampling::Sampled => SpanContext::SAMPLED,
        ParentSampling::Debug => SpanContext::SAMPLED | SpanContext::DEBUG,
        ParentSampling::NotSampled | ParentSampling::Deferred | ParentSampling::NoParent => 0,
    };
    let context = SpanContext { trace_id, span_id, flags };
    if context.is_valid() { Reading::Context(context, sampling) } else { Reading::Nothing }
}

fn parse_single(text: &[u8]) -> Option<([u8; 16], [u8; 8], ParentSampling)> {
    let trace_digits = if text.get(32) == Some(&b'-') { 32 } else { 16 };
    let (trace_id, rest) = text.split_at_checked(trace_digits)?;
    let (span_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let sampling = match rest {
        [] => ParentSampling::Deferred,
        [b'-', state] => single_state(*state)?,
        [b'-', state, b'-', parent @ ..] => {
            parse_span_id(parent)?;
            single_state(*state)?
        }
        _ => return None,
    };
    Some((parse_trace_id(trace_id)?, parse_span_id(span_id)?, sampling))
}

/// 128 or 64 bits; the latter are padded with zeros in front.
fn parse_trace_id(text: &[u8]) -> Option<[u8; 16]> {
    if let Ok(text) = text.try_into() {
        return hex::decode_16(text);
    }
    let low = hex::decode_8(text.try_into().ok()?)?;
    Some(u128::from(u64::from_be_bytes(low)).to_be_bytes())
}

fn parse_span_id(text: &[u8]) -> Option<[u8; 8]> {
    hex::decode_8(text.try_into().ok()?)
}

fn single_state(state: u8) -> Option<ParentSampling> {
    match state {
        b'0' => Some(ParentSampling::NotSampled),
        b'1' => Some(ParentSampling::Sampled),
        b'd' => Some(ParentSampling::Debug),
        _ => None,
    }
}

/// `None` when the headers hold a state that is none. Debug wins over any of them, as it implies being sampled.
fn multi_state(headers: &Multi<'_>) -> Option<ParentSampling> {
    if headers.flags == Some(b"1") {
        return Some(ParentSampling::Debug);
    }
    match headers.sampled {
        None => Some(ParentSampling::Deferred),
        // Words are how the first implementations wrote it.
        Some(sampled) if sampled == b"1" || sampled.eq_ignore_ascii_case(b"true") => Some(ParentSampling::Sampled),
        Some(sampled) if sampled == b"0" || sampled.eq_ignore_ascii_case(b"false") => Some(ParentSampling::NotSampled),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";
    const PARENT: &str = "00000000000000cd";

    fn ids() -> SpanContext {
        SpanContext {
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes(),
            span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
            flags: 0,
        }
    }

    #[test]
    fn the_single_header_is_read_in_all_its_forms() {
        for (tail, sampling, flags) in [
            (String::new(), ParentSampling::Deferred, 0),
            ("-0".to_owned(), ParentSampling::NotSampled, 0),
            ("-1".to_owned(), ParentSampling::Sampled, SpanContext::SAMPLED),
            ("-d".to_owned(), ParentSampling::Debug, SpanContext::SAMPLED | SpanContext::DEBUG),
            (format!("-1-{PARENT}"), ParentSampling::Sampled, SpanContext::SAMPLED),
            (format!("-0-{PARENT}"), ParentSampling::NotSampled, 0),
        ] {
            let expected = Reading::Context(SpanContext { flags, ..ids() }, sampling);
            assert_eq!(read_single(format!("{TRACE}-{SPAN}{tail}").as_bytes()), expected, "{tail}");
        }
    }

    #[test]
    fn a_state_alone_is_a_hint_without_a_context() {
        assert_eq!(read_single(b"0"), Reading::Hint(ParentSampling::NotSampled));
        assert_eq!(read_single(b"1"), Reading::Hint(ParentSampling::Sampled));
        assert_eq!(read_single(b"d"), Reading::Hint(ParentSampling::Debug));
        assert_eq!(read_single(b"2"), Reading::Nothing);
        let multi = Multi { sampled: Some(b"0"), ..Multi::default() };
        assert_eq!(read_multi(&multi), Reading::Hint(ParentSampling::NotSampled));
        assert_eq!(read_multi(&Multi::default()), Reading::Nothing);
    }

    /// J: B3, 64-bit ids.
    #[test]
    fn a_trace_id_of_64_bits_is_padded_in_front() {
        let context = SpanContext { trace_id: 0xa3ce_929d_0e0e_4736_u128.to_be_bytes(), flags: 1, ..ids() };
        let single = format!("a3ce929d0e0e4736-{SPAN}-1-{PARENT}");
        assert_eq!(read_single(single.as_bytes()), Reading::Context(context, ParentSampling::Sampled));
        let multi = multi(b"a3ce929d0e0e4736", SPAN.as_bytes(), Some(b"1"));
        assert_eq!(read_multi(&multi), Reading::Context(context, ParentSampling::Sampled));
    }

    /// J: B3, 128-bit extract with debug flags, and both spellings of sampled.
    #[test]
    fn the_several_headers_say_when_a_trace_is_kept() {
        for (sampled, flags, sampling) in [
            (None, None, ParentSampling::Deferred),
            (Some("1"), None, ParentSampling::Sampled),
            (Some("true"), None, ParentSampling::Sampled),
            (Some("True"), None, ParentSampling::Sampled),
            (Some("0"), None, ParentSampling::NotSampled),
            (Some("false"), None, ParentSampling::NotSampled),
            (Some("1"), Some("1"), ParentSampling::Debug),
            (Some("0"), Some("1"), ParentSampling::Debug),
            (None, Some("1"), ParentSampling::Debug),
            (Some("1"), Some("0"), ParentSampling::Sampled),
        ] {
            let headers = Multi {
                flags: flags.map(str::as_bytes),
                ..multi(TRACE.as_bytes(), SPAN.as_bytes(), sampled.map(str::as_bytes))
            };
            let Reading::Context(context, found) = read_multi(&headers) else { panic!("{sampled:?} {flags:?}") };
            assert_eq!(
                (context.trace_id, context.span_id, found),
                (ids().trace_id, ids().span_id, sampling),
                "{sampled:?} {flags:?}"
            );
        }
    }

    /// J: B3, nine hostile inputs: too long, empty and upper-case, in each id.
    #[test]
    fn hostile_ids_are_refused_in_both_forms() {
        let upper = (TRACE.to_uppercase(), SPAN.to_uppercase());
        let long = (format!("{TRACE}0"), format!("{SPAN}0"));
        for (trace, span) in [
            (upper.0.as_str(), SPAN),
            (TRACE, upper.1.as_str()),
            (long.0.as_str(), SPAN),
            (TRACE, long.1.as_str()),
            ("", SPAN),
            (TRACE, ""),
            ("4bf92f35", SPAN),
            (TRACE, "00f067aa"),
            ("00000000000000000000000000000000", SPAN),
            ("0000000000000000", SPAN),
            (TRACE, "0000000000000000"),
            ("4bf92f3577b34da6a3ce929d0e0e473x", SPAN),
        ] {
            assert_eq!(read_single(format!("{trace}-{span}-1").as_bytes()), Reading::Nothing, "{trace}-{span}");
            assert_eq!(
                read_multi(&multi(trace.as_bytes(), span.as_bytes(), Some(b"1"))),
                Reading::Nothing,
                "{trace} {span}"
            );
        }
        for parent in ["", "00000000000000CD", "00000000000000cd0"] {
            assert_eq!(read_single(format!("{TRACE}-{SPAN}-1-{parent}").as_bytes()), Reading::Nothing, "{parent}");
        }
    }

    #[test]
    fn half_a_context_and_an_unknown_state_are_refused() {
        for text in [
            "",
            "-",
            "--",
            &format!("{TRACE}-"),
            &format!("{TRACE}-{SPAN}-"),
            &format!("{TRACE}-{SPAN}-x"),
            &format!("{TRACE}-{SPAN}-{PARENT}"),
            &format!("{TRACE}-{SPAN}-1-{PARENT}-"),
            &format!("{TRACE}_{SPAN}-1"),
        ] {
            assert_eq!(read_single(text.as_bytes()), Reading::Nothing, "{text}");
        }
        let only_trace = Multi { span_id: None, ..multi(TRACE.as_bytes(), b"", Some(b"1")) };
        assert_eq!(read_multi(&only_trace), Reading::Nothing);
        let only_span = Multi { trace_id: None, ..multi(b"", SPAN.as_bytes(), Some(b"1")) };
        assert_eq!(read_multi(&only_span), Reading::Nothing);
        assert_eq!(read_multi(&multi(TRACE.as_bytes(), SPAN.as_bytes(), Some(b"yes"))), Reading::Nothing);
        assert_eq!(read_multi(&multi(TRACE.as_bytes(), SPAN.as_bytes(), Some(b""))), Reading::Nothing);
    }

    #[test]
    fn the_single_header_is_written_without_a_parent() {
        let written = |flags| String::from_utf8(write_single(&SpanContext { flags, ..ids() }).to_vec()).unwrap();
        assert_eq!(written(0), format!("{TRACE}-{SPAN}-0"));
        assert_eq!(written(SpanContext::SAMPLED | SpanContext::RANDOM), format!("{TRACE}-{SPAN}-1"));
        assert_eq!(written(SpanContext::SAMPLED | SpanContext::DEBUG), format!("{TRACE}-{SPAN}-d"));
    }

    fn multi<'a>(trace_id: &'a [u8], span_id: &'a [u8], sampled: Option<&'a [u8]>) -> Multi<'a> {
        Multi { trace_id: Some(trace_id), span_id: Some(span_id), sampled, flags: None }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn what_is_written_is_read_back(trace_id in 1..u128::MAX, span_id in 1..u64::MAX, flags in prop::sample::select(vec![0, SpanContext::SAMPLED, SpanContext::SAMPLED | SpanContext::DEBUG])) {
            let context = SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags };
            let Reading::Context(read, _) = read_single(&write_single(&context)) else { panic!("not read") };
            prop_assert_eq!(read, context);
        }

        #[test]
        fn arbitrary_bytes_are_refused_not_tripped_over(bytes in prop::collection::vec(prop_oneof![Just(b'-'), Just(b'a'), any::<u8>()], 0..80), cut in 0..80usize) {
            let _ = read_single(&bytes);
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let _ = read_multi(&multi(first, second, Some(second)));
        }

        #[test]
        fn a_context_that_is_read_is_valid(text in "([0-9a-f]{16}|[0-9a-f]{32}|0{32}|0{16})-([0-9a-f]{16}|0{16})(-[01dx](-[0-9a-f]{16})?)?") {
            if let Reading::Context(context, _) = read_single(text.as_bytes()) {
                prop_assert!(context.is_valid());
            }
        }
    }
}
