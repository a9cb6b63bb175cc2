//! The spans that the page shows: the newest, so many and no more.

use std::collections::{HashMap, HashSet, VecDeque};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracer_trace_tree::ReceivedSpan;

use super::counts::Counts;
use super::intake::Event;
use super::terminal::Told;
use crate::failure::Failure;

/// Filled by the main thread, read by the server's.
pub(super) struct Store {
    traces: Mutex<Traces>,
    /// Grows with every change.
    version: watch::Sender<u64>,
}

/// All traces of which spans are kept.
pub(super) struct Traces {
    traces: HashMap<String, Trace>,
    /// The trace of each span, in the order in which the spans came.
    order: VecDeque<String>,
    bytes: usize,
    /// How many spans had to go.
    forgotten: u64,
    limit: Limit,
}

/// Whichever is met first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) spans: usize,
    pub(super) bytes: usize,
}

/// The spans of a trace, in the order in which they came.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) spans: VecDeque<ReceivedSpan>,
    ids: HashSet<String>,
    /// How many of it had to go.
    pub(super) forgotten: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self { traces: Mutex::new(Traces::new(LIMIT)), version: watch::Sender::new(0) }
    }
}

impl Store {
    /// Takes what comes until Ctrl-C; the page is there also when the sources have ended.
    pub(super) fn fill(&self, received: &Receiver<Event>, counts: &Counts) -> Result<ExitCode, Failure> {
        let mut told = Told::new();
        loop {
            match received.recv_timeout(TICK) {
                Ok(Event::Spans(spans)) => self.add(spans),
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::End) | Err(RecvTimeoutError::Timeout) => {}
            }
            told.now_and_then(counts);
        }
        told.at_the_end(counts);
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn add(&self, spans: Vec<ReceivedSpan>) {
        let mut traces = self.traces();
        spans.into_iter().for_each(|span| traces.add(span));
        drop(traces);
        self.version.send_modify(|version| *version += 1);
    }

    pub(super) fn traces(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes.
    pub(super) fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

impl Trace {
    /// When the first of its spans began.
    pub(super) fn start_unix_nano(&self) -> u64 {
        self.spans.iter().map(|span| span.start_unix_nano).min().unwrap_or_default()
    }

    /// How long it was from there to the end of its last span, in nanoseconds.
    pub(super) fn duration_nano(&self) -> u64 {
        let end = self.spans.iter().map(|span| span.end_unix_nano).max().unwrap_or_default();
        end.saturating_sub(self.start_unix_nano())
    }

    pub(super) fn has(&self, span: &str) -> bool {
        self.ids.contains(span)
    }
}

impl Traces {
    pub(super) fn new(limit: Limit) -> Self {
        Self { traces: HashMap::new(), order: VecDeque::new(), bytes: 0, forgotten: 0, limit }
    }

    /// A span that came before is replaced: whoever sends one again has got no answer.
    pub(super) fn add(&mut self, span: ReceivedSpan) {
        let size = span.size();
        let trace = self.traces.entry(span.trace_id.clone()).or_default();
        if !trace.ids.insert(span.span_id.clone()) {
            if let Some(before) = trace.spans.iter_mut().find(|before| before.span_id == span.span_id) {
                self.bytes = self.bytes + size - before.size();
                *before = span;
            }
        } else {
            self.order.push_back(span.trace_id.clone());
            self.bytes += size;
            trace.spans.push_back(span);
        }
        while self.order.len() > self.limit.spans || self.bytes > self.limit.bytes {
            self.forget_the_oldest();
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Trace)> {
        self.traces.iter()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Trace> {
        self.traces.get(id)
    }

    /// A span, wherever it is.
    pub(super) fn span(&self, trace: &str, id: &str) -> Option<&ReceivedSpan> {
        let trace = self.traces.get(trace).filter(|trace| trace.has(id))?;
        trace.spans.iter().find(|span| span.span_id == id)
    }

    pub(super) fn spans(&self) -> usize {
        self.order.len()
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.spans
    }

    fn forget_the_oldest(&mut self) {
        let Some(id) = self.order.pop_front() else { return };
        let Some(trace) = self.traces.get_mut(&id) else { return };
        // Its own spans came in the same order.
        if let Some(span) = trace.spans.pop_front() {
            self.bytes = self.bytes.saturating_sub(span.size());
            trace.ids.remove(&span.span_id);
            trace.forgotten += 1;
            self.forgotten += 1;
        }
        if trace.spans.is_empty() {
            self.traces.remove(&id);
        }
    }
}

/// What the page says: the newest 50,000 spans, as long as they are not uncommonly large.
const LIMIT: Limit = Limit { spans: 50_000, bytes: 256 << 20 };

const TICK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use tracer_trace_tree::Resource;

    use super::*;

    fn span(trace: u32, id: u32) -> ReceivedSpan {
        ReceivedSpan { trace_id: format!("t{trace}"), span_id: id.to_string(), ..Default::default() }
    }

    fn traces(spans: usize, bytes: usize) -> Traces {
        Traces::new(Limit { spans, bytes })
    }

    fn kept(traces: &Traces) -> Vec<String> {
        let mut kept: Vec<_> = traces
            .all()
            .flat_map(|(id, trace)| trace.spans.iter().map(move |span| format!("{id}/{}", span.span_id)))
            .collect();
        kept.sort();
        kept
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let mut traces = traces(3, usize::MAX);
        for (trace, id) in [(1, 1), (2, 1), (1, 2), (3, 1), (3, 2)] {
            traces.add(span(trace, id));
        }
        assert_eq!(kept(&traces), ["t1/2", "t3/1", "t3/2"]);
        assert_eq!((traces.spans(), traces.forgotten()), (3, 2));
        assert_eq!(traces.get("t1").map(|trace| trace.forgotten), Some(1));
        assert!(traces.get("t2").is_none() && traces.span("t1", "1").is_none() && traces.span("t1", "2").is_some());
    }

    #[test]
    fn large_spans_are_fewer_and_the_memory_they_took_is_given_back() {
        let mut traces = traces(1000, 100_000);
        let large = |id: u32| ReceivedSpan { name: "x".repeat(20_000), ..span(id, 1) };
        (0..50).for_each(|id| traces.add(large(id)));
        assert_eq!(traces.spans(), 4);
        // Each small one weighs what it weighs, however many large ones went before.
        (100..400).for_each(|id| traces.add(span(id, 1)));
        assert!(traces.spans() >= 100 && traces.bytes <= 100_000, "{} {}", traces.spans(), traces.bytes);
        let far_too_large = ReceivedSpan { name: "x".repeat(200_000), ..span(1000, 1) };
        traces.add(far_too_large);
        assert_eq!((traces.spans(), traces.bytes), (0, 0));
    }

    #[test]
    fn what_spans_share_counts_for_each_of_them() {
        let mut traces = traces(1000, 100_000);
        let resource: Resource = std::collections::BTreeMap::from([("k".to_owned(), "x".repeat(20_000).into())]).into();
        (0..50).for_each(|id| traces.add(ReceivedSpan { resource: resource.clone(), ..span(id, 1) }));
        assert_eq!(traces.spans(), 4);
    }

    #[test]
    fn a_span_that_is_sent_again_is_there_once() {
        let mut traces = traces(3, usize::MAX);
        traces.add(span(1, 1));
        traces.add(ReceivedSpan { name: "again".into(), ..span(1, 1) });
        assert_eq!((traces.spans(), traces.span("t1", "1").map(|span| span.name.as_str())), (1, Some("again")));
        assert_eq!(traces.bytes, traces.span("t1", "1").unwrap().size());
    }
}
