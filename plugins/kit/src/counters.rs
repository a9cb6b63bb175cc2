//! The figures of one backend.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tracer_plugin_api::{BackendError, Batch, ErrorKind, Stats};

/// What one backend has done since it was created. Shared by all threads; never blocks.
#[derive(Debug, Default)]
pub struct Counters {
    in_flight: AtomicU32,
    items_sent: AtomicU64,
    items_rejected: AtomicU64,
    batches_sent: AtomicU64,
    batches_failed: AtomicU64,
    bytes_sent: AtomicU64,
    connections: AtomicU64,
}

impl Counters {
    /// Runs `export` and counts what became of `batch`.
    ///
    /// A partial success counts the batch as sent and only the refused items as rejected; a permanent error counts all
    /// its items as rejected; what will be retried counts as a failed batch and no item.
    ///
    /// # Errors
    ///
    /// The error of `export`, unchanged.
    pub fn export(
        &self,
        batch: &Batch<'_>,
        export: impl FnOnce() -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let _in_flight = InFlight::enter(&self.in_flight);
        let result = export();
        let items = u64::from(batch.item_count);
        match &result {
            Ok(()) => {
                self.batches_sent.fetch_add(1, Ordering::Relaxed);
                self.items_sent.fetch_add(items, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Partial => {
                let rejected = u64::from(error.rejected_items()).min(items);
                self.batches_sent.fetch_add(1, Ordering::Relaxed);
                self.items_sent.fetch_add(items - rejected, Ordering::Relaxed);
                self.items_rejected.fetch_add(rejected, Ordering::Relaxed);
            }
            Err(error) => {
                self.batches_failed.fetch_add(1, Ordering::Relaxed);
                if error.kind() == ErrorKind::Permanent {
                    self.items_rejected.fetch_add(items, Ordering::Relaxed);
                }
            }
        }
        result
    }

    /// `bytes` went out, after compression, and met somebody; bytes of a retry count again.
    pub fn bytes_sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A connection, socket or file was opened. The first one is no reconnect.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures, each right by itself; together they may be a moment apart.
    pub fn stats(&self) -> Stats {
        Stats {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            items_sent: self.items_sent.load(Ordering::Relaxed),
            items_rejected: self.items_rejected.load(Ordering::Relaxed),
            batches_sent: self.batches_sent.load(Ordering::Relaxed),
            batches_failed: self.batches_failed.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            reconnects: self.connections.load(Ordering::Relaxed).saturating_sub(1),
        }
    }
}

/// Counts itself out when dropped: a panic in an export does not leave it counted for ever.
struct InFlight<'a>(&'a AtomicU32);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        InFlight(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_plugin_api::Signal;

    const BATCH: Batch<'_> = Batch::first_try(Signal::Traces, b"x", 10, 1);

    #[test]
    fn a_success_a_partial_one_a_refusal_and_a_retry_are_told_apart() {
        let counters = Counters::default();
        counters.export(&BATCH, || Ok(())).unwrap();
        counters.export(&BATCH, || Err(BackendError::partial(3, "three are bad"))).unwrap_err();
        counters.export(&BATCH, || Err(BackendError::permanent("bad"))).unwrap_err();
        counters.export(&BATCH, || Err(BackendError::retryable("busy"))).unwrap_err();
        let stats = counters.stats();
        assert_eq!((stats.batches_sent, stats.batches_failed), (2, 2));
        assert_eq!((stats.items_sent, stats.items_rejected), (17, 13));
    }

    #[test]
    fn a_batch_is_in_flight_while_it_is_exported_and_not_after_a_panic() {
        let counters = Counters::default();
        counters
            .export(&BATCH, || {
                assert_eq!(counters.stats().in_flight, 1);
                Ok(())
            })
            .unwrap();
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| counters.export(&BATCH, || panic!("as a test"))));
        assert!(panicked.is_err());
        assert_eq!(counters.stats().in_flight, 0);
    }

    #[test]
    fn the_first_connection_is_no_reconnect() {
        let counters = Counters::default();
        assert_eq!(counters.stats().reconnects, 0);
        counters.connected();
        assert_eq!(counters.stats().reconnects, 0);
        counters.connected();
        assert_eq!(counters.stats().reconnects, 1);
    }
}
