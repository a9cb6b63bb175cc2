//! The one thing about a sent message that cannot be read back from it at its acknowledgement: its span's parent.
//!
//! A bounded table that grows with the messages that are in flight. The place of an entry is part of the span id, so
//! that finding it needs no search. An acknowledgement frees its entry; a message that is never acknowledged keeps its
//! own until the table has no other left. An entry that was given away so gives nothing, and then the span is exported
//! without its parent, and counted: one more bit of the id says whether there was one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::zeroed::Zeroed;

/// A producer's parents.
pub(super) struct Parents {
    /// The first chunk has room for `1 << FIRST` entries, each further one for as many as all before it together. Made
    /// when their first entry is needed; empty where the memory could not be had.
    chunks: [OnceLock<Zeroed<Entry>>; CHUNKS],
    /// A [`Turn`].
    turn: AtomicU64,
    /// Bits of a span id that name an entry.
    mask: u64,
}

/// Which entry is next: the entries that are in use are gone through round and round.
#[derive(Clone, Copy)]
struct Turn(u64);

struct Entry {
    /// 0: free.
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

/// Entries of the first chunk, as a power of two: a page of memory.
const FIRST: u32 = 7;
/// Entries of the largest table, as a power of two. Enough for ten million messages in flight, which was librdkafka's
/// own bound once: today it takes any number, and 0 is "no limit".
const MOST: u32 = 24;
const CHUNKS: usize = (MOST - FIRST) as usize + 1;
/// Entries in use, one beside the other, that make the table grow.
const CROWD: usize = 8;
/// Entries that are looked at, all over a table that cannot grow, before one in use is taken. It is twice as large as
/// the messages that may be in flight, so each of them is free with a chance of a half.
const TRIES: u64 = 64;

impl Parents {
    /// For `in_flight` messages at the most; 24 bytes for each that is.
    pub(super) fn new(in_flight: usize) -> Self {
        let entries = in_flight.saturating_mul(2).clamp(1024, 1 << MOST).next_power_of_two();
        let turn = AtomicU64::new(Turn::start(FIRST, 0).0);
        Self { chunks: [const { OnceLock::new() }; CHUNKS], turn, mask: entries as u64 - 1 }
    }

    /// A span id for a span without a parent.
    pub(super) fn root(&self, random: [u8; 8]) -> [u8; 8] {
        let id = u64::from_be_bytes(random) & !self.parented();
        if id == 0 { 1_u64.to_be_bytes() } else { id.to_be_bytes() }
    }

    /// A span id for a span without a parent whose trace was shed, so that its end knows it wherever it stands.
    pub(super) fn shed(&self, random: [u8; 8]) -> [u8; 8] {
        (u64::from_be_bytes(random) | self.parented()).to_be_bytes()
    }

    /// Whether [`Parents::keep`] gave this id out, or one like it: the span has a parent. Of a span that is not recorded:
    /// whether [`Parents::shed`] did.
    pub(super) fn has_parent(&self, span_id: [u8; 8]) -> bool {
        u64::from_be_bytes(span_id) & self.parented() != 0
    }

    /// Keeps `parent` for the span that is about to start, and gives `random` the bits that name its entry.
    ///
    /// Asks the system for memory when more messages than ever before are in flight: a few times in a client's life.
    pub(super) fn keep(&self, random: [u8; 8], parent: Parent) -> [u8; 8] {
        let random = u64::from_be_bytes(random);
        let id_at = |place: u64| random & !self.mask | place | self.parented();
        let (place, entry) = self.take(id_at);
        if let Some(entry) = entry {
            entry.set(id_at(place), parent);
        }
        id_at(place).to_be_bytes()
    }

    /// The parent of the span that is ending, whose entry is free from now on; `None` when its entry was given away, or
    /// there never was one.
    pub(super) fn take_parent_of(&self, span_id: [u8; 8]) -> Option<Parent> {
        let id = u64::from_be_bytes(span_id);
        let entry = self.entry(id & self.mask)?;
        let parent = entry.get(id);
        entry.release(id);
        parent
    }

    /// An entry for the span that `id_at` gives an id, and its place.
    #[inline]
    fn take(&self, id_at: impl Fn(u64) -> u64) -> (u64, Option<&Entry>) {
        loop {
            let mut turn = self.next();
            for _ in 0..CROWD {
                let place = turn.place();
                // Without memory there is no entry; the span then has no parent.
                let entry = self.entry_to_fill(place);
                if entry.is_none_or(|entry| entry.take(id_at(place))) {
                    return (place, entry);
                }
                turn = self.next();
            }
            if !self.grow(turn) {
                return self.take_anywhere(turn, id_at);
            }
        }
    }

    fn next(&self) -> Turn {
        Turn(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether there are more entries in use than in `turn`.
    #[cold]
    fn grow(&self, turn: Turn) -> bool {
        let bits = turn.bits();
        if 1 << bits > self.mask || self.entry_to_fill(1 << bits).is_none() {
            return false;
        }
        // It goes on with the entries that came.
        let (mut now, grown) = (self.turn.load(Ordering::Relaxed), Turn::start(bits + 1, 1 << bits));
        while Turn(now).bits() == bits {
            match self.turn.compare_exchange_weak(now, grown.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        true
    }

    /// A free entry far from `turn`, where all are in use; if there is none either, the last that was looked at.
    #[cold]
    fn take_anywhere(&self, turn: Turn, id_at: impl Fn(u64) -> u64) -> (u64, Option<&Entry>) {
        let (mut seed, mut last) = (turn.0, (turn.place(), None));
        for _ in 0..TRIES {
            seed = scatter(seed);
            let place = seed & turn.mask();
            last = (place, self.entry_to_fill(place));
            if last.1.is_none_or(|entry| entry.take(id_at(place))) {
                break;
            }
        }
        last
    }

    fn entry(&self, place: u64) -> Option<&Entry> {
        let (chunk, index) = chunk_of(place);
        self.chunks.get(chunk)?.get()?.get(index)
    }

    /// The same; its chunk is made if it is not there.
    fn entry_to_fill(&self, place: u64) -> Option<&Entry> {
        let (chunk, index) = chunk_of(place);
        let len = if chunk == 0 { 1 << FIRST } else { 1 << (FIRST as usize + chunk - 1) };
        // SAFETY: an `Entry` is three atomic integers, for which zero is valid.
        self.chunks.get(chunk)?.get_or_init(|| unsafe { Zeroed::new(len) }).get(index)
    }

    /// The bit of a span id that says that there is a parent.
    fn parented(&self) -> u64 {
        self.mask + 1
    }
}

impl Turn {
    const BITS: u32 = 56;

    /// `1 << bits` entries are in use; the next is at `place`.
    fn start(bits: u32, place: u64) -> Self {
        Self(u64::from(bits) << Self::BITS | place)
    }

    fn bits(self) -> u32 {
        (self.0 >> Self::BITS) as u32
    }

    fn mask(self) -> u64 {
        (1 << self.bits()) - 1
    }

    fn place(self) -> u64 {
        self.0 & self.mask()
    }
}

/// The chunk that has the entry at `place`, and where in it.
fn chunk_of(place: u64) -> (usize, usize) {
    match (place >> FIRST).checked_ilog2() {
        None => (0, place as usize),
        Some(bits) => (bits as usize + 1, (place - (1 << (FIRST + bits))) as usize),
    }
}

/// Some other number, far away (the step of SplitMix64).
fn scatter(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Sends that failed a while ago, so that sending the returned record again makes a sibling of the failed span, not its
/// child: the record still carries the failed span's header. The latest of those that fall on the same place counts.
#[derive(Default)]
pub(super) struct FailedSends {
    entries: OnceLock<Zeroed<Entry>>,
}

const FAILED_SENDS: usize = 1024;

impl FailedSends {
    /// Notes the failed span and its parent. Allocates at the first failure of a client.
    #[cold]
    pub(super) fn note(&self, span_id: [u8; 8], parent: Option<Parent>) {
        // SAFETY: an `Entry` is three atomic integers, for which zero is valid.
        let entries = self.entries.get_or_init(|| unsafe { Zeroed::new(FAILED_SENDS) });
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
    /// Makes a free entry that of the span `id`.
    fn take(&self, id: u64) -> bool {
        // The first look leaves the cache line with whoever has it. Acquire: pairs with the release in `release`, so that
        // what was read there is not what is written next.
        self.span_id.load(Ordering::Relaxed) == 0
            && self.span_id.compare_exchange(0, id, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Frees the entry of the span `id`, if it still is that span's.
    fn release(&self, id: u64) {
        let _ = self.span_id.compare_exchange(id, 0, Ordering::Release, Ordering::Relaxed);
    }

    /// Two threads may be at one entry, when one takes it from a span that is in flight while that one's sender was
    /// suspended in here: what they leave then is a mixture, which `get` knows by its seal. So the order of the stores
    /// does not matter.
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
    fn an_id_says_whether_its_trace_was_shed_whatever_is_random_in_it() {
        let parents = Parents::new(1_000);
        for (random, _) in (0..100).map(numbered) {
            assert!(!parents.has_parent(parents.root(random)) && parents.has_parent(parents.shed(random)));
        }
    }

    /// A parent, and a span id, of its own for every number.
    fn numbered(number: u64) -> ([u8; 8], Parent) {
        let (remote, guessed) = (number % 3 == 0, number % 5 == 0);
        (scatter(number).to_be_bytes(), Parent { span_id: number.to_be_bytes(), remote, guessed })
    }

    fn keep(parents: &Parents, number: u64) -> ([u8; 8], Parent) {
        let (random, parent) = numbered(number);
        (parents.keep(random, parent), parent)
    }

    /// Entries that there is memory for.
    fn room(parents: &Parents) -> usize {
        parents.chunks.iter().filter_map(OnceLock::get).map(|chunk| chunk.len()).sum()
    }

    #[test]
    fn a_parent_is_found_by_the_span_id_alone_and_once() {
        let parents = Parents::new(10);
        assert_eq!(room(&parents), 0, "nothing before the first parent");
        let span = parents.keep([0xab; 8], PARENT);
        assert_eq!(parents.take_parent_of([0xab; 8]), None, "the id that was not given out");
        assert_eq!(parents.take_parent_of(span), Some(PARENT));
        assert_eq!(parents.take_parent_of(span), None, "its entry is free");
    }

    #[test]
    fn sends_without_acknowledgement_have_a_bound_and_never_give_a_wrong_parent() {
        let parents = Parents::new(500);
        let kept: Vec<_> = (1..20_000).map(|number| keep(&parents, number)).collect();
        assert_eq!(room(&parents), 1024);
        let found = kept.iter().filter(|(span, own)| match parents.take_parent_of(*span) {
            Some(parent) => parent == *own,
            None => false,
        });
        assert_eq!(found.count(), 1024, "one for each entry, and its own");
        // What was never acknowledged was given away: there is room again, for as many.
        let kept: Vec<_> = (30_000..30_500).map(|number| keep(&parents, number)).collect();
        assert!(kept.iter().all(|(span, own)| parents.take_parent_of(*span) == Some(*own)));
    }

    #[test]
    fn all_that_may_be_in_flight_find_their_parents_whatever_else_is_sent_meanwhile() {
        const IN_FLIGHT: u64 = if cfg!(miri) { 600 } else { 100_000 };
        let parents = Parents::new(IN_FLIGHT as usize);
        let in_flight: Vec<_> = (0..IN_FLIGHT - 1).map(|number| keep(&parents, number)).collect();
        // A full queue: all but one stay where they are, and that one is sent again and again.
        for number in IN_FLIGHT..3 * IN_FLIGHT {
            let (span, own) = keep(&parents, number);
            assert_eq!(parents.take_parent_of(span), Some(own));
        }
        // Every second one is acknowledged, and its place in the queue taken, all the while the others wait.
        let (first, second): (Vec<_>, Vec<_>) = in_flight.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
        for (_, (span, own)) in first {
            assert_eq!(parents.take_parent_of(span), Some(own));
            let (span, own) = keep(&parents, u64::from_be_bytes(own.span_id) + 3 * IN_FLIGHT);
            assert_eq!(parents.take_parent_of(span), Some(own));
        }
        assert!(second.into_iter().all(|(_, (span, own))| parents.take_parent_of(span) == Some(own)));
    }

    #[test]
    fn without_a_limit_there_is_room_for_as_many_as_are_in_flight_and_no_more() {
        let parents = Parents::new(usize::MAX);
        for number in 0..50_000 {
            let (span, own) = keep(&parents, number);
            assert_eq!(parents.take_parent_of(span), Some(own));
        }
        assert_eq!(room(&parents), 1 << FIRST, "one at a time");
        let in_flight = if cfg!(miri) { 1000 } else { 300_000 };
        let kept: Vec<_> = (0..in_flight).map(|number| keep(&parents, number)).collect();
        assert!(room(&parents) < 2 * in_flight as usize);
        assert!(kept.into_iter().all(|(span, own)| parents.take_parent_of(span) == Some(own)));
    }

    #[test]
    fn every_place_has_an_entry_of_its_own() {
        let parents = Parents::new(4096);
        let mut seen = std::collections::HashSet::new();
        assert!((0..8192).all(|place| seen.insert(std::ptr::from_ref(parents.entry_to_fill(place).unwrap()))));
        assert_eq!(room(&parents), 8192);
        assert_eq!(chunk_of((1 << MOST) - 1), (CHUNKS - 1, (1 << (MOST - 1)) - 1), "the last of the largest table");
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
    fn threads_that_share_a_table_find_their_own_parents() {
        let parents = Parents::new(4000);
        let rounds = if cfg!(miri) { 200 } else { 100_000_u64 };
        std::thread::scope(|scope| {
            for thread in 1..=4_u64 {
                let parents = &parents;
                scope.spawn(move || {
                    let mut kept = std::collections::VecDeque::new();
                    for number in 0..rounds {
                        kept.push_back(keep(parents, thread << 32 | number));
                        if kept.len() > 1 + number as usize % 900 {
                            let (span, own) = kept.pop_front().unwrap();
                            assert!(parents.has_parent(span));
                            assert_eq!(parents.take_parent_of(span), Some(own));
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn threads_that_share_a_table_that_is_too_small_find_their_own_parents_or_none() {
        let parents = Parents::new(10);
        let rounds = if cfg!(miri) { 200 } else { 50_000_u64 };
        std::thread::scope(|scope| {
            for thread in 1..=4_u64 {
                let parents = &parents;
                scope.spawn(move || {
                    let mut kept = std::collections::VecDeque::new();
                    for number in 0..rounds {
                        kept.push_back(keep(parents, thread << 32 | number));
                        if kept.len() > 500 {
                            let (span, own) = kept.pop_front().unwrap();
                            assert!(parents.take_parent_of(span).is_none_or(|found| found == own));
                        }
                    }
                });
            }
        });
    }
}
