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
use super::consumer::consumer_span;
use super::incoming::Incoming;
use super::route::topic_hash;
use crate::Resolver;
use crate::batch::{
    Claimed, Field, FinishedSpan, Pipeline, Place, SpanFlags, SpanKind, SpanOrigin, SpanWriter, TraceStateField,
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

/// The processing of one consumed message, as a span from [`Processing::start`] to the drop.
///
/// It takes over the span that began at the hand-over, if that was on this process's own consumer, at most two seconds
/// and 2048 messages of the partition ago; else it is a span of its own, with the same parent. What the application
/// sends, or traces itself, under [`Processing::context`] continues this span. May be moved to, and dropped on, another
/// thread. Dropping never blocks.
#[derive(Debug)]
pub struct Processing {
    /// `None`: not sampled, or not traced.
    span: Option<Open>,
    context: Context,
}

#[derive(Debug)]
struct Open {
    span: FinishedSpan,
    origin: Arc<SpanOrigin>,
    /// The encoded trace state, if there is one.
    trace_state: Vec<u8>,
    /// Encoded fields of a failure.
    failure: Vec<u8>,
    started: Instant,
    /// A fork has a copy of every open guard; only the process that opened it ends its span.
    generation: usize,
}

// SAFETY: `FinishedSpan::origin` is the address of `origin`, which is `Send` and `Sync` and kept alive beside it.
unsafe impl Send for Open {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Open {}

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
        let accept = |origin: &SpanOrigin| {
            // A service's number alone could be that of another resolver's service.
            origin.lane().resolver() == shared.id() && service.is_none_or(|service| origin.service() == service as u32)
        };
        let place = Place {
            topic: place.topic,
            topic_hash: topic_hash(place.topic),
            partition: place.partition,
            offset: place.offset,
        };
        let claimed =
            Pipeline::current().received_spans().and_then(|received_spans| received_spans.claim(&place, accept));
        let mut buffer = TraceStateBuffer::new();
        let claimed = claimed.or_else(|| {
            let headers = headers.clone().map(shorter);
            unclaimed(&shared, &place, headers, service, &mut buffer)
        });
        let Some(claimed) = claimed else {
            return Self::untraced();
        };
        Self::of(claimed, headers)
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
        let Some(open) = &mut self.span else { return };
        let mut fields = Vec::new();
        let mut span = SpanWriter::new(&mut fields);
        span.string_attribute(Field::ATTRIBUTES, "error.type", at_most(error_type, 256));
        span.message(Field::STATUS, |status| {
            status.bytes(Field::STATUS_MESSAGE, at_most(description, 512).as_bytes());
            status.varint(Field::STATUS_CODE, 2);
        });
        open.failure = fields;
    }

    /// The processing of a message that nobody traces: does nothing, under the context that is current anyway.
    pub fn untraced() -> Self {
        Self { span: None, context: current() }
    }

    fn of<'a>(claimed: Claimed, headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone) -> Self {
        let Claimed { mut span, origin, extra } = claimed;
        span.kind = SpanKind::Process;
        span.start = clock::unix_nanos();
        span.origin = origin.address();
        let sampled = span.trace_flags & SpanContext::SAMPLED != 0;
        let trace_state =
            TraceStateField::decode(&extra).and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
        let span_context = opentelemetry::trace::SpanContext::new(
            TraceId::from_bytes(span.trace_id),
            SpanId::from_bytes(span.span_id),
            TraceFlags::new(span.trace_flags & !SpanContext::DEBUG),
            false,
            trace_state,
        );
        let mut context = current().with_remote_span_context(span_context);
        if origin.takes_baggage() {
            let values =
                headers.filter(|(name, _)| name.eq_ignore_ascii_case(b"baggage")).filter_map(|(_, value)| value);
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
        let open = Open {
            span,
            origin,
            trace_state: extra,
            failure: Vec::new(),
            started: Instant::now(),
            generation: per_process::generation(),
        };
        Self { span: sampled.then_some(open), context }
    }
}

/// The context that is current; the root on a thread that has none any more.
fn current() -> Context {
    application_context::look(Context::clone).unwrap_or_default()
}

impl Drop for Processing {
    fn drop(&mut self) {
        let Some(Open { mut span, origin, trace_state, failure, started, generation }) = self.span.take() else {
            return;
        };
        if generation != per_process::generation() {
            return;
        }
        span.end = span.start.saturating_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        span.flags.set_if(SpanFlags::OWNS_ORIGIN, true);
        span.origin = origin.into_address();
        Pipeline::push(&span, &[trace_state, failure].concat());
    }
}

/// A message that no hand-over of ours waits for: its span begins here, by the rules for its topic.
fn unclaimed<'a>(
    shared: &Arc<Shared>,
    place: &Place<'_>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    service: Option<usize>,
    buffer: &'a mut TraceStateBuffer,
) -> Option<Claimed> {
    let route = clientless_routes::route(shared, place.topic, service)?;
    let traced = route.traced().filter(|traced| traced.spans)?;
    let extracted = extract(headers, &traced.extract, buffer);
    let incoming = Incoming::of(&extracted);
    let mut span = consumer_span(traced, &incoming);
    span.partition = place.partition;
    span.offset = place.offset;
    let extra = match incoming.trace_state.filter(|_| span.link_span_id == [0; 8]) {
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
