//! The order of a drawing: each span below its parent, however the spans came and whatever they say of each other.

use std::collections::{HashMap, HashSet};

use crate::received_span::ReceivedSpan;

/// A span, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The span.
    pub span: &'a ReceivedSpan,
    /// 0 for a root.
    pub depth: usize,
    /// Whether no other child of its parent comes after it.
    pub is_last: bool,
    /// Whether spans stand below it.
    pub has_children: bool,
}

impl Row<'_> {
    /// Whether it stands as a root although it has a parent.
    pub fn is_orphan(&self) -> bool {
        self.depth == 0 && !self.span.parent_span_id.is_empty()
    }
}

type Id<'a> = (&'a str, &'a str);

/// The spans of all traces, a parent before its children, and these in the order of their start, then name.
///
/// A span whose parent is not among them is a root, and so is the first of several that go round in a ring. Each span is
/// there once; one that came twice, twice, and its children below the first.
pub fn rows<'a>(spans: impl IntoIterator<Item = &'a ReceivedSpan>) -> Vec<Row<'a>> {
    let mut sorted: Vec<_> = spans.into_iter().collect();
    sorted.sort_by(|one, other| (one.start_unix_nano, &one.name).cmp(&(other.start_unix_nano, &other.name)));
    let ids: HashSet<_> = sorted.iter().copied().map(own_id).collect();
    let mut children: HashMap<Id<'_>, Vec<&ReceivedSpan>> = HashMap::new();
    let mut roots = Vec::new();
    let mut rows = Vec::with_capacity(sorted.len());
    for span in sorted {
        let parent = parent_id(span);
        if span.parent_span_id.is_empty() || !ids.contains(&parent) {
            roots.push(span);
        } else {
            children.entry(parent).or_default().push(span);
        }
    }
    for root in roots {
        walk(root, &mut children, &mut rows);
    }
    // What is left goes round in a ring of parents, which no tracer should write: it is shown all the same.
    while let Some(first) = children.values().flatten().min_by_key(|span| (span.start_unix_nano, &span.span_id)) {
        let first = *first;
        if let Some(siblings) = children.get_mut(&parent_id(first)) {
            siblings.retain(|span| !std::ptr::eq(*span, first));
        }
        children.retain(|_, siblings| !siblings.is_empty());
        walk(first, &mut children, &mut rows);
    }
    rows
}

/// Without recursion: a trace may be deeper than the stack.
fn walk<'a>(root: &'a ReceivedSpan, children: &mut HashMap<Id<'a>, Vec<&'a ReceivedSpan>>, rows: &mut Vec<Row<'a>>) {
    let mut open = vec![(root, 0, true)];
    while let Some((span, depth, is_last)) = open.pop() {
        let below = children.remove(&own_id(span)).unwrap_or_default();
        rows.push(Row { span, depth, is_last, has_children: !below.is_empty() });
        let last = below.len().saturating_sub(1);
        open.extend(below.into_iter().enumerate().rev().map(|(nth, child)| (child, depth + 1, nth == last)));
    }
}

fn own_id(span: &ReceivedSpan) -> Id<'_> {
    (&span.trace_id, &span.span_id)
}

fn parent_id(span: &ReceivedSpan) -> Id<'_> {
    (&span.trace_id, &span.parent_span_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, start: u64) -> ReceivedSpan {
        ReceivedSpan {
            trace_id: "t".into(),
            span_id: id.into(),
            parent_span_id: parent.into(),
            start_unix_nano: start,
            ..Default::default()
        }
    }

    fn drawn(spans: &[ReceivedSpan]) -> Vec<(usize, &str)> {
        rows(spans).into_iter().map(|row| (row.depth, row.span.span_id.as_str())).collect()
    }

    #[test]
    fn children_stand_below_their_parent_in_the_order_of_their_start() {
        let spans = [span("c", "a", 3), span("b", "a", 2), span("a", "", 1), span("d", "b", 9)];
        assert_eq!(drawn(&spans), [(0, "a"), (1, "b"), (2, "d"), (1, "c")]);
        let lasts: Vec<_> = rows(&spans).iter().map(|row| (row.is_last, row.has_children)).collect();
        assert_eq!(lasts, [(true, true), (false, true), (true, false), (true, false)]);
    }

    #[test]
    fn a_ring_of_parents_is_shown_each_span_once() {
        let spans = [span("a", "c", 1), span("b", "a", 2), span("c", "b", 3), span("self", "self", 4)];
        assert_eq!(drawn(&spans), [(0, "a"), (1, "b"), (2, "c"), (0, "self")]);
    }

    #[test]
    fn a_span_that_came_twice_is_shown_twice_with_its_children_below_the_first() {
        let spans = [span("a", "", 1), span("a", "", 1), span("b", "a", 2)];
        assert_eq!(drawn(&spans), [(0, "a"), (1, "b"), (0, "a")]);
    }

    #[test]
    fn a_trace_deeper_than_the_stack_is_walked() {
        let spans: Vec<_> = (1..=200_000_u64).map(|n| span(&n.to_string(), &(n - 1).to_string(), n)).collect();
        assert_eq!(rows(&spans).last().map(|row| row.depth), Some(199_999));
    }
}
