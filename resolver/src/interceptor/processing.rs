//! The application processes a consumed message: its span gets a length, an outcome, and is current meanwhile.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::baggage::KeyValueMetadata;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};

use super::application_context;
use super::clientless_routes;
use super::consumer::{consumer_span, trace_state_of};
use super::declared_parents::Bearer;
use super::headers::is_baggage;
use super::incoming::Incoming;
use super::late_messages;
use super::route::{has_several_consumers, topic_hash};
use crate::Resolver;
use crate::batch::{
    Claimed, Field, FinishedSpan, Pipeline, Place, SpanFlags, SpanKind, SpanOrigin, SpanWriter, TraceStateField, Whose,
};
use crate::clock;
use crate::per_process;
use crate::propagation::{SpanContext, TraceStateBuffer, extract, read_baggage};
use crate::resolver::Shared;

/// Which message is processed: its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePlace<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl<'a> MessagePlace<'a> {
    pub(super) fn with_hash(self) -> Place<'a> {
        let Self { topic, partition, offset } = self;
        Place { topic, topic_hash: topic_hash(topic), partition, offset }
    }
}

/// The processing of one consumed message, as a span from [`Processing::start`] to the drop.
///
/// It takes over the span that began at the delivery, if that was on this process's own consumer, at most two seconds
/// and 8192 messages of the partition ago; else it is a span of its own, with the same parent. What the application
/// sends, or traces itself, under [`Processing::context`] continues this span. May be moved to, and dropped on, another
/// thread. Dropping never blocks.
#[derive(Debug)]
pub struct Processing {
    /// `None`: neither sampled nor measured, or not traced.
    work: Option<Work>,
    context: Context,
}

/// The span of a processing, which it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Work {
    span: FinishedSpan,
    origin: Arc<SpanOrigin>,
    /// The encoded trace state, if there is one, and what is told of the message.
    trace_state: Vec<u8>,
    /// Encoded fields of a failure.
    failure: Vec<u8>,
    /// The failure's name; only if it is measured.
    error_type: Option<String>,
    started: Instant,
    /// When nobody was at work on it any more, as far as is known.
    paused: Option<Instant>,
    /// A fork has a copy of every open guard; only the process that opened it ends its span.
    generation: usize,
}

// SAFETY: `FinishedSpan::origin` is the address of `origin`, which is `Send` and `Sync` and kept alive beside it.
unsafe impl Send for Work {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Work {}

impl Processing {
    /// Begins. `headers` are the message's, in order; `service` is looked at when several clients of this process read
    /// the same partition, and decides whose processing this is.
    ///
    /// Allocates: a guard is not a callback.
    pub fn start<'a>(
        resolver: &Resolver,
        place: MessagePlace<'_>,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
        service: Option<usize>,
    ) -> Self {
        let Some(shared) = resolver.shared() else { return Self::untraced() };
        match Work::start(&shared, place, headers.clone(), service, true) {
            Some(work) if work.is_only_measured() => Self { work: Some(work), ..Self::untraced() },
            Some(work) => Self::of(work, headers),
            None => Self::untraced(),
        }
    }

    /// What the processing runs under: the span is current in it, and the message's baggage.
    ///
    /// The application attaches it, or runs a future `with_context` of it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The processing failed: the span gets the status Error, `error.type` and a description.
    ///
    /// `error_type` is a name of low cardinality, an error's type or code; `description` is for people. The last call
    /// counts.
    pub fn fail(&mut self, error_type: &str, description: &str) {
        if let Some(work) = &mut self.work {
            work.fail(error_type, description);
        }
    }

    /// The processing of a message that nobody traces: does nothing, under the context that is current anyway.
    pub fn untraced() -> Self {
        Self { work: None, context: current() }
    }

    fn of<'a>(work: Work, headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone) -> Self {
        let of_work = work.context();
        let trace_state = work.trace_state().and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
        let span_context = opentelemetry::trace::SpanContext::new(
            TraceId::from_bytes(of_work.trace_id),
            SpanId::from_bytes(of_work.span_id),
            TraceFlags::new(of_work.flags & !SpanContext::DEBUG),
            false,
            trace_state,
        );
        let mut context = current().with_remote_span_context(span_context);
        if work.takes_baggage() {
            let values = headers.filter(|(name, _)| is_baggage(name)).filter_map(|(_, value)| value);
            let entries: Vec<_> = read_baggage(values)
                .map(|entry| {
                    KeyValueMetadata::new(
                        entry.key().into_owned(),
                        entry.value().into_owned(),
                        entry.metadata().to_owned(),
                    )
                })
                .collect();
            if !entries.is_empty() {
                context = context.with_baggage(entries);
            }
        }
        Self { work: Some(work).filter(|work| work.is_recorded() || work.is_measured()), context }
    }
}

/// The context that is current; the root on a thread that has none any more.
fn current() -> Context {
    application_context::look(Context::clone).unwrap_or_default()
}

impl Work {
    /// Takes the message's delivery, or begins a span of its own; `None`: it is nobody's, or gets no spans. `are_all`: `headers`
    /// are all that say what the message brought.
    pub(super) fn start<'a>(
        shared: &Arc<Shared>,
        place: MessagePlace<'_>,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
        service: Option<usize>,
        are_all: bool,
    ) -> Option<Self> {
        let place = place.with_hash();
        let mut buffer = TraceStateBuffer::new();
        let brought = || are_all.then(|| context_of(shared, &place, headers.clone(), service)).flatten();
        let claimed = claim(shared, &place, service, brought)
            .or_else(|| unclaimed(shared, &place, headers.map(shorter), service, &mut buffer))?;
        Some(Self::begin(claimed))
    }

    /// Takes the message's delivery. `Err` says whether the message is somebody's although it is gone.
    pub(super) fn of_delivery(shared: &Arc<Shared>, place: MessagePlace<'_>) -> Result<Self, bool> {
        let place = place.with_hash();
        match claim(shared, &place, None, || None) {
            Some(claimed) => Ok(Self::begin(claimed)),
            None => Err(clientless_routes::route(shared, place.topic, None)
                .is_some_and(|route| route.traced().is_some_and(|traced| traced.spans || traced.measured.is_some()))),
        }
    }

    fn begin(claimed: Claimed) -> Self {
        let Claimed { mut span, origin, extra } = claimed;
        if span.kind != SpanKind::PassedOn {
            span.kind = SpanKind::Process;
        }
        span.start = clock::unix_nanos();
        span.origin = origin.address();
        origin.backend_set().work_begins();
        Self {
            span,
            origin,
            trace_state: extra,
            failure: Vec::new(),
            error_type: None,
            started: Instant::now(),
            paused: None,
            generation: per_process::generation(),
        }
    }

    /// What is sent in its course continues this.
    pub(super) fn context(&self) -> SpanContext {
        let flags = if self.is_passed_on() { self.span.passed_on_flags() } else { self.span.trace_flags };
        SpanContext { trace_id: self.span.trace_id, span_id: self.span.span_id, flags }
    }

    /// Whether there is no span: what is sent continues what the message brought.
    pub(super) fn is_passed_on(&self) -> bool {
        self.span.kind == SpanKind::PassedOn
    }

    /// Whether it has neither a span nor a context to be passed on.
    pub(super) fn is_only_measured(&self) -> bool {
        self.span.trace_id == [0; 16]
    }

    /// The context that the message brought, if it brought one.
    pub(super) fn brought(&self) -> Option<SpanContext> {
        self.span.brought().flatten()
    }

    pub(super) fn trace_state(&self) -> Option<&str> {
        TraceStateField::decode(&self.trace_state)
    }

    /// Whose baggage it has taken over with its delivery.
    pub(super) fn bearer(&self) -> Bearer {
        let FinishedSpan { span_id, partition, offset, .. } = self.span;
        Bearer { span_id, topic_hash: topic_hash(self.origin.topic()), partition, offset }
    }

    /// Whether the message's baggage goes on with what is sent.
    pub(super) fn takes_baggage(&self) -> bool {
        self.origin.takes_baggage()
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.span.trace_flags & SpanContext::SAMPLED != 0
    }

    pub(super) fn is_measured(&self) -> bool {
        self.origin.measured().is_some()
    }

    /// Nobody is at work on it from now on, or somebody is again.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused.then(Instant::now);
    }

    /// See [`Processing::fail`].
    pub(super) fn fail(&mut self, error_type: &str, description: &str) {
        let mut fields = Vec::new();
        let mut span = SpanWriter::new(&mut fields);
        span.string_attribute(Field::ATTRIBUTES, "error.type", at_most(error_type, 256));
        span.message(Field::STATUS, |status| {
            status.bytes(Field::STATUS_MESSAGE, at_most(description, 512).as_bytes());
            status.varint(Field::STATUS_CODE, 2);
        });
        self.failure = fields;
        self.error_type = self.is_measured().then(|| at_most(error_type, 256).to_owned());
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.generation != per_process::generation() {
            return;
        }
        if self.is_recorded() || self.is_measured() {
            self.end();
        }
        // Only now: what is looked at next round, when nothing is under way any more, is drained before.
        self.origin.backend_set().work_ends();
    }
}

impl Work {
    fn end(&self) {
        let mut span = self.span;
        let took = self.paused.unwrap_or_else(Instant::now).saturating_duration_since(self.started);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        span.end = span.start.saturating_add(nanos);
        if let Some(series) = self.origin.measured() {
            series.processed(nanos, self.error_type.as_deref(), || span.in_span());
        }
        if !self.is_recorded() {
            return;
        }
        span.flags.set_if(SpanFlags::OWNS_ORIGIN, true);
        span.origin = Arc::clone(&self.origin).into_address();
        Pipeline::push(&span, &[self.trace_state.as_slice(), &self.failure].concat());
    }
}

/// The delivery that waits for this message. Two clusters may have messages at the same place: then it is the one that came with
/// what the message's headers say by `brought`; where nobody knows that, the one that this thread was handed, if it was handed
/// one only.
fn claim(
    shared: &Arc<Shared>,
    place: &Place<'_>,
    service: Option<usize>,
    brought: impl FnOnce() -> Option<Option<SpanContext>>,
) -> Option<Claimed> {
    let accept = |origin: &SpanOrigin| {
        // A service's number alone could be that of another resolver's service.
        origin.backend_set().resolver() == shared.id()
            && service.is_none_or(|service| origin.service() == service as u32)
    };
    let received_spans = Pipeline::current().received_spans()?;
    if !(has_several_consumers() && received_spans.is_of_several(place, Whose::Anybodys, accept)) {
        return received_spans.claim(place, Whose::Anybodys, |origin, _| accept(origin));
    }
    if let Some(brought) = brought() {
        let came_with_it =
            |origin: &SpanOrigin, span: &FinishedSpan| accept(origin) && span.came_with(brought.as_ref());
        return received_spans.claim(place, Whose::Anybodys, came_with_it);
    }
    let is_one = !received_spans.is_of_several(place, Whose::ThisThreads, accept);
    is_one.then(|| received_spans.claim(place, Whose::ThisThreads, |origin, _| accept(origin))).flatten()
}

/// What a message's headers say; `None`: it is nobody's.
fn context_of<'a>(
    shared: &Arc<Shared>,
    place: &Place<'_>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
    service: Option<usize>,
) -> Option<Option<SpanContext>> {
    let route = clientless_routes::route(shared, place.topic, service)?;
    let traced = route.traced()?;
    let mut buffer = TraceStateBuffer::new();
    Some(Incoming::of(&extract(headers.map(shorter), &traced.extract, &mut buffer)).context)
}

/// A message that no delivery of ours waits for: its span begins here, by the rules for its topic.
fn unclaimed<'a>(
    shared: &Arc<Shared>,
    place: &Place<'_>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
    service: Option<usize>,
    buffer: &'a mut TraceStateBuffer,
) -> Option<Claimed> {
    let route = clientless_routes::route(shared, place.topic, service)?;
    let traced = route.traced()?;
    if !traced.spans {
        let measures = || Claimed {
            span: FinishedSpan::passing_nothing_on(traced.origin.address()),
            origin: Arc::clone(&traced.origin),
            extra: Vec::new(),
        };
        return traced.measured.is_some().then(measures);
    }
    let extracted = extract(headers.clone(), &traced.extract, buffer);
    let incoming = Incoming::of(&extracted);
    let handed_over = |_now| late_messages::batch_of(&traced.origin, place.topic_hash, place.partition, place.offset);
    let (mut span, verdict) = consumer_span(traced, &incoming, clock::unix_nanos(), handed_over);
    span.partition = place.partition;
    span.offset = place.offset;
    let mut own = TraceStateBuffer::new();
    let trace_state = trace_state_of(traced, &span, verdict, &incoming, &mut own);
    let extra = match trace_state {
        // Its key is not known here.
        _ if traced.captured.is_some() => traced
            .captured
            .as_deref()
            .map_or_else(Vec::new, |captured| captured.with_fields(trace_state, headers, None, <[u8]>::to_vec)),
        Some(state) => TraceStateField::new(state).as_slice().to_vec(),
        None => Vec::new(),
    };
    Some(Claimed { span, origin: Arc::clone(&traced.origin), extra })
}

/// The same header, borrowed for as long as the reader needs it.
fn shorter<'s, 'a: 's>((name, value): (&'a [u8], Option<&'a [u8]>)) -> (&'s [u8], Option<&'s [u8]>) {
    (name, value)
}

/// The first `max` bytes of `text`, cut where a character ends.
fn at_most(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
