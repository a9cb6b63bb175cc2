//! Traces as they complete.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::drawing::Drawing;
use crate::received_span::ReceivedSpan;

/// The traces that are still growing, and the last ones that were drawn: these may grow again.
pub struct LiveTraces {
    drawing: Drawing,
    /// Which traces are drawn at all, by their spans.
    wanted: Box<Wanted>,
    /// At most so many are drawn at a time; of the others it is said how many there are.
    most: usize,
    /// By trace id.
    traces: BTreeMap<String, Trace>,
    /// Of those, the ones that were drawn, oldest first.
    drawn: VecDeque<String>,
    /// Of those, all of them, as they first came.
    order: VecDeque<String>,
    /// How many spans they have, and how much memory these take.
    spans: usize,
    bytes: usize,
    /// Of traces that had to go before they were complete.
    early: String,
}

type Wanted = dyn Fn(&[ReceivedSpan]) -> bool;

struct Trace {
    spans: Vec<ReceivedSpan>,
    /// Theirs.
    ids: HashSet<String>,
    /// When the last of them came.
    last: Instant,
    /// How many of them were looked at for a drawing.
    drawn: usize,
}

impl LiveTraces {
    /// Draws every trace, twenty at a time at the most.
    pub fn new(drawing: Drawing) -> Self {
        Self {
            drawing,
            wanted: Box::new(|_| true),
            most: MOST,
            traces: BTreeMap::new(),
            drawn: VecDeque::new(),
            order: VecDeque::new(),
            spans: 0,
            bytes: 0,
            early: String::new(),
        }
    }

    /// Draws only traces that `wanted` wants, by all their spans so far.
    pub fn only(self, wanted: impl Fn(&[ReceivedSpan]) -> bool + 'static) -> Self {
        Self { wanted: Box::new(wanted), ..self }
    }

    /// Draws all that there are, however many come at a time.
    pub fn without_a_limit(self) -> Self {
        Self { most: usize::MAX, ..self }
    }

    /// Spans that came just now. One that is sent again, by somebody who got no answer, is there once.
    pub fn add(&mut self, spans: Vec<ReceivedSpan>) {
        let last = Instant::now();
        for span in spans {
            let trace = self.traces.entry(span.trace_id.clone()).or_insert_with_key(|id| {
                self.order.push_back(id.clone());
                Trace { spans: Vec::new(), ids: HashSet::new(), last, drawn: 0 }
            });
            if !trace.ids.insert(span.span_id.clone()) {
                continue;
            }
            self.bytes += span.size();
            self.spans += 1;
            trace.spans.push(span);
            trace.last = last;
            while self.spans > KEPT_SPANS || self.bytes > KEPT_BYTES {
                self.make_room();
            }
        }
    }

    /// Draws the traces of which nothing came for a while.
    pub fn take_complete(&mut self) -> String {
        self.take(|last| last.elapsed() > WHILE)
    }

    /// Draws all that is left.
    pub fn take_all(&mut self) -> String {
        self.take(|_| true)
    }

    fn take(&mut self, is_complete: impl Fn(Instant) -> bool) -> String {
        let mut drawing = std::mem::take(&mut self.early);
        let complete = |(_, trace): &(&String, &mut Trace)| trace.drawn < trace.spans.len() && is_complete(trace.last);
        let mut complete: Vec<_> = self.traces.iter_mut().filter(complete).collect();
        complete.sort_by_key(|(_, trace)| trace.spans.iter().map(|span| span.start_unix_nano).min());
        let mut number = 0;
        for (id, trace) in complete {
            if trace.drawn == 0 {
                self.drawn.push_back(id.clone());
            }
            let before = std::mem::replace(&mut trace.drawn, trace.spans.len());
            if !(self.wanted)(&trace.spans) {
                continue;
            }
            if number < self.most {
                drawing.push_str(&trace.drawing(id, before, &self.drawing));
            }
            number += 1;
        }
        let more = number.saturating_sub(self.most);
        if more > 0 {
            drawing.push_str(&format!(
                "\nand {more} {} more at the same time\n",
                if more == 1 { "trace" } else { "traces" }
            ));
        }
        while self.drawn.len() > KEPT {
            self.forget_a_drawn_one();
        }
        drawing
    }

    /// The oldest that was drawn goes; if none was, the oldest is drawn as it is, and goes.
    fn make_room(&mut self) {
        if self.forget_a_drawn_one() {
            return;
        }
        let Some(oldest) = self.order.pop_front() else { return };
        let Some(trace) = self.traces.remove(&oldest) else { return };
        self.forget(&trace);
        if (self.wanted)(&trace.spans) {
            self.early.push_str(&trace.drawing(&oldest, 0, &self.drawing));
        }
    }

    fn forget(&mut self, trace: &Trace) {
        self.spans -= trace.spans.len();
        self.bytes -= trace.size();
    }

    fn forget_a_drawn_one(&mut self) -> bool {
        let Some(oldest) = self.drawn.pop_front() else { return false };
        if let Some(trace) = self.traces.remove(&oldest) {
            self.forget(&trace);
            // Near the front, as it is among the oldest.
            if let Some(place) = self.order.iter().position(|id| *id == oldest) {
                self.order.remove(place);
            }
        }
        true
    }
}

impl Trace {
    fn size(&self) -> usize {
        self.spans.iter().map(ReceivedSpan::size).sum()
    }

    fn drawing(&self, id: &str, before: usize, drawing: &Drawing) -> String {
        // Who counts the lines that begin with `trace` counts each trace once.
        let heading = match before {
            0 => format!("trace {id}"),
            before => {
                let more = self.spans.len() - before;
                format!("again: trace {id}, drawn again: {more} more of its spans came after the {before} drawn before")
            }
        };
        format!("\n{heading}\n{}", drawing.draw(&self.spans))
    }
}

/// A trace of which nothing came for so long is complete: a process sends its spans about once a second, and a consumer
/// needs three to join its group.
const WHILE: Duration = Duration::from_secs(5);

/// So many are drawn at a time.
const MOST: usize = 20;

/// So many that were drawn are kept, to be drawn again whole when they grow.
const KEPT: usize = 1000;

/// So many spans are kept at the most, and not more than that of them.
const KEPT_SPANS: usize = 50_000;
const KEPT_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u64, id: u64) -> ReceivedSpan {
        ReceivedSpan {
            service: "s".into(),
            name: id.to_string(),
            trace_id: format!("t{trace}"),
            span_id: id.to_string(),
            start_unix_nano: trace * 1000 + id,
            ..Default::default()
        }
    }

    #[test]
    fn a_trace_that_grows_is_drawn_again_whole() {
        let mut traces = LiveTraces::new(Drawing::default());
        traces.add(vec![span(1, 1)]);
        assert_eq!(traces.take_complete(), "", "more may come");
        assert_eq!(traces.take_all(), "\ntrace t1\ns: 1\n");
        traces.add(vec![span(1, 2)]);
        let again = "\nagain: trace t1, drawn again: 1 more of its spans came after the 1 drawn before\ns: 1\ns: 2\n";
        assert_eq!(traces.take_all(), again);
        traces.add(vec![span(1, 2)]);
        assert_eq!(traces.take_all(), "", "it came before");
    }

    #[test]
    fn what_is_not_wanted_is_not_drawn_until_it_is() {
        let mut traces = LiveTraces::new(Drawing::default()).only(|spans| spans.len() > 1);
        traces.add(vec![span(1, 1), span(2, 1), span(2, 2)]);
        assert_eq!(traces.take_all(), "\ntrace t2\ns: 1\ns: 2\n");
        traces.add(vec![span(1, 2)]);
        assert!(traces.take_all().contains("trace t1"));
    }

    #[test]
    fn twenty_are_drawn_at_a_time_and_the_others_counted_unless_all_are_wanted() {
        let many: Vec<_> = (0..30).map(|trace| span(trace, 1)).collect();
        let mut traces = LiveTraces::new(Drawing::default());
        traces.add(many.clone());
        assert!(traces.take_all().ends_with("\nand 10 traces more at the same time\n"));
        let mut traces = LiveTraces::new(Drawing::default()).without_a_limit();
        traces.add(many);
        assert_eq!(traces.take_all().matches("\ntrace ").count(), 30);
    }

    #[test]
    fn memory_is_bounded_and_no_span_goes_undrawn() {
        let all = KEPT_SPANS as u64 + 20_000;
        let mut traces = LiveTraces::new(Drawing::default()).without_a_limit();
        let mut drawn = 0;
        for trace in 0..all {
            traces.add(vec![span(trace, 1)]);
            assert!(traces.spans <= KEPT_SPANS && traces.order.len() <= KEPT_SPANS);
            if trace % 7000 == 0 {
                drawn += traces.take_complete().matches("\ntrace ").count();
            }
        }
        drawn += traces.take_all().matches("\ntrace ").count();
        assert_eq!(drawn as u64, all);
        assert!(traces.spans <= KEPT && traces.order.len() == traces.traces.len());
        for trace in 0..40 {
            let attributes = [("large".to_owned(), "x".repeat(16 << 20).into())].into();
            traces.add(vec![ReceivedSpan { attributes, ..span(all + trace, 1) }]);
            assert!(traces.bytes <= KEPT_BYTES);
        }
        let in_all: usize = traces.traces.values().map(Trace::size).sum();
        assert_eq!(traces.bytes, in_all, "what went is given back");
    }
}
