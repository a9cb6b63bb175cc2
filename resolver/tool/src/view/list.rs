//! The list of traces, for the page: those with errors first, then the newest.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use tracer_trace_tree::ReceivedSpan;

use super::counts::Counts;
use super::search::Search;
use super::store::{Trace, Traces};

/// What is found, at most [`MOST`] of it, and what the page says beside it.
pub(super) fn list(traces: &Traces, search: &Search, counts: &Counts) -> Value {
    let (mut services, mut topics) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    let mut all = 0;
    for (id, trace) in traces.all() {
        all += 1;
        services.extend(trace.spans.iter().map(|span| span.service.as_str()));
        topics.extend(trace.spans.iter().map(ReceivedSpan::topic).filter(|topic| !topic.is_empty()));
        if search.finds(trace) {
            let errors = trace.spans.iter().filter(|span| span.has_failed()).count();
            found.push((errors == 0, Reverse(trace.start_unix_nano()), id, errors, trace));
        }
    }
    found.sort_by_key(|(is_good, start, id, ..)| (*is_good, *start, *id));
    let rows: Vec<_> =
        found.iter().take(MOST).map(|(_, start, id, errors, trace)| row(id, start.0, *errors, trace)).collect();
    json!({
        "traces": rows,
        "found": found.len(),
        "failed": found.iter().filter(|(is_good, ..)| !is_good).count(),
        "all": all,
        "spans": traces.spans(),
        "limit": traces.limit(),
        "forgotten": traces.forgotten(),
        "services": services,
        "topics": topics,
        "notShown": counts.sentence(),
    })
}

fn row(id: &str, start: u64, errors: usize, trace: &Trace) -> Value {
    let roots = trace.spans.iter().filter(|span| !trace.has(&span.parent_span_id));
    let root = roots.min_by_key(|span| span.start_unix_nano).or(trace.spans.front());
    let services: BTreeSet<_> = trace.spans.iter().map(|span| span.service.as_str()).collect();
    let first_error = trace.spans.iter().find(|span| span.has_failed());
    json!({
        "id": id,
        "service": root.map(|span| span.service.as_str()),
        "name": root.map(|span| &span.name),
        "startMs": start / 1_000_000,
        "tookNs": trace.duration_nano(),
        "spans": trace.spans.len(),
        "errors": errors,
        "error": first_error.map(ReceivedSpan::error),
        "services": services,
    })
}

/// More than anybody looks through; the search finds the others.
const MOST: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::store::Limit;
    use super::*;

    #[test]
    fn traces_with_errors_come_first_then_the_newest_and_the_rest_is_counted() {
        let mut traces = Traces::new(Limit { spans: 1000, bytes: usize::MAX });
        for number in 0..MOST as u64 + 50 {
            let failed = number % 100 == 7;
            traces.add(ReceivedSpan {
                service: format!("s{}", number % 2).into(),
                trace_id: format!("t{number:03}"),
                span_id: "1".into(),
                start_unix_nano: number * 1_000_000,
                status_code: if failed { "error" } else { "unset" }.into(),
                ..Default::default()
            });
        }
        let list = list(&traces, &Search::default(), &Counts::default());
        let ids: Vec<_> = list["traces"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids[..5], ["t207", "t107", "t007", "t249", "t248"]);
        assert_eq!((ids.len(), &list["found"], &list["failed"]), (MOST, &json!(250), &json!(3)));
        assert_eq!(list["services"], json!(["s0", "s1"]));
    }
}
