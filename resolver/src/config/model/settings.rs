//! How messages are traced.

#![forbid(unsafe_code)]

use std::sync::Arc;

/// How messages are traced, with defaults < service < topic merged. What several say alike they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether messages get spans; see also [`Settings::trace_in_effect`].
    pub trace: Trace,
    /// Whether messages are measured.
    pub measure: Measuring,
    /// Decides new traces, and every trace when `parent` is `Ignore`.
    pub sampler: Sampler,
    /// Whether a parent's decision wins.
    pub parent: ParentDecision,
    /// What a consumer span is to the span that sent the message.
    pub relation: Relation,
    /// What the consumption of a message means for what the thread sends next.
    pub ambient: Ambient,
    /// Formats written into headers.
    pub inject: Arc<[Propagator]>,
    /// Formats read from headers, in order; the first that yields a valid context is taken.
    pub extract: Arc<[Propagator]>,
    /// Write the consumer span's context back into the headers that the application reads.
    pub reinject: bool,
    /// Commits of offsets get spans, too.
    pub commit_spans: bool,
    /// Indices into `Config::backends`.
    pub export: Arc<[usize]>,
    /// What a span says of its message.
    pub attributes: SpanAttributes,
}

/// What a span says of its message, beyond what the conventions ask of every span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanAttributes {
    /// Names of message headers whose values become attributes, as the messages have them.
    pub capture_headers: Arc<[String]>,
    /// Globs of header names, in any case: of those only that they are there is told.
    pub redact_headers: Arc<[String]>,
    /// Globs of values, in any case, that are not told.
    pub redact_values: Arc<[String]>,
    /// Whether the message's key is told.
    pub message_key: MessageKey,
    /// By which names.
    pub conventions: Conventions,
}

/// `message_key = …`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageKey {
    /// It is not told.
    #[default]
    Off,
    /// Its SHA-256, the first half.
    Hash,
    /// As it is, if it is text.
    Plain,
}

/// `conventions = …`: words of `OTEL_SEMCONV_STABILITY_OPT_IN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conventions {
    /// `messaging`: the names of today.
    #[default]
    Messaging,
    /// `messaging/dup`: those that other instrumentation had before, too.
    MessagingDup,
}

impl Settings {
    /// What becomes of messages: as `trace` says, but that `measure = "only"` leaves no spans.
    pub fn trace_in_effect(&self) -> Trace {
        match (self.trace, self.measure) {
            (Trace::Spans, Measuring::Only) => Trace::Propagate,
            (trace, _) => trace,
        }
    }
}

/// `trace = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A span per message and side.
    Spans,
    /// Context passes on, no span.
    Propagate,
    /// Untouched.
    Off,
}

/// `measure = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measuring {
    /// Not.
    Off,
    /// Beside whatever `trace` says.
    On,
    /// And without spans: what gets spans by `trace` is passed on.
    Only,
}

/// `sampler = …`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// Share of traces by trace id, 0.0 to 1.0, as OpenTelemetry's `TraceIdRatioBased`.
    Ratio(f64),
    /// Share of traces by their randomness, 0.0 to 1.0, with the threshold in `tracestate`: OpenTelemetry's consistent
    /// probability sampling.
    ConsistentProbability(f64),
    /// At most this many new traces a second.
    RateLimit(f64),
}

/// `parent = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentDecision {
    /// A parent's sampling decision wins over the sampler (`ParentBased`).
    Respect,
    /// The sampler decides every trace.
    Ignore,
}

/// `relation = …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The consumer span is a child of the producer span: one trace shows one order's whole way.
    Parent,
    /// The consumer span starts a trace of its own and links to the producer span.
    Link,
    /// The same, but below a span of the call that hands over several messages, which links to all their producer spans.
    Batch,
}

/// `ambient = …`. For clients of other languages only: in Rust a processing guard says which message is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambient {
    /// What a thread sends continues the one message that it was handed last.
    Thread,
    /// It does not.
    Off,
}

/// A context format in record headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagator {
    /// `traceparent`, `tracestate`: W3C Trace Context.
    TraceContext,
    /// `baggage`: W3C Baggage.
    Baggage,
    /// `b3`: B3 single header. On reading, the multi-header form is taken too.
    B3,
    /// `X-B3-TraceId` and its family.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
    /// `x-datadog-trace-id` and its family.
    Datadog,
    /// `X-Amzn-Trace-Id`: AWS X-Ray.
    XRay,
    /// `elastic-apm-traceparent`; on reading, the binary `elasticapmtraceparent` is taken too.
    Elastic,
    /// `sw8`: Apache SkyWalking. Read only.
    SkyWalking,
}

impl Propagator {
    /// Whether it can be written too.
    pub fn is_written(self) -> bool {
        self != Self::SkyWalking
    }
}
