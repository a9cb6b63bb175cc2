//! The watchdog: which calls of the plugin's should have come back.

use std::time::{Duration, Instant};

use log::Level;

use super::{DropReason, Note, QueueState, Settlement, Signal};

impl QueueState {
    /// `worker` is about to call this function of the plugin's, which is to come back within `timeout`. Its time is this call's
    /// alone.
    pub(in crate::export) fn call_begins(
        &mut self,
        worker: usize,
        function: &'static str,
        timeout: Duration,
        now: Instant,
    ) {
        self.workers.call_begins(worker, function, timeout, now);
    }

    /// The watchdog: finds calls that should have come back.
    pub(in crate::export) fn tick(&mut self, now: Instant) -> Vec<Note> {
        let mut notes = Vec::new();
        let overruns = self.workers.find_overruns(now, self.timing.grace);
        let lost_before = self.counts.lost();
        for entry in overruns.iter().filter_map(|overrun| overrun.lost.as_ref()) {
            // Not released: the call still borrows its bytes.
            self.account_for(entry, Settlement::Dropped(DropReason::Stuck));
        }
        if let Some(overrun) = overruns.first() {
            self.drop_waiting(DropReason::Stuck);
            let text = format!("a call of the plugin's {} does not come back", overrun.call);
            self.last_error = Some((text, now));
            if self.stuck_announced.is_none() {
                self.stuck_announced = Some(lost_before);
                notes.push(Note {
                    level: Level::Error,
                    text: format!(
                        "stuck: the plugin's {} had {:?} and has not come back {:?} after that; until it does, this \
                         backend's spans are lost",
                        overrun.call, overrun.timeout, self.timing.grace
                    ),
                });
            }
        }
        notes.extend(self.start_overdue(now));
        self.drop_stale(now);
        notes
    }

    /// A call has returned; with the last of those that were stuck the backend is back in service.
    pub(super) fn call_came_back(&mut self, stuck: bool) -> Option<Note> {
        if !stuck || self.workers.any_stuck() {
            return None;
        }
        let lost_before = self.stuck_announced.take()?;
        Some(self.recovered(Signal::Traces, "the stuck call has come back; takes batches again", lost_before))
    }
}
