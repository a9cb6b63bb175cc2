//! One trace, for the page: its spans in the order of the tree, each with its place in time.

use std::collections::HashMap;

use serde_json::{Value, json};
use tracer_trace_tree::{queued_nano, rows};

use super::store::Traces;

/// The trace of that id, if any of its spans is there.
pub(super) fn waterfall(traces: &Traces, id: &str) -> Option<Value> {
    let trace = traces.get(id)?;
    let start = trace.start_unix_nano();
    let own: HashMap<_, _> = trace.spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let find = |trace: &str, span: &str| match own.get(span) {
        Some(found) if trace == id => Some(*found),
        _ => traces.span(trace, span),
    };
    let rows = rows(&trace.spans);
    let shown: Vec<_> = rows
        .iter()
        .take(MOST)
        .map(|row| {
            let span = row.span;
            let links: Vec<_> = span
                .links
                .iter()
                .map(|link| {
                    let to = find(&link.trace_id, &link.span_id);
                    let name = to.map(|to| format!("{}: {}", to.service, to.name));
                    json!({"trace": link.trace_id, "span": link.span_id, "name": name})
                })
                .collect();
            let event = |(name, at): &(String, u64)| json!({"name": name, "atNs": at.saturating_sub(start)});
            json!({
                "id": span.span_id,
                "depth": row.depth,
                "parent": span.parent_span_id,
                "parentIsMissing": row.is_orphan(),
                "service": *span.service,
                "name": span.name,
                "kind": span.kind,
                "startNs": span.start_unix_nano.saturating_sub(start),
                "tookNs": span.duration_nano(),
                "queuedNs": queued_nano(span, find),
                "status": span.status_code,
                "error": span.has_failed().then(|| span.error()),
                "attributes": span.attributes,
                "resource": *span.resource,
                "scope": *span.scope,
                "traceState": span.trace_state,
                "events": span.events.iter().map(event).collect::<Vec<_>>(),
                "links": links,
            })
        })
        .collect();
    Some(json!({
        "id": id,
        "startMs": start / 1_000_000,
        "tookNs": trace.duration_nano(),
        "spans": shown,
        "all": trace.spans.len(),
        "forgotten": trace.forgotten,
    }))
}

/// More rows than a browser draws with ease.
const MOST: usize = 2000;

#[cfg(test)]
mod tests {
    use tracer_trace_tree::{ReceivedLink, ReceivedSpan};

    use super::super::store::Limit;
    use super::*;

    #[test]
    fn spans_stand_in_the_order_of_the_tree_with_times_from_the_trace_s_start() {
        let mut traces = Traces::new(Limit { spans: 10, bytes: usize::MAX });
        let span = |trace: &str, id: &str, parent: &str, kind: &str, from: u64| ReceivedSpan {
            service: "s".into(),
            name: id.into(),
            trace_id: trace.into(),
            span_id: id.into(),
            parent_span_id: parent.into(),
            kind: kind.into(),
            start_unix_nano: from,
            end_unix_nano: from + 5,
            ..Default::default()
        };
        let mut linked = span("t", "c", "b", "consumer", 130);
        linked.links.push(ReceivedLink { trace_id: "other".into(), span_id: "x".into() });
        for span in [
            linked,
            span("t", "b", "a", "consumer", 120),
            span("t", "a", "", "producer", 100),
            span("other", "x", "", "producer", 90),
        ] {
            traces.add(span);
        }
        let shown = waterfall(&traces, "t").unwrap();
        let row = |nth: usize| {
            let span = &shown["spans"][nth];
            (span["id"].as_str().unwrap().to_owned(), span["startNs"].as_u64(), span["queuedNs"].as_u64())
        };
        assert_eq!(row(0), ("a".into(), Some(0), None));
        assert_eq!(row(1), ("b".into(), Some(20), Some(15)));
        assert_eq!(row(2), ("c".into(), Some(30), Some(35)), "by its link, into another trace");
        assert_eq!(shown["spans"][2]["links"][0]["name"], "s: x");
        assert_eq!((&shown["tookNs"], &shown["all"]), (&json!(35), &json!(3)));
        assert!(waterfall(&traces, "none").is_none());
    }
}
