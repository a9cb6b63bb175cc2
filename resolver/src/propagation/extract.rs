//! From a message's headers to the context it was sent with.

use super::trace_state::TraceStates;
use super::{Reading, TraceStateBuffer, b3, datadog, elastic, is_named, jaeger, skywalking, w3c, xray};
use crate::config::Propagator;
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// What a message's headers say about the span that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extracted<'a> {
    /// Nothing.
    Nothing,
    /// Whether to keep a trace, but not which: B3's state without ids, or `jaeger-debug-id`.
    Hint {
        /// What to tell the sampler about the new trace. Neither `NoParent` nor `Deferred`.
        sampling: ParentSampling,
        /// Jaeger's word to find the trace by; belongs on its first span as the attribute `jaeger-debug-id`.
        debug_id: Option<&'a [u8]>,
    },
    /// A valid context.
    Parent(RemoteParent<'a>),
}

/// The context of the span that sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteParent<'a> {
    /// Its ids, neither of them zero, and its flags.
    pub context: SpanContext,
    /// What it says about sampling; more than the flags can, since it may have left the decision to us.
    pub sampling: ParentSampling,
    /// The format it was read from; [`Propagator::B3`] for both forms of B3.
    pub format: Propagator,
    /// Checked, never empty, at most 32 members in 512 bytes. Only ever there with [`Propagator::TraceContext`].
    pub trace_state: Option<&'a [u8]>,
}

impl<'a> Extracted<'a> {
    /// The context, if there is one.
    pub fn parent(&self) -> Option<&RemoteParent<'a>> {
        match self {
            Self::Parent(parent) => Some(parent),
            Self::Nothing | Self::Hint { .. } => None,
        }
    }

    /// What to tell the sampler.
    pub fn sampling(&self) -> ParentSampling {
        match self {
            Self::Nothing => ParentSampling::NoParent,
            Self::Hint { sampling, .. } => *sampling,
            Self::Parent(parent) => parent.sampling,
        }
    }
}

/// Reads the context of a message from its headers, in one pass over them.
///
/// `headers` are names and values in the message's order; a value may be absent and need not be UTF-8. Names are
/// compared without regard to case. Of several headers of one name the last that has a value counts; several
/// `tracestate` are joined. Of the formats in `order` the first that yields a valid context is taken; if none does, the
/// first that says at least whether to keep the trace. What is malformed is as good as absent. `Baggage` in `order` is
/// passed over here: see [`read_baggage`](super::read_baggage).
///
/// Allocates nothing; borrows from the headers, or from `buffer` when several `tracestate` were joined.
pub fn extract<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    order: &[Propagator],
    buffer: &'a mut TraceStateBuffer,
) -> Extracted<'a> {
    let mut found = Found::default();
    for (name, value) in headers {
        if let Some(value) = value {
            found.take(name, value, buffer);
        }
    }
    let mut hint = Extracted::Nothing;
    for &format in order {
        match found.read(format) {
            Reading::Nothing => {}
            Reading::Hint(sampling) => {
                if hint == Extracted::Nothing {
                    let debug_id = if format == Propagator::Jaeger { found.jaeger_debug_id } else { None };
                    hint = Extracted::Hint { sampling, debug_id };
                }
            }
            Reading::Context(context, sampling) => {
                let (format, trace_state) = match format {
                    Propagator::TraceContext => (format, found.trace_states.finish(buffer)),
                    Propagator::B3Multi => (Propagator::B3, None),
                    _ => (format, None),
                };
                return Extracted::Parent(RemoteParent { context, sampling, format, trace_state });
            }
        }
    }
    hint
}

/// The values of the headers we know, each the last of its name.
#[derive(Default)]
struct Found<'a> {
    traceparent: Option<&'a [u8]>,
    trace_states: TraceStates<'a>,
    b3: Option<&'a [u8]>,
    b3_multi: b3::Multi<'a>,
    jaeger: Option<&'a [u8]>,
    /// Written until 2019 for a consumer's span, beside the sender's: the later hop.
    jaeger_second_span: Option<&'a [u8]>,
    jaeger_debug_id: Option<&'a [u8]>,
    datadog: datadog::Headers<'a>,
    xray: Option<&'a [u8]>,
    elastic: elastic::Headers<'a>,
    skywalking: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    /// Most headers are other people's: length and first letter tell nearly all of them apart from ours.
    #[inline]
    fn take(&mut self, name: &[u8], value: &'a [u8], buffer: &mut TraceStateBuffer) {
        let Some(&first) = name.first() else { return };
        match (name.len(), first.to_ascii_lowercase()) {
            (11, b't') if is_named(name, b"traceparent") => self.traceparent = Some(value),
            (10, b't') if is_named(name, b"tracestate") => self.trace_states.push(value, buffer),
            (2, b'b') if is_named(name, b"b3") => self.b3 = Some(value),
            (12, b'x') if is_named(name, b"x-b3-traceid") => self.b3_multi.trace_id = Some(value),
            (11, b'x') if is_named(name, b"x-b3-spanid") => self.b3_multi.span_id = Some(value),
            (12, b'x') if is_named(name, b"x-b3-sampled") => self.b3_multi.sampled = Some(value),
            (10, b'x') if is_named(name, b"x-b3-flags") => self.b3_multi.flags = Some(value),
            (13, b'u') if is_named(name, b"uber-trace-id") => self.jaeger = Some(value),
            (25, b's') if is_named(name, b"second_span_uber-trace-id") => self.jaeger_second_span = Some(value),
            (15, b'j') if is_named(name, b"jaeger-debug-id") => self.jaeger_debug_id = Some(value),
            (18, b'x') if is_named(name, b"x-datadog-trace-id") => self.datadog.trace_id = Some(value),
            (19, b'x') if is_named(name, b"x-datadog-parent-id") => self.datadog.parent_id = Some(value),
            (27, b'x') if is_named(name, b"x-datadog-sampling-priority") => self.datadog.priority = Some(value),
            (14, b'x') if is_named(name, b"x-datadog-tags") => self.datadog.tags = Some(value),
            (15, b'x') if is_named(name, b"x-amzn-trace-id") => self.xray = Some(value),
            (23, b'e') if is_named(name, b"elastic-apm-traceparent") => self.elastic.text = Some(value),
            (21, b'e') if is_named(name, b"elasticapmtraceparent") => self.elastic.binary = Some(value),
            (3, b's') if is_named(name, b"sw8") => self.skywalking = Some(value),
            _ => {}
        }
    }

    fn read(&self, format: Propagator) -> Reading {
        match format {
            Propagator::TraceContext => self.traceparent.map_or(Reading::Nothing, w3c::read),
            // Both names read both forms, the single header first, as OpenTelemetry's B3 propagator must.
            Propagator::B3 | Propagator::B3Multi => self.read_b3(),
            Propagator::Jaeger => self.read_jaeger(),
            Propagator::Datadog => datadog::read(&self.datadog),
            Propagator::XRay => self.xray.map_or(Reading::Nothing, xray::read),
            Propagator::Elastic => elastic::read(&self.elastic),
            Propagator::SkyWalking => self.skywalking.map_or(Reading::Nothing, skywalking::read),
            Propagator::Baggage => Reading::Nothing,
        }
    }

    fn read_b3(&self) -> Reading {
        let single = self.b3.map_or(Reading::Nothing, b3::read_single);
        match (single, b3::read_multi(&self.b3_multi)) {
            (Reading::Context(..), _) => single,
            (_, multi @ Reading::Context(..)) => multi,
            (Reading::Nothing, multi) => multi,
            (Reading::Hint(_), _) => single,
        }
    }

    fn read_jaeger(&self) -> Reading {
        let contexts = [self.jaeger_second_span, self.jaeger].into_iter().flatten();
        for value in contexts {
            if let context @ Reading::Context(..) = jaeger::read(value) {
                return context;
            }
        }
        match self.jaeger_debug_id {
            Some(debug_id) if !debug_id.is_empty() => Reading::Hint(ParentSampling::Debug),
            _ => Reading::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
