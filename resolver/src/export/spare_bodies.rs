//! Memory of batches that have left, for those that come next.
//!
//! A batch is half a megabyte, which the allocator gives back to the system as soon as it is freed, and the system clears every
//! page of the next one. The spans of a busy process so cost it a page fault every ten. Kept only while batches follow each
//! other.

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::per_process::PerProcess;

/// See the module. What is in here is empty, and has room.
#[derive(Default)]
struct Spare {
    bodies: Vec<Vec<u8>>,
    /// Looks since one was taken or given.
    idle: u32,
}

/// One is being filled while another is being sent.
const MOST: usize = 2;
/// Bytes of one: the batches of the default size, with what they may grow by.
const LARGEST: usize = 1024 * 1024;
/// A smaller one the allocator has at hand itself.
const SMALLEST: usize = 64 * 1024;
/// Looks after which a process is quiet: about a second.
const QUIET: u32 = 10;

/// Room for a batch, empty; none but the allocator's if there is nothing spare.
pub(crate) fn take() -> Vec<u8> {
    spare().take()
}

/// Nobody needs this batch's bytes any more.
pub(super) fn give(body: Vec<u8>) {
    if Spare::keeps(&body) {
        spare().give(body);
    }
}

/// Called by the batch thread ten times a second: what a quiet process does not need goes.
pub(crate) fn look() {
    spare().look();
}

fn spare() -> MutexGuard<'static, Spare> {
    static SPARE: PerProcess<Mutex<Spare>> = PerProcess::new();
    SPARE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spare {
    fn take(&mut self) -> Vec<u8> {
        self.idle = 0;
        self.bodies.pop().unwrap_or_default()
    }

    fn give(&mut self, mut body: Vec<u8>) {
        self.idle = 0;
        if self.bodies.len() < MOST {
            body.clear();
            self.bodies.push(body);
        }
    }

    fn look(&mut self) {
        self.idle = self.idle.saturating_add(1);
        if self.idle > QUIET {
            self.bodies = Vec::new();
        }
    }

    fn keeps(body: &Vec<u8>) -> bool {
        (SMALLEST..=LARGEST).contains(&body.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(capacity: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(capacity);
        body.push(7);
        body
    }

    #[test]
    fn a_few_bodies_are_kept_for_the_next_batches_and_they_are_empty() {
        let mut spare = Spare::default();
        (1..=3).for_each(|number| spare.give(body(number * 100_000)));
        let taken = [spare.take(), spare.take(), spare.take()];
        assert_eq!(taken.each_ref().map(Vec::capacity), [200_000, 100_000, 0]);
        assert!(taken.iter().all(Vec::is_empty));
    }

    #[test]
    fn neither_small_bodies_nor_large_ones_are_kept() {
        let kept = [SMALLEST - 1, SMALLEST, LARGEST, LARGEST + 1].map(|capacity| Spare::keeps(&body(capacity)));
        assert_eq!(kept, [false, true, true, false]);
    }

    #[test]
    fn a_quiet_process_keeps_none() {
        let mut spare = Spare::default();
        spare.give(body(100_000));
        (0..QUIET).for_each(|_| spare.look());
        spare.give(spare.bodies[0].clone());
        (0..QUIET).for_each(|_| spare.look());
        assert_eq!(spare.bodies.len(), 2);
        spare.look();
        assert!(spare.bodies.is_empty());
    }
}
