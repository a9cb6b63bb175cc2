//! The OTLP encoder of Kafka spans: everything that two spans of one client, topic and kind have in common is encoded once,
//! at the first of them; per span the fixed part is copied and the ids, times and offsets are filled in.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::record::{EndedBy, FinishedSpan, Outcome, SpanFlags, SpanKind};
use super::span_writer::{Field, SpanWriter, varint};
use crate::per_process::FirstMade;

/// What all spans of one client say.
#[derive(Debug, Default)]
pub(crate) struct ClientFacts {
    pub client_id: String,
    /// Consumers only.
    pub group_id: Option<String>,
    /// The one broker of `bootstrap.servers`, when there is just one: a list names no server.
    pub server: Option<(String, Option<u16>)>,
}

/// What the spans of one client and topic have in common, but for the topic's name.
#[derive(Clone, Debug)]
pub(crate) struct SpanFacts {
    pub client: Arc<ClientFacts>,
    /// By the older names of the conventions too.
    pub older_names: bool,
    /// Whether calls for several messages get spans.
    pub batches: bool,
}

/// The templates of one client and topic, one for each kind of span that there was.
#[derive(Debug)]
pub(crate) struct SpanTemplates {
    facts: SpanFacts,
    send: Template,
    receive: Template,
    process: Template,
    commit: Template,
    /// Of one topic, and of several.
    polls: [Template; 2],
}

/// One kind's fixed bytes: kind, name and the attributes that are always the same. Made on the batch thread, at the first span.
#[derive(Debug, Default)]
struct Template {
    rest: FirstMade<Box<[u8]>>,
}

/// The resource and scope of one service, as they open its `ResourceSpans`.
#[derive(Debug)]
pub(crate) struct ServiceResource {
    /// The encoded `Resource` field.
    resource: Box<[u8]>,
    /// What it says is `service.name`.
    service_name: Arc<str>,
}

const RESOURCE_SPANS_TAG: u8 = 0x0a;
const SCOPE_SPANS_TAG: u8 = 0x12;
const SPANS_TAG: u8 = 0x12;
/// What opens a `spans` field with a parent, ids and times still zero: the field's tag and the two bytes of its length,
/// then trace id, span id, parent, start, end and flags, each after its tag. Protobuf leaves the order to the writer, and
/// with the name behind all of these every place is known when the program is compiled.
const CHILD_HEAD: [u8; 65] = head(true);
/// The same without a parent.
const ROOT_HEAD: [u8; 55] = head(false);
const BODY_AT: usize = 3;
/// Nanoseconds. A point in time, such as a delivery, is written as a microsecond: with an end that equals the start,
/// backends warn of a negative duration, and many have no smaller unit.
const SHORTEST: u64 = 1_000;
/// Semantic conventions whose names the spans use.
///
/// The `schema_url` field of `ScopeSpans` and of `ResourceSpans`, which have the same number.
const SCHEMA_FIELD: &[u8] = b"\x1a\x27https://opentelemetry.io/schemas/1.44.0";
const _: () = assert!(SCHEMA_FIELD.len() == 2 + 0x27);

impl SpanTemplates {
    pub(crate) fn new(facts: SpanFacts) -> Self {
        Self {
            facts,
            send: Template::default(),
            receive: Template::default(),
            process: Template::default(),
            commit: Template::default(),
            polls: Default::default(),
        }
    }

    /// Whether there are spans of calls that hand over several messages.
    pub(crate) fn has_batches(&self) -> bool {
        self.facts.batches
    }

    /// Appends one `spans` field of `ScopeSpans`.
    ///
    /// `error_type` gives the name of a failed outcome; it is asked for failed spans only. Allocates only when `out`
    /// has to grow, and at the first span of its kind.
    pub(crate) fn encode(
        &self,
        topic: &str,
        out: &mut Vec<u8>,
        span: &FinishedSpan,
        extra: &[u8],
        error_type: impl FnOnce(Outcome) -> String,
    ) {
        let [of_topic, of_topics] = &self.polls;
        let (template, kind) = match span.kind {
            SpanKind::Send => (&self.send, span.kind),
            SpanKind::Process => (&self.process, span.kind),
            SpanKind::Commit => (&self.commit, span.kind),
            SpanKind::Poll if self.facts.batches => (of_topic, span.kind),
            SpanKind::PollOfTopics if self.facts.batches => (of_topics, span.kind),
            SpanKind::Receive | SpanKind::PassedOn | SpanKind::Poll | SpanKind::PollOfTopics => {
                (&self.receive, SpanKind::Receive)
            }
        };
        let opened = out.len();
        let end = span.end.max(span.start.saturating_add(SHORTEST)).to_le_bytes();
        if span.parent_span_id == [0; 8] {
            let mut head = ROOT_HEAD;
            head[5..21].copy_from_slice(&span.trace_id);
            head[23..31].copy_from_slice(&span.span_id);
            head[32..40].copy_from_slice(&span.start.to_le_bytes());
            head[41..49].copy_from_slice(&end);
            head[51..55].copy_from_slice(&flags(span));
            out.extend_from_slice(&head);
        } else {
            let mut head = CHILD_HEAD;
            head[5..21].copy_from_slice(&span.trace_id);
            head[23..31].copy_from_slice(&span.span_id);
            head[33..41].copy_from_slice(&span.parent_span_id);
            head[42..50].copy_from_slice(&span.start.to_le_bytes());
            head[51..59].copy_from_slice(&end);
            head[61..65].copy_from_slice(&flags(span));
            out.extend_from_slice(&head);
        }
        out.extend_from_slice(template.rest.get_or_init(|| fixed(topic, &self.facts, kind)));
        let mut tail = Tail { bytes: [0; Tail::ROOM], len: 0 };
        if span.partition >= 0 {
            tail.decimal(&PARTITION, span.partition as u32);
        }
        if span.offset >= 0 {
            tail.integer(&OFFSET, span.offset as u64);
        }
        if span.time_in_queue.0 >= 0 {
            tail.integer(&TIME_IN_QUEUE, span.time_in_queue.0 as u64);
        }
        out.extend_from_slice(tail.bytes.get(..tail.len).unwrap_or(&[]));
        if self.facts.older_names {
            older_names(out, span);
        }
        if span.flags.contains(SpanFlags::TOMBSTONE) {
            SpanWriter::new(out).attribute(Field::ATTRIBUTES, "messaging.kafka.message.tombstone", |any| {
                any.varint(Field::BOOL_VALUE, 1);
            });
        }
        if let Some(by) = span.flags.ended_by() {
            out.extend_from_slice(end_found_by(by));
        }
        if span.flags.contains(SpanFlags::PARENT_GUESSED) {
            out.extend_from_slice(guessed_parent());
        }
        if span.link_span_id != [0; 8] {
            out.extend_from_slice(&link(span));
        }
        if span.outcome != Outcome::OK {
            failure(out, &error_type(span.outcome));
        }
        out.extend_from_slice(extra);
        set_length(out, opened);
    }
}

/// Place and number by the names that they had.
#[cold]
fn older_names(out: &mut Vec<u8>, span: &FinishedSpan) {
    let mut writer = SpanWriter::new(out);
    if span.partition >= 0 {
        writer.int_attribute(Field::ATTRIBUTES, "messaging.kafka.destination.partition", i64::from(span.partition));
    }
    if span.offset >= 0 {
        writer.int_attribute(Field::ATTRIBUTES, "messaging.kafka.message.offset", span.offset);
    }
}

/// The attribute that says how the end of a processing was found.
fn end_found_by(by: EndedBy) -> &'static [u8] {
    static ENCODED: FirstMade<[Vec<u8>; EndedBy::ALL.len()]> = FirstMade::new();
    let encoded = ENCODED.get_or_init(|| {
        EndedBy::ALL.map(|by| {
            let mut encoded = Vec::new();
            let mut span = SpanWriter::new(&mut encoded);
            span.string_attribute(Field::ATTRIBUTES, "tracer_resolver.process.end", by.name());
            encoded
        })
    });
    let place = EndedBy::ALL.iter().position(|known| *known == by);
    place.and_then(|place| encoded.get(place)).map_or(&[], Vec::as_slice)
}

/// The attribute that says that a parent was guessed, and by what.
fn guessed_parent() -> &'static [u8] {
    static ENCODED: FirstMade<Vec<u8>> = FirstMade::new();
    ENCODED.get_or_init(|| {
        let mut encoded = Vec::new();
        SpanWriter::new(&mut encoded).string_attribute(Field::ATTRIBUTES, "tracer_resolver.parent", "thread");
        encoded
    })
}

/// Fills in the length of the `spans` field that opened at `opened`: two bytes suffice from 128 to 16 383, and are then
/// the shortest form.
fn set_length(out: &mut Vec<u8>, opened: usize) {
    let len = out.len() - opened - BODY_AT;
    match out.get_mut(opened + 1..opened + BODY_AT) {
        Some([low, high]) if (0x80..0x4000).contains(&len) => {
            *low = len as u8 | 0x80;
            *high = (len >> 7) as u8;
        }
        _ => drop(out.splice(opened + 1..opened + BODY_AT, varint(len as u64).bytes())),
    }
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler only, where it would be an error")]
const fn head<const N: usize>(child: bool) -> [u8; N] {
    let mut head = [0; N];
    head[0] = SPANS_TAG;
    (head[3], head[4]) = (0x0a, 16); // trace_id
    (head[21], head[22]) = (0x12, 8); // span_id
    let mut at = 31;
    if child {
        (head[31], head[32]) = (0x22, 8); // parent_span_id
        at = 41;
    }
    head[at] = 0x39; // start_time_unix_nano
    head[at + 9] = 0x41; // end_time_unix_nano
    (head[at + 18], head[at + 19]) = (0x85, 0x01); // flags
    head
}

/// What stands behind the times of every span of this kind.
#[cold]
fn fixed(topic: &str, facts: &SpanFacts, kind: SpanKind) -> Box<[u8]> {
    let ClientFacts { client_id, group_id, server } = &*facts.client;
    let (operation, operation_type, older_operation, otlp_kind) = match kind {
        SpanKind::Send => ("send", "send", "publish", 4),
        SpanKind::Receive | SpanKind::PassedOn => ("receive", "receive", "receive", 5),
        SpanKind::Process => ("process", "process", "process", 5),
        SpanKind::Commit => ("commit", "settle", "settle", 3),
        SpanKind::Poll | SpanKind::PollOfTopics => ("poll", "receive", "receive", 3),
    };
    // What is not the same for all messages of a batch is not told of it.
    let topic = Some(topic).filter(|_| kind != SpanKind::PollOfTopics);
    let mut rest = Vec::with_capacity(320);
    let mut span = SpanWriter::new(&mut rest);
    let name = topic.map_or_else(|| operation.to_owned(), |topic| format!("{operation} {topic}"));
    span.bytes(Field::NAME, name.as_bytes());
    span.varint(Field::KIND, otlp_kind);
    let mut attribute = |key: &str, value: &str| span.string_attribute(Field::ATTRIBUTES, key, value);
    attribute("messaging.system", "kafka");
    attribute("messaging.operation.name", operation);
    attribute("messaging.operation.type", operation_type);
    if let Some(topic) = topic {
        attribute("messaging.destination.name", topic);
    }
    if !client_id.is_empty() {
        attribute("messaging.client.id", client_id);
    }
    if let Some(group) = group_id.as_ref().filter(|group| !group.is_empty()) {
        attribute("messaging.consumer.group.name", group);
    }
    if facts.older_names {
        attribute("messaging.operation", older_operation);
        if !client_id.is_empty() {
            attribute("messaging.client_id", client_id);
        }
        if let Some(group) = group_id.as_ref().filter(|group| !group.is_empty()) {
            attribute("messaging.kafka.consumer.group", group);
        }
    }
    if let Some((host, port)) = server {
        attribute("server.address", host);
        if let Some(port) = port {
            span.int_attribute(Field::ATTRIBUTES, "server.port", i64::from(*port));
        }
    }
    rest.into_boxed_slice()
}

impl ServiceResource {
    pub(crate) fn new<'a>(
        strings: impl IntoIterator<Item = (&'a str, &'a str)>,
        integers: impl IntoIterator<Item = (&'a str, i64)>,
    ) -> Self {
        let mut resource = Vec::new();
        let mut service_name = "";
        SpanWriter::new(&mut resource).message(Field::RESOURCE, |resource| {
            for (key, value) in strings {
                if key == "service.name" {
                    service_name = value;
                }
                resource.string_attribute(Field::RESOURCE_ATTRIBUTES, key, value);
            }
            for (key, value) in integers {
                resource.int_attribute(Field::RESOURCE_ATTRIBUTES, key, value);
            }
        });
        Self { resource: resource.into_boxed_slice(), service_name: Arc::from(service_name) }
    }

    /// The service that it is of.
    pub(crate) fn service_name(&self) -> &Arc<str> {
        &self.service_name
    }

    /// Appends one `ResourceSpans` whose `scopes` are (encoded `InstrumentationScope` field, encoded `spans` fields).
    pub(crate) fn wrap<'a>(&self, out: &mut Vec<u8>, scopes: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) {
        let scope_len = |(scope, spans): (&[u8], &[u8])| scope.len() + spans.len() + SCHEMA_FIELD.len();
        let scopes_len: usize = scopes.clone().map(|scope| nested(scope_len(scope))).sum();
        let len = self.resource.len() + scopes_len + SCHEMA_FIELD.len();
        out.reserve(len + 11);
        out.push(RESOURCE_SPANS_TAG);
        out.extend_from_slice(varint(len as u64).as_slice());
        out.extend_from_slice(&self.resource);
        for (scope, spans) in scopes {
            out.push(SCOPE_SPANS_TAG);
            out.extend_from_slice(varint(scope_len((scope, spans)) as u64).as_slice());
            out.extend_from_slice(scope);
            out.extend_from_slice(spans);
            out.extend_from_slice(SCHEMA_FIELD);
        }
        out.extend_from_slice(SCHEMA_FIELD);
    }

    /// Bytes to leave free before spans that [`ServiceResource::wrap_in_place`] is to wrap.
    pub(crate) fn head_room(&self, scope: &[u8]) -> usize {
        self.resource.len() + scope.len() + 22
    }

    /// Wraps the `spans` fields of one scope where they are: `buffer` holds them after `head_room` free bytes. Gives the
    /// place where the `ResourceSpans` begins.
    pub(crate) fn wrap_in_place(&self, buffer: &mut Vec<u8>, scope: &[u8]) -> usize {
        let room = self.head_room(scope);
        let scope_len = scope.len() + buffer.len() - room + SCHEMA_FIELD.len();
        let len = self.resource.len() + nested(scope_len) + SCHEMA_FIELD.len();
        buffer.extend_from_slice(SCHEMA_FIELD);
        buffer.extend_from_slice(SCHEMA_FIELD);
        let (len, scope_len) = (varint(len as u64), varint(scope_len as u64));
        let head: [&[u8]; 6] =
            [&[RESOURCE_SPANS_TAG], len.as_slice(), &self.resource, &[SCOPE_SPANS_TAG], scope_len.as_slice(), scope];
        let mut at = room;
        for part in head.iter().rev() {
            at -= part.len();
            if let Some(target) = buffer.get_mut(at..at + part.len()) {
                target.copy_from_slice(part);
            }
        }
        at
    }
}

/// Bytes of an embedded message with its tag and length.
fn nested(len: usize) -> usize {
    1 + varint(len as u64).as_slice().len() + len
}

/// The encoded `InstrumentationScope` field of our own spans.
pub(crate) fn own_scope() -> &'static [u8] {
    static SCOPE: FirstMade<Vec<u8>> = FirstMade::new();
    SCOPE.get_or_init(|| {
        let mut scope = Vec::new();
        SpanWriter::new(&mut scope).message(Field::SCOPE, |scope| {
            scope.bytes(Field::SCOPE_NAME, b"tracer-resolver");
            scope.bytes(Field::SCOPE_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
        });
        scope
    })
}

/// An attribute whose value is filled in per span: a `KeyValue` up to its value, lengths below 128.
struct Key<const N: usize> {
    bytes: [u8; N],
}

const PARTITION: Key<41> = key(b"messaging.destination.partition.id", 0x0a);
const OFFSET: Key<29> = key(b"messaging.kafka.offset", 0x18);
const TIME_IN_QUEUE: Key<33> = key(b"kafka.record.queue_time_ms", 0x18);

/// `attributes`, its length, `key`, its length and text, `value`, its length, and the tag of the `AnyValue`'s field.
#[expect(clippy::indexing_slicing, reason = "runs in the compiler only, where it would be an error")]
const fn key<const N: usize>(text: &[u8], any_tag: u8) -> Key<N> {
    assert!(N == text.len() + 7);
    let mut bytes = [0; N];
    (bytes[0], bytes[2], bytes[3]) = (0x4a, 0x0a, text.len() as u8);
    let mut at = 0;
    while at < text.len() {
        bytes[4 + at] = text[at];
        at += 1;
    }
    (bytes[N - 3], bytes[N - 1]) = (0x12, any_tag);
    Key { bytes }
}

/// The attributes that differ from span to span, put together on the stack.
struct Tail {
    bytes: [u8; Self::ROOM],
    len: usize,
}

impl Tail {
    /// The three keys, and ten bytes of value and length for each.
    const ROOM: usize = 41 + 29 + 33 + 3 * 11;

    /// An attribute with an integer.
    fn integer<const N: usize>(&mut self, key: &Key<N>, value: u64) {
        let value = varint(value);
        let len = usize::from(value.len());
        let Some(room) = self.bytes.get_mut(self.len..self.len + N + 10) else { return };
        let (head, rest) = room.split_at_mut(N);
        head.copy_from_slice(&key.bytes);
        rest.copy_from_slice(value.padded());
        set(head, 1, N - 2 + len);
        set(head, N - 2, 1 + len);
        self.len += N + len;
    }

    /// An attribute with a number as text.
    fn decimal<const N: usize>(&mut self, key: &Key<N>, value: u32) {
        let (digits, len) = decimal(value);
        let Some(room) = self.bytes.get_mut(self.len..self.len + N + 11) else { return };
        let (head, rest) = room.split_at_mut(N);
        head.copy_from_slice(&key.bytes);
        set(head, 1, N - 1 + usize::from(len));
        set(head, N - 2, 2 + usize::from(len));
        if let Some((first, rest)) = rest.split_first_mut() {
            *first = len;
            rest.copy_from_slice(&digits);
        }
        self.len += N + 1 + usize::from(len);
    }
}

fn set(bytes: &mut [u8], at: usize, value: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value as u8;
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

/// `Span.flags`: the trace flags, and whether the parent is known to be remote (bits 8 and 9).
fn flags(span: &FinishedSpan) -> [u8; 4] {
    let remote = if span.flags.contains(SpanFlags::PARENT_REMOTE) { 0x300 } else { 0x100 };
    // W3C's own flags; bit 7 is our note of a debug trace.
    (u32::from(span.trace_flags & 0x03) | remote).to_le_bytes()
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

/// Appends `error.type` and the status of a failed span.
#[cold]
fn failure(out: &mut Vec<u8>, error_type: &str) {
    let mut span = SpanWriter::new(out);
    span.string_attribute(Field::ATTRIBUTES, "error.type", error_type);
    span.message(Field::STATUS, |status| status.varint(Field::STATUS_CODE, 2));
}

#[cfg(test)]
mod tests;
