//! A message's way in: one span, at the moment of hand-over. A processing guard gives it its true length.

#![forbid(unsafe_code)]

use super::client::Client;
use super::injecting::inject;
use super::message::{Headers, Message};
use super::parent::{Incoming, from_headers};
use super::route::{Route, Traced};
use crate::batch::{FinishedSpan, Outcome, Pipeline, SpanFlags, SpanKind, TimeInQueue, TraceStateField};
use crate::clock;
use crate::config::Relation;
use crate::propagation::{SpanContext, TraceStateBuffer};
use crate::tracer::ids::{new_span_id, new_trace_id};
use crate::tracer::sampler::ParentSampling;

impl Client {
    /// The application gets the message now.
    pub(super) fn hand_over(&self, number: u64, message: &Message<'_>) {
        let Some(route) = self.route(number, message) else { return };
        let Some(traced) = route.traced().filter(|traced| traced.spans) else { return };
        let headers = message.headers();
        let mut buffer = TraceStateBuffer::new();
        let incoming = from_headers(headers.as_ref(), &traced.extract, &mut buffer);
        let mut span = consumer_span(route, traced, &incoming);
        span.partition = message.partition();
        span.offset = message.offset();
        span.flags.set_if(SpanFlags::TOMBSTONE, message.is_tombstone());
        if let Some(sent) = message.timestamp_millis() {
            span.time_in_queue = TimeInQueue((span.start as i64 / 1_000_000).saturating_sub(sent).max(0));
        }
        // A new trace has no state of others'.
        let trace_state = incoming.trace_state.filter(|_| span.trace_id == incoming.trace_id());
        match trace_state {
            None => self.leave_or_hold(route, &span, &[]),
            Some(state) => self.leave_or_hold(route, &span, TraceStateField::new(state).as_slice()),
        }
        if traced.reinject {
            let state = trace_state.map(<[u8]>::to_vec);
            reinject(traced, message, headers.as_ref(), &span, state.as_deref());
        }
    }

    fn leave_or_hold(&self, route: &Route, span: &FinishedSpan, extra: &[u8]) {
        let leave = |span: &FinishedSpan, extra: &[u8]| {
            if span.trace_flags & SpanContext::SAMPLED != 0 {
                Pipeline::push(span, extra);
            }
        };
        match Pipeline::current().handovers().filter(|_| self.guards) {
            Some(handovers) => handovers.hold(span, extra, route.topic_hash(), self.ordinal, leave),
            None => leave(span, extra),
        }
    }
}

/// The span of a consumed message: a child of the span that sent it, or, by `relation`, a new trace with a link to it.
pub(super) fn consumer_span(route: &Route, traced: &Traced, incoming: &Incoming<'_>) -> FinishedSpan {
    let now = clock::unix_nanos();
    let mut span = FinishedSpan {
        route,
        trace_id: [0; 16],
        span_id: new_span_id(),
        parent_span_id: [0; 8],
        link_trace_id: [0; 16],
        link_span_id: [0; 8],
        start: now,
        end: now,
        offset: -1,
        time_in_queue: TimeInQueue::UNKNOWN,
        partition: -1,
        outcome: Outcome::OK,
        kind: SpanKind::Receive,
        flags: SpanFlags::default(),
        trace_flags: 0,
        extra_len: 0,
    };
    let (continued, sampling) = match (&incoming.context, traced.relation) {
        (Some(context), Relation::Parent) => {
            span.trace_id = context.trace_id;
            span.parent_span_id = context.span_id;
            span.flags.set_if(SpanFlags::PARENT_REMOTE, true);
            (Some(context), incoming.sampling)
        }
        (Some(context), Relation::Link) => {
            span.trace_id = new_trace_id();
            span.link_trace_id = context.trace_id;
            span.link_span_id = context.span_id;
            (None, ParentSampling::NoParent)
        }
        (None, _) => {
            span.trace_id = new_trace_id();
            (None, incoming.sampling)
        }
    };
    span.trace_flags = traced.sampler.flags(&span.trace_id, continued, sampling, clock::monotonic_nanos);
    span
}

/// Lets the application read the consumer span's context where it would have read the producer's.
#[cold]
fn reinject(
    traced: &Traced,
    message: &Message<'_>,
    headers: Option<&Headers<'_>>,
    span: &FinishedSpan,
    trace_state: Option<&[u8]>,
) {
    let context = SpanContext { trace_id: span.trace_id, span_id: span.span_id, flags: span.trace_flags };
    let injected = traced.injection.headers(&context).with_trace_state(trace_state);
    // The message is on its way in: nobody measures it any more.
    inject(message, headers, &injected, usize::MAX);
}

impl Incoming<'_> {
    fn trace_id(&self) -> [u8; 16] {
        self.context.map_or([0; 16], |context| context.trace_id)
    }
}
