//! One span, drawn with everything it says.

use crate::receivers::ReceivedSpan;

/// Draws a span: service, name, kind, status, links, trace state, and every attribute on a line of its own, sorted.
///
/// What differs from run to run is given in `masks`, attribute and what stands for its value; ids and times are left out.
pub fn portrait(span: &ReceivedSpan, masks: &[(&str, &str)]) -> String {
    let mut drawing = format!("{}: {} ({}, {})\n", span.service, span.name, span.kind, span.status_code);
    if !span.status_message.is_empty() {
        drawing.push_str(&format!("  status: {}\n", span.status_message));
    }
    if !span.trace_state.is_empty() {
        drawing.push_str(&format!("  trace state: {}\n", span.trace_state));
    }
    if !span.links.is_empty() {
        drawing.push_str(&format!("  links: {}\n", span.links.len()));
    }
    for (event, _) in &span.events {
        drawing.push_str(&format!("  event: {event}\n"));
    }
    for (key, value) in &span.attributes {
        match masks.iter().find(|(masked, _)| masked == key) {
            Some((_, mask)) => drawing.push_str(&format!("  {key} = {mask}\n")),
            None => drawing.push_str(&format!("  {key} = {value}\n")),
        }
    }
    drawing
}
