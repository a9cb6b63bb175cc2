//! A message's way in: one span, at the moment of delivery. A processing guard gives it its true length; without one,
//! in programs of other languages, what can be seen from below.

#![forbid(unsafe_code)]

use super::batches;
use super::call_span::CallSpan;
use super::client::Client;
use super::current_message::{self, CurrentMessage};
use super::declared_parents::{self, Bearer};
use super::headers::Headers;
use super::incoming::{Incoming, from_headers};
use super::injecting::inject;
use super::message::Message;
use super::poll_counts::Poll;
use super::polls::{self, Hands};
use super::route::{Route, Traced};
use super::settled::{Delivered, Settled};
use super::{event_loops, thread_habits};
use crate::batch::{
    CLAIM_WINDOW, FinishedSpan, Pipeline, SpanFlags, SpanKind, TimeInQueue, TraceStateField, WaitingPlace,
};
use crate::clock::{self, Moment};
use crate::config::{Ambient, Propagator, Relation};
use crate::host;
use crate::metrics::Series;
use crate::propagation::{OtMember, SpanContext, TraceStateBuffer, explicit_randomness, settled_trace_state};
use crate::tracer::Verdict;
use crate::tracer::ids::{is_of_this_thread, new_span_id, new_trace_id};
use crate::tracer::sampler::ParentSampling;

impl Client {
    /// The application gets the message now.
    pub(super) fn deliver(&self, number: u64, message: &Message<'_>) {
        let claims = self.guards || declared_parents::declares();
        if !self.guards {
            // Whatever comes now, the thread has gone on: also from what it was handed before the program said what it processes.
            current_message::leave();
        }
        if !claims {
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
            if let Some(series) = &traced.measured {
                add_delivery(series, time_in_queue(message, clock::unix_nanos()), None);
            }
        }
        if !traced.spans && self.guards && traced.measured.is_none() {
            return;
        }
        let headers = message.headers();
        let mut buffer = TraceStateBuffer::new();
        let incoming = from_headers(headers.as_ref(), &traced.extract, &mut buffer);
        if !traced.spans && claims {
            return self.hold_passed_on(route, traced, message, &incoming, || baggage_of(traced, headers.as_ref()));
        }
        if !traced.spans {
            return self.pass_on(number, route, traced, message, headers.as_ref(), &incoming);
        }
        let batch = |now| self.batch_of(number, now, (route, traced), message, &incoming);
        let now = Moment::now();
        let (mut span, verdict) = consumer_span(traced, &incoming, now.unix_nanos, batch);
        span.partition = message.partition();
        span.offset = message.offset();
        span.flags.set_if(SpanFlags::TOMBSTONE, message.is_tombstone());
        span.time_in_queue = time_in_queue(message, span.start);
        if let Some(series) = &traced.measured {
            add_delivery(series, span.time_in_queue, Some(&span));
        }
        let mut own;
        let trace_state = if incoming.trace_state.is_none() && !verdict.has_threshold() {
            None
        } else {
            own = TraceStateBuffer::new();
            trace_state_of(traced, &span, verdict, &incoming, &mut own)
        };
        if let Some(settled) = self.settled.as_ref().filter(|_| traced.commit_spans) {
            self.note_for_commit(settled, route, &span, trace_state);
        }
        if claims && !self.guards {
            declared_parents::keep_baggage(bearer(route, &span), baggage_of(traced, headers.as_ref()));
        }
        let alone = if claims { None } else { self.handed_over_alone(span.start) };
        if let Some(alone) = &alone {
            span.flags.set_if(SpanFlags::UNTIL_POLL, alone.poll.is_some());
        }
        // Where nobody may claim it, what is neither recorded nor measured need not wait.
        let is_sampled = span.trace_flags & SpanContext::SAMPLED != 0;
        let is_wanted = is_sampled || traced.measured.is_some();
        let may_wait = claims || alone.is_some() && is_wanted;
        // What is decided for the call that hands it over, which is told later, may be something else.
        let may_be_kept = is_sampled || claims && traced.relation == Relation::Batch;
        let captured = traced.captured.as_deref().filter(|_| may_be_kept);
        let waits = match trace_state {
            _ if captured.is_some() => captured.and_then(|captured| {
                let headers = headers.iter().flat_map(|headers| headers.told(captured));
                let hold = |fields: &[u8]| self.leave_or_hold(route, &span, fields, now, may_wait);
                captured.with_fields(trace_state, headers, message.key(), hold)
            }),
            None => self.leave_or_hold(route, &span, &[], now, may_wait),
            Some(state) => self.leave_or_hold(route, &span, TraceStateField::new(state).as_slice(), now, may_wait),
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
                ..CurrentMessage::new(context, now, number)
            };
            current_message::begin(current, trace_state, &mut baggage_of(traced, headers.as_ref()));
        }
        if traced.reinject {
            let state = trace_state.map(<[u8]>::to_vec);
            reinject(traced, message, headers.as_ref(), &span, state.as_deref());
        }
    }

    /// The span of the call that hands over this message at `now`; `None` where that is a call for one, or where it is not known
    /// what comes by one call, which is told.
    #[inline(never)]
    fn batch_of(
        &self,
        number: u64,
        now: u64,
        (route, traced): (&Route, &Traced),
        message: &Message<'_>,
        incoming: &Incoming<'_>,
    ) -> Option<CallSpan> {
        match polls::under_way() {
            Some((_, Hands::Many)) => batches::add(number, now, (route, traced), message, incoming),
            // A thread of Node's asks for each message of what the program gets at once.
            Some((_, Hands::One)) if !host::is_node() => None,
            // Its layer says afterwards what came together.
            _ if host::is_node() && declared_parents::declares() => None,
            _ => {
                batches::tell_of_unknown(route.topic(), self.guards);
                None
            }
        }
    }

    /// Lets the next commit link to the message's span, if it is sampled.
    #[cold]
    fn note_for_commit(&self, settled: &Settled, route: &Route, span: &FinishedSpan, trace_state: Option<&[u8]>) {
        let context = SpanContext { trace_id: span.trace_id, span_id: span.span_id, flags: span.trace_flags };
        // A fork's child has a copy of the lock, in whatever state it was.
        if self.is_of_this_process() {
            let delivered = Delivered { offset: span.offset, context, ot: OtMember::of(trace_state) };
            settled.delivered((route.topic(), route.topic_hash()), span.partition, delivered);
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
        // A guard does not pass on what has no span: it only measures.
        let context = incoming.context.filter(|_| !self.guards);
        let record = match context {
            Some(SpanContext { trace_id, span_id, flags }) => {
                FinishedSpan::passing_on(traced.origin.address(), trace_id, span_id, flags)
            }
            None if traced.measured.is_some() => FinishedSpan::passing_nothing_on(traced.origin.address()),
            None => return,
        };
        let now = Moment::now();
        let (partition, offset) = (message.partition(), message.offset());
        let record = FinishedSpan { start: now.unix_nanos, partition, offset, ..record };
        if context.is_some() {
            declared_parents::keep_baggage(bearer(route, &record), baggage());
        }
        match context.and(incoming.trace_state) {
            None => self.leave_or_hold(route, &record, &[], now, true),
            Some(state) => self.leave_or_hold(route, &record, TraceStateField::new(state).as_slice(), now, true),
        };
    }

    /// A message that gets no span: what the thread sends continues the message's own context.
    fn pass_on(
        &self,
        number: u64,
        route: &Route,
        traced: &Traced,
        message: &Message<'_>,
        headers: Option<&Headers<'_>>,
        incoming: &Incoming<'_>,
    ) {
        let context = incoming.context.filter(|_| self.is_ambient(traced));
        if context.is_none() && traced.measured.is_none() {
            return;
        }
        let now = Moment::now();
        let Some(alone) = self.handed_over_alone(now.unix_nanos) else { return };
        let waits = traced.measured.as_ref().and_then(|_| self.hold_measured(route, traced, message, &alone, now));
        let is_ambient = context.is_some();
        let context = context.unwrap_or(NO_CONTEXT);
        let current = CurrentMessage {
            waits,
            is_ambient,
            poll: alone.poll,
            is_remote: true,
            is_answer: is_answer(incoming),
            client: self.address,
            window: self.window(number),
            ..CurrentMessage::new(context, now, number)
        };
        current_message::begin(current, incoming.trace_state, &mut baggage_of(traced, headers));
    }

    /// Lets what is measured of a message without a span wait for what is seen of its processing: as a span that is not
    /// sampled.
    fn hold_measured(
        &self,
        route: &Route,
        traced: &Traced,
        message: &Message<'_>,
        alone: &Alone,
        now: Moment,
    ) -> Option<WaitingPlace> {
        let mut record = FinishedSpan {
            // Tells it from what waits there later.
            span_id: new_span_id(),
            kind: SpanKind::Receive,
            start: now.unix_nanos,
            end: now.unix_nanos,
            partition: message.partition(),
            offset: message.offset(),
            ..FinishedSpan::passing_nothing_on(traced.origin.address())
        };
        record.flags.set_if(SpanFlags::UNTIL_POLL, alone.poll.is_some());
        self.leave_or_hold(route, &record, &[], now, true)
    }

    /// Whether the message, handed over at `now`, comes, as far as is known, by a call that hands over one, to the thread that
    /// processes it.
    ///
    /// Where calls are not seen it is not known: then the order of deliveries and sends has to tell (`thread_habits`).
    fn handed_over_alone(&self, now: u64) -> Option<Alone> {
        // Many tasks on a thread: the thread's next call says nothing of this message's end.
        if host::is_node() || event_loops::look(now) || thread_habits::is_loop() {
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
    fn leave_or_hold(
        &self,
        route: &Route,
        span: &FinishedSpan,
        extra: &[u8],
        delivered: Moment,
        waits: bool,
    ) -> Option<WaitingPlace> {
        match Pipeline::current().received_spans().filter(|_| waits) {
            Some(received_spans) => {
                received_spans.hold(span, extra, route.topic_hash(), self.ordinal, delivered, Pipeline::leave_received)
            }
            // What has not waited is no processing: there is nothing to measure.
            None => {
                if span.trace_flags & SpanContext::SAMPLED != 0 {
                    Pipeline::push(span, extra);
                }
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

/// Of a message that brings none, or whose own is not passed on.
const NO_CONTEXT: SpanContext = SpanContext { trace_id: [0; 16], span_id: [0; 8], flags: 0 };

/// Counts a delivery. Apart, so that one that is not measured does not pay for it.
#[inline(never)]
fn add_delivery(series: &Series, waited: TimeInQueue, span: Option<&FinishedSpan>) {
    series.consumed(waited.nanos(), || span.and_then(FinishedSpan::in_span));
}

/// How long ago, at `now`, the message got its timestamp: from the producer, or from the broker by `LogAppendTime`. The
/// clocks of two machines differ: what would be less than nothing is nothing.
fn time_in_queue(message: &Message<'_>, now: u64) -> TimeInQueue {
    let Some(sent) = message.timestamp_millis() else { return TimeInQueue::UNKNOWN };
    TimeInQueue((now as i64 / 1_000_000).saturating_sub(sent).max(0))
}

/// Whose baggage it is that comes with the message of this span.
fn bearer(route: &Route, span: &FinishedSpan) -> Bearer {
    let FinishedSpan { span_id, partition, offset, .. } = *span;
    Bearer { span_id, topic_hash: route.topic_hash(), partition, offset }
}

/// Whether the message's trace was begun on this very thread.
fn is_answer(incoming: &Incoming<'_>) -> bool {
    incoming.context.is_some_and(|context| is_of_this_thread(&context.trace_id))
}

/// What is passed on of the message's baggage.
fn baggage_of<'a>(traced: &Traced, headers: Option<&Headers<'a>>) -> impl Iterator<Item = &'a [u8]> {
    let takes = traced.extract.contains(&Propagator::Baggage);
    headers.filter(|headers| takes && headers.have_baggage()).into_iter().flat_map(Headers::baggage)
}

/// The span of a message that is consumed at `now`: by `relation` a child of the span that sent it, a new trace with a link to it, or a child
/// of that of the call that hands over its `batch`, with that link too.
#[inline]
pub(super) fn consumer_span(
    traced: &Traced,
    incoming: &Incoming<'_>,
    now: u64,
    batch: impl FnOnce(u64) -> Option<CallSpan>,
) -> (FinishedSpan, Verdict) {
    let mut span = FinishedSpan {
        span_id: new_span_id(),
        start: now,
        end: now,
        ..FinishedSpan::blank(traced.origin.address(), SpanKind::Receive)
    };
    if let Some(batch) = (traced.relation == Relation::Batch).then(|| batch(now)).flatten() {
        return in_batch(traced, span, &batch, incoming);
    }
    let (continued, sampling) = match (&incoming.context, traced.relation) {
        (Some(context), Relation::Parent) => {
            span.trace_id = context.trace_id;
            span.parent_span_id = context.span_id;
            span.flags.set_if(SpanFlags::PARENT_REMOTE, true);
            (Some(context), incoming.sampling)
        }
        (Some(context), Relation::Link | Relation::Batch) => {
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
    let randomness = || explicit_randomness(continued.and(incoming.trace_state));
    let verdict = traced.sampler.judge(&span.trace_id, continued, sampling, randomness, clock::monotonic_nanos);
    span.trace_flags = verdict.flags;
    if !verdict.is_kept() {
        traced.is_not_kept(verdict);
    }
    (span, verdict)
}

/// The span below that of the call which hands the message over: what was decided about that one goes for all of the call.
#[cold]
fn in_batch(traced: &Traced, span: FinishedSpan, batch: &CallSpan, incoming: &Incoming<'_>) -> (FinishedSpan, Verdict) {
    let CallSpan { context, verdict } = *batch;
    if !context.is_sampled() {
        traced.topic.sampled_out.raise();
    }
    let (link_trace_id, link_span_id) =
        incoming.context.map(|sender| (sender.trace_id, sender.span_id)).unwrap_or_default();
    let span = FinishedSpan {
        trace_id: context.trace_id,
        parent_span_id: context.span_id,
        link_trace_id,
        link_span_id,
        trace_flags: context.flags,
        ..span
    };
    (span, verdict)
}

/// The trace state of a span of [`consumer_span`]. A new trace has none of others'.
#[inline(never)]
pub(super) fn trace_state_of<'a>(
    traced: &Traced,
    span: &FinishedSpan,
    verdict: Verdict,
    incoming: &Incoming<'a>,
    buffer: &'a mut TraceStateBuffer,
) -> Option<&'a [u8]> {
    // Below the span of a call of this process: in the trace that it begins.
    let is_in_batch = span.parent_span_id != [0; 8] && !span.flags.contains(SpanFlags::PARENT_REMOTE);
    let (given, sampling) = if span.link_span_id == [0; 8] && !is_in_batch {
        (incoming.trace_state, incoming.sampling)
    } else {
        (None, ParentSampling::NoParent)
    };
    let kept_by = traced.sampler.kept_by(sampling, verdict);
    settled_trace_state(given, &span.trace_id, kept_by, buffer)
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
