//! A trace as a drawing: what a test asserts, and what a person sees.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::queue::queued_nano;
use crate::received_span::ReceivedSpan;
use crate::tree::{Row, rows};

/// What a drawing shows of each span, besides its service and its name.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    /// These attributes, where a span has them, each called by the last part of its name. `trace_state` may be among them,
    /// and is the span's.
    pub attributes: Vec<String>,
    /// How long it took.
    pub times: bool,
    /// How long its message waited between its send and its processing.
    pub queued: bool,
    /// What an error was, not only of which type.
    pub reasons: bool,
    /// Errors in red.
    pub colours: bool,
}

impl Drawing {
    /// Draws every trace in `spans` as an indented tree, one span a line: `service: name {took=1.000 ms}`, and `!error` when
    /// it failed.
    ///
    /// Children stand under their parent in the order of their start, then name. A span whose parent is not among `spans`
    /// is drawn as a root, marked `~`; a link is drawn as `-> name of the linked span`.
    pub fn draw(&self, spans: &[ReceivedSpan]) -> String {
        let by_id: HashMap<_, _> =
            spans.iter().map(|span| ((span.trace_id.as_str(), span.span_id.as_str()), span)).collect();
        let mut drawing = String::new();
        for row in rows(spans) {
            self.line(&row, &by_id, &mut drawing);
        }
        drawing
    }

    fn line(&self, row: &Row<'_>, by_id: &HashMap<(&str, &str), &ReceivedSpan>, drawing: &mut String) {
        let span = row.span;
        let find = |trace: &str, id: &str| by_id.get(&(trace, id)).copied();
        let orphan = if row.is_orphan() { "~ " } else { "" };
        // Writing into a `String` cannot fail.
        let _ = write!(
            drawing,
            "{:indent$}{orphan}{}: {}",
            "",
            plain(&span.service),
            plain(&span.name),
            indent = 2 * row.depth.min(DEEPEST)
        );
        let mut notes = Vec::new();
        if self.times {
            notes.push(format!("took={}", millis(span.duration_nano())));
        }
        if self.queued {
            notes.extend(queued_nano(span, find).map(|queued| format!("queued={}", millis(queued))));
        }
        notes.extend(self.attributes.iter().filter_map(|key| {
            let value = match key.as_str() {
                "trace_state" => Some(span.trace_state.clone()).filter(|state| !state.is_empty()),
                key => span.attribute(key),
            };
            Some(format!("{}={}", key.rsplit('.').next().unwrap_or_default(), plain(&value?)))
        }));
        if !notes.is_empty() {
            let _ = write!(drawing, " {{{}}}", notes.join(", "));
        }
        if span.has_failed() {
            let what = if self.reasons { span.error() } else { span.error_type() };
            let (red, end) = if self.colours { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
            let _ = write!(drawing, " {red}!{}{end}", plain(&what));
        }
        for link in &span.links {
            let name = find(&link.trace_id, &link.span_id).map_or_else(|| "?".to_owned(), |to| plain(&to.name));
            let _ = write!(drawing, " -> {name}");
        }
        drawing.push('\n');
    }
}

/// Milliseconds, to the microsecond.
fn millis(nanos: u64) -> String {
    format!("{:.3} ms", nanos as f64 / 1e6)
}

/// Without what would begin a line of its own, steer a terminal, or turn the writing around.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Deeper spans are not moved further to the right.
const DEEPEST: usize = 60;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::received_span::ReceivedLink;

    fn span(name: &str, kind: &str, id: &str, parent: &str, from: u64) -> ReceivedSpan {
        ReceivedSpan {
            service: "shop".into(),
            name: name.into(),
            kind: kind.into(),
            trace_id: "t".into(),
            span_id: id.into(),
            parent_span_id: parent.into(),
            start_unix_nano: from * 1_000_000,
            end_unix_nano: (from + 2) * 1_000_000,
            ..Default::default()
        }
    }

    #[test]
    fn a_trace_is_a_tree_with_times_attributes_errors_and_links() {
        let mut failed = span("send payments", "producer", "c", "b", 20);
        failed.status_code = "error".into();
        failed.status_message = "Local: Message timed out".into();
        failed.attributes.insert("error.type".into(), json!("_MSG_TIMED_OUT"));
        let mut process = span("process orders", "consumer", "b", "a", 10);
        process.attributes.insert("messaging.kafka.offset".into(), json!(7));
        process.links.push(ReceivedLink { trace_id: "t".into(), span_id: "c".into() });
        let spans = [failed, process, span("send orders", "producer", "a", "", 1), span("lost", "", "d", "gone", 30)];
        assert_eq!(
            Drawing::default().draw(&spans),
            "shop: send orders\n  shop: process orders -> send payments\n    shop: send payments !_MSG_TIMED_OUT\n~ shop: lost\n"
        );
        let full = Drawing {
            attributes: vec!["messaging.kafka.offset".into()],
            times: true,
            queued: true,
            reasons: true,
            colours: true,
        };
        assert_eq!(
            full.draw(&spans),
            "shop: send orders {took=2.000 ms}\n  \
               shop: process orders {took=2.000 ms, queued=7.000 ms, offset=7} -> send payments\n    \
                 shop: send payments {took=2.000 ms} \x1b[31m!_MSG_TIMED_OUT: Local: Message timed out\x1b[0m\n\
             ~ shop: lost {took=2.000 ms}\n"
        );
    }

    #[test]
    fn no_text_of_a_span_steers_the_terminal() {
        let mut spans = [span("a\x1b[2Jb\nc\u{202e}d\u{9b}", "", "a", "", 1)];
        spans[0].service = "s\r".into();
        spans[0].status_code = "error".into();
        spans[0].status_message = "\x07".into();
        let drawing = Drawing { reasons: true, ..Default::default() }.draw(&spans);
        assert_eq!(drawing, "s\\r: a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b} !error: \\u{7}\n");
    }

    #[test]
    fn a_very_deep_trace_does_not_grow_with_the_square_of_its_depth() {
        let spans: Vec<_> =
            (1..=20_000).map(|n| span("s", "", &n.to_string(), &(n - 1_i64).to_string(), n as u64)).collect();
        assert!(Drawing::default().draw(&spans).len() < 20_000 * (2 * DEEPEST + 20));
    }
}
