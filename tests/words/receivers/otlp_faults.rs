//! What a strict reader of OTLP would refuse: the protobuf decoder alone takes nearly everything.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// Ids of a wrong length or of zeroes, repeated or empty attribute keys, attributes without a value, spans without
/// name or kind, spans that end before they begin, resources without `service.name`, scopes without a name.
pub(crate) fn faults_of(batch: &ExportTraceServiceRequest) -> Vec<String> {
    let mut faults = Vec::new();
    if batch.resource_spans.is_empty() {
        faults.push("a batch of nothing".to_owned());
    }
    for resource_spans in &batch.resource_spans {
        let resource =
            resource_spans.resource.as_ref().map(|resource| resource.attributes.as_slice()).unwrap_or_default();
        keys(resource, "resource", &mut faults);
        if !resource.iter().any(|attribute| attribute.key == "service.name") {
            faults.push("a resource without service.name".to_owned());
        }
        for scope_spans in &resource_spans.scope_spans {
            if scope_spans.scope.as_ref().is_none_or(|scope| scope.name.is_empty()) {
                faults.push("a scope without a name".to_owned());
            }
            if scope_spans.spans.is_empty() {
                faults.push("a scope without spans".to_owned());
            }
            for span in &scope_spans.spans {
                span_faults(span, &mut faults);
            }
        }
    }
    faults
}

fn span_faults(span: &Span, faults: &mut Vec<String>) {
    let name = &span.name;
    let mut unless = |fine: bool, fault: &str| {
        if !fine {
            faults.push(format!("{name}: {fault}"));
        }
    };
    unless(is_id(&span.trace_id, 16), "trace id");
    unless(is_id(&span.span_id, 8), "span id");
    unless(span.parent_span_id.is_empty() || is_id(&span.parent_span_id, 8), "parent span id");
    unless(span.parent_span_id != span.span_id, "is its own parent");
    unless(!name.is_empty(), "no name");
    unless(span.kind() != SpanKind::Unspecified, "no kind");
    unless(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano, "times");
    unless(span.flags & 0x1 == 1, "exported, but its flags say that it was not sampled");
    for link in &span.links {
        unless(is_id(&link.trace_id, 16) && is_id(&link.span_id, 8), "ids of a link");
    }
    keys(&span.attributes, name, faults);
}

fn keys(attributes: &[KeyValue], of: &str, faults: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for attribute in attributes {
        if attribute.key.is_empty() || !seen.insert(attribute.key.as_str()) {
            faults.push(format!("{of}: attribute {:?} is empty or repeats", attribute.key));
        }
        if attribute.value.as_ref().is_none_or(|value| value.value.is_none()) {
            faults.push(format!("{of}: attribute {:?} has no value", attribute.key));
        }
    }
}

fn is_id(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().any(|byte| *byte != 0)
}
