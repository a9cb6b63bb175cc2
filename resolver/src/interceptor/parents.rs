//! The one thing about a sent message that cannot be read back from it at its acknowledgement: its span's parent.
//!
//! A bounded table, filled round and round: a message that is never acknowledged costs its entry until the table has
//! gone round once. The place of an entry is part of the span id, so that finding it needs no search. An entry that
//! was overwritten gives nothing, and then the span is exported without its parent, and counted: one more bit of the id
//! says whether there was one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::zeroed::zeroed_slice;

/// A producer's parents.
pub(super) struct Parents {
    entries: Box<[Entry]>,
    next: AtomicU32,
    /// Bits of a span id that name an entry.
    mask: u64,
}

struct Entry {
    span_id: AtomicU64,
    parent: AtomicU64,
    /// [`REMOTE`] and [`GUESSED`], and around them the [`seal`] of the other two.
    facts: AtomicU64,
}

/// A parent that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub span_id: [u8; 8],
    pub remote: bool,
    /// It is only taken to be the parent: see `current_message`.
    pub guessed: bool,
}

const REMOTE: u64 = 1;
const GUESSED: u64 = 2;
const FACTS: u64 = REMOTE | GUESSED;

impl Parents {
    /// Room for `in_flight` messages, rounded up to a power of two; 24 bytes each, committed when first touched.
    pub(super) fn new(in_flight: usize) -> Self {
        let len = in_flight.clamp(1024, 1 << 20).next_power_of_two();
        // SAFETY: an `Entry` is three atomic integers, for which zero is valid.
        let entries = unsafe { zeroed_slice(len) }.unwrap_or_default();
        Self { entries, next: AtomicU32::new(0), mask: len as u64 - 1 }
    }

    /// A span id for a span without a parent.
    pub(super) fn root(&self, random: [u8; 8]) -> [u8; 8] {
        let id = u64::from_be_bytes(random) & !self.parented();
        if id == 0 { 1_u64.to_be_bytes() } else { id.to_be_bytes() }
    }

    /// Whether [`Parents::keep`] gave this id out, or one like it: the span has a parent.
    pub(super) fn has_parent(&self, span_id: [u8; 8]) -> bool {
        u64::from_be_bytes(span_id) & self.parented() != 0
    }

    /// Keeps `parent` for the span that is about to start, and gives `random` the bits that name its entry.
    pub(super) fn keep(&self, random: [u8; 8], parent: Parent) -> [u8; 8] {
        let place = u64::from(self.next.fetch_add(1, Ordering::Relaxed)) & self.mask;
        let span_id = u64::from_be_bytes(random) & !self.mask | place | self.parented();
        if let Some(entry) = self.entries.get(place as usize) {
            entry.set(span_id, parent);
        }
        span_id.to_be_bytes()
    }

    /// The parent of the span that is ending; `None` when its entry was overwritten, or there never was one.
    pub(super) fn parent_of(&self, span_id: [u8; 8]) -> Option<Parent> {
        let id = u64::from_be_bytes(span_id);
        self.entries.get((id & self.mask) as usize)?.get(id)
    }

    /// The bit of a span id that says that there is a parent.
    fn parented(&self) -> u64 {
        self.mask + 1
    }
}

/// Sends that failed a while ago, so that sending the returned record again makes a sibling of the failed span, not its
/// child: the record still carries the failed span's header. The latest of those that fall on the same place counts.
#[derive(Default)]
pub(super) struct FailedSends {
    entries: OnceLock<Box<[Entry]>>,
}

const FAILED_SENDS: usize = 1024;

impl FailedSends {
    /// Notes the failed span and its parent. Allocates at the first failure of a client.
    #[cold]
    pub(super) fn note(&self, span_id: [u8; 8], parent: Option<Parent>) {
        // SAFETY: an `Entry` is three atomic integers, for which zero is valid.
        let entries = self.entries.get_or_init(|| unsafe { zeroed_slice(FAILED_SENDS) }.unwrap_or_default());
        let id = u64::from_be_bytes(span_id);
        if let Some(entry) = entries.get(id as usize % FAILED_SENDS) {
            entry.set(id, parent.unwrap_or(Parent { span_id: [0; 8], remote: false, guessed: false }));
        }
    }

    /// `Some` when the span failed; inside, its parent if it had one.
    #[inline]
    pub(super) fn parent_of(&self, span_id: [u8; 8]) -> Option<Option<Parent>> {
        let id = u64::from_be_bytes(span_id);
        let parent = self.entries.get()?.get(id as usize % FAILED_SENDS)?.get(id)?;
        Some(Some(parent).filter(|parent| parent.span_id != [0; 8]))
    }
}

impl Entry {
    /// Two threads may be at one entry, when a sender was suspended in here for a whole round of the table: what they
    /// leave then is a mixture, which `get` knows by its seal. So the order of the stores does not matter.
    fn set(&self, id: u64, parent: Parent) {
        let parent_id = u64::from_be_bytes(parent.span_id);
        self.span_id.store(id, Ordering::Relaxed);
        self.parent.store(parent_id, Ordering::Relaxed);
        let facts = if parent.remote { REMOTE } else { 0 } | if parent.guessed { GUESSED } else { 0 };
        self.facts.store(seal(id, parent_id) | facts, Ordering::Relaxed);
    }

    /// The message itself carries the stores of `set` from the sending to the acknowledging thread.
    fn get(&self, id: u64) -> Option<Parent> {
        let (span_id, parent) = (self.span_id.load(Ordering::Relaxed), self.parent.load(Ordering::Relaxed));
        let facts = self.facts.load(Ordering::Relaxed);
        if span_id != id || facts & !FACTS != seal(id, parent) {
            return None;
        }
        let span_id = parent.to_be_bytes();
        Some(Parent { span_id, remote: facts & REMOTE != 0, guessed: facts & GUESSED != 0 })
    }
}

/// Binds a span to its parent; the bits of [`FACTS`] are left free.
fn seal(id: u64, parent: u64) -> u64 {
    (id.rotate_left(32) ^ parent).wrapping_mul(0x9e37_79b9_7f4a_7c15) & !FACTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: Parent = Parent { span_id: [7; 8], remote: true, guessed: false };

    const GUESS: Parent = Parent { span_id: [9; 8], remote: false, guessed: true };

    #[test]
    fn a_parent_is_found_by_the_span_id_alone() {
        let parents = Parents::new(10);
        let span = parents.keep([0xab; 8], PARENT);
        assert_eq!(parents.parent_of(span), Some(PARENT));
        let guess = parents.keep([0xac; 8], GUESS);
        assert_eq!(parents.parent_of(guess), Some(GUESS));
        assert_eq!(parents.parent_of([0xab; 8]), None, "the id that was not given out");
    }

    #[test]
    fn sends_without_acknowledgement_never_grow_the_table_and_never_give_a_wrong_parent() {
        let parents = Parents::new(1024);
        let first = parents.keep([1; 8], PARENT);
        for i in 0..5000_u64 {
            parents.keep((i + 1).to_be_bytes().map(|b| b ^ 0x5a), Parent { span_id: i.to_be_bytes(), ..GUESS });
        }
        assert_eq!(parents.parent_of(first), None);
        assert_eq!(parents.entries.len(), 1024);
    }

    #[test]
    fn only_a_failed_send_is_remembered_as_failed() {
        let failed = FailedSends::default();
        assert_eq!(failed.parent_of([3; 8]), None);
        failed.note([3; 8], Some(PARENT));
        failed.note([4; 8], None);
        assert_eq!(failed.parent_of([3; 8]), Some(Some(PARENT)));
        assert_eq!(failed.parent_of([4; 8]), Some(None), "failed, and a root");
        assert_eq!(failed.parent_of([5; 8]), None);
    }
    #[test]
    fn what_two_threads_left_at_one_entry_is_no_parent() {
        let entry = Entry { span_id: AtomicU64::new(0), parent: AtomicU64::new(0), facts: AtomicU64::new(0) };
        entry.set(1, PARENT);
        let facts = entry.facts.load(Ordering::Relaxed);
        entry.set(2, GUESS);
        assert_eq!(entry.get(2), Some(GUESS));
        entry.facts.store(facts, Ordering::Relaxed);
        assert_eq!(entry.get(2), None, "the last of the stores was the other thread's");
        entry.span_id.store(1, Ordering::Relaxed);
        assert_eq!(entry.get(1), None, "the first of them too");
    }

    #[test]
    fn threads_that_go_round_the_table_find_their_own_parents_or_none() {
        let parents = Parents::new(1024);
        let rounds = if cfg!(miri) { 200 } else { 100_000_u64 };
        std::thread::scope(|scope| {
            for thread in 1..=4_u64 {
                let parents = &parents;
                scope.spawn(move || {
                    let mut kept = std::collections::VecDeque::new();
                    for number in 0..rounds {
                        let span_id = (thread << 32 | number).to_be_bytes();
                        let own = Parent { span_id, remote: number % 2 == 0, guessed: number % 3 == 0 };
                        let random = (thread << 56 | number << 24).to_be_bytes();
                        kept.push_back((parents.keep(random, own), own));
                        if kept.len() > 200 {
                            let (span, own) = kept.pop_front().unwrap();
                            assert!(parents.has_parent(span));
                            assert!(parents.parent_of(span).is_none_or(|found| found == own));
                        }
                    }
                });
            }
        });
    }
}
