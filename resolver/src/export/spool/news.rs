//! What has become of a batch that is in the spool, on its way from the queue, which must not wait for a disk, to the file.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::segment::Slot;
use crate::export::FinishedBatch;

/// To be written down when the queue's lock is gone.
#[derive(Debug)]
pub(in crate::export) enum News {
    /// Nothing more is to be done.
    Done(Slot),
    /// A call has failed, and there may be another.
    Waits {
        slot: Slot,
        /// Nobody knows whether something of it has arrived.
        may_be_stored: bool,
    },
    /// It is in the spool only.
    Parked(Slot, Arc<FinishedBatch>),
}
