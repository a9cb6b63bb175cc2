//! From an OTLP request to the SDK's spans, grouped by resource.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope as OtlpScope;
use opentelemetry_proto::tonic::trace::v1::span::{Event as OtlpEvent, Link as OtlpLink, SpanKind as OtlpKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, SpanFlags, Status as OtlpStatus};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use prost::Message;

use crate::adapter::attributes::key_values;

/// The spans of a batch that belong to one resource.
pub(crate) struct ResourceBatch {
    /// Equal for equal resources: their bytes on the wire.
    pub(crate) key: Vec<u8>,
    pub(crate) resource: Resource,
    /// Never empty.
    pub(crate) spans: Vec<SpanData>,
}

/// The groups, in the order of the request, so that a retry finds the same ones; and how many spans had no valid ids.
pub(crate) fn group_by_resource(request: ExportTraceServiceRequest) -> (Vec<ResourceBatch>, u32) {
    let mut groups: Vec<ResourceBatch> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut malformed = 0;
    for resource_spans in request.resource_spans {
        let key = resource_key(&resource_spans);
        let (resource, spans) = resource_and_spans(resource_spans, &mut malformed);
        if spans.is_empty() {
            continue;
        }
        match places.get(&key).and_then(|place| groups.get_mut(*place)) {
            Some(group) => group.spans.extend(spans),
            None => {
                places.insert(key.clone(), groups.len());
                groups.push(ResourceBatch { key, resource, spans });
            }
        }
    }
    (groups, malformed)
}

fn resource_key(resource_spans: &ResourceSpans) -> Vec<u8> {
    let mut key = resource_spans.schema_url.clone().into_bytes();
    key.push(0);
    key.extend(resource_spans.resource.iter().flat_map(Message::encode_to_vec));
    key
}

fn resource_and_spans(resource_spans: ResourceSpans, malformed: &mut u32) -> (Resource, Vec<SpanData>) {
    let (attributes, _) = key_values(resource_spans.resource.map(|it| it.attributes).unwrap_or_default());
    let resource = match resource_spans.schema_url {
        none if none.is_empty() => Resource::builder_empty().with_attributes(attributes).build(),
        url => Resource::builder_empty().with_schema_url(attributes, url).build(),
    };
    let mut spans = Vec::with_capacity(resource_spans.scope_spans.iter().map(|it| it.spans.len()).sum());
    for scope_spans in resource_spans.scope_spans {
        let scope = scope_of(scope_spans.scope.unwrap_or_default(), scope_spans.schema_url);
        for span in scope_spans.spans {
            match span_data(span, &scope) {
                Some(span) => spans.push(span),
                None => *malformed += 1,
            }
        }
    }
    (resource, spans)
}

fn scope_of(scope: OtlpScope, schema_url: String) -> InstrumentationScope {
    let mut builder = InstrumentationScope::builder(scope.name);
    if !scope.version.is_empty() {
        builder = builder.with_version(scope.version);
    }
    if !schema_url.is_empty() {
        builder = builder.with_schema_url(schema_url);
    }
    builder.with_attributes(key_values(scope.attributes).0).build()
}

/// `None` if the ids are not those of a span.
fn span_data(span: Span, scope: &InstrumentationScope) -> Option<SpanData> {
    let span_context = span_context(&span.trace_id, &span.span_id, span.flags, false, &span.trace_state)?;
    let (attributes, without_value) = key_values(span.attributes);
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    events.dropped_count = span.dropped_events_count;
    let offered_links = span.links.len();
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().filter_map(link).collect();
    links.dropped_count = span.dropped_links_count.saturating_add(count(offered_links - links.links.len()));
    Some(SpanData {
        span_context,
        parent_span_id: span_id(&span.parent_span_id).unwrap_or(SpanId::INVALID),
        parent_span_is_remote: span.flags & SpanFlags::ContextIsRemoteMask as u32 != 0,
        span_kind: kind(span.kind),
        name: span.name.into(),
        start_time: time(span.start_time_unix_nano),
        end_time: time(span.end_time_unix_nano),
        attributes,
        dropped_attributes_count: span.dropped_attributes_count.saturating_add(without_value),
        events,
        links,
        status: status(span.status.unwrap_or_default()),
        instrumentation_scope: scope.clone(),
    })
}

/// A span context with valid ids, or `None`. The lowest byte of `flags` is that of W3C.
fn span_context(
    trace_id: &[u8],
    span_id_bytes: &[u8],
    flags: u32,
    is_remote: bool,
    trace_state: &str,
) -> Option<SpanContext> {
    let trace_id = TraceId::from_bytes(trace_id.try_into().ok()?);
    let span_id = span_id(span_id_bytes)?;
    let [trace_flags, ..] = flags.to_le_bytes();
    let context = SpanContext::new(trace_id, span_id, TraceFlags::new(trace_flags), is_remote, state(trace_state));
    context.is_valid().then_some(context)
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(SpanId::from_bytes)
}

/// A `tracestate` that is not one is dropped, as W3C says.
fn state(header: &str) -> TraceState {
    header.parse().unwrap_or_default()
}

fn kind(kind: i32) -> SpanKind {
    match OtlpKind::try_from(kind) {
        Ok(OtlpKind::Server) => SpanKind::Server,
        Ok(OtlpKind::Client) => SpanKind::Client,
        Ok(OtlpKind::Producer) => SpanKind::Producer,
        Ok(OtlpKind::Consumer) => SpanKind::Consumer,
        // The protocol: a receiver may take "unspecified" for "internal".
        Ok(OtlpKind::Internal | OtlpKind::Unspecified) | Err(_) => SpanKind::Internal,
    }
}

fn status(status: OtlpStatus) -> Status {
    match StatusCode::try_from(status.code) {
        Ok(StatusCode::Ok) => Status::Ok,
        Ok(StatusCode::Error) => Status::error(status.message),
        Ok(StatusCode::Unset) | Err(_) => Status::Unset,
    }
}

fn event(event: OtlpEvent) -> Event {
    let (attributes, without_value) = key_values(event.attributes);
    let dropped = event.dropped_attributes_count.saturating_add(without_value);
    Event::new(event.name, time(event.time_unix_nano), attributes, dropped)
}

/// `None` if it links to nothing: its ids are not those of a span.
fn link(link: OtlpLink) -> Option<Link> {
    let is_remote = link.flags & SpanFlags::ContextIsRemoteMask as u32 != 0;
    let context = span_context(&link.trace_id, &link.span_id, link.flags, is_remote, &link.trace_state)?;
    let (attributes, without_value) = key_values(link.attributes);
    Some(Link::new(context, attributes, link.dropped_attributes_count.saturating_add(without_value)))
}

fn time(unix_nano: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_nanos(unix_nano)).unwrap_or(UNIX_EPOCH)
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}
