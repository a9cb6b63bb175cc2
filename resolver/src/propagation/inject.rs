//! From a context to the headers of a message.

use std::ffi::CStr;

use super::{Reading, b3, datadog, hex, jaeger, parse_traceparent, write_traceparent, xray};
use crate::config::Propagator;
use crate::tracer::SpanContext;

/// The formats that a service writes, prepared once. Immutable; share it between threads as you like.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Without repetition, in the order they are written.
    formats: Vec<Propagator>,
    /// `baggage` last, if at all.
    names_to_clear: Vec<&'static CStr>,
}

impl Injection {
    /// Prepares the formats of a `propagators.inject`, but for those that are only read. Allocates; once per load or reload.
    pub fn new(inject: &[Propagator]) -> Self {
        let mut formats = Vec::with_capacity(inject.len());
        for &format in inject {
            if format.is_written() && !formats.contains(&format) {
                formats.push(format);
            }
        }
        let mut names_to_clear: Vec<&'static CStr> = Vec::new();
        for &name in formats.iter().filter(|&&format| format != Propagator::Baggage).flat_map(|&format| names(format)) {
            if !names_to_clear.contains(&name) {
                names_to_clear.push(name);
            }
        }
        if formats.contains(&Propagator::Baggage) {
            names_to_clear.push(BAGGAGE);
        }
        Self { formats, names_to_clear }
    }

    /// The headers that carry `context`, to be written in place of older ones.
    pub fn headers<'a>(&'a self, context: &SpanContext) -> InjectedHeaders<'a> {
        InjectedHeaders { injection: self, context: *context, trace_state: None, baggage: None }
    }

    /// Whether a header of this name, in any spelling, may be one of those that are written.
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.names_to_clear.iter().any(|ours| is_named(name, ours.to_bytes()))
    }

    /// Whether any format names a span, as baggage alone does not: what is written can be read back.
    pub fn carries_context(&self) -> bool {
        self.formats.iter().any(|&format| format != Propagator::Baggage)
    }

    /// Reads back the context that was written into a message, from the first format that carries one.
    ///
    /// `last_value` gives the value of the last header of exactly that name. One call for a single-header format, three
    /// or four for B3's several headers.
    pub fn own_context<'v>(
        &self,
        mut last_value: impl FnMut(&'static CStr) -> Option<&'v [u8]>,
    ) -> Option<SpanContext> {
        let format = self.formats.iter().find(|&&format| format != Propagator::Baggage)?;
        let reading = match format {
            Propagator::TraceContext => return parse_traceparent(last_value(TRACEPARENT)?.try_into().ok()?),
            Propagator::B3 => b3::read_single(last_value(B3)?),
            Propagator::B3Multi => b3::read_multi(&b3::Multi {
                trace_id: Some(last_value(B3_TRACE_ID)?),
                span_id: Some(last_value(B3_SPAN_ID)?),
                sampled: last_value(B3_SAMPLED),
                flags: last_value(B3_FLAGS),
            }),
            Propagator::Jaeger => jaeger::read(last_value(UBER_TRACE_ID)?),
            Propagator::Datadog => datadog::read(&datadog::Headers {
                trace_id: Some(last_value(DATADOG_TRACE_ID)?),
                parent_id: Some(last_value(DATADOG_PARENT_ID)?),
                priority: last_value(DATADOG_PRIORITY),
                tags: last_value(DATADOG_TAGS),
            }),
            Propagator::XRay => xray::read(last_value(AMZN_TRACE_ID)?),
            Propagator::Elastic => return parse_traceparent(last_value(ELASTIC_TRACEPARENT)?.try_into().ok()?),
            Propagator::Baggage | Propagator::SkyWalking => Reading::Nothing,
        };
        match reading {
            Reading::Context(context, _) => Some(context),
            Reading::Hint(_) | Reading::Nothing => None,
        }
    }
}

/// The headers of one context in all formats of an [`Injection`]. Borrows; lives on the stack of one `on_send`.
#[derive(Clone, Copy, Debug)]
pub struct InjectedHeaders<'a> {
    injection: &'a Injection,
    context: SpanContext,
    trace_state: Option<&'a [u8]>,
    baggage: Option<&'a [u8]>,
}

impl<'a> InjectedHeaders<'a> {
    /// Adds what came with the parent as `tracestate`; empty is none. Written only with W3C Trace Context.
    #[must_use]
    pub fn with_trace_state(self, trace_state: Option<&'a [u8]>) -> Self {
        Self { trace_state: trace_state.filter(|state| !state.is_empty()), ..self }
    }

    /// Adds a value of [`write_baggage`](super::write_baggage); empty is none. Written only if `baggage` is injected.
    #[must_use]
    pub fn with_baggage(self, baggage: Option<&'a [u8]>) -> Self {
        Self { baggage: baggage.filter(|baggage| !baggage.is_empty()), ..self }
    }

    /// Hands over each header, in order. A name is followed by its NUL; a value is borrowed until the closure returns.
    #[inline]
    pub fn for_each(&self, mut write: impl FnMut(&'static CStr, &[u8])) {
        for format in &self.injection.formats {
            match format {
                Propagator::TraceContext => {
                    write(TRACEPARENT, &write_traceparent(&self.context));
                    if let Some(trace_state) = self.trace_state {
                        write(TRACESTATE, trace_state);
                    }
                }
                Propagator::B3 => write(B3, &b3::write_single(&self.context)),
                Propagator::B3Multi => {
                    write(B3_TRACE_ID, &hex::encode_16(&self.context.trace_id));
                    write(B3_SPAN_ID, &hex::encode_8(&self.context.span_id));
                    // Debug implies being sampled, and then the other header is not to be sent.
                    if self.context.is_debug() {
                        write(B3_FLAGS, b"1");
                    } else {
                        write(B3_SAMPLED, if self.context.is_sampled() { b"1" } else { b"0" });
                    }
                }
                Propagator::Jaeger => write(UBER_TRACE_ID, &jaeger::write(&self.context)),
                Propagator::Datadog => self.write_datadog(&mut write),
                Propagator::XRay => write(AMZN_TRACE_ID, &xray::write(&self.context)),
                Propagator::Elastic => self.write_elastic(&mut write),
                Propagator::SkyWalking => {}
                Propagator::Baggage => {
                    if let Some(baggage) = self.baggage {
                        write(BAGGAGE, baggage);
                    }
                }
            }
        }
    }

    /// Number of headers, and the bytes of their names and values together (no NULs): what the message grows by, to be
    /// known before anything is written.
    #[inline]
    pub fn size(&self) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        let mut add = |name: &CStr, value: usize| {
            count += 1;
            bytes += name.count_bytes() + value;
        };
        for format in &self.injection.formats {
            match format {
                Propagator::TraceContext => {
                    add(TRACEPARENT, 55);
                    if let Some(trace_state) = self.trace_state {
                        add(TRACESTATE, trace_state.len());
                    }
                }
                Propagator::B3 => add(B3, 51),
                Propagator::B3Multi => {
                    add(B3_TRACE_ID, 32);
                    add(B3_SPAN_ID, 16);
                    add(if self.context.is_debug() { B3_FLAGS } else { B3_SAMPLED }, 1);
                }
                Propagator::Jaeger => add(UBER_TRACE_ID, 53),
                Propagator::Datadog => self.write_datadog(|name, value| add(name, value.len())),
                Propagator::XRay => add(AMZN_TRACE_ID, 74),
                Propagator::Elastic => add(ELASTIC_TRACEPARENT, 55),
                Propagator::SkyWalking => {}
                Propagator::Baggage => {
                    if let Some(baggage) = self.baggage {
                        add(BAGGAGE, baggage.len());
                    }
                }
            }
        }
        (count, bytes)
    }

    #[cold]
    fn write_elastic(&self, mut write: impl FnMut(&'static CStr, &[u8])) {
        write(ELASTIC_TRACEPARENT, &write_traceparent(&self.context));
    }

    #[cold]
    fn write_datadog(&self, mut write: impl FnMut(&'static CStr, &[u8])) {
        write(DATADOG_TRACE_ID, datadog::trace_id(&self.context).as_slice());
        write(DATADOG_PARENT_ID, datadog::parent_id(&self.context).as_slice());
        write(DATADOG_PRIORITY, datadog::priority(&self.context));
        if let Some(tags) = datadog::tags(&self.context) {
            write(DATADOG_TAGS, &tags);
        }
    }

    /// Names whose headers must go before ours are added, in the spelling that we and most others write.
    ///
    /// All names of a format, not only the ones written now: a stale `tracestate` or `X-B3-ParentSpanId` would belong to
    /// another span. `baggage` only when some is written: the application's own stays otherwise. For headers in other
    /// spellings there is [`InjectedHeaders::replaces`].
    pub fn names_to_clear(&self) -> &'a [&'static CStr] {
        match self.injection.names_to_clear.split_last() {
            Some((&last, others)) if last == BAGGAGE && self.baggage.is_none() => others,
            _ => &self.injection.names_to_clear,
        }
    }

    /// Whether an existing header of this name, in any spelling, must go before ours are added.
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.names_to_clear().iter().any(|ours| is_named(name, ours.to_bytes()))
    }
}

/// Whether a header's name is `ours`, in any spelling. Nearly all names are spelt as ours are, and letters one by one take ten times as
/// long.
#[inline]
pub(crate) fn is_named(name: &[u8], ours: &[u8]) -> bool {
    name == ours || name.eq_ignore_ascii_case(ours)
}

/// Whether a header of this name, in any spelling, is one that some format reads or writes.
///
/// Most headers are other people's: length and first letter tell nearly all of them apart from ours.
#[inline]
pub fn concerns(name: &[u8]) -> bool {
    let Some(&first) = name.first() else { return false };
    let known: &[&CStr] = match (name.len(), first.to_ascii_lowercase()) {
        (11, b't') => &[TRACEPARENT],
        (10, b't') => &[TRACESTATE],
        (7, b'b') => &[BAGGAGE],
        (2, b'b') => &[B3],
        (10..=27, b'x') => X_NAMES,
        (13, b'u') => &[UBER_TRACE_ID],
        (25, b's') => &[SECOND_SPAN_UBER_TRACE_ID],
        (15, b'j') => &[JAEGER_DEBUG_ID],
        (23, b'e') => &[ELASTIC_TRACEPARENT],
        (21, b'e') => &[ELASTIC_BINARY],
        (3, b's') => &[SW8],
        _ => &[],
    };
    known.iter().any(|known| is_named(name, known.to_bytes()))
}

/// All names that a reader of the format looks at.
fn names(format: Propagator) -> &'static [&'static CStr] {
    match format {
        Propagator::TraceContext => &[TRACEPARENT, TRACESTATE],
        // Whoever reads one form of B3 reads the other too, and might take the stale one.
        Propagator::B3 | Propagator::B3Multi => &[B3, B3_TRACE_ID, B3_SPAN_ID, B3_PARENT_SPAN_ID, B3_SAMPLED, B3_FLAGS],
        Propagator::Jaeger => &[UBER_TRACE_ID, SECOND_SPAN_UBER_TRACE_ID],
        Propagator::Datadog => &[DATADOG_TRACE_ID, DATADOG_PARENT_ID, DATADOG_PRIORITY, DATADOG_TAGS],
        Propagator::XRay => &[AMZN_TRACE_ID],
        Propagator::Elastic => &[ELASTIC_TRACEPARENT, ELASTIC_BINARY],
        Propagator::SkyWalking => &[SW8],
        Propagator::Baggage => &[BAGGAGE],
    }
}

/// Those that begin with an `x`.
const X_NAMES: &[&CStr] = &[
    B3_TRACE_ID,
    B3_SPAN_ID,
    B3_PARENT_SPAN_ID,
    B3_SAMPLED,
    B3_FLAGS,
    DATADOG_TRACE_ID,
    DATADOG_PARENT_ID,
    DATADOG_PRIORITY,
    DATADOG_TAGS,
    AMZN_TRACE_ID,
];

const TRACEPARENT: &CStr = c"traceparent";
const TRACESTATE: &CStr = c"tracestate";
const BAGGAGE: &CStr = c"baggage";
const B3: &CStr = c"b3";
const B3_TRACE_ID: &CStr = c"X-B3-TraceId";
const B3_SPAN_ID: &CStr = c"X-B3-SpanId";
const B3_PARENT_SPAN_ID: &CStr = c"X-B3-ParentSpanId";
const B3_SAMPLED: &CStr = c"X-B3-Sampled";
const B3_FLAGS: &CStr = c"X-B3-Flags";
const UBER_TRACE_ID: &CStr = c"uber-trace-id";
const SECOND_SPAN_UBER_TRACE_ID: &CStr = c"second_span_uber-trace-id";
const JAEGER_DEBUG_ID: &CStr = c"jaeger-debug-id";
const DATADOG_TRACE_ID: &CStr = c"x-datadog-trace-id";
const DATADOG_PARENT_ID: &CStr = c"x-datadog-parent-id";
const DATADOG_PRIORITY: &CStr = c"x-datadog-sampling-priority";
const DATADOG_TAGS: &CStr = c"x-datadog-tags";
const AMZN_TRACE_ID: &CStr = c"X-Amzn-Trace-Id";
const ELASTIC_TRACEPARENT: &CStr = c"elastic-apm-traceparent";
const ELASTIC_BINARY: &CStr = c"elasticapmtraceparent";
const SW8: &CStr = c"sw8";

#[cfg(test)]
mod tests;
