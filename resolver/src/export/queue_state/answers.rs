//! What a backend's answers say of it, and what is said of them.

use std::time::Instant;

use log::Level;

use super::{DropReason, FinishedBatch, Note, Outcome, QueueState, Signal};
use crate::counted::{counted, verb};

impl QueueState {
    /// What an answer says of the backend's state, whatever became of the batch here.
    pub(super) fn note_answer(&mut self, batch: &FinishedBatch, outcome: &Outcome, now: Instant) {
        let is_taken = match outcome {
            Outcome::Exported => true,
            Outcome::Partial { rejected_items, .. } => *rejected_items < batch.item_count,
            Outcome::Rejected { .. } => false,
            // No answer.
            Outcome::Retry { .. } | Outcome::OutOfService { .. } => return,
        };
        self.is_refusing = !is_taken;
        if is_taken {
            self.last_export = Some(now);
        }
    }

    /// The backend gave an answer, be it a bad one: it is there.
    pub(super) fn answered(&mut self, signal: Signal, now: Instant) -> Option<Note> {
        let queue = self.signals.of(signal);
        let silence = queue.circuit.answered(now)?;
        let lost_before = queue.trouble_announced.take()?;
        let what = format!("{}takes batches again, after {:.1} s", queue.prefix(), silence.as_secs_f64());
        Some(self.recovered(signal, &what, lost_before))
    }

    /// How many were refused is said with all that is lost; here, why.
    pub(super) fn refused(&mut self, signal: Signal, now: Instant, what: &str, message: &str) -> Option<Note> {
        let queue = self.signals.of(signal);
        queue.refusals.opens(now).then(|| Note {
            level: Level::Warn,
            text: format!("{}it refused {what}: {message} (reasons are said at most once a minute)", queue.prefix()),
        })
    }

    /// The end of a time of trouble, with what it has cost.
    pub(super) fn recovered(&self, signal: Signal, what: &str, lost_before: u64) -> Note {
        let item = match signal {
            Signal::Traces => "span",
            Signal::Metrics => "data point",
        };
        match self.counts.lost_of(signal).saturating_sub(lost_before) {
            0 => Note { level: Level::Info, text: format!("{what}; no {item} was lost meanwhile") },
            lost => Note {
                level: Level::Warn,
                text: format!("{what}; {} {} lost meanwhile", counted(lost, item), verb(lost, "was", "were")),
            },
        }
    }

    pub(super) fn take_out_of_service(&mut self, message: &str) -> Option<Note> {
        self.drop_waiting(DropReason::OutOfService);
        let first = !std::mem::replace(&mut self.out_of_service, true);
        first.then(|| Note {
            level: Level::Error,
            text: format!("out of service until the process restarts, and its spans are lost: {message}"),
        })
    }
}
