//! One encoded batch, shared by all backends it goes to.

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
        };
        assert_eq!((batch(2).bytes(), batch(99).bytes()), (&b"request"[..], &b""[..]));
        assert_eq!(batch(2).weight(), batch(0).weight());
    }
}
