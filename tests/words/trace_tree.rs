//! A trace as a drawing: what a test asserts, and what the example shows.

use std::collections::{BTreeMap, HashSet};

use crate::receivers::ReceivedSpan;

/// Draws every trace in `spans` as an indented tree, one span a line: `service: name`, and `!error` when it failed.
///
/// Children stand under their parent in the order of their start, then name. A span whose parent is not among `spans`
/// is drawn as a root, marked `~`; a link is drawn as `-> name of the linked span`.
pub fn draw_traces(spans: &[ReceivedSpan]) -> String {
    draw_traces_with(spans, &[])
}

/// The same, with these attributes, where a span has them, behind its name: `{offset=3, id=0}`, each called by the
/// last part of its name. `trace_state` may be among them, and is the span's.
pub fn draw_traces_with(spans: &[ReceivedSpan], attributes: &[&str]) -> String {
    let mut drawing = String::new();
    for root in roots(spans) {
        draw(spans, root, 0, attributes, &mut drawing);
    }
    drawing
}

/// The roots of all traces, in the order of their start.
fn roots(spans: &[ReceivedSpan]) -> Vec<&ReceivedSpan> {
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    let mut roots: Vec<_> = spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty() || !ids.contains(&(&span.trace_id, &span.parent_span_id)))
        .collect();
    roots.sort_by_key(|span| (span.start_unix_nano, span.name.clone()));
    roots
}

fn draw(spans: &[ReceivedSpan], span: &ReceivedSpan, depth: usize, attributes: &[&str], drawing: &mut String) {
    let orphan = if depth == 0 && !span.parent_span_id.is_empty() { "~ " } else { "" };
    let failed = if span.status_code == "error" {
        format!(" !{}", span.attribute("error.type").unwrap_or_else(|| "error".to_owned()))
    } else {
        String::new()
    };
    let names: BTreeMap<_, _> = spans.iter().map(|other| (&other.span_id, &other.name)).collect();
    let links: String = span
        .links
        .iter()
        .map(|link| format!(" -> {}", names.get(&link.span_id).map_or("?", |name| name.as_str())))
        .collect();
    let shown = shown(span, attributes);
    drawing.push_str(&format!("{}{orphan}{}: {}{shown}{failed}{links}\n", "  ".repeat(depth), span.service, span.name));
    let mut children: Vec<_> =
        spans.iter().filter(|child| child.trace_id == span.trace_id && child.parent_span_id == span.span_id).collect();
    children.sort_by_key(|child| (child.start_unix_nano, child.name.clone()));
    for child in children {
        draw(spans, child, depth + 1, attributes, drawing);
    }
}

fn shown(span: &ReceivedSpan, attributes: &[&str]) -> String {
    let value = |key: &str| match key {
        "trace_state" => Some(span.trace_state.clone()).filter(|state| !state.is_empty()),
        key => span.attribute(key),
    };
    let pairs: Vec<_> = attributes
        .iter()
        .filter_map(|key| Some(format!("{}={}", key.rsplit('.').next().unwrap_or(key), value(key)?)))
        .collect();
    if pairs.is_empty() { String::new() } else { format!(" {{{}}}", pairs.join(", ")) }
}
