//! What a queue has to do with its spool: when it takes from there, and what is to be written down.

use std::sync::Arc;
use std::time::Instant;

use super::super::spool::{ByService, News, Slot};
use super::start::Start;
use super::{FinishedBatch, Phase, QueueState, Settlement, Signal};

impl QueueState {
    /// What is to be written down, once. Call it before the lock goes after what may have made some.
    pub(in crate::export) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// What a batch's end here is to be counted as: one that is in the spool, too, is not lost by what may pass.
    pub(super) fn noted_in_spool(
        &mut self,
        batch: &Arc<FinishedBatch>,
        slot: Option<&Slot>,
        settlement: Settlement,
    ) -> Settlement {
        let Some(slot) = slot else { return settlement };
        if matches!(settlement, Settlement::Dropped(_)) {
            self.news.push(News::Parked(slot.clone(), Arc::clone(batch)));
            return Settlement::Spooled;
        }
        self.news.push(News::Done(slot.clone()));
        settlement
    }

    /// Whether a batch of the spool may come into memory: there are few others, and the process is not about to end.
    pub(in crate::export) fn has_room_for_spooled(&self) -> bool {
        let waiting = self.signals.of_ref(Signal::Traces).waiting.len();
        self.is_at_work() && waiting < FEW && self.held_bytes <= self.bound.bytes() / 2
    }

    /// From here on it sends what others have left behind, or does not.
    pub(in crate::export) fn takes_over(&mut self, does: bool) {
        self.takes_over = does;
    }

    /// Whether it would send what others have left behind.
    pub(in crate::export) fn may_take_over(&self) -> bool {
        self.takes_over && self.is_at_work() && !self.signals.of_ref(Signal::Traces).circuit.is_open()
    }

    fn is_at_work(&self) -> bool {
        self.phase == Phase::Open
            && self.start == Start::Done
            && self.leaving.is_none()
            && !self.out_of_service
            && !self.workers.any_stuck()
    }

    /// A batch that was in the spool only is in memory, too.
    pub(in crate::export) fn offer_from_spool(&mut self, batch: Arc<FinishedBatch>, slot: Slot, now: Instant) {
        self.counts.leaves_the_spool(&batch);
        // However large it is: that there is room for few was seen before.
        let refusal = self.refusal();
        self.enter(batch, Some(slot), refusal, now);
    }

    /// So many spans of other processes are in the spool.
    pub(in crate::export) fn has_taken_over(&mut self, spans: u64) {
        self.counts.taken_over(spans);
    }

    /// They cannot be read from the spool any more.
    pub(in crate::export) fn lost_in_the_spool(&mut self, spans: &ByService) {
        self.counts.lost_in_the_spool(spans);
    }
}

/// Batches that may wait in memory while others come from the spool: enough for every export thread to have one, mostly.
const FEW: usize = 2;
