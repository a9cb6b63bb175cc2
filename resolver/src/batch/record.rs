//! One finished span, as Kafka's threads hand it over: plain data, two cache lines, nothing to free.

#![forbid(unsafe_code)]

use crate::metrics::InSpan;
use crate::tracer::SpanContext;

/// A finished span. `origin` names everything that is the same for all spans of one client and topic.
///
/// Copied into a segment on one thread and read on the batch thread; what `origin` points to outlives that, because a
/// client's origins are retired only after the batch thread has seen every record that was pushed before.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct FinishedSpan {
    pub origin: OriginAddress,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// All zero: a root.
    pub parent_span_id: [u8; 8],
    /// All zero: no link.
    pub link_trace_id: [u8; 16],
    pub link_span_id: [u8; 8],
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// Nanoseconds since the Unix epoch.
    pub end: u64,
    /// Negative: not known.
    pub offset: i64,
    pub time_in_queue: TimeInQueue,
    /// Negative: not known.
    pub partition: i32,
    pub outcome: Outcome,
    pub kind: SpanKind,
    pub flags: SpanFlags,
    /// W3C trace flags of the span itself.
    pub trace_flags: u8,
    /// Bytes that follow in the next slots: encoded `Span` fields, appended as they are.
    pub extra_len: u16,
}

/// Where the record's [`SpanOrigin`](super::SpanOrigin) is: only the origin's own file follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct OriginAddress(pub(super) *const ());

/// How the operation ended: librdkafka's error code, 0 for success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(pub i32);

impl Outcome {
    pub(crate) const OK: Self = Self(0);
}

/// Milliseconds between the message's timestamp and its delivery; negative when the message has no timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeInQueue(pub i64);

impl TimeInQueue {
    pub(crate) const UNKNOWN: Self = Self(-1);

    /// As metrics have it.
    #[inline]
    pub(crate) fn nanos(self) -> Option<u64> {
        u64::try_from(self.0).ok().map(|millis| millis.saturating_mul(1_000_000))
    }
}

/// What the span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SpanKind {
    /// From `produce()` to the broker's acknowledgement.
    Send,
    /// The moment of delivery to the application.
    Receive,
    /// The application's own processing of one message.
    Process,
    /// A commit of offsets of one topic.
    Commit,
    /// A call that hands over several messages of one topic.
    Poll,
    /// The same, of several topics.
    PollOfTopics,
    /// No span at all: see [`FinishedSpan::passing_on`].
    PassedOn,
}

/// Facts of one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanFlags(pub u8);

impl SpanFlags {
    /// The parent came from another process (OTLP `Span.flags` bit 9).
    pub(crate) const PARENT_REMOTE: u8 = 1;
    /// One strong count of `origin` travels with the record; the batch thread drops it.
    pub(crate) const OWNS_ORIGIN: u8 = 1 << 2;
    /// A key without a value.
    pub(crate) const TOMBSTONE: u8 = 1 << 1;
    /// The delivery waits for its thread's next poll, however long the processing takes.
    pub(crate) const UNTIL_POLL: u8 = 1 << 3;
    /// The parent is only taken to be one: see `interceptor::current_message`.
    pub(crate) const PARENT_GUESSED: u8 = 1 << 7;
    const ENDED_BY: u8 = 0b111 << 4;

    /// How the end of a processing that nobody's code marks was found, if it was.
    pub(crate) fn ended_by(self) -> Option<EndedBy> {
        let number = (self.0 & Self::ENDED_BY) >> 4;
        EndedBy::ALL.into_iter().find(|by| *by as u8 == number)
    }

    pub(crate) fn set_ended_by(&mut self, by: EndedBy) {
        self.0 = self.0 & !Self::ENDED_BY | (by as u8) << 4;
    }

    pub(crate) fn contains(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    pub(crate) fn set_if(&mut self, flag: u8, condition: bool) {
        self.0 |= if condition { flag } else { 0 };
    }
}

/// What showed that the processing of a message had lasted until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EndedBy {
    /// The thread sent a message in its course: it lasted so long at least.
    Send = 1,
    /// The thread asked for its next message.
    Poll,
    /// The thread closed the consumer.
    Close,
    /// The application committed this very message.
    Commit,
}

impl EndedBy {
    pub(crate) const ALL: [Self; 4] = [Self::Send, Self::Poll, Self::Close, Self::Commit];

    /// The value of the attribute `tracer_resolver.process.end`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Poll => "poll",
            Self::Close => "close",
            Self::Commit => "commit",
        }
    }
}

impl FinishedSpan {
    /// One of which nothing more is known: to be filled in.
    #[inline]
    pub(crate) fn blank(origin: OriginAddress, kind: SpanKind) -> Self {
        Self {
            origin,
            trace_id: [0; 16],
            span_id: [0; 8],
            parent_span_id: [0; 8],
            link_trace_id: [0; 16],
            link_span_id: [0; 8],
            start: 0,
            end: 0,
            offset: -1,
            time_in_queue: TimeInQueue::UNKNOWN,
            partition: -1,
            outcome: Outcome::OK,
            kind,
            flags: SpanFlags::default(),
            trace_flags: 0,
            extra_len: 0,
        }
    }

    /// What waits in place of a span for a message whose topic gets none: the context that the message brought. It is never
    /// sent: `trace_flags` does not say sampled, what the context says is in `outcome`. Its start is to be filled in.
    pub(crate) fn passing_on(origin: OriginAddress, trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Self {
        Self { trace_id, span_id, outcome: Outcome(i32::from(flags)), ..Self::blank(origin, SpanKind::PassedOn) }
    }

    /// What waits in place of a span for a message whose processing is only measured: nothing is passed on.
    pub(crate) fn passing_nothing_on(origin: OriginAddress) -> Self {
        Self::passing_on(origin, [0; 16], [0; 8], 0)
    }

    /// What an exemplar names; `None` if it is not sampled.
    #[inline]
    pub(crate) fn in_span(&self) -> Option<InSpan> {
        let span = InSpan { trace_id: self.trace_id, span_id: self.span_id, time: self.end };
        (self.trace_flags & SpanContext::SAMPLED != 0).then_some(span)
    }

    /// The context that its message brought; `None` within: it brought none. `None`: that is not known.
    pub(crate) fn brought(&self) -> Option<Option<SpanContext>> {
        if self.trace_id == [0; 16] {
            return None;
        }
        let (trace_id, span_id, flags) = if self.kind == SpanKind::PassedOn {
            (self.trace_id, self.span_id, self.passed_on_flags())
        } else if self.link_span_id != [0; 8] {
            (self.link_trace_id, self.link_span_id, self.trace_flags)
        } else if self.flags.contains(SpanFlags::PARENT_REMOTE) {
            (self.trace_id, self.parent_span_id, self.trace_flags)
        } else {
            // Its parent, if it has one, is the call that handed it over.
            return Some(None);
        };
        Some((span_id != [0; 8]).then_some(SpanContext { trace_id, span_id, flags }))
    }

    /// Whether it can be the span of a message whose headers say this: what it brought, or what was written there since for the
    /// program to read.
    pub(crate) fn came_with(&self, headers: Option<&SpanContext>) -> bool {
        let own = SpanContext { trace_id: self.trace_id, span_id: self.span_id, flags: self.trace_flags };
        self.brought().is_none_or(|brought| match (brought, headers) {
            (brought, Some(headers)) => {
                headers.is_same_span(&own) || brought.is_some_and(|brought| brought.is_same_span(headers))
            }
            (brought, None) => brought.is_none(),
        })
    }

    /// The flags of the context that [`FinishedSpan::passing_on`] was given.
    pub(crate) fn passed_on_flags(&self) -> u8 {
        self.outcome.0 as u8
    }

    /// Gives it the length of the processing as far as it is known: until `end` at least.
    pub(crate) fn lasts(&mut self, end: u64, by: EndedBy) {
        if end > self.end {
            self.ends(end, by);
        }
    }

    /// Gives it the length of the processing, which lasted until `end`.
    pub(crate) fn ends(&mut self, end: u64, by: EndedBy) {
        if self.kind == SpanKind::PassedOn {
            return;
        }
        self.kind = SpanKind::Process;
        self.end = end.max(self.start);
        self.flags.set_ended_by(by);
    }
}

const _: () = assert!(size_of::<FinishedSpan>() == 128, "two cache lines");
