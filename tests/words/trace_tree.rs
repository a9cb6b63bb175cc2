//! A trace as a drawing: what a test asserts.

use tracer_trace_tree::Drawing;

use crate::receivers::ReceivedSpan;

/// Draws every trace in `spans` as an indented tree, as [`Drawing::draw`] does: without times, which differ from run to run.
pub fn draw_traces(spans: &[ReceivedSpan]) -> String {
    draw_traces_with(spans, &[])
}

/// The same, with these attributes, where a span has them, behind its name: `{offset=3, id=0}`.
pub fn draw_traces_with(spans: &[ReceivedSpan], attributes: &[&str]) -> String {
    Drawing { attributes: attributes.iter().map(|&key| key.to_owned()).collect(), ..Default::default() }.draw(spans)
}
