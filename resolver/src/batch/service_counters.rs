//! What is counted on the way of a service's spans into batches.

#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU64;

/// What is counted for one service before its spans reach a backend. Every number only ever grows.
#[derive(Debug, Default)]
pub(crate) struct ServiceCounters {
    /// Spans that were put into batches.
    pub spans: AtomicU64,
    /// Spans lost because the batch thread had fallen behind and the buffer was full.
    pub buffer_full: AtomicU64,
    /// Messages sent without our header, because it might have made them too large, or because they have too many.
    pub not_injected: AtomicU64,
    /// Spans exported without their parent, because too many messages were in flight.
    pub parents_lost: AtomicU64,
}
