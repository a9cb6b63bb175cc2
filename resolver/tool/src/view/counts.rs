//! What came that could not be shown, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counted by the sources, on their threads, and read by whoever shows the traces.
#[derive(Default)]
pub(super) struct Counts {
    /// Lines, or bodies of requests, that are no OTLP.
    no_otlp: AtomicU64,
    /// Spans without the ids that a span must have.
    without_ids: AtomicU64,
    /// Times that what was written to a file may have been missed.
    gaps: AtomicU64,
    /// The first of them, in words.
    first: Mutex<Option<String>>,
}

impl Counts {
    /// What stands at `place` is no OTLP, and why.
    pub(super) fn no_otlp(&self, place: &str, why: &str) {
        self.no_otlp.fetch_add(1, Ordering::Relaxed);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| format!("{place}: {why}"));
    }

    pub(super) fn without_ids(&self, spans: u64) {
        self.without_ids.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it in one sentence; nothing if nothing.
    pub(super) fn sentence(&self) -> Option<String> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let number = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let no_otlp = number(
            self.no_otlp.load(Ordering::Relaxed),
            "line or request was no OTLP",
            "lines or requests were no OTLP",
        );
        let without_ids = self.without_ids.load(Ordering::Relaxed);
        let gaps = self.gaps.load(Ordering::Relaxed);
        let parts = [
            no_otlp.map(|said| first.map_or_else(|| said.clone(), |first| format!("{said} (the first: {first})"))),
            number(without_ids, "span had no ids", "spans had no ids"),
            number(
                gaps,
                "time the file was gone before all of it was read",
                "times the file was gone before all of it was read",
            ),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("not shown: {}", parts.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_shown_is_one_sentence_with_the_first_of_it() {
        let counts = Counts::default();
        assert_eq!(counts.sentence(), None);
        counts.no_otlp("a.jsonl:3", "no JSON");
        counts.no_otlp("a.jsonl:4", "no spans");
        counts.without_ids(1);
        assert_eq!(
            counts.sentence().as_deref(),
            Some("not shown: 2 lines or requests were no OTLP (the first: a.jsonl:3: no JSON); 1 span had no ids")
        );
    }
}
