//! The map: which service sends to which topic, which processes from it, how often and how fast.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use tracer_trace_tree::{ReceivedSpan, queued_nano};

use super::store::Traces;

/// What passes between a service and a topic.
#[derive(Default)]
struct Way {
    took: Vec<u64>,
    queued: Vec<u64>,
    errors: usize,
}

/// Of all spans that are kept.
pub(super) fn map(traces: &Traces) -> Value {
    let spans = || traces.all().flat_map(|(_, trace)| &trace.spans);
    let index: HashMap<_, _> = spans().map(|span| ((span.trace_id.as_str(), span.span_id.as_str()), span)).collect();
    let find = |trace: &str, id: &str| index.get(&(trace, id)).copied();
    // A service that both receives and processes has each message once.
    let processes = |span: &ReceivedSpan| span.attribute("messaging.operation.type").as_deref() == Some("process");
    let processing: BTreeSet<_> = spans()
        .filter(|span| span.kind == "consumer" && processes(span))
        .map(|span| (span.service.as_str(), span.topic()))
        .collect();
    let mut ways: BTreeMap<(&str, &str, &str), Way> = BTreeMap::new();
    let (mut services, mut topics): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
    let (mut first, mut last) = (u64::MAX, 0);
    for span in spans() {
        services.insert(&span.service);
        (first, last) = (first.min(span.start_unix_nano), last.max(span.end_unix_nano));
        let direction = match span.kind.as_str() {
            "producer" => "sends",
            "consumer" if processes(span) || !processing.contains(&(span.service.as_str(), span.topic())) => {
                "processes"
            }
            _ => continue,
        };
        if span.topic().is_empty() {
            continue;
        }
        topics.insert(span.topic());
        let way = ways.entry((&span.service, span.topic(), direction)).or_default();
        way.took.push(span.duration_nano());
        way.queued.extend(queued_nano(span, find));
        way.errors += usize::from(span.has_failed());
    }
    let seconds = last.saturating_sub(first) as f64 / 1e9;
    let ways: Vec<_> = ways
        .into_iter()
        .map(|((service, topic, direction), mut way)| {
            let count = way.took.len();
            json!({
                "service": service,
                "topic": topic,
                "direction": direction,
                "count": count,
                "errors": way.errors,
                // Of less than a second nobody can say how many come in one.
                "perSecond": count as f64 / seconds.max(1.0),
                "tookP50Ns": percentile(&mut way.took, 50),
                "tookP99Ns": percentile(&mut way.took, 99),
                "queuedP50Ns": percentile(&mut way.queued, 50),
                "queuedP99Ns": percentile(&mut way.queued, 99),
            })
        })
        .collect();
    json!({ "services": services, "topics": topics, "ways": ways, "seconds": seconds, "spans": traces.spans() })
}

/// The smallest value that so many in a hundred are not above; none of none.
fn percentile(values: &mut [u64], of_hundred: usize) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * of_hundred).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::super::store::Limit;
    use super::*;

    fn span(service: &str, kind: &str, operation: &str, id: u64, parent: &str, from_ms: u64) -> ReceivedSpan {
        let mut span = ReceivedSpan {
            service: service.into(),
            kind: kind.into(),
            trace_id: "t".into(),
            span_id: id.to_string(),
            parent_span_id: parent.into(),
            start_unix_nano: from_ms * 1_000_000,
            end_unix_nano: (from_ms + 1) * 1_000_000,
            ..Default::default()
        };
        if kind != "internal" {
            span.attributes.insert("messaging.destination.name".into(), json!("orders"));
            span.attributes.insert("messaging.operation.type".into(), json!(operation));
        }
        span
    }

    #[test]
    fn each_way_has_its_rate_its_latencies_and_its_time_in_queue() {
        let mut traces = Traces::new(Limit { spans: 1000, bytes: usize::MAX });
        for number in 0..100 {
            traces.add(span("shop", "producer", "send", number, "", number * 20));
            let from = number * 20 + 1 + number;
            traces.add(span("pay", "consumer", "receive", 200 + number, &number.to_string(), from));
            traces.add(span("pay", "consumer", "process", 100 + number, &number.to_string(), from));
        }
        traces.add(span("alone", "internal", "", 500, "", 3_999));
        let map = map(&traces);
        assert_eq!((&map["services"], &map["topics"]), (&json!(["alone", "pay", "shop"]), &json!(["orders"])));
        let ways = map["ways"].as_array().unwrap();
        assert_eq!(ways.len(), 2);
        let of = |way: usize, key: &str| ways[way][key].clone();
        assert_eq!(
            (of(0, "service"), of(0, "direction"), of(0, "count")),
            (json!("pay"), json!("processes"), json!(100))
        );
        assert_eq!((of(0, "queuedP50Ns"), of(0, "queuedP99Ns")), (json!(49_000_000), json!(98_000_000)));
        assert_eq!(
            (of(1, "perSecond"), of(1, "tookP50Ns"), of(1, "queuedP50Ns")),
            (json!(25.0), json!(1_000_000), json!(null))
        );
    }

    #[test]
    fn a_percentile_is_a_value_that_there_was() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!((percentile(&mut values, 50), percentile(&mut values, 99)), (Some(100), Some(198)));
        assert_eq!(
            (percentile(&mut [7], 50), percentile(&mut [7], 99), percentile(&mut [], 50)),
            (Some(7), Some(7), None)
        );
    }
}
