//! `X-Amzn-Trace-Id`: the header of AWS X-Ray.

use super::{Reading, hex};
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// The value of a context, `Root=1-{8 digits}-{24 digits};Parent={span};Sampled={0 or 1}`.
#[inline]
pub(super) fn write(context: &SpanContext) -> [u8; 74] {
    let mut text = *b"Root=1-........-........................;Parent=................;Sampled=.";
    let trace_id = hex::encode_16(&context.trace_id);
    let (epoch, unique) = trace_id.split_at(8);
    text[7..15].copy_from_slice(epoch);
    text[16..40].copy_from_slice(unique);
    text[48..64].copy_from_slice(&hex::encode_8(&context.span_id));
    text[73] = if context.is_sampled() { b'1' } else { b'0' };
    text
}

/// Reads the fields, which stand in any order, with white space around them or not; others than these three are passed over.
///
/// Without a parent, as load balancers send it, there is only what it says of sampling: a span of ours would need one.
#[cold]
pub(super) fn read(text: &[u8]) -> Reading {
    let (mut root, mut parent, mut sampling) = (None, None, ParentSampling::Deferred);
    for field in text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        if let Some(value) = field.strip_prefix(b"Root=") {
            root = Some(value);
        } else if let Some(value) = field.strip_prefix(b"Parent=") {
            parent = Some(value);
        } else if let Some(value) = field.strip_prefix(b"Sampled=") {
            sampling = match value {
                b"1" => ParentSampling::Sampled,
                b"0" => ParentSampling::NotSampled,
                // The one before asks for a decision.
                b"?" => ParentSampling::Deferred,
                _ => return Reading::Nothing,
            };
        }
    }
    let Some(trace_id) = root.and_then(trace_id).filter(|id| *id != [0; 16]) else { return Reading::Nothing };
    let Some(parent) = parent else {
        return if sampling == ParentSampling::Deferred { Reading::Nothing } else { Reading::Hint(sampling) };
    };
    let flags = if sampling == ParentSampling::Sampled { SpanContext::SAMPLED } else { 0 };
    match parent.try_into().ok().and_then(hex::decode_8) {
        Some(span_id) if span_id != [0; 8] => Reading::Context(SpanContext { trace_id, span_id, flags }, sampling),
        _ => Reading::Nothing,
    }
}

/// `1-{8 digits}-{24 digits}`.
fn trace_id(root: &[u8]) -> Option<[u8; 16]> {
    let (epoch, unique) = root.strip_prefix(b"1-")?.split_at_checked(8)?;
    let unique = <&[u8; 24]>::try_from(unique.strip_prefix(b"-")?).ok()?;
    let mut digits = [0; 32];
    let (first, rest) = digits.split_at_mut(8);
    first.copy_from_slice(epoch);
    rest.copy_from_slice(unique);
    hex::decode_16(&digits)
}

#[cfg(test)]
mod tests;
