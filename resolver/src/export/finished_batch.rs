//! One encoded batch, shared by all backends it goes to.

/// Spans of one or more services, encoded once. Immutable; each backend's queue holds its own reference.
#[derive(Debug)]
pub(crate) struct FinishedBatch {
    /// Unique in the process; a backend sees the same id again when the batch is retried.
    pub(crate) id: u64,
    /// An OTLP `ExportTraceServiceRequest`, protobuf, uncompressed; see [`FinishedBatch::bytes`].
    pub(crate) body: Vec<u8>,
    /// Where it begins in `body`: what stands before was room for its head.
    pub(crate) start: usize,
    /// Spans in `body`; the sum over `per_service`.
    pub(crate) item_count: u32,
    /// (service index, spans of that service), so that what is lost is counted where it hurts.
    pub(crate) per_service: Vec<(u32, u32)>,
}

impl FinishedBatch {
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
            body: b"..request".to_vec(),
            start,
            item_count: 1,
            per_service: vec![(0, 1)],
        };
        assert_eq!((batch(2).bytes(), batch(99).bytes()), (&b"request"[..], &b""[..]));
        assert_eq!(batch(2).weight(), batch(0).weight());
    }
}
