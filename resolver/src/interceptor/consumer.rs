//! A message's way in: one span, at the moment of delivery. A processing guard gives it its true length; without one,
//! in programs of other languages, what can be seen from below.

#![forbid(unsafe_code)]

use super::client::Client;
use super::current_message::{self, CurrentMessage};
use super::declared_parents;
use super::headers::Headers;
use super::incoming::{Incoming, from_headers};
use super::injecting::inject;
use super::message::Message;
use super::poll_counts::Poll;
use super::polls::{self, Hands};
use super::route::{Route, Traced};
use super::{event_loops, thread_habits};
use crate::batch::{
    CLAIM_WINDOW, FinishedSpan, Outcome, Pipeline, SpanFlags, SpanKind, TimeInQueue, TraceStateField, WaitingPlace,
};
use crate::clock;
use crate::config::{Ambient, Propagator, Relation};
use crate::host;
use crate::propagation::{SpanContext, TraceStateBuffer};
use crate::tracer::ids::{is_of_this_thread, new_span_id, new_trace_id};
use crate::tracer::sampler::ParentSampling;

impl Client {
    /// The application gets the message now.
    pub(super) fn deliver(&self, number: u64, message: &Message<'_>) {
        let claims = self.guards || declared_parents::declares();
        if !claims {
            // Whatever comes now, the thread has gone on.
            current_message::leave();
            thread_habits::handed_over(number);
        }
        if !self.guards {
            if let Some(commits) = &self.commits {
                commits.handed_over();
            }
        }
        let Some(found) = self.route(number, message) else { return };
        let route = &*found;
        let Some(traced) = route.traced() else { return route.counters().without_span.raise() };
        if !traced.spans {
            traced.topic.without_span.raise();
        }
        if !traced.spans && self.guards {
            return;
        }
        let headers = message.headers();
        let mut buffer = TraceStateBuffer::new();
        let incoming = from_headers(headers.as_ref(), &traced.extract, &mut buffer);
        if !traced.spans && claims {
            return self.hold_passed_on(route, traced, message, &incoming, || baggage_of(traced, headers.as_ref()));
        }
        if !traced.spans {
            return self.pass_on(number, traced, headers.as_ref(), &incoming);
        }
        let mut span = consumer_span(traced, &incoming);
        span.partition = message.partition();
        span.offset = message.offset();
        span.flags.set_if(SpanFlags::TOMBSTONE, message.is_tombstone());
        if let Some(sent) = message.timestamp_millis() {
            span.time_in_queue = TimeInQueue((span.start as i64 / 1_000_000).saturating_sub(sent).max(0));
        }
        // A new trace has no state of others'.
        let trace_state = incoming.trace_state.filter(|_| span.trace_id == incoming.trace_id());
        if claims && !self.guards {
            declared_parents::keep_baggage(span.span_id, baggage_of(traced, headers.as_ref()));
        }
        let alone = if claims { None } else { self.handed_over_alone() };
        if let Some(alone) = &alone {
            span.flags.set_if(SpanFlags::UNTIL_POLL, alone.poll.is_some());
        }
        // Where nobody may claim it, what is not recorded need not wait.
        let may_wait = claims || alone.is_some() && span.trace_flags & SpanContext::SAMPLED != 0;
        let waits = match trace_state {
            None => self.leave_or_hold(route, &span, &[], may_wait),
            Some(state) => self.leave_or_hold(route, &span, TraceStateField::new(state).as_slice(), may_wait),
        };
        if let Some(alone) = alone {
            let context = SpanContext { trace_id: span.trace_id, span_id: span.span_id, flags: span.trace_flags };
            let current = CurrentMessage {
                waits,
                poll: alone.poll,
                brought: incoming.context,
                is_ambient: self.is_ambient(traced),
                is_answer: is_answer(&incoming),
                client: self.address,
                window: self.window(number),
                ..CurrentMessage::new(context, span.start, number)
            };
            current_message::begin(current, trace_state, &mut baggage_of(traced, headers.as_ref()));
        }
        if traced.reinject {
            let state = trace_state.map(<[u8]>::to_vec);
            reinject(traced, message, headers.as_ref(), &span, state.as_deref());
        }
    }

    /// A message that gets no span, and whose processing the program may declare: its own context waits for that.
    fn hold_passed_on<'a, B: Iterator<Item = &'a [u8]>>(
        &self,
        route: &Route,
        traced: &Traced,
        message: &Message<'_>,
        incoming: &Incoming<'_>,
        baggage: impl FnOnce() -> B,
    ) {
        let Some(context) = incoming.context else { return };
        declared_parents::keep_baggage(context.span_id, baggage());
        let record = FinishedSpan {
            partition: message.partition(),
            offset: message.offset(),
            ..FinishedSpan::passing_on(traced.origin.address(), context.trace_id, context.span_id, context.flags)
        };
        match incoming.trace_state {
            None => self.leave_or_hold(route, &record, &[], true),
            Some(state) => self.leave_or_hold(route, &record, TraceStateField::new(state).as_slice(), true),
        };
    }

    /// A message that gets no span: what the thread sends continues the message's own context.
    fn pass_on(&self, number: u64, traced: &Traced, headers: Option<&Headers<'_>>, incoming: &Incoming<'_>) {
        let (Some(context), true) = (incoming.context, self.is_ambient(traced)) else { return };
        let Some(alone) = self.handed_over_alone() else { return };
        let current = CurrentMessage {
            poll: alone.poll,
            is_remote: true,
            is_answer: is_answer(incoming),
            client: self.address,
            window: self.window(number),
            ..CurrentMessage::new(context, clock::unix_nanos(), number)
        };
        current_message::begin(current, incoming.trace_state, &mut baggage_of(traced, headers));
    }

    /// Whether the message comes, as far as is known, by a call that hands over one, to the thread that processes it.
    ///
    /// Where calls are not seen it is not known: then the order of deliveries and sends has to tell (`thread_habits`).
    fn handed_over_alone(&self) -> Option<Alone> {
        // Many tasks on a thread: the thread's next call says nothing of this message's end.
        if host::is_node() || event_loops::look() || thread_habits::is_loop() {
            return None;
        }
        match polls::under_way() {
            Some((poll, Hands::One)) => Some(Alone { poll: Some(poll).filter(|_| self.polls_seen) }),
            Some((_, Hands::Many)) => None,
            None => Some(Alone { poll: None }),
        }
    }

    /// Goroutines wander between threads: there a thread says nothing about what belongs together.
    fn is_ambient(&self, traced: &Traced) -> bool {
        traced.ambient == Ambient::Thread && !host::has_go_code()
    }

    /// How long a message may be the cause of a send: twice as long as any was seen to take, and so long that the first can
    /// show it; never longer than its consumer may go without a poll.
    fn window(&self, number: u64) -> u64 {
        let seen = thread_habits::longest(number).saturating_mul(2);
        seen.max(CLAIM_WINDOW.as_nanos() as u64).min(self.max_poll_interval)
    }

    /// Where the span waits, if it does.
    fn leave_or_hold(&self, route: &Route, span: &FinishedSpan, extra: &[u8], waits: bool) -> Option<WaitingPlace> {
        let leave = |span: &FinishedSpan, extra: &[u8]| {
            if span.trace_flags & SpanContext::SAMPLED != 0 {
                Pipeline::push(span, extra);
            }
        };
        match Pipeline::current().received_spans().filter(|_| waits) {
            Some(received_spans) => received_spans.hold(span, extra, route.topic_hash(), self.ordinal, leave),
            None => {
                leave(span, extra);
                None
            }
        }
    }
}

/// A message that was handed over alone.
struct Alone {
    /// By which call, where calls are seen.
    poll: Option<Poll>,
}

/// Whether the message's trace was begun on this very thread.
fn is_answer(incoming: &Incoming<'_>) -> bool {
    incoming.context.is_some_and(|context| is_of_this_thread(&context.trace_id))
}

/// What is passed on of the message's baggage.
fn baggage_of<'a>(traced: &Traced, headers: Option<&Headers<'a>>) -> impl Iterator<Item = &'a [u8]> {
    let takes = traced.extract.contains(&Propagator::Baggage);
    headers.filter(|_| takes).into_iter().flat_map(Headers::baggage)
}

/// The span of a consumed message: a child of the span that sent it, or, by `relation`, a new trace with a link to it.
pub(super) fn consumer_span(traced: &Traced, incoming: &Incoming<'_>) -> FinishedSpan {
    let now = clock::unix_nanos();
    let mut span = FinishedSpan {
        origin: traced.origin.address(),
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
    if span.trace_flags & SpanContext::SAMPLED == 0 {
        traced.topic.sampled_out.raise();
    }
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
