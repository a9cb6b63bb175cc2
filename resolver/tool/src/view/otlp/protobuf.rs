//! OTLP as protobuf.

use std::collections::BTreeMap;

use serde_json::Value;
use tracer_plugin_kit::spans::otlp::{KeyValue, Span};
use tracer_plugin_kit::spans::{decode, hex, is_set, service_name, value_json};
use tracer_trace_tree::{ReceivedLink, ReceivedSpan, Resource, SharedText};

use super::{KINDS, Read, STATUS_CODES};

/// Reads an `ExportTraceServiceRequest`.
///
/// # Errors
///
/// Why it is none.
pub(crate) fn from_protobuf(body: &[u8]) -> Result<Read, String> {
    let request = decode(body).map_err(|error| error.message().to_owned())?;
    let mut read = Read::default();
    for resource_spans in request.resource_spans {
        // Shared by all their spans, as in `json`.
        let service = SharedText::from(service_name(resource_spans.resource.as_ref()));
        let resource = resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default();
        let resource = Resource::from(attributes(&resource));
        for scope_spans in resource_spans.scope_spans {
            let scope = SharedText::from(scope_spans.scope.map(|scope| scope.name).unwrap_or_default());
            for span in scope_spans.spans {
                let (service, scope, resource) = (service.clone(), scope.clone(), resource.clone());
                read.push(ReceivedSpan { service, scope, resource, ..received(span) });
            }
        }
    }
    Ok(read)
}

fn received(span: Span) -> ReceivedSpan {
    let word = |words: &[&str], number: i32| {
        let index = usize::try_from(number).unwrap_or_default();
        words.get(index).copied().unwrap_or_default().to_owned()
    };
    let status = span.status.unwrap_or_default();
    ReceivedSpan {
        kind: word(&KINDS, span.kind),
        trace_id: id(&span.trace_id, 16),
        span_id: id(&span.span_id, 8),
        parent_span_id: id(&span.parent_span_id, 8),
        links: span
            .links
            .iter()
            .map(|link| ReceivedLink { trace_id: id(&link.trace_id, 16), span_id: id(&link.span_id, 8) })
            .collect(),
        attributes: attributes(&span.attributes),
        events: span.events.into_iter().map(|event| (event.name, event.time_unix_nano)).collect(),
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
        status_code: word(&STATUS_CODES, status.code),
        status_message: status.message,
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        ..Default::default()
    }
}

/// Empty unless it is an id of that length.
fn id(bytes: &[u8], length: usize) -> String {
    if bytes.len() == length && is_set(bytes) { hex(bytes) } else { String::new() }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    value_json(attributes).into_iter().collect()
}
