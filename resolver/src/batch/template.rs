//! The OTLP encoder of Kafka spans: everything that two spans of one client and topic have in common is encoded once,
//! when the route is built; per span the fixed part is copied and the ids, times and offsets are filled in.

#![forbid(unsafe_code)]

use super::record::{FinishedSpan, Outcome, SpanFlags, SpanKind};
use super::span_writer::{Field, SpanWriter, varint};

/// What a route's spans have in common.
#[derive(Clone, Debug)]
pub(crate) struct RouteFacts<'a> {
    pub topic: &'a str,
    pub client_id: &'a str,
    /// Consumers only.
    pub group_id: Option<&'a str>,
    /// The one broker of `bootstrap.servers`, when there is just one: a list names no server.
    pub server: Option<(&'a str, Option<u16>)>,
}

/// The three templates of a route.
#[derive(Debug)]
pub(crate) struct RouteTemplates {
    send: Template,
    receive: Template,
    process: Template,
}

/// One kind's fixed bytes, with and without a parent: the ids and times inside are zero until a span fills them in.
#[derive(Debug)]
struct Template {
    root: Fixed,
    child: Fixed,
}

#[derive(Debug)]
struct Fixed {
    bytes: Box<[u8]>,
    /// Where the eight bytes of the start time begin; the end time follows after its own tag.
    start_at: usize,
}

/// The resource and scope of one service, as they open its `ResourceSpans`.
#[derive(Debug)]
pub(crate) struct ServiceResource {
    /// The encoded `Resource` field.
    resource: Box<[u8]>,
}

const RESOURCE_SPANS_TAG: u8 = 0x0a;
const SCOPE_SPANS_TAG: u8 = 0x12;
const SPANS_TAG: u8 = 0x12;
const TRACE_ID_AT: usize = 2;
const SPAN_ID_AT: usize = 20;
const PARENT_ID_AT: usize = 30;
/// Semantic conventions whose names the spans use.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

impl RouteTemplates {
    pub(crate) fn new(facts: &RouteFacts<'_>) -> Self {
        Self {
            send: Template::new(facts, SpanKind::Send),
            receive: Template::new(facts, SpanKind::Receive),
            process: Template::new(facts, SpanKind::Process),
        }
    }

    /// Appends one `spans` field of `ScopeSpans`.
    ///
    /// `error_type` gives the name of a failed outcome; it is asked for failed spans only. Allocates only when `out`
    /// has to grow.
    pub(crate) fn encode(
        &self,
        out: &mut Vec<u8>,
        span: &FinishedSpan,
        extra: &[u8],
        error_type: impl FnOnce(Outcome) -> String,
    ) {
        let template = match span.kind {
            SpanKind::Send => &self.send,
            SpanKind::Receive => &self.receive,
            SpanKind::Process => &self.process,
        };
        let child = span.parent_span_id != [0; 8];
        let fixed = if child { &template.child } else { &template.root };

        let mut tail = Tail::new();
        if span.partition >= 0 {
            let (digits, len) = decimal(span.partition as u32);
            let mut any = [0; 12];
            any[0] = 0x0a; // string_value
            any[1] = len;
            any[2..].copy_from_slice(&digits);
            tail.attribute(b"messaging.destination.partition.id", any.get(..2 + usize::from(len)).unwrap_or(&[]));
        }
        if span.offset >= 0 {
            tail.int_attribute(b"messaging.kafka.offset", span.offset as u64);
        }
        if span.time_in_queue.0 >= 0 {
            tail.int_attribute(b"kafka.record.queue_time_ms", span.time_in_queue.0 as u64);
        }
        if span.flags.contains(SpanFlags::TOMBSTONE) {
            tail.attribute(b"messaging.kafka.message.tombstone", &[0x10, 1]); // bool_value = true
        }
        let failed = (span.outcome != Outcome::OK).then(|| failure(&error_type(span.outcome)));
        let link = (span.link_span_id != [0; 8]).then(|| link(span));
        let (failed, link) = (failed.as_deref().unwrap_or(&[]), link.as_ref().map_or(&[][..], |link| link));
        let flags = flags(span);

        let body_len = fixed.bytes.len() + tail.as_slice().len() + link.len() + failed.len() + extra.len() + flags.len();
        let length = varint(body_len as u64);
        out.reserve(body_len + 11);
        out.push(SPANS_TAG);
        out.extend_from_slice(length.as_slice());
        let body = out.len();
        out.extend_from_slice(&fixed.bytes);
        if let Some(target) = out.get_mut(body..) {
            patch(target, TRACE_ID_AT, &span.trace_id);
            patch(target, SPAN_ID_AT, &span.span_id);
            if child {
                patch(target, PARENT_ID_AT, &span.parent_span_id);
            }
            patch(target, fixed.start_at, &span.start.to_le_bytes());
            patch(target, fixed.start_at + 9, &span.end.to_le_bytes());
        }
        out.extend_from_slice(tail.as_slice());
        out.extend_from_slice(link);
        out.extend_from_slice(failed);
        out.extend_from_slice(extra);
        out.extend_from_slice(&flags);
    }
}

impl Template {
    fn new(facts: &RouteFacts<'_>, kind: SpanKind) -> Self {
        Self { root: Fixed::new(facts, kind, false), child: Fixed::new(facts, kind, true) }
    }
}

impl Fixed {
    fn new(facts: &RouteFacts<'_>, kind: SpanKind, child: bool) -> Self {
        let (operation, otlp_kind) = match kind {
            SpanKind::Send => ("send", 4),
            SpanKind::Receive => ("receive", 5),
            SpanKind::Process => ("process", 5),
        };
        let mut bytes = Vec::with_capacity(320);
        let mut span = SpanWriter::new(&mut bytes);
        span.bytes(Field::TRACE_ID, &[0; 16]);
        span.bytes(Field::SPAN_ID, &[0; 8]);
        if child {
            span.bytes(Field::PARENT_SPAN_ID, &[0; 8]);
        }
        span.bytes(Field::NAME, format!("{operation} {}", facts.topic).as_bytes());
        span.varint(Field::KIND, otlp_kind);
        span.fixed64(Field::START, 0);
        span.fixed64(Field::END, 0);
        let start_at = bytes.len() - 17;

        let mut span = SpanWriter::new(&mut bytes);
        let mut attribute = |key: &str, value: &str| span.string_attribute(Field::ATTRIBUTES, key, value);
        attribute("messaging.system", "kafka");
        attribute("messaging.operation.name", operation);
        attribute("messaging.operation.type", operation);
        attribute("messaging.destination.name", facts.topic);
        if !facts.client_id.is_empty() {
            attribute("messaging.client.id", facts.client_id);
        }
        if let Some(group) = facts.group_id.filter(|group| !group.is_empty()) {
            attribute("messaging.consumer.group.name", group);
        }
        if let Some((host, port)) = facts.server {
            attribute("server.address", host);
            if let Some(port) = port {
                span.int_attribute(Field::ATTRIBUTES, "server.port", i64::from(port));
            }
        }
        Self { bytes: bytes.into_boxed_slice(), start_at }
    }
}

impl ServiceResource {
    pub(crate) fn new<'a>(
        strings: impl IntoIterator<Item = (&'a str, &'a str)>,
        integers: impl IntoIterator<Item = (&'a str, i64)>,
    ) -> Self {
        let mut resource = Vec::new();
        SpanWriter::new(&mut resource).message(Field::RESOURCE, |resource| {
            for (key, value) in strings {
                resource.string_attribute(Field::RESOURCE_ATTRIBUTES, key, value);
            }
            for (key, value) in integers {
                resource.int_attribute(Field::RESOURCE_ATTRIBUTES, key, value);
            }
        });
        Self { resource: resource.into_boxed_slice() }
    }

    /// Appends one `ResourceSpans` whose `scopes` are (encoded `InstrumentationScope` field, encoded `spans` fields).
    pub(crate) fn wrap<'a>(&self, out: &mut Vec<u8>, scopes: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) {
        let schema = 2 + SCHEMA_URL.len();
        let scope_len = |(scope, spans): (&[u8], &[u8])| scope.len() + spans.len() + schema;
        let scopes_len: usize = scopes
            .clone()
            .map(|scope| scope_len(scope))
            .map(|len| 1 + varint(len as u64).as_slice().len() + len)
            .sum();
        let len = self.resource.len() + scopes_len + schema;
        out.reserve(len + 11);
        out.push(RESOURCE_SPANS_TAG);
        out.extend_from_slice(varint(len as u64).as_slice());
        out.extend_from_slice(&self.resource);
        for (scope, spans) in scopes {
            out.push(SCOPE_SPANS_TAG);
            out.extend_from_slice(varint(scope_len((scope, spans)) as u64).as_slice());
            out.extend_from_slice(scope);
            out.extend_from_slice(spans);
            SpanWriter::new(out).bytes(Field::SCHEMA_URL, SCHEMA_URL.as_bytes());
        }
        SpanWriter::new(out).bytes(Field::SCHEMA_URL, SCHEMA_URL.as_bytes());
    }
}

/// The encoded `InstrumentationScope` field of our own spans.
pub(crate) fn own_scope() -> Vec<u8> {
    let mut scope = Vec::new();
    SpanWriter::new(&mut scope).message(Field::SCOPE, |scope| {
        scope.bytes(Field::SCOPE_NAME, b"tracer-resolver");
        scope.bytes(Field::SCOPE_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
    });
    scope
}

/// The attributes that differ from span to span, built on the stack.
struct Tail {
    bytes: [u8; 256],
    len: usize,
}

impl Tail {
    fn new() -> Self {
        Self { bytes: [0; 256], len: 0 }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn int_attribute(&mut self, key: &'static [u8], value: u64) {
        let encoded = varint(value);
        let mut any = [0; 11];
        any[0] = 0x18; // int_value
        any[1..].copy_from_slice(encoded.padded());
        self.attribute(key, any.get(..1 + encoded.as_slice().len()).unwrap_or(&[]));
    }

    /// One `attributes` field: a `KeyValue` of `key` and the encoded `AnyValue`. Lengths stay below 128.
    fn attribute(&mut self, key: &'static [u8], any: &[u8]) {
        let key_value_len = 4 + key.len() + any.len();
        self.put(&[0x4a, key_value_len as u8, 0x0a, key.len() as u8]);
        self.put(key);
        self.put(&[0x12, any.len() as u8]);
        self.put(any);
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(target) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            target.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

/// The decimal digits of `value`, left-aligned, and how many there are.
fn decimal(mut value: u32) -> ([u8; 10], u8) {
    let (mut reversed, mut len) = ([0; 10], 0);
    for digit in &mut reversed {
        *digit = b'0' + (value % 10) as u8;
        len += 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    let mut digits = [0; 10];
    for (digit, source) in digits.iter_mut().zip(reversed.iter().take(usize::from(len)).rev()) {
        *digit = *source;
    }
    (digits, len)
}

fn patch(target: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = target.get_mut(at..at + value.len()) {
        field.copy_from_slice(value);
    }
}

/// `Span.flags`: the trace flags, and whether the parent is known to be remote (bits 8 and 9).
fn flags(span: &FinishedSpan) -> [u8; 6] {
    let remote = if span.flags.contains(SpanFlags::PARENT_REMOTE) { 0x300 } else { 0x100 };
    let [low, high, _, _] = (u32::from(span.trace_flags) | remote).to_le_bytes();
    [0x85, 0x01, low, high, 0, 0]
}

/// `links` with the one link a Kafka span can have: to the span that sent the message.
fn link(span: &FinishedSpan) -> [u8; 35] {
    let mut bytes = [0; 35];
    // Field 13, 33 bytes: trace id (field 1), span id (field 2), flags (field 6): sampled is not known, remote is.
    bytes[..4].copy_from_slice(&[0x6a, 33, 0x0a, 16]);
    bytes[4..20].copy_from_slice(&span.link_trace_id);
    bytes[20..22].copy_from_slice(&[0x12, 8]);
    bytes[22..30].copy_from_slice(&span.link_span_id);
    bytes[30..35].copy_from_slice(&[0x35, 0, 0x03, 0, 0]);
    bytes
}

/// `error.type` and the status of a failed span.
#[cold]
fn failure(error_type: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut span = SpanWriter::new(&mut bytes);
    span.string_attribute(Field::ATTRIBUTES, "error.type", error_type);
    span.message(Field::STATUS, |status| status.varint(Field::STATUS_CODE, 2));
    bytes
}
