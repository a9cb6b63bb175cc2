//! Whether a batch may wait: how many bytes do, and what gives way.

use std::time::Instant;

use super::super::memory::Limit;
use super::{DropReason, FinishedBatch, QueueState, Signal};

impl QueueState {
    /// Whether memory is to be looked at before the batch is offered; see [`QueueState::has_memory`].
    pub(in crate::export) fn is_to_look_at_memory(&self, batch: &FinishedBatch, now: Instant) -> bool {
        let share = if batch.signal == Signal::Metrics { METRICS_SHARE } else { 1 };
        let bytes = batch.weight().saturating_mul(share).saturating_add(self.held_bytes);
        self.bound.is_to_look(bytes, now)
    }

    /// Whether how much may wait follows from the memory of the process.
    pub(in crate::export) fn follows_memory(&self) -> bool {
        self.bound.is_auto()
    }

    /// What bounds the memory of the process at this moment.
    pub(in crate::export) fn has_memory(&mut self, limits: &[Limit], now: Instant) {
        self.bound.look(limits, self.held_bytes, now);
    }

    /// Whether there is room for `batch`, or can be made. Spans never make room for metrics, and metrics always for spans: a
    /// later collection says all that a lost one did, and nothing says again what a span did.
    pub(super) fn makes_room(&mut self, batch: &FinishedBatch) -> bool {
        match batch.signal {
            Signal::Metrics => {
                self.drop_signal(Signal::Metrics, DropReason::Superseded);
                if batch.weight() > self.bound.bytes() / METRICS_SHARE {
                    return false;
                }
            }
            Signal::Traces if !self.bound.admits(batch.weight(), self.held_bytes) => {
                self.drop_signal(Signal::Metrics, DropReason::QueueFull);
            }
            Signal::Traces => {}
        }
        self.bound.admits(batch.weight(), self.held_bytes)
    }
}

/// Of the bytes of a queue, metrics take no more than one part in so many.
const METRICS_SHARE: usize = 4;
