//! How long a message waited between its send and its processing.

use crate::received_span::ReceivedSpan;

/// The span that sent the message which `span` receives or processes: its parent, or what a link of it points to. A span
/// that received the message may stand between. `find` looks a span up by trace and span id.
pub fn sender_of<'a>(
    span: &'a ReceivedSpan,
    find: impl Fn(&str, &str) -> Option<&'a ReceivedSpan>,
) -> Option<&'a ReceivedSpan> {
    let towards = |span: &'a ReceivedSpan| {
        let parent = find(&span.trace_id, &span.parent_span_id);
        parent.into_iter().chain(span.links.iter().filter_map(|link| find(&link.trace_id, &link.span_id)))
    };
    if span.kind != "consumer" {
        return None;
    }
    towards(span).find(|other| other.kind == "producer").or_else(|| {
        let same_message = |other: &&ReceivedSpan| other.kind == "consumer" && other.topic() == span.topic();
        towards(span).filter(same_message).flat_map(towards).find(|other| other.kind == "producer")
    })
}

/// How long the message of `span` waited: from the end of its send, when the broker had it, to the start of `span`, in
/// nanoseconds. 0 when the receiver was faster than the broker's answer to the sender, or its clock is behind.
pub fn queued_nano<'a>(span: &'a ReceivedSpan, find: impl Fn(&str, &str) -> Option<&'a ReceivedSpan>) -> Option<u64> {
    sender_of(span, find).map(|sender| span.start_unix_nano.saturating_sub(sender.end_unix_nano))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::received_span::ReceivedLink;

    fn span(kind: &str, id: &str, parent: &str, from: u64, to: u64) -> ReceivedSpan {
        ReceivedSpan {
            kind: kind.into(),
            span_id: id.into(),
            parent_span_id: parent.into(),
            start_unix_nano: from,
            end_unix_nano: to,
            ..Default::default()
        }
    }

    fn queued(spans: &[ReceivedSpan]) -> Vec<Option<u64>> {
        let find = |_: &str, id: &str| spans.iter().find(|span| span.span_id == id);
        spans.iter().map(|span| queued_nano(span, find)).collect()
    }

    #[test]
    fn it_is_from_the_end_of_the_send_to_the_start_of_the_processing() {
        let spans = [span("producer", "s", "", 10, 20), span("consumer", "p", "s", 50, 60)];
        assert_eq!(queued(&spans), [None, Some(30)]);
    }

    #[test]
    fn a_receiver_that_was_faster_than_the_acknowledgement_waited_for_nothing() {
        let spans = [span("producer", "s", "", 10, 20), span("consumer", "p", "s", 15, 60)];
        assert_eq!(queued(&spans), [None, Some(0)]);
    }

    #[test]
    fn a_link_and_a_receive_between_lead_to_the_send_too_and_nothing_else_does() {
        let mut linked = span("consumer", "l", "", 30, 31);
        linked.links.push(ReceivedLink { trace_id: String::new(), span_id: "s".into() });
        let spans = [
            span("producer", "s", "", 10, 20),
            linked,
            span("consumer", "r", "s", 25, 26),
            span("consumer", "p", "r", 27, 40),
            span("internal", "i", "s", 27, 40),
            span("consumer", "alone", "gone", 27, 40),
        ];
        assert_eq!(queued(&spans), [None, Some(10), Some(5), Some(7), None, None]);
    }
}
