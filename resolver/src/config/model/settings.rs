//! How messages are traced.

#![forbid(unsafe_code)]

/// How messages are traced, with defaults < service < topic merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether messages get spans.
    pub trace: Trace,
    /// Decides new traces, and every trace when `parent` is `Ignore`.
    pub sampler: Sampler,
    /// Whether a parent's decision wins.
    pub parent: ParentDecision,
    /// What a consumer span is to the span that sent the message.
    pub relation: Relation,
    /// What the consumption of a message means for what the thread sends next.
    pub ambient: Ambient,
    /// Formats written into headers.
    pub inject: Vec<Propagator>,
    /// Formats read from headers, in order; the first that yields a valid context is taken.
    pub extract: Vec<Propagator>,
    /// Write the consumer span's context back into the headers that the application reads.
    pub reinject: bool,
    /// Indices into `Config::backends`.
    pub export: Vec<usize>,
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
}
