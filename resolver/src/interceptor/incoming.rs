//! Where a message's trace comes from: the context of the calling thread, or the message's own headers.

#![forbid(unsafe_code)]

use opentelemetry::trace::TraceContextExt as _;

use super::application_context;
use super::headers::Headers;
use crate::config::Propagator;
use crate::propagation::{Extracted, SpanContext, TraceStateBuffer, extract};
use crate::tracer::sampler::ParentSampling;

/// What a span continues, and what travels with it. Lives on the stack of one callback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    /// `None`: a new trace.
    pub context: Option<SpanContext>,
    pub sampling: ParentSampling,
    pub remote: bool,
    /// Nobody said so: it is the message that the thread was handed last.
    pub guessed: bool,
    /// The number of the train of thought that sends, by which it knows again what it began; 0: the thread is all there is.
    pub train: u64,
    pub trace_state: Option<&'a [u8]>,
    /// To be passed on with what continues it; what the calling thread's context has comes first.
    pub baggage: Option<&'a [u8]>,
}

impl Incoming<'_> {
    pub(super) const NOTHING: Self = Self {
        context: None,
        sampling: ParentSampling::NoParent,
        remote: false,
        guessed: false,
        train: 0,
        trace_state: None,
        baggage: None,
    };
}

/// Calls `with` with the span that is current on this thread, for as long as it can be borrowed; `None` without one.
pub(super) fn with_current_span<T>(with: impl FnOnce(&Incoming<'_>) -> T) -> Option<T> {
    // Copied out of `look`, which must not run foreign code: the trace state is a string only if there is one.
    let (context, trace_state) = application_context::look(|current| {
        if !current.has_active_span() {
            return None;
        }
        let span = current.span();
        let span = span.span_context();
        if !span.is_valid() {
            return None;
        }
        let context = SpanContext {
            trace_id: span.trace_id().to_bytes(),
            span_id: span.span_id().to_bytes(),
            flags: span.trace_flags().to_u8(),
        };
        let trace_state = span.trace_state();
        let trace_state = (*trace_state != opentelemetry::trace::TraceState::NONE).then(|| trace_state.header());
        Some((context, (trace_state, span.is_remote())))
    })??;
    let (trace_state, remote) = trace_state;
    Some(with(&Incoming {
        context: Some(context),
        sampling: if context.is_sampled() { ParentSampling::Sampled } else { ParentSampling::NotSampled },
        remote,
        trace_state: trace_state.as_deref().map(str::as_bytes).filter(|state| !state.is_empty()),
        ..Incoming::NOTHING
    }))
}

/// Whether a record whose headers say `forwarded` only repeats what the message brought that is processed, or names the processing
/// itself, `own`: then it is known to follow from that message.
pub(super) fn repeats(forwarded: &SpanContext, own: &SpanContext, brought: Option<&SpanContext>) -> bool {
    forwarded.is_same_span(own) || brought.is_some_and(|brought| forwarded.is_same_span(brought))
}

/// What the headers say; `buffer` is where several `tracestate` are joined.
pub(super) fn from_headers<'a>(
    headers: Option<&Headers<'a>>,
    order: &[Propagator],
    buffer: &'a mut TraceStateBuffer,
) -> Incoming<'a> {
    match headers {
        Some(headers) => Incoming::of(&extract(headers.iter(), order, buffer)),
        None => Incoming::NOTHING,
    }
}

impl<'a> Incoming<'a> {
    pub(super) fn of(extracted: &Extracted<'a>) -> Self {
        let parent = extracted.parent();
        Self {
            context: parent.map(|parent| parent.context),
            sampling: extracted.sampling(),
            remote: true,
            trace_state: parent.and_then(|parent| parent.trace_state),
            // Its baggage is in the record's headers already.
            ..Incoming::NOTHING
        }
    }
}
