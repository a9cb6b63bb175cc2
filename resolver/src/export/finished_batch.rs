//! One encoded batch, shared by all backends it goes to.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a batch is of, and with it what its items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Data points. All values are cumulative: a later batch says all that an earlier one did.
    Metrics,
}

impl Signal {
    /// As OpenTelemetry calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// Items of one or more services, encoded once. Immutable; each backend's queue holds its own reference.
#[derive(Debug)]
pub(crate) struct FinishedBatch {
    /// Unique in the process; a backend sees the same id again when the batch is retried.
    pub(crate) id: u64,
    pub(crate) signal: Signal,
    /// An OTLP `ExportTraceServiceRequest`, or one of metrics, protobuf, uncompressed; see [`FinishedBatch::bytes`].
    pub(crate) body: Vec<u8>,
    /// Where it begins in `body`: what stands before was room for its head.
    pub(crate) start: usize,
    /// Items in `body`; of spans, the sum over `per_service`.
    pub(crate) item_count: u32,
    /// (service index, spans of that service), so that what is lost is counted where it hurts. Empty for metrics.
    pub(crate) per_service: Vec<(u32, u32)>,
    pub(crate) facts: BatchFacts,
}

/// What a backend may want to know of a batch without decoding it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchFacts {
    /// Start of the oldest span, or of the time that the oldest data point is of: nanoseconds since 1970; 0 is not known.
    pub(crate) oldest_start: u64,
    /// Its resources.
    pub(crate) resources: u32,
    /// `service.name` of its resources, each once.
    pub(crate) services: Vec<Arc<str>>,
}

impl BatchFacts {
    /// Resources of these services are in it.
    pub(crate) fn add_resources<'a>(&mut self, services: impl Iterator<Item = &'a Arc<str>>) {
        let mut known: HashSet<_> = self.services.iter().cloned().collect();
        for service in services {
            self.resources += 1;
            if known.insert(Arc::clone(service)) {
                self.services.push(Arc::clone(service));
            }
        }
    }

    /// A span that began at this time is in it.
    pub(crate) fn add_start(&mut self, start: u64) {
        if start != 0 && (self.oldest_start == 0 || start < self.oldest_start) {
            self.oldest_start = start;
        }
    }
}

impl FinishedBatch {
    /// An id that no other batch of the process has.
    pub(crate) fn next_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The request's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.body.get(self.start..).unwrap_or(&[])
    }

    /// Bytes this batch is charged against a backend's `queue_bytes`: the body and what it takes to keep it.
    pub(crate) fn weight(&self) -> usize {
        self.body
            .len()
            .saturating_add(self.per_service.len().saturating_mul(size_of::<(u32, u32)>()))
            .saturating_add(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_left_before_the_request_is_charged_but_not_sent() {
        let batch = |start| FinishedBatch {
            id: 1,
            signal: Signal::Traces,
            body: b"..request".to_vec(),
            start,
            item_count: 1,
            per_service: vec![(0, 1)],
            facts: BatchFacts::default(),
        };
        assert_eq!((batch(2).bytes(), batch(99).bytes()), (&b"request"[..], &b""[..]));
        assert_eq!(batch(2).weight(), batch(0).weight());
    }

    #[test]
    fn facts_have_the_earliest_start_that_is_known_and_each_service_once() {
        let mut facts = BatchFacts::default();
        [0, 7, 0, 5, 9].into_iter().for_each(|start| facts.add_start(start));
        let names = ["shop", "mail", "shop"].map(Arc::from);
        facts.add_resources(names[..1].iter());
        facts.add_resources(names[1..].iter());
        let services = vec![Arc::from("shop"), Arc::from("mail")];
        assert_eq!(facts, BatchFacts { oldest_start: 5, resources: 3, services });
    }
}
