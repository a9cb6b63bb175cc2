//! A sent message: a span from `produce()` to the acknowledgement.
//!
//! Nothing is kept in between but a parent's id: at the acknowledgement the span is built again from the message, which
//! carries its own context in a header, its topic, partition, offset and error, and how long ago it was produced.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::captured::Captured;
use super::client::{Client, UnmarkedSend};
use super::current_message::{self, with_ambient};
use super::declared_parents;
use super::headers::Headers;
use super::incoming::{Incoming, from_headers, with_current_span};
use super::injecting::{has_current_baggage, inject, with_current_baggage};
use super::message::Message;
use super::parent_table::Parent;
use super::route::{Route, Traced, error_name};
use super::sent_spans::{self, SentSpan};
use crate::batch::{FinishedSpan, Outcome, Pipeline, SpanFlags, SpanKind, TraceStateField};
use crate::clock;
use crate::export::DropReason;
use crate::metrics::Series;
use crate::propagation::{SpanContext, TraceStateBuffer, explicit_randomness, settled_trace_state};
use crate::tracer::ids::{first_span_id, new_span_id, new_trace_id_of};
use crate::tracer::sampler::KeptBy;
use crate::tracer::shedding;

impl Client {
    /// Gives the message the context of a span that begins now.
    ///
    /// The parent is the span current on this thread; without one, what the program declares; without that, what the message's
    /// own headers say; without that, the message that the thread was handed last, where nobody's code says which one is
    /// processed.
    pub(super) fn start_send(&self, number: u64, message: &Message<'_>) {
        current_message::sends();
        // A message that was given up without a word to us had this address before.
        self.unmarked.take(message.address());
        sent_spans::forget(message.address());
        let declared = declared_parents::of_this_send(message.topic());
        let Some(route) = self.route(number, message) else { return };
        let Some(traced) = route.traced() else { return route.counters().without_span.raise() };
        if !traced.spans {
            traced.topic.without_span.raise();
        }
        let headers = message.headers();
        let start = |incoming: &Incoming<'_>| self.start(traced, message, &headers, incoming);
        if self.sees_context && with_current_span(start).is_some() {
            return;
        }
        if headers.is_none() {
            let started = declared.with_parent(None, start).or_else(|| with_ambient(None, message.topic(), start));
            if started.is_none() && traced.spans {
                start(&Incoming::NOTHING);
            }
            return;
        }
        let mut buffer = TraceStateBuffer::new();
        let incoming = from_headers(headers.as_ref(), &traced.extract, &mut buffer);
        let forwarded = incoming.context.as_ref();
        let started =
            declared.with_parent(forwarded, start).or_else(|| with_ambient(forwarded, message.topic(), start));
        // Without a span the context that there is, is in the headers already.
        if started.is_some() || !traced.spans {
            return;
        }
        // The trace state is borrowed from a header that is about to be replaced.
        match incoming.trace_state.map(<[u8]>::to_vec) {
            Some(copy) => {
                self.start(traced, message, &headers, &Incoming { trace_state: Some(&copy), ..incoming });
            }
            None => self.start(traced, message, &headers, &incoming),
        }
    }

    /// The message was delivered or given up: its span ends.
    pub(super) fn finish_send(&self, number: u64, message: &Message<'_>) {
        let Some(route) = self.route(number, message) else { return };
        if self.routes.have_older() {
            return self.finish_send_after_reload(&route, message);
        }
        let Some(traced) = route.traced() else { return };
        self.learn(traced, message);
        if !traced.spans {
            return self.measure_send(traced, message, None);
        }
        self.finish(traced, message);
    }

    /// The same, where the message may have been sent by rules of before.
    #[cold]
    fn finish_send_after_reload(&self, now: &Route, message: &Message<'_>) {
        if let Some(traced) = now.traced() {
            self.learn(traced, message);
        }
        let sent = clock::monotonic_nanos().saturating_sub(message.latency_nanos());
        let unmarked = self.unmarked.rules_of(message.address());
        let headers = message.headers();
        let is_by = |route: &Route| {
            let Some(traced) = route.traced().filter(|traced| traced.spans) else { return false };
            match (unmarked, headers.as_ref()) {
                (Some(rules), _) => rules == route.rules(),
                (None, Some(headers)) => traced
                    .injection
                    .own_context(|name| headers.last(name))
                    .is_some_and(|context| traced.has_stamped(context.span_id)),
                (None, None) => false,
            }
        };
        let of = |older: &[Arc<Route>]| older.iter().find(|route| is_by(route)).cloned();
        let older = self.routes.older(message.topic(), sent);
        if let Some(by) = of(&older).as_deref().or_else(|| is_by(now).then_some(now)) {
            return by.traced().into_iter().for_each(|traced| self.finish(traced, message));
        }
        // A thread may have been in the midst of a send when another came by with rules that were new.
        if let Some(by) = of(&self.routes.older(message.topic(), 0)) {
            return by.traced().into_iter().for_each(|traced| self.finish(traced, message));
        }
        // What is known to have a span, or was in flight for longer than is kept, ends by the rules of about then. Of all else
        // no rules have begun a span that ends here.
        let by = older.last().map_or(now, |route| route);
        let Some(traced) = by.traced() else {
            let _ = self.unmarked.take(message.address());
            return;
        };
        match traced.spans {
            true if unmarked.is_some() || self.routes.have_forgotten() => self.finish(traced, message),
            is_begun => {
                if is_begun {
                    traced.counters.unacknowledged.lower();
                }
                self.measure_send(traced, message, None);
            }
        }
    }

    /// The span that these rules began ends. Called, and not in place: in several places what it calls would be called too.
    #[inline(never)]
    fn finish(&self, traced: &Traced, message: &Message<'_>) {
        let sent = self.sent(traced, message);
        traced.counters.unacknowledged.lower();
        let Some(Sent { send, ticks, has_state }) = sent else {
            return self.measure_send(traced, message, None);
        };
        if message.error() != 0 {
            self.failed.note(send.span_id, send.parent);
        }
        let mut send = send;
        let is_rescued = send.trace_flags & SpanContext::SAMPLED == 0;
        if is_rescued {
            let is_shed = message.error() != 0 && self.parents.has_parent(send.span_id);
            if !(is_shed && shedding::has_room_for_failures()) {
                return self.measure_send(traced, message, None);
            }
            send.trace_flags |= SpanContext::SAMPLED;
        }
        let (end, lasted) = clock::now_and_since(ticks).unwrap_or_else(|| end_and_latency(message));
        let mut flags = SpanFlags::default();
        flags.set_if(SpanFlags::PARENT_REMOTE, send.parent.is_some_and(|parent| parent.remote));
        flags.set_if(SpanFlags::PARENT_GUESSED, send.parent.is_some_and(|parent| parent.guessed));
        flags.set_if(SpanFlags::TOMBSTONE, message.is_tombstone());
        let span = FinishedSpan {
            trace_id: send.trace_id,
            span_id: send.span_id,
            parent_span_id: send.parent.map_or([0; 8], |parent| parent.span_id),
            start: end.saturating_sub(lasted),
            end,
            offset: if message.error() == 0 { message.offset() } else { -1 },
            partition: message.partition(),
            outcome: Outcome(message.error()),
            flags,
            trace_flags: send.trace_flags,
            ..FinishedSpan::blank(traced.origin.address(), SpanKind::Send)
        };
        self.measure_send(traced, message, Some(&span));
        if is_rescued {
            return rescue(traced, message, &span);
        }
        if !has_state && send.threshold.is_none() && traced.captured.is_none() {
            return Pipeline::push(&span, &[]);
        }
        let headers = message.headers();
        let mut own = TraceStateBuffer::new();
        let trace_state = match send.threshold {
            Some(threshold) => settled_trace_state(None, &span.trace_id, KeptBy::Threshold(threshold), &mut own),
            None => headers.as_ref().filter(|_| has_state).and_then(|headers| headers.last(c"tracestate")),
        };
        if let Some(captured) = traced.captured.as_deref() {
            return tell(captured, message, headers, trace_state, |fields| Pipeline::push(&span, fields));
        }
        match trace_state {
            None => Pipeline::push(&span, &[]),
            Some(state) => Pipeline::push(&span, TraceStateField::new(state).as_slice()),
        }
    }

    /// Counts a send that has ended, if such are measured: as long as its span, if it has one that is sampled.
    #[inline]
    fn measure_send(&self, traced: &Traced, message: &Message<'_>, span: Option<&FinishedSpan>) {
        if let Some(series) = &traced.measured {
            self.add_send(series, message, span);
        }
    }

    #[inline(never)]
    fn add_send(&self, series: &Series, message: &Message<'_>, span: Option<&FinishedSpan>) {
        let nanos = match span {
            Some(span) => span.end.saturating_sub(span.start),
            None => message.latency_nanos(),
        };
        let name = || error_name(self.api.err2name, message.error());
        series.sent(nanos, message.error(), name, || span.and_then(FinishedSpan::in_span));
    }

    fn start(&self, traced: &Traced, message: &Message<'_>, headers: &Option<Headers<'_>>, incoming: &Incoming<'_>) {
        if !traced.spans {
            // The context passes on as it is.
            let passed = |context| self.write(traced, message, headers, context, incoming, incoming.trace_state);
            if incoming.context.as_ref().is_some_and(|context| !passed(context)) && traced.marks {
                not_injected(traced, message);
            }
            return;
        }
        let (trace_id, mut parent) = match incoming.context {
            Some(context) => {
                let (remote, guessed) = (incoming.remote, incoming.guessed);
                (context.trace_id, Some(Parent { span_id: context.span_id, remote, guessed }))
            }
            None => (new_trace_id_of(incoming.train), None),
        };
        if let Some(original) = parent.and_then(|parent| self.failed.parent_of(parent.span_id)) {
            parent = original;
        }
        let (continued, sampling) = (incoming.context.as_ref(), incoming.sampling);
        let randomness = || explicit_randomness(incoming.trace_state);
        let verdict = traced.sampler.judge(&trace_id, continued, sampling, randomness, clock::monotonic_nanos);
        let (flags, recorded) = (verdict.flags, verdict.is_kept());
        if !recorded {
            traced.is_not_kept(verdict);
        }
        let span_id = match parent {
            Some(parent) if recorded => self.parents.keep(traced.stamped(new_span_id()), parent),
            // If it fails, it is a whole trace by itself.
            None if verdict.is_shed => self.parents.shed(traced.stamped(first_span_id(incoming.train, &trace_id))),
            None => self.parents.root(traced.stamped(first_span_id(incoming.train, &trace_id))),
            Some(_) => self.parents.root(traced.stamped(new_span_id())),
        };
        let context = SpanContext { trace_id, span_id, flags };
        let mut buffer;
        let trace_state = if incoming.trace_state.is_none() && !verdict.has_threshold() {
            None
        } else {
            buffer = TraceStateBuffer::new();
            let kept_by = traced.sampler.kept_by(sampling, verdict);
            settled_trace_state(incoming.trace_state, &trace_id, kept_by, &mut buffer)
        };
        let written = self.write(traced, message, headers, &context, incoming, trace_state);
        let is_marked = written && traced.marks;
        let send = || UnmarkedSend { trace_id, span_id, trace_flags: flags, parent, threshold: verdict.threshold() };
        // A note may be lost to another message's.
        let is_told = traced.has_trace_context || !verdict.has_threshold();
        if is_marked && (is_told || !self.unmarked.note(message.address(), send(), traced.rules)) {
            let ticks = if recorded { clock::ticks() } else { 0 };
            sent_spans::note(message.address(), &SentSpan { context, ticks, has_state: trace_state.is_some() });
        } else {
            // It is kept with the send.
            let _ = self.parents.take_parent_of(span_id);
            if !is_marked {
                self.start_unmarked(traced, message, headers.is_some(), send());
            }
        }
        // Last: a locked instruction waits for all stores before it, of which the note's is to a line that a broker's thread had.
        traced.counters.unacknowledged.raise();
    }

    /// The message does not say which span it began.
    #[cold]
    fn start_unmarked(&self, traced: &Traced, message: &Message<'_>, has_headers: bool, send: UnmarkedSend) {
        if traced.marks {
            not_injected(traced, message);
        }
        // An unsampled one too, if it has headers: they may name another span, sampled, which is not the one to end.
        let recorded = send.trace_flags & SpanContext::SAMPLED != 0;
        if (recorded || has_headers) && !self.unmarked.note(message.address(), send, traced.rules) {
            // One that is not recorded is no loss, only unseen.
            if recorded {
                traced.origin.count_lost(DropReason::BufferFull);
            }
        }
    }

    fn write(
        &self,
        traced: &Traced,
        message: &Message<'_>,
        headers: &Option<Headers<'_>>,
        context: &SpanContext,
        incoming: &Incoming<'_>,
        trace_state: Option<&[u8]>,
    ) -> bool {
        let injected = traced.injection.headers(context).with_trace_state(trace_state);
        let max_bytes = traced.size_limit.of_producer(self.message_max_bytes);
        if traced.injects_baggage && self.sees_context && has_current_baggage() {
            with_current_baggage(|baggage| {
                inject(message, headers.as_ref(), &injected.with_baggage(baggage), max_bytes)
            })
        } else {
            // What the application put there itself stays.
            let has_own = || headers.as_ref().is_some_and(Headers::have_baggage);
            let baggage = incoming.baggage.filter(|_| traced.injects_baggage && !has_own());
            inject(message, headers.as_ref(), &injected.with_baggage(baggage), max_bytes)
        }
    }

    /// What is known of the span that the message began.
    #[inline]
    fn sent(&self, traced: &Traced, message: &Message<'_>) -> Option<Sent> {
        let noted = sent_spans::take(message.address());
        if let Some(send) = self.unmarked.take(message.address()) {
            // Without a parent it can only have its own: the message was not given it.
            return Some(Sent { send, ticks: 0, has_state: send.parent.is_some() });
        }
        match noted {
            Some(SentSpan { context, ticks, has_state }) => {
                Some(Sent { send: self.send_of(traced, context), ticks, has_state })
            }
            None => self.marked_send(traced, message),
        }
    }

    /// Reads back what `start` wrote into the message.
    #[cold]
    fn marked_send(&self, traced: &Traced, message: &Message<'_>) -> Option<Sent> {
        let headers = message.headers()?;
        let send = self.send_of(traced, traced.injection.own_context(|name| headers.last(name))?);
        let has_state = send.parent.is_some() || traced.has_trace_context;
        Some(Sent { send, ticks: 0, has_state })
    }

    /// The span of this context, with its parent.
    fn send_of(&self, traced: &Traced, context: SpanContext) -> UnmarkedSend {
        let has_parent = context.is_sampled() && self.parents.has_parent(context.span_id);
        let parent = if has_parent { self.parents.take_parent_of(context.span_id) } else { None };
        if has_parent && parent.is_none() {
            traced.counters.parents_lost.fetch_add(1, Ordering::Relaxed);
        }
        let SpanContext { trace_id, span_id, flags: trace_flags } = context;
        UnmarkedSend { trace_id, span_id, trace_flags, parent, threshold: None }
    }
}

/// The failed send of a trace that was shed: it stands for itself alone.
#[cold]
fn rescue(traced: &Traced, message: &Message<'_>, span: &FinishedSpan) {
    let state = shedding::COUNTS_FOR_ITSELF;
    match traced.captured.as_deref() {
        Some(captured) => {
            tell(captured, message, message.headers(), Some(state), |fields| Pipeline::push(span, fields));
        }
        None => Pipeline::push(span, TraceStateField::new(state).as_slice()),
    }
}

/// A send that ends.
struct Sent {
    send: UnmarkedSend,
    /// When it began, by [`clock::ticks`]; 0 is not known.
    ticks: u64,
    /// Whether its trace state is that of its message.
    has_state: bool,
}

/// When the send ended, and how long it took, in nanoseconds.
///
/// Two clocks are read. The latency comes first: the time between the two readings then lets the span begin late, and never
/// before its parent. A thread that lost the processor in between reads again.
fn end_and_latency(message: &Message<'_>) -> (u64, u64) {
    const CLOSE: u64 = 20_000;
    let mut before = clock::unix_nanos();
    for _ in 0..4 {
        let latency = message.latency_nanos();
        let end = clock::unix_nanos();
        if end.saturating_sub(before) < CLOSE {
            return (end, latency);
        }
        before = end;
    }
    (clock::unix_nanos(), message.latency_nanos())
}

/// Lends `then` what the span of `message` says beyond the conventions' own.
#[cold]
fn tell(
    captured: &Captured,
    message: &Message<'_>,
    headers: Option<Headers<'_>>,
    trace_state: Option<&[u8]>,
    then: impl FnOnce(&[u8]),
) {
    let told = headers.iter().flat_map(|headers| headers.told(captured));
    captured.with_fields(trace_state, told, message.key(), then);
}

/// Counts a message that is sent without our headers; of a service's first one it is told.
#[cold]
fn not_injected(traced: &Traced, message: &Message<'_>) {
    traced.topic.not_injected.fetch_add(1, Ordering::Relaxed);
    let is_first = traced.counters.not_injected.fetch_add(1, Ordering::Relaxed) == 0;
    // Where brokers take no headers it was told when that was learnt.
    if is_first && !traced.header_refusals.is_stopped() {
        let what = format!(
            "a message of topic {:?} is sent without a context header, so its trace ends there: with one it might be \
             larger than message.max.bytes or the topic takes, or its own headers are too many; further ones of this \
             service are only counted",
            message.topic().to_string_lossy()
        );
        Pipeline::current().tell(log::Level::Warn, what);
    }
}
