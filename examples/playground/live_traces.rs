//! Traces as they complete.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use words::draw_traces_with;
use words::receivers::ReceivedSpan;

/// The traces that are still growing, and the last ones that were drawn: these may grow again.
#[derive(Default)]
pub(crate) struct LiveTraces {
    /// By trace id.
    traces: BTreeMap<String, Trace>,
    /// Of those, the ones that were drawn, oldest first.
    drawn: VecDeque<String>,
}

struct Trace {
    spans: Vec<ReceivedSpan>,
    /// When the last of them came.
    last: Instant,
    /// How many of them were drawn.
    drawn: usize,
}

impl LiveTraces {
    /// Spans that came just now.
    pub(crate) fn add(&mut self, spans: Vec<ReceivedSpan>) {
        let last = Instant::now();
        for mut span in spans {
            let took = format!("{:.3} ms", span.duration_nano() as f64 / 1e6);
            span.attributes.insert(TOOK.to_owned(), took.into());
            let new = || Trace { spans: Vec::new(), last, drawn: 0 };
            let trace = self.traces.entry(span.trace_id.clone()).or_insert_with(new);
            trace.spans.push(span);
            trace.last = last;
        }
    }

    /// Draws the traces of which nothing came for a while.
    pub(crate) fn take_complete(&mut self) -> String {
        self.take(|last| last.elapsed() > WHILE)
    }

    /// Draws all that is left.
    pub(crate) fn take_all(&mut self) -> String {
        self.take(|_| true)
    }

    fn take(&mut self, is_complete: impl Fn(Instant) -> bool) -> String {
        let complete = |(_, trace): &(&String, &mut Trace)| trace.drawn < trace.spans.len() && is_complete(trace.last);
        let mut complete: Vec<_> = self.traces.iter_mut().filter(complete).collect();
        complete.sort_by_key(|(_, trace)| trace.spans.iter().map(|span| span.start_unix_nano).min());
        let (mut drawing, mut more) = (String::new(), 0);
        for (number, (id, trace)) in complete.into_iter().enumerate() {
            let more_spans = trace.spans.len() - trace.drawn;
            let again = match trace.drawn {
                0 => {
                    self.drawn.push_back(id.clone());
                    String::new()
                }
                drawn => format!(", drawn again: {more_spans} more of its spans came after the {drawn} drawn before"),
            };
            trace.drawn = trace.spans.len();
            if number < MOST {
                drawing.push_str(&format!("\ntrace {id}{again}\n{}", draw_traces_with(&trace.spans, &SHOWN)));
            } else {
                more += 1;
            }
        }
        if more > 0 {
            drawing.push_str(&format!("\nand {more} traces more at the same time\n"));
        }
        while self.drawn.len() > KEPT {
            self.drawn.pop_front().and_then(|oldest| self.traces.remove(&oldest));
        }
        drawing
    }
}

/// A trace of which nothing came for so long is complete: a process sends its spans about once a second, and a consumer
/// needs three to join its group.
const WHILE: Duration = Duration::from_secs(5);

/// So many are drawn at a time.
const MOST: usize = 20;

/// So many that were drawn are kept, to be drawn again whole when they grow.
const KEPT: usize = 1000;

/// An attribute for the drawing only: how long a span is.
const TOOK: &str = "took";
const SHOWN: [&str; 2] = [TOOK, "tracer_resolver.process.end"];
