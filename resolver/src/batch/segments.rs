//! Where finished spans wait for the batch thread: fixed segments from one bounded arena, handed over without locks.
//!
//! Pushing never blocks, never allocates and never formats: a record is copied into the thread's own segment, and one
//! release store publishes it. A full segment goes to the batch thread by one compare-and-swap; a fresh one comes by
//! another, once every [`SLOTS`] spans. When no segment is free the span is dropped and counted.
//!
//! Memory is the arena and nothing else: [`Segments::new`] reserves it, the system commits a page when it is first
//! written to, and a segment that was used before is taken before one that never was, so that a quiet process has few.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::record::FinishedSpan;
use crate::zeroed::Zeroed;

/// Records in a segment: 32 KiB, so that handing one over is rare and a thread that went quiet wastes little.
pub(crate) const SLOTS: usize = 256;
/// Longest `extra` of one record, in bytes.
pub(crate) const MAX_EXTRA: usize = 32 * size_of::<FinishedSpan>();
const NONE: u32 = u32::MAX;
/// Full segments at which the batch thread is woken: about 2 ms of a million messages a second, and 3 % of the arena.
const WAKE_AT: u32 = 32;
/// 1 GiB of records; also keeps every index below `NONE`.
const MAX_SEGMENTS: usize = 32 * 1024;

/// All segments of the process, the free ones and the full ones.
pub(crate) struct Segments {
    headers: Zeroed<Header>,
    /// `SLOTS` for each header, in the same order.
    slots: Zeroed<Slot>,
    /// Those that came back.
    free: Stack,
    /// From here on no segment was ever used. At most the number of segments.
    untouched: AtomicU32,
    full: Stack,
    /// Segments handed over since the batch thread last took them.
    waiting: AtomicU32,
}

type Slot = UnsafeCell<MaybeUninit<FinishedSpan>>;

/// A segment's state, apart from its slots: whoever goes through a list of segments touches none of them.
#[repr(align(64))]
struct Header {
    /// Slots published: `Release` by the owner pairs with the `Acquire` of [`Segments::drain`].
    len: AtomicU32,
    /// Slots the batch thread has read. Never above `len`.
    drained: AtomicU32,
    /// The next one in the stack that this segment is in.
    next: AtomicU32,
}

// SAFETY: a slot at or above its segment's `len` is touched by the owning thread only, one below it by the batch thread
// only, and ownership moves by the release/acquire pairs on `len` and on the stacks.
unsafe impl Sync for Segments {}
// SAFETY: `FinishedSpan::origin` is read on the batch thread only while the origin is alive (see its documentation).
unsafe impl Send for Segments {}

/// A thread's own segment.
#[derive(Debug)]
pub(crate) struct Claim {
    index: u32,
    len: u32,
}

impl Segments {
    /// Reserves room for about `bytes` of records, at least 16 segments; less when the system has less to give.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut count = (bytes / (SLOTS * size_of::<FinishedSpan>())).clamp(16, MAX_SEGMENTS);
        loop {
            // SAFETY: a header is atomic integers, for which zero is valid, and a slot is a `MaybeUninit`.
            let (headers, slots) = unsafe { (Zeroed::<Header>::new(count), Zeroed::<Slot>::new(count * SLOTS)) };
            if count == 1 || !(headers.is_empty() || slots.is_empty()) {
                let (free, full) = (Stack::empty(), Stack::empty());
                return Self { headers, slots, free, untouched: AtomicU32::new(0), full, waiting: AtomicU32::new(0) };
            }
            count /= 2;
        }
    }

    /// Takes a free segment for the calling thread; `None` when all are in use.
    pub(crate) fn claim(&self) -> Option<Claim> {
        let index = self.free.pop(&self.headers).or_else(|| self.touch())?;
        Some(Claim { index, len: 0 })
    }

    /// The next segment that was never used.
    #[cold]
    fn touch(&self) -> Option<u32> {
        let next = |next: u32| ((next as usize) < self.count()).then_some(next + 1);
        self.untouched.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    /// Copies `span`, and the `extra` fields that belong to it, into the thread's segment.
    ///
    /// Returns `false`, with nothing written, when the segment has no room left for it.
    pub(crate) fn push(&self, claim: &mut Claim, span: &FinishedSpan, extra: &[u8]) -> bool {
        let extra_slots = extra.len().div_ceil(size_of::<FinishedSpan>());
        let start = claim.len as usize;
        let end = start + 1 + extra_slots;
        let Some((header, segment)) = self.segment(claim.index) else { return false };
        let Some([first, rest @ ..]) = segment.get(start..end) else { return false };
        // SAFETY: slots from `claim.len` on belong to this thread until the store to `len` below; `Claim` is not `Clone`.
        // `rest` has room for `extra`, and its pointer is one to all of it.
        unsafe {
            (*first.get()).write(FinishedSpan { extra_len: extra.len() as u16, ..*span });
            let target = UnsafeCell::raw_get(rest.as_ptr()).cast::<u8>();
            std::ptr::copy_nonoverlapping(extra.as_ptr(), target, extra.len());
        }
        claim.len = end as u32;
        // Release: pairs with the acquire load in `drain`.
        header.len.store(claim.len, Ordering::Release);
        true
    }

    /// Gives a thread's segment to the batch thread, full or not. `true` when so many wait that it should be woken:
    /// a wake-up costs as much as forty spans.
    pub(crate) fn submit(&self, claim: Claim) -> bool {
        self.full.push(claim.index, &self.headers);
        // Relaxed: a hint; the batch thread looks by itself ten times a second.
        self.waiting.fetch_add(1, Ordering::Relaxed) % WAKE_AT == WAKE_AT - 1
    }

    /// How many there are, free ones and others.
    pub(crate) fn count(&self) -> usize {
        self.slots.len() / SLOTS
    }

    /// The index by which the batch thread finds a segment that is still being filled.
    pub(crate) fn index_of(claim: &Claim) -> u32 {
        claim.index
    }

    /// Reads every published record of segment `index` that was not read before.
    ///
    /// Runs on the batch thread only.
    pub(crate) fn drain(&self, index: u32, mut each: impl FnMut(&FinishedSpan, &[u8])) {
        let Some((header, segment)) = self.segment(index) else { return };
        // Acquire: pairs with the release store in `push`.
        let len = header.len.load(Ordering::Acquire) as usize;
        let mut at = header.drained.load(Ordering::Relaxed) as usize;
        while let Some(slot) = segment.get(at).filter(|_| at < len) {
            // SAFETY: a slot below `len` was written before `len` was published and is not written again before this
            // thread recycles the segment.
            let span = unsafe { (*slot.get()).assume_init_ref() };
            let extra_len = usize::from(span.extra_len);
            let extra_slots = extra_len.div_ceil(size_of::<FinishedSpan>());
            let extra = match segment.get(at + 1..at + 1 + extra_slots) {
                // SAFETY: `push` wrote `extra_len` bytes from the start of these slots, all below `len`.
                Some(slots) => unsafe {
                    std::slice::from_raw_parts(UnsafeCell::raw_get(slots.as_ptr()).cast::<u8>(), extra_len)
                },
                None => &[],
            };
            at += 1 + extra_slots;
            // Before the call, so that a record whose reader fails is not read again.
            header.drained.store(at as u32, Ordering::Relaxed);
            each(span, extra);
        }
    }

    /// Reads what was handed over and frees those segments. Runs on the batch thread only.
    pub(crate) fn drain_full(&self, mut each: impl FnMut(&FinishedSpan, &[u8])) {
        let mut oldest_first = Vec::new();
        self.waiting.store(0, Ordering::Relaxed);
        let mut index = self.full.take_all();
        while let Some(header) = self.headers.get(index as usize) {
            oldest_first.push(index);
            index = header.next.load(Ordering::Relaxed);
        }
        for index in oldest_first.into_iter().rev() {
            self.drain(index, &mut each);
            self.recycle(index);
        }
    }

    fn segment(&self, index: u32) -> Option<(&Header, &[Slot])> {
        let index = index as usize;
        Some((self.headers.get(index)?, self.slots.get(index * SLOTS..(index + 1) * SLOTS)?))
    }

    fn recycle(&self, index: u32) {
        let Some(header) = self.headers.get(index as usize) else { return };
        header.len.store(0, Ordering::Relaxed);
        header.drained.store(0, Ordering::Relaxed);
        self.free.push(index, &self.headers);
    }
}

/// A lock-free stack of segment indices. The upper half of `head` counts changes, so that a pop cannot mistake a
/// segment that left and came back for one that stayed.
struct Stack {
    head: AtomicU64,
}

impl Stack {
    fn empty() -> Self {
        Self { head: AtomicU64::new(u64::from(NONE)) }
    }

    fn push(&self, index: u32, headers: &[Header]) {
        let Some(header) = headers.get(index as usize) else { return };
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            header.next.store(head as u32, Ordering::Relaxed);
            let new = Self::bump(head, index);
            // Release: pairs with the acquire in `pop` and `take_all`, so that the taker sees the records and `next`.
            match self.head.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    fn pop(&self, headers: &[Header]) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let header = headers.get(head as u32 as usize)?;
            let new = Self::bump(head, header.next.load(Ordering::Relaxed));
            // Acquire: pairs with the release in `push`.
            match self.head.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(head as u32),
                Err(current) => head = current,
            }
        }
    }

    fn take_all(&self) -> u32 {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let new = Self::bump(head, NONE);
            // Acquire: pairs with the release in `push`.
            match self.head.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return head as u32,
                Err(current) => head = current,
            }
        }
    }

    fn bump(head: u64, index: u32) -> u64 {
        ((head >> 32).wrapping_add(1) << 32) | u64::from(index)
    }
}

#[cfg(test)]
mod tests;
