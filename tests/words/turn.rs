//! Whose turn it is to trace in this process.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// One cluster at a time has it in a process: clusters have the same topics and offsets, so their messages would take each
/// other's place among those that wait for a processing guard.
pub(crate) struct Turn(());

static TAKEN_BY: Mutex<Option<ThreadId>> = Mutex::new(None);
static GIVEN_BACK: Condvar = Condvar::new();

impl Turn {
    /// Waits for the turn of another test. Panics when this very test has it, for that would wait for ever.
    pub(crate) fn take() -> Self {
        let me = thread::current().id();
        let mut taken_by = TAKEN_BY.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(other) = *taken_by {
            assert!(
                other != me,
                "a test traces one cluster at a time: drop the first, or give its `kafka` to `Traced::on`"
            );
            taken_by = GIVEN_BACK.wait(taken_by).unwrap_or_else(PoisonError::into_inner);
        }
        *taken_by = Some(me);
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN_BY.lock().unwrap_or_else(PoisonError::into_inner) = None;
        GIVEN_BACK.notify_one();
    }
}
