//! Lines to be read: one per span, those of a trace together, a child below its parent.
//!
//! Only what came in the same batch can be put together: a span whose parent came earlier begins at the margin. The trace's id
//! at the start of each line is what finds them all.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use tracer_plugin_kit::spans::otlp::{ExportTraceServiceRequest, Span, StatusCode};
use tracer_plugin_kit::spans::{hex, service_name, value_text};

/// A batch as lines, each of which ends in a newline.
pub(crate) fn lines(request: &ExportTraceServiceRequest, attributes: &[String]) -> Vec<u8> {
    let mut all: Vec<Named<'_>> = Vec::new();
    for resource_spans in &request.resource_spans {
        let service = service_name(resource_spans.resource.as_ref());
        let spans = resource_spans.scope_spans.iter().flat_map(|scope_spans| &scope_spans.spans);
        all.extend(spans.map(|span| Named { service, span }));
    }
    all.sort_by_key(|named| named.span.start_time_unix_nano);
    let mut text = String::new();
    for (named, depth) in in_order(&all) {
        line(&mut text, &named, depth, attributes);
    }
    text.into_bytes()
}

/// A span, and whose it is.
#[derive(Clone, Copy)]
struct Named<'a> {
    service: &'a str,
    span: &'a Span,
}

/// The spans with their depths: traces as they began, and in each a parent before its children.
fn in_order<'a>(all: &[Named<'a>]) -> Vec<(Named<'a>, usize)> {
    let key = |span: &'a Span| (span.trace_id.as_slice(), span.span_id.as_slice());
    let there: HashSet<_> = all.iter().map(|named| key(named.span)).collect();
    let parent = |span: &'a Span| (span.trace_id.as_slice(), span.parent_span_id.as_slice());
    let mut traces: Vec<&[u8]> = Vec::new();
    let mut roots: HashMap<&[u8], Vec<Named<'a>>> = HashMap::new();
    let mut children: HashMap<_, Vec<Named<'a>>> = HashMap::new();
    for named in all {
        let trace = named.span.trace_id.as_slice();
        let of_trace = roots.entry(trace).or_insert_with(|| {
            traces.push(trace);
            Vec::new()
        });
        if there.contains(&parent(named.span)) {
            children.entry(parent(named.span)).or_default().push(*named);
        } else {
            of_trace.push(*named);
        }
    }
    let mut ordered = Vec::with_capacity(all.len());
    for trace in traces {
        let mut open: Vec<_> =
            roots.remove(trace).unwrap_or_default().into_iter().rev().map(|root| (root, 0)).collect();
        while let Some((named, depth)) = open.pop() {
            ordered.push((named, depth));
            let below = children.remove(&key(named.span)).unwrap_or_default();
            open.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
        }
    }
    // What is left goes round in a ring of parents, which no tracer should write: it is shown all the same.
    let mut left: Vec<_> = children.into_values().flatten().map(|named| (named, 0)).collect();
    left.sort_by_key(|(named, _)| named.span.start_time_unix_nano);
    ordered.extend(left);
    ordered
}

fn line(text: &mut String, named: &Named<'_>, depth: usize, attributes: &[String]) {
    let span = named.span;
    let took = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64 / 1e6;
    let name = format!("{:indent$}{}", "", plain(&span.name), indent = 2 * depth.min(DEEPEST));
    // Writing into a `String` cannot fail.
    let _ = write!(text, "{} {:<14} {name:<36} {took:>10.3} ms", hex(&span.trace_id), plain(named.service));
    if let Some(status) = span.status.as_ref().filter(|status| status.code() == StatusCode::Error) {
        text.push_str(" failed");
        if !status.message.is_empty() {
            let _ = write!(text, ": {}", plain(&status.message));
        }
    }
    for key in attributes {
        if let Some(attribute) = span.attributes.iter().find(|attribute| attribute.key == *key) {
            let _ = write!(text, " {}={}", plain(key), plain(&value_text(attribute.value.as_ref())));
        }
    }
    text.push('\n');
}

/// Without what would begin a line of its own, or steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Deeper spans are not moved further to the right.
const DEEPEST: usize = 12;

#[cfg(test)]
mod tests {
    use tracer_plugin_kit::spans::otlp::{AnyValue, KeyValue, Resource, ResourceSpans, ScopeSpans, Status, Value};

    use super::*;

    fn attribute(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..Default::default() }
    }

    fn span(trace: u8, id: u8, parent: u8, start: u64, name: &str) -> Span {
        Span {
            trace_id: vec![trace; 16],
            span_id: vec![id; 8],
            parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
            name: name.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + 1_234_567,
            ..Default::default()
        }
    }

    fn written(services: &[(&str, Vec<Span>)], attributes: &[&str]) -> String {
        let resource_spans = services.iter().map(|(name, spans)| ResourceSpans {
            resource: Some(Resource { attributes: vec![attribute("service.name", name)], ..Default::default() }),
            scope_spans: vec![ScopeSpans { spans: spans.clone(), ..Default::default() }],
            ..Default::default()
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        let attributes: Vec<_> = attributes.iter().map(|key| (*key).to_owned()).collect();
        String::from_utf8(lines(&request, &attributes)).unwrap()
    }

    /// Without the ids, and with one blank for many but those of the indentation.
    fn drawn(text: &str) -> Vec<String> {
        text.lines()
            .map(|line| format!("{} {}", &line[..2], line[33..].split("  1.23").next().unwrap().trim_end()))
            .collect()
    }

    #[test]
    fn a_child_stands_below_its_parent_whatever_service_each_is_of() {
        let text = written(
            &[
                ("payments", vec![span(1, 2, 1, 20, "process orders"), span(1, 3, 2, 30, "send payments")]),
                ("orders", vec![span(2, 1, 0, 15, "send orders"), span(1, 1, 0, 10, "send orders")]),
            ],
            &[],
        );
        let expected = [
            "01 orders         send orders",
            "01 payments         process orders",
            "01 payments           send payments",
            "02 orders         send orders",
        ];
        assert_eq!(drawn(&text), expected, "{text}");
        assert!(text.starts_with(&format!("{} ", "01".repeat(16))) && text.contains("1.235 ms\n"), "{text}");
    }

    #[test]
    fn a_span_whose_parent_is_elsewhere_begins_at_the_margin_and_a_ring_of_parents_is_shown_too() {
        let spans = vec![
            span(1, 2, 9, 1, "orphan"),
            span(2, 1, 2, 2, "ring"),
            span(2, 2, 1, 3, "ring"),
            span(3, 1, 1, 4, "own"),
        ];
        let text = written(&[("shop", spans)], &[]);
        assert_eq!(
            drawn(&text),
            ["01 shop           orphan", "02 shop           ring", "02 shop           ring", "03 shop           own"],
            "{text}"
        );
    }

    #[test]
    fn spans_without_ids_and_with_the_same_ones_are_all_shown() {
        let nameless = Span { name: "nameless".into(), end_time_unix_nano: 1_234_567, ..Default::default() };
        let twice = span(1, 1, 0, 5, "twice");
        let text = written(&[("shop", vec![nameless.clone(), nameless, twice.clone(), twice])], &[]);
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_deep_trace_neither_leaves_the_line_nor_ends_the_stack() {
        let chain = (0..100_000_u32).map(|index| {
            let parent = if index == 0 { Vec::new() } else { u64::from(index).to_be_bytes().to_vec() };
            let span_id = u64::from(index + 1).to_be_bytes().to_vec();
            Span { trace_id: vec![1; 16], span_id, parent_span_id: parent, name: "s".into(), ..Default::default() }
        });
        let text = written(&[("shop", chain.collect())], &[]);
        assert_eq!(text.lines().count(), 100_000);
        assert!(text.lines().all(|line| line.len() < 120));
    }

    #[test]
    fn a_failure_and_the_chosen_attributes_are_told_and_nothing_in_them_ends_the_line_or_steers_a_terminal() {
        let mut failed = span(1, 1, 0, 1, "send\norders");
        failed.status = Some(Status { message: "no\rleader \u{1b}[31m".into(), code: StatusCode::Error.into() });
        failed.attributes = vec![attribute("b", "2\t"), attribute("a", "ü 1"), attribute("c", "3")];
        let text = written(&[("sh\u{9b}op", vec![failed])], &["a", "b", "absent"]);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(" sh\\u{9b}op ") && text.contains(" send\\norders "), "{text}");
        assert!(text.ends_with(" failed: no\\rleader \\u{1b}[31m a=ü 1 b=2\\t\n"), "{text}");
    }
}
