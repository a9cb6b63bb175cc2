//! A lock that a fork never leaves locked in the child.

#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use crate::batch::Pipeline;

/// A value behind a lock, one for each generation of processes.
///
/// A thread that holds an ordinary lock at the moment of a fork does not exist in the child, where the lock then stays
/// locked for ever. So the child never touches its parent's: it begins with a fresh value. What the parent's held is
/// forgotten there, neither dropped nor used.
pub(crate) struct ForkSafe<T> {
    generations: [Mutex<Option<T>>; GENERATIONS],
}

/// Forks of forks that have a lock of their own; deeper ones share the last.
pub(crate) const GENERATIONS: usize = 16;

impl<T: Default> ForkSafe<T> {
    pub(crate) const fn new() -> Self {
        Self { generations: [const { Mutex::new(None) }; GENERATIONS] }
    }

    /// Calls `with` under the lock, which no code of others should run under.
    pub(crate) fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        let generation = Pipeline::generation().min(GENERATIONS - 1);
        #[expect(clippy::indexing_slicing, reason = "bounded in the line above")]
        let mut value = self.generations[generation].lock().unwrap_or_else(PoisonError::into_inner);
        with(value.get_or_insert_with(T::default))
    }
}
