//! `elastic-apm-traceparent`, and the binary `elasticapmtraceparent`: the headers of Elastic's own agents.

use super::{Reading, w3c};
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// The values of both forms, each the last of its name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    /// As a `traceparent`.
    pub(super) text: Option<&'a [u8]>,
    /// What the Java agent writes into Kafka's records.
    pub(super) binary: Option<&'a [u8]>,
}

/// Reads the text, and if that is no context, the bytes.
#[cold]
pub(super) fn read(headers: &Headers<'_>) -> Reading {
    match headers.text.map_or(Reading::Nothing, w3c::read) {
        Reading::Nothing => headers.binary.map_or(Reading::Nothing, read_binary),
        read => read,
    }
}

/// 29 bytes: the version, then trace id, span id and flags, each after the number of its field.
fn read_binary(bytes: &[u8]) -> Reading {
    let Some(context) = parse_binary(bytes).filter(SpanContext::is_valid) else { return Reading::Nothing };
    let sampling = if context.is_sampled() { ParentSampling::Sampled } else { ParentSampling::NotSampled };
    Reading::Context(context, sampling)
}

fn parse_binary(bytes: &[u8]) -> Option<SpanContext> {
    let (trace_id, rest) = bytes.strip_prefix(&[VERSION, TRACE_ID])?.split_first_chunk::<16>()?;
    let (span_id, rest) = rest.strip_prefix(&[PARENT_ID])?.split_first_chunk::<8>()?;
    let &[FLAGS, flags] = rest else { return None };
    Some(SpanContext { trace_id: *trace_id, span_id: *span_id, flags: flags & SpanContext::SAMPLED })
}

const VERSION: u8 = 0;
const TRACE_ID: u8 = 0;
const PARENT_ID: u8 = 1;
const FLAGS: u8 = 2;

#[cfg(test)]
mod tests;
