//! Traces as they complete.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use words::draw_traces_with;
use words::receivers::ReceivedSpan;

/// The traces that are still growing.
#[derive(Default)]
pub(crate) struct LiveTraces {
    /// By trace id: the spans so far, and when the last of them came.
    growing: BTreeMap<String, (Vec<ReceivedSpan>, Option<Instant>)>,
}

impl LiveTraces {
    /// Spans that came just now.
    pub(crate) fn add(&mut self, spans: Vec<ReceivedSpan>) {
        for mut span in spans {
            let took = format!("{:.3} ms", span.duration_nano() as f64 / 1e6);
            span.attributes.insert(TOOK.to_owned(), took.into());
            let (trace, last) = self.growing.entry(span.trace_id.clone()).or_default();
            trace.push(span);
            *last = Some(Instant::now());
        }
    }

    /// Draws the traces of which nothing came for a while, and forgets them.
    pub(crate) fn take_complete(&mut self) -> String {
        self.take(|last| last.elapsed() > WHILE)
    }

    /// Draws all that is left.
    pub(crate) fn take_all(&mut self) -> String {
        self.take(|_| true)
    }

    fn take(&mut self, is_complete: impl Fn(Instant) -> bool) -> String {
        let all = std::mem::take(&mut self.growing);
        let (complete, growing) = all.into_iter().partition(|(_, (_, last))| last.is_some_and(&is_complete));
        self.growing = growing;
        let mut complete: Vec<Vec<ReceivedSpan>> = complete.into_values().map(|(spans, _)| spans).collect();
        complete.sort_by_key(|spans| spans.iter().map(|span| span.start_unix_nano).min());
        let mut drawing = String::new();
        for spans in complete.iter().take(MOST) {
            let id = spans.first().map_or("", |span| &span.trace_id);
            drawing.push_str(&format!("\ntrace {id}\n{}", draw_traces_with(spans, &SHOWN)));
        }
        if let Some(more) = complete.len().checked_sub(MOST).filter(|more| *more > 0) {
            let spans: usize = complete.iter().skip(MOST).map(Vec::len).sum();
            drawing.push_str(&format!("\nand {more} traces more at the same time, of {spans} spans\n"));
        }
        drawing
    }
}

/// A trace of which nothing came for so long is complete: a process sends its spans about once a second, and a consumer
/// needs three to join its group.
const WHILE: Duration = Duration::from_secs(5);

/// So many are drawn at a time.
const MOST: usize = 20;

/// An attribute for the drawing only: how long a span is.
const TOOK: &str = "took";
const SHOWN: [&str; 2] = [TOOK, "tracer_resolver.process.end"];
