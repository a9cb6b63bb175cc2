//! `x-datadog-*`: the headers of Datadog's tracers. Ids are decimal, and the upper half of a trace id travels among the tags.

use super::{Reading, hex};
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// The values of the headers, each the last of its name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    pub(super) trace_id: Option<&'a [u8]>,
    pub(super) parent_id: Option<&'a [u8]>,
    pub(super) priority: Option<&'a [u8]>,
    pub(super) tags: Option<&'a [u8]>,
}

/// Reads the family. A trace without a parent, as a synthetic test begins it, is only a hint: a span of ours would need one.
#[cold]
pub(super) fn read(headers: &Headers<'_>) -> Reading {
    let (Some(low), Some(sampling)) = (headers.trace_id.and_then(number), sampling(headers.priority)) else {
        return Reading::Nothing;
    };
    let parent_id = match headers.parent_id.map(number) {
        None => 0,
        Some(Some(parent_id)) => parent_id,
        Some(None) => return Reading::Nothing,
    };
    // What is no upper half leaves a trace of 64 bits, which is what older tracers have.
    let high = headers.tags.and_then(upper_half).unwrap_or(0);
    let trace_id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let flags = if sampling == ParentSampling::Sampled { SpanContext::SAMPLED } else { 0 };
    let context = SpanContext { trace_id, span_id: parent_id.to_be_bytes(), flags };
    match (context.is_valid(), sampling) {
        (true, _) => Reading::Context(context, sampling),
        (false, ParentSampling::Deferred) => Reading::Nothing,
        (false, _) if trace_id != [0; 16] => Reading::Hint(sampling),
        (false, _) => Reading::Nothing,
    }
}

/// The lower half of the trace id.
pub(super) fn trace_id(context: &SpanContext) -> Decimal {
    Decimal::new(u128::from_be_bytes(context.trace_id) as u64)
}

/// The span's id.
pub(super) fn parent_id(context: &SpanContext) -> Decimal {
    Decimal::new(u64::from_be_bytes(context.span_id))
}

/// Whether the trace is kept; that it must be is the nearest to a debug trace.
pub(super) fn priority(context: &SpanContext) -> &'static [u8; 1] {
    match (context.is_debug(), context.is_sampled()) {
        (true, _) => b"2",
        (false, true) => b"1",
        (false, false) => b"0",
    }
}

/// The tag with the upper half of the trace id, if that has any.
pub(super) fn tags(context: &SpanContext) -> Option<[u8; 26]> {
    let high = context.trace_id.first_chunk::<8>().filter(|high| **high != [0; 8])?;
    let mut text = *b"_dd.p.tid=................";
    text[10..26].copy_from_slice(&hex::encode_8(high));
    Some(text)
}

/// A number as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    /// Right-aligned.
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        for digit in decimal.digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            decimal.start -= 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        decimal
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or(&[])
    }
}

/// A number of digits alone, of at most 64 bits.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `None` when the header holds what is no priority. Two says that a person or a rule keeps the trace, and not that everyone below
/// must, so it is no debug trace.
fn sampling(priority: Option<&[u8]>) -> Option<ParentSampling> {
    let Some(text) = priority else { return Some(ParentSampling::Deferred) };
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let number = number(digits)?;
    Some(if is_negative || number == 0 { ParentSampling::NotSampled } else { ParentSampling::Sampled })
}

fn upper_half(tags: &[u8]) -> Option<u64> {
    let tag = tags.split(|byte| *byte == b',').find_map(|tag| tag.strip_prefix(b"_dd.p.tid="))?;
    hex::decode_8(tag.try_into().ok()?).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
