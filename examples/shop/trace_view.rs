//! One whole trace as a tree with times.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracer_trace_tree::rows;
use words::receivers::ReceivedSpan;

use crate::kind::Kind;
use crate::paint::{Paint, fit};
use crate::receivers::Sighting;

/// A trace of the spans that were received.
struct Trace {
    spans: Vec<ReceivedSpan>,
    /// By span id: the backends that got it.
    backends: BTreeMap<String, Vec<Kind>>,
    start: u64,
    end: u64,
}

/// A span where it stands in the drawing.
struct Row<'a> {
    span: &'a ReceivedSpan,
    branch: String,
    /// What stands before the lines below it.
    below: String,
}

/// Draws the trace that shows most: through most services, with most spans; of several such the one of middling length.
///
/// `None` when nothing was received.
pub(crate) fn draw(sightings: &[Sighting], paint: Paint) -> Option<String> {
    let mut traces: BTreeMap<String, Vec<Sighting>> = BTreeMap::new();
    for sighting in sightings {
        traces.entry(sighting.span.trace_id.clone()).or_default().push(sighting.clone());
    }
    let mut traces: Vec<_> = traces.into_values().map(Trace::new).collect();
    let richest = traces.iter().map(Trace::richness).max()?;
    traces.retain(|trace| trace.richness() == richest);
    traces.sort_by_key(|trace| trace.end - trace.start);
    Some(traces.get(traces.len() / 2)?.drawing(paint))
}

impl Trace {
    fn new(sightings: Vec<Sighting>) -> Self {
        let mut backends: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
        let mut spans = Vec::new();
        for Sighting { span, backend } in sightings {
            let seen_by = backends.entry(span.span_id.clone()).or_default();
            seen_by.push(backend);
            if seen_by.len() == 1 {
                spans.push(span);
            }
        }
        spans.sort_by_key(|span| span.start_unix_nano);
        let start = spans.iter().map(|span| span.start_unix_nano).min().unwrap_or_default();
        let end = spans.iter().map(|span| span.end_unix_nano).max().unwrap_or_default();
        Trace { spans, backends, start, end }
    }

    /// Services, then spans; less by every span whose parent is missing.
    fn richness(&self) -> (usize, usize) {
        let mut services: Vec<_> = self.spans.iter().map(|span| &span.service).collect();
        services.sort();
        services.dedup();
        let orphans = self.roots().filter(|root| !root.parent_span_id.is_empty()).count();
        (services.len(), self.spans.len().saturating_sub(orphans))
    }

    fn drawing(&self, paint: Paint) -> String {
        let trace_id = self.spans.first().map_or("", |span| span.trace_id.as_str());
        let title = format!("one order's whole way: trace {trace_id}, {} ms", millis(self.end - self.start));
        let (service, name, kind) = (fit("service", SERVICE), fit("span", NAME), fit("kind", KIND));
        let head = format!("{service}{name}{kind}{:>9}{:>9}  {:<BAR$} backend", "start ms", "took ms", "");
        let mut drawing = format!("{}\n\n{}\n", paint.bold(&title), paint.dim(&head));
        for row in self.rows() {
            self.line(&row, paint, &mut drawing);
        }
        drawing
    }

    fn line(&self, row: &Row<'_>, paint: Paint, drawing: &mut String) {
        let span = row.span;
        let name = fit(&format!("{}{}", row.branch, span.name), NAME - 1) + " ";
        let name = if span.has_failed() { paint.red(&name) } else { name };
        let backends = self.backends.get(&span.span_id).into_iter().flatten().map(|kind| kind.name());
        // Writing into a `String` cannot fail.
        let _ = writeln!(
            drawing,
            "{}{name}{}{:>9}{:>9}  {} {}",
            paint.nth(self.service_number(&span.service), &fit(&span.service, SERVICE)),
            fit(&span.kind, KIND),
            format!("+{}", millis(span.start_unix_nano - self.start)),
            millis(span.duration_nano()),
            self.bar(span),
            backends.collect::<Vec<_>>().join("+"),
        );
        if span.has_failed() {
            let what = paint.red(&format!("! {}: {}", span.error_type(), span.status_message));
            let _ = writeln!(drawing, "{}{}{what}", " ".repeat(SERVICE), row.below);
        }
    }

    /// Where the span lies in the trace.
    fn bar(&self, span: &ReceivedSpan) -> String {
        let whole = (self.end - self.start).max(1);
        let cell = |time: u64| ((time - self.start) as u128 * BAR as u128 / u128::from(whole)) as usize;
        let first = cell(span.start_unix_nano).min(BAR - 1);
        let last = cell(span.end_unix_nano.max(span.start_unix_nano)).clamp(first + 1, BAR);
        fit(&format!("{}{}", " ".repeat(first), "█".repeat(last - first)), BAR)
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut lasts = Vec::new();
        let mut drawn = Vec::new();
        for row in rows(&self.spans) {
            lasts.truncate(row.depth);
            // What goes on beside a span's own branch; a root has no branch.
            let trunk: String = lasts.iter().skip(1).map(|is_last| if *is_last { "  " } else { "│ " }).collect();
            let (branch, beside) = match (row.depth, row.is_last) {
                (0, _) => ("", ""),
                (_, true) => ("└ ", "  "),
                (_, false) => ("├ ", "│ "),
            };
            lasts.push(row.is_last);
            let below = format!("{trunk}{beside}{}", if row.has_children { "│ " } else { "  " });
            drawn.push(Row { span: row.span, branch: format!("{trunk}{branch}"), below });
        }
        drawn
    }

    fn roots(&self) -> impl Iterator<Item = &ReceivedSpan> {
        self.spans.iter().filter(|span| !self.backends.contains_key(&span.parent_span_id))
    }

    fn service_number(&self, service: &str) -> usize {
        self.spans.iter().position(|span| span.service == service).unwrap_or_default()
    }
}

/// Milliseconds, to the microsecond.
fn millis(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000, nanos / 1_000 % 1_000)
}

// The widths of the columns: 100 in all, with a backend's or two backends' names.
const SERVICE: usize = 14;
const NAME: usize = 34;
const KIND: usize = 9;
const BAR: usize = 11;
