//! `uber-trace-id`: the header of Jaeger's own clients.

use super::{Reading, hex};
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// The `uber-trace-id` value of a context, `{trace}:{span}:0:{flags}`. The parent's id is deprecated and written as zero.
#[inline]
pub(super) fn write(context: &SpanContext) -> [u8; 53] {
    let mut text = *b"................................:................:0:.";
    text[..32].copy_from_slice(&hex::encode_16(&context.trace_id));
    text[33..49].copy_from_slice(&hex::encode_8(&context.span_id));
    text[52] = match (context.is_debug(), context.is_sampled()) {
        (true, _) => hex::encode_digit(SAMPLED | DEBUG),
        (false, true) => hex::encode_digit(SAMPLED),
        (false, false) => b'0',
    };
    text
}

/// Reads `uber-trace-id`, its colons plain or URL-encoded, ids of any length up to the full one.
pub(super) fn read(text: &[u8]) -> Reading {
    let Some((trace_id, span_id, flags)) = parse(text) else { return Reading::Nothing };
    let (sampling, flags) = match (flags & DEBUG != 0, flags & SAMPLED != 0) {
        (true, _) => (ParentSampling::Debug, SpanContext::SAMPLED | SpanContext::DEBUG),
        (false, true) => (ParentSampling::Sampled, SpanContext::SAMPLED),
        (false, false) => (ParentSampling::NotSampled, 0),
    };
    let context = SpanContext { trace_id, span_id, flags };
    if context.is_valid() { Reading::Context(context, sampling) } else { Reading::Nothing }
}

fn parse(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    if let Some(ours) = parse_full_width(text) {
        return Some(ours);
    }
    let (trace_id, rest) = split_at_colon(text)?;
    let (span_id, rest) = split_at_colon(rest)?;
    let (parent, flags) = split_at_colon(rest)?;
    hex::decode_number(parent, 16)?;
    let trace_id = hex::decode_number(trace_id, 32)?.to_be_bytes();
    let span_id = u64::try_from(hex::decode_number(span_id, 16)?).ok()?.to_be_bytes();
    // A fifth field would show here: a colon is no digit.
    let flags = u8::try_from(hex::decode_number(flags, 2)?).ok()?;
    Some((trace_id, span_id, flags))
}

/// The way back for our own header, and for all who pad their ids and have no parent.
#[inline]
fn parse_full_width(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let text = <&[u8; 53]>::try_from(text).ok()?;
    if text[32] != b':' || text[49..52] != *b":0:" {
        return None;
    }
    let flags = hex::decode_number(&text[52..], 1)?;
    Some((hex::decode_16(text.first_chunk()?)?, hex::decode_8(text[33..].first_chunk()?)?, u8::try_from(flags).ok()?))
}

fn split_at_colon(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| matches!(byte, b':' | b'%'))?;
    let (before, rest) = text.split_at_checked(at)?;
    match rest {
        [b':', after @ ..] | [b'%', b'3', b'A' | b'a', after @ ..] => Some((before, after)),
        _ => None,
    }
}

/// The trace is kept.
const SAMPLED: u8 = 0x01;
/// The trace must be kept by everyone below.
const DEBUG: u8 = 0x02;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// J: text codec, `ff:dd:cc:4`.
    #[test]
    fn short_ids_are_read_as_numbers() {
        assert_eq!(read(b"ff:dd:cc:4"), context(255, 221, 0, ParentSampling::NotSampled));
        assert_eq!(read(b"1:2:0:1"), context(1, 2, SpanContext::SAMPLED, ParentSampling::Sampled));
    }

    /// J: text codec, an id of more than 64 bits.
    #[test]
    fn a_long_trace_id_fills_both_halves() {
        assert_eq!(
            read(b"100000000000000ff:dd:cc:1"),
            context(1 << 64 | 255, 221, SpanContext::SAMPLED, ParentSampling::Sampled)
        );
        let full = "f".repeat(32);
        assert_eq!(read(format!("{full}:1:0:0").as_bytes()), context(u128::MAX, 1, 0, ParentSampling::NotSampled));
    }

    /// J: text codec, the debug flag, and flags of two digits.
    #[test]
    fn flags_say_sampled_and_debug() {
        let kept = SpanContext::SAMPLED;
        let debug = kept | SpanContext::DEBUG;
        for (text, flags, sampling) in [
            ("0", 0, ParentSampling::NotSampled),
            ("1", kept, ParentSampling::Sampled),
            ("01", kept, ParentSampling::Sampled),
            ("2", debug, ParentSampling::Debug),
            ("3", debug, ParentSampling::Debug),
            ("5", kept, ParentSampling::Sampled),
            ("81", kept, ParentSampling::Sampled),
        ] {
            assert_eq!(read(format!("1:2:0:{text}").as_bytes()), context(1, 2, flags, sampling), "{text}");
        }
    }

    /// J: text codec, reads encoded `2a%3A1%3A0%3A1`.
    #[test]
    fn url_encoded_colons_are_read() {
        assert_eq!(read(b"2a%3A1%3A0%3A1"), context(42, 1, 1, ParentSampling::Sampled));
        assert_eq!(read(b"2a%3a1%3a0%3a1"), context(42, 1, 1, ParentSampling::Sampled));
        assert_eq!(read(b"2a:1%3A0:1"), context(42, 1, 1, ParentSampling::Sampled));
        assert_eq!(read(b"2a%3B1%3A0%3A1"), Reading::Nothing);
        assert_eq!(read(b"2a%3"), Reading::Nothing);
    }

    /// J: text codec, malformed values.
    #[test]
    fn malformed_values_are_refused() {
        let long = format!("{}:dd:cc:4", "f".repeat(33));
        let full_width = |colon: char| format!("{}{colon}{}:0:1", "1".repeat(32), "2".repeat(16));
        assert_ne!(read(full_width(':').as_bytes()), Reading::Nothing, "the others would be refused anyhow");
        for colon in ['-', '1', '%', ' '] {
            assert_eq!(read(full_width(colon).as_bytes()), Reading::Nothing, "{colon}");
        }
        for text in [
            "",
            ":",
            ":::",
            "ff",
            "ff:ff",
            "ff:ff:ff",
            "ff:dd:cc:4:5",
            "ff::cc:4",
            "ff:dd::4",
            "ff:dd:cc:",
            ":dd:cc:4",
            "fg:dd:cc:4",
            "ff:dg:cc:4",
            "ff:dd:cg:4",
            "ff:dd:cc:g",
            "FF:dd:cc:4",
            "ff:DD:cc:4",
            "+f:dd:cc:4",
            "ff:dd:cc:123",
            "ff:11111111111111111:cc:4",
            "ff:dd:11111111111111111:4",
            &long,
            " ff:dd:cc:4",
            "ff:dd:cc:4 ",
        ] {
            assert_eq!(read(text.as_bytes()), Reading::Nothing, "{text}");
        }
    }

    #[test]
    fn an_id_of_zero_is_no_context() {
        assert_eq!(read(b"0:1:0:1"), Reading::Nothing);
        assert_eq!(read(b"1:0:0:1"), Reading::Nothing);
        let zeros = "0".repeat(32);
        assert_eq!(read(format!("{zeros}:0000000000000001:0:1").as_bytes()), Reading::Nothing);
    }

    /// J: text codec, ids are written in full width, and ids with the top bit set as what they are.
    #[test]
    fn ids_are_written_in_full_width() {
        let written = |flags| {
            let context =
                SpanContext { trace_id: (2 << 64 | 1_u128).to_be_bytes(), span_id: u64::MAX.to_be_bytes(), flags };
            String::from_utf8(write(&context).to_vec()).unwrap()
        };
        assert_eq!(written(0), "00000000000000020000000000000001:ffffffffffffffff:0:0");
        assert_eq!(
            written(SpanContext::SAMPLED | SpanContext::RANDOM),
            "00000000000000020000000000000001:ffffffffffffffff:0:1"
        );
        assert_eq!(
            written(SpanContext::SAMPLED | SpanContext::DEBUG),
            "00000000000000020000000000000001:ffffffffffffffff:0:3"
        );
    }

    fn context(trace_id: u128, span_id: u64, flags: u8, sampling: ParentSampling) -> Reading {
        Reading::Context(
            SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags },
            sampling,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn what_is_written_is_read_back(trace_id in 1..u128::MAX, span_id in 1..u64::MAX, flags in prop::sample::select(vec![0, SpanContext::SAMPLED, SpanContext::SAMPLED | SpanContext::DEBUG])) {
            let context = SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags };
            let text = write(&context);
            prop_assert!(parse_full_width(&text).is_some());
            let Reading::Context(read, _) = read(&text) else { panic!("not read") };
            prop_assert_eq!(read, context);
        }

        #[test]
        fn the_short_way_and_the_long_one_agree(trace_id: u128, span_id: u64, parent in prop_oneof![3 => Just(0), 1 => any::<u64>()], flags: u8) {
            let padded = read(format!("{trace_id:032x}:{span_id:016x}:{parent:x}:{flags:x}").as_bytes());
            prop_assert_eq!(padded, read(format!("{trace_id:x}:{span_id:x}:{parent:x}:{flags:x}").as_bytes()));
            prop_assert_eq!(padded, read(format!("{trace_id:x}%3A{span_id:x}%3A{parent:x}%3A{flags:x}").as_bytes()));
        }

        #[test]
        fn arbitrary_bytes_are_refused_not_tripped_over(bytes in prop::collection::vec(prop_oneof![Just(b':'), Just(b'%'), Just(b'3'), Just(b'A'), any::<u8>()], 0..80)) {
            let _ = read(&bytes);
        }
    }
}
