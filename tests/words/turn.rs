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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Both parts in one test, for its turn is that of every test here.
    #[test]
    fn a_turn_is_waited_for_by_others_and_a_test_that_would_wait_for_itself_is_told() {
        let mine = Turn::take();
        let again = std::panic::catch_unwind(|| drop(Turn::take()));
        let said = *again.unwrap_err().downcast::<&str>().unwrap();
        assert!(said.starts_with("a test traces one cluster at a time"), "{said}");
        let (begun, begins) = channel();
        let other = thread::spawn(move || {
            begun.send("waits").unwrap();
            let _turn = Turn::take();
            begun.send("has it").unwrap();
        });
        assert_eq!(begins.recv(), Ok("waits"));
        assert!(begins.try_recv().is_err(), "it has not been given back");
        drop(mine);
        assert_eq!(begins.recv(), Ok("has it"));
        other.join().unwrap();
    }
}
