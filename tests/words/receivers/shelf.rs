//! Where receivers put what they got, and tests wait for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ReceivedSpan;

/// Spans, shared between a server's threads and the test. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    inner: Arc<(Mutex<Vec<ReceivedSpan>>, Condvar)>,
}

impl Shelf {
    /// Adds spans and wakes who waits.
    pub fn put(&self, spans: Vec<ReceivedSpan>) {
        self.lock().extend(spans);
        self.inner.1.notify_all();
    }

    /// All spans so far, in the order of their arrival.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.lock().clone()
    }

    /// Takes all spans away: a receiver that runs for long must not keep every one.
    pub fn take(&self) -> Vec<ReceivedSpan> {
        std::mem::take(&mut *self.lock())
    }

    /// How many spans came so far.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none came.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for `count` spans in all, at most `limit`; then returns what there is, be it more or fewer.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<ReceivedSpan> {
        let started = Instant::now();
        let mut spans = self.lock();
        while spans.len() < count {
            let Some(left) = limit.checked_sub(started.elapsed()) else { break };
            let waited = self.inner.1.wait_timeout(spans, left).unwrap_or_else(PoisonError::into_inner);
            spans = waited.0;
        }
        spans.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ReceivedSpan>> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
