//! From bytes to OTLP messages.

use prost::Message;
use tracer_plugin_api::BackendError;

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
pub fn span_count(resource_spans: &ResourceSpans) -> u32 {
    let count: usize = resource_spans.scope_spans.iter().map(|scope| scope.spans.len()).sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::otlp::{AnyValue, KeyValue};
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
}
