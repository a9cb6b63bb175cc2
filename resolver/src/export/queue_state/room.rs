//! Whether a batch may wait: how many bytes do, and what gives way.

use std::time::Instant;

use super::super::memory::Limit;
use super::super::pressure::{Halvings, Wish};
use super::{DropReason, FinishedBatch, Phase, QueueState, Signal, Start};

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

    /// More waits, or would if there were room: that many bytes.
    pub(super) fn press(&mut self, beyond: usize, now: Instant) {
        let held = self.held_bytes.saturating_add(beyond);
        self.pressure.came(beyond as u64, held as u64, self.bound.bytes() as u64, now);
    }

    /// What it wants of those who begin traces. `spool`: the bytes that lie in its spool, and how many may.
    pub(in crate::export) fn wish(&mut self, spool: Option<(u64, u64)>, now: Instant) -> Wish {
        // Memory may have become scarce, or not be any more.
        self.press(0, now);
        let halvings = match spool.filter(|_| !self.is_in_memory_only) {
            _ if !self.sheds || self.phase != Phase::Open => Halvings::default(),
            None => self.pressure.halvings(),
            // What is in the spool is not lost where memory has no room for it.
            Some((held, bound)) => self.pressure.halvings().min(Halvings::of(held, bound, bound / 4)),
        };
        let is_heard = self.start == Start::Done
            && !self.out_of_service
            && !self.workers.any_stuck()
            && !self.signals.of_ref(Signal::Traces).circuit.is_open();
        Wish { halvings, is_heard, held: self.held_bytes as u64, bound: self.bound.bytes() as u64 }
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
