//! From bytes to OTLP messages.

use prost::Message;
use tracer_plugin_api::BackendError;

use super::ids::has_ids;
use super::otlp::{ExportTraceServiceRequest, Resource, ResourceSpans, Value};

/// Decodes the body of a batch.
///
/// # Errors
///
/// A permanent error: bytes that are no OTLP request today are none at the next try either.
pub fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, BackendError> {
    ExportTraceServiceRequest::decode(body)
        .map_err(|error| BackendError::permanent(format!("the batch is not an OTLP request: {error}")))
}

/// A batch without the spans that have no ids: a server would refuse all others because of them.
#[derive(Debug)]
pub struct Sendable {
    /// What is left.
    pub request: ExportTraceServiceRequest,
    /// How many spans were left out.
    pub without_ids: u32,
}

/// Decodes the body of a batch and leaves out what cannot be sent.
///
/// # Errors
///
/// Those of [`decode`].
pub fn sendable(body: &[u8]) -> Result<Sendable, BackendError> {
    let mut request = decode(body)?;
    let before = all_spans(&request);
    for resource_spans in &mut request.resource_spans {
        for scope_spans in &mut resource_spans.scope_spans {
            scope_spans.spans.retain(has_ids);
        }
    }
    request.resource_spans.retain(|resource_spans| span_count(resource_spans) > 0);
    let without_ids = before - all_spans(&request);
    Ok(Sendable { request, without_ids })
}

impl Sendable {
    /// How many spans are left.
    pub fn span_count(&self) -> u32 {
        all_spans(&self.request)
    }
}

fn all_spans(request: &ExportTraceServiceRequest) -> u32 {
    request.resource_spans.iter().map(span_count).sum()
}

/// The `service.name` of a resource; `unknown_service`, as OpenTelemetry wants it, if there is none.
pub fn service_name(resource: Option<&Resource>) -> &str {
    resource
        .and_then(|resource| resource.attributes.iter().find(|attribute| attribute.key == "service.name"))
        .and_then(|attribute| attribute.value.as_ref())
        .and_then(|value| match &value.value {
            Some(Value::StringValue(name)) if !name.is_empty() => Some(name.as_str()),
            _ => None,
        })
        .unwrap_or("unknown_service")
}

/// How many spans one resource brings.
fn span_count(resource_spans: &ResourceSpans) -> u32 {
    let count: usize = resource_spans.scope_spans.iter().map(|scope| scope.spans.len()).sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::otlp::{AnyValue, KeyValue, ScopeSpans, Span};
    use super::*;

    #[test]
    fn bytes_that_are_no_otlp_request_are_a_permanent_error() {
        let error = decode(b"\xff\xff\xff").unwrap_err();
        assert_eq!(error.kind(), tracer_plugin_api::ErrorKind::Permanent);
    }

    #[test]
    fn a_resource_without_a_service_name_is_an_unknown_service() {
        assert_eq!(service_name(None), "unknown_service");
        let named = |name: &str| Resource {
            attributes: vec![KeyValue {
                key: "service.name".to_owned(),
                value: Some(AnyValue { value: Some(Value::StringValue(name.to_owned())) }),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(service_name(Some(&named(""))), "unknown_service");
        assert_eq!(service_name(Some(&named("orders"))), "orders");
    }

    #[test]
    fn a_span_without_ids_does_not_spoil_the_batch() {
        let good = Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Default::default() };
        let of = |spans| ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
            ..Default::default()
        };
        let resource_spans = vec![of(vec![good.clone(), Span::default()]), of(vec![Span::default()])];
        let sendable = sendable(&ExportTraceServiceRequest { resource_spans }.encode_to_vec()).unwrap();
        assert_eq!((sendable.without_ids, sendable.request.resource_spans), (2, vec![of(vec![good])]));
    }
}
