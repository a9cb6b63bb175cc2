//! A value that is exchanged while others read it: a reload puts another in its place.
//!
//! For looks that are not made for every message. Whoever reads holds a reference of its own, so the one before goes when
//! the last that read it is done. Nobody waits for anybody here, because whoever is waited for may never come: it may be
//! what this very thread was doing when a signal came, whose handler ends the process, or a thread that a fork left behind
//! in the parent (`RATIONALE.md`, "Why is there no lock about the rules of now?").
//!
//! How: one word has both the place of the value and how many threads are about to take a reference. Who exchanges the
//! value gets that count with it, and leaves it beside the value; the last of those that were counted frees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, Ordering};

/// See the module.
pub(crate) struct Swap<T> {
    /// A `Kept<T>`, and in the bits that its address has no use for how many are reading it.
    word: AtomicU64,
    /// The same place, for those that look for memory that nobody has any more (valgrind, LeakSanitizer): they know an address
    /// only as it is. Never followed: of two that store at the same time, it may have the one that is gone.
    seen: AtomicPtr<Kept<T>>,
    owns: std::marker::PhantomData<Kept<T>>,
}

/// A value that is or was the current one. Made anew for each `store`, so a word that has changed never comes again while
/// somebody is counted in it.
#[repr(align(64))]
struct Kept<T> {
    value: Arc<T>,
    /// Of those that were counted in the word when it was exchanged, how many are not done; below zero, as long as who
    /// exchanged it has not said how many they were.
    unfinished: AtomicI64,
}

// SAFETY: what is handed to other threads are `Arc<T>`s.
unsafe impl<T: Send + Sync> Send for Swap<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Swap<T> {}

impl<T> Swap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        let kept = Kept::leak(value);
        Self { word: AtomicU64::new(word_of(kept)), seen: AtomicPtr::new(kept), owns: std::marker::PhantomData }
    }

    /// The value as it is now.
    pub(crate) fn load(&self) -> Arc<T> {
        // Acquire: pairs with the release in `store`.
        let mut seen = self.word.fetch_add(ONE_READER, Ordering::Acquire) + ONE_READER;
        let kept = kept_of::<T>(seen);
        // SAFETY: this thread is counted in the word that led here, so nobody frees it until the count is taken back below.
        let value = Arc::clone(unsafe { &(*kept).value });
        while kept_of::<T>(seen) == kept {
            // Release: pairs with the acquire in `store`, which may be followed by the end of the value.
            let less = seen - ONE_READER;
            match self.word.compare_exchange_weak(seen, less, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return value,
                Err(now) => seen = now,
            }
        }
        // SAFETY: it was exchanged while this thread was counted, and is not used from here on.
        unsafe { Kept::finished(kept, -1) };
        value
    }

    /// Puts `value` in its place, and gives the one before.
    pub(crate) fn store(&self, value: Arc<T>) -> Arc<T> {
        let next = Kept::leak(value);
        // Acquire and release: pair with the two in `load`.
        let before = self.word.swap(word_of(next), Ordering::AcqRel);
        self.seen.store(next, Ordering::Relaxed);
        let kept = kept_of::<T>(before);
        // SAFETY: freed at the earliest by the call below, as those that read it count below zero until then.
        let value = Arc::clone(unsafe { &(*kept).value });
        // SAFETY: the word has let go of it, and it is not used from here on.
        unsafe { Kept::finished(kept, i64::try_from(before & READERS).unwrap_or(i64::MAX)) };
        value
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the cell, so nobody is reading.
        drop(unsafe { Box::from_raw(kept_of::<T>(*self.word.get_mut())) });
    }
}

impl<T> Kept<T> {
    fn leak(value: Arc<T>) -> *mut Self {
        Box::into_raw(Box::new(Self { value, unfinished: AtomicI64::new(0) }))
    }

    /// Adds `more` to those that are not done, and frees it if that makes none.
    ///
    /// # Safety
    ///
    /// `kept` is in no word any more. Once by whoever took it out, with the count that stood beside it, and once with -1 by
    /// each of those that were counted; none of them uses it afterwards.
    unsafe fn finished(kept: *mut Self, more: i64) {
        // Acquire and release: who frees it does so after all others are done with it.
        // SAFETY: whoever calls this has not been counted as done before.
        if unsafe { (*kept).unfinished.fetch_add(more, Ordering::AcqRel) } + more == 0 {
            // SAFETY: all have called, so nobody has it; it came from `leak`.
            drop(unsafe { Box::from_raw(kept) });
        }
    }
}

/// The word for a value that nobody reads yet.
fn word_of<T>(kept: *mut Kept<T>) -> u64 {
    let address = kept.expose_provenance() as u64;
    // The kernel gives no higher ones unless asked for, and what is aligned to 64 has no lower bits.
    assert!(address >> ADDRESS_BITS == 0 && address % 64 == 0, "an address that this processor is not known to have");
    address << (64 - ADDRESS_BITS)
}

fn kept_of<T>(word: u64) -> *mut Kept<T> {
    let address = (word & !READERS) >> (64 - ADDRESS_BITS);
    std::ptr::with_exposed_provenance_mut(address as usize)
}

const ADDRESS_BITS: u32 = 48;
/// 16 bits above the address and the 6 below it, moved together: 22, and Linux has no more than 2^22 threads in all.
const READERS: u64 = (1 << 22) - 1;
const ONE_READER: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_while_it_is_exchanged_has_one_or_the_other_and_nothing_is_left() {
        let first = Arc::new(vec![0_u64; 64]);
        let watched = Arc::downgrade(&first);
        let swap = Swap::new(first);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let value = swap.load();
                        assert!(value.iter().all(|number| *number == value[0]));
                    }
                });
            }
            scope.spawn(|| {
                for round in 1..=2_000 {
                    let before = swap.store(Arc::new(vec![round; 64]));
                    assert_eq!(before[0], round - 1);
                }
            });
        });
        assert_eq!(watched.strong_count(), 0);
        assert_eq!(Arc::strong_count(&swap.load()), 2);
        let last = Arc::downgrade(&swap.load());
        drop(swap);
        assert_eq!(last.strong_count(), 0);
    }

    /// A reader that a signal has stopped, or that a fork left behind: it is counted, and does not go on.
    #[test]
    fn nobody_waits_for_a_reader_that_never_comes_back_and_what_it_reads_stays() {
        let swap = Swap::new(Arc::new(1));
        let stopped = swap.word.fetch_add(ONE_READER, Ordering::Acquire);
        assert_eq!((*swap.load(), *swap.store(Arc::new(2)), *swap.store(Arc::new(3)), *swap.load()), (1, 1, 2, 3));
        let kept = kept_of::<i32>(stopped);
        // SAFETY: it was counted above, and has not said that it is done.
        let watched = unsafe { Arc::downgrade(&(*kept).value) };
        assert_eq!(watched.upgrade().as_deref(), Some(&1));
        // SAFETY: it is done now, once.
        unsafe { Kept::finished(kept, -1) };
        assert_eq!(watched.strong_count(), 0, "who is the last frees it");
    }

    /// It may be done before who exchanged the value has said how many were counted.
    #[test]
    fn a_reader_that_is_done_before_it_was_said_that_there_was_one_frees_nothing() {
        let value = Arc::new(());
        let kept = Kept::leak(Arc::clone(&value));
        // SAFETY: two were counted, in no word.
        unsafe { Kept::finished(kept, -1) };
        assert_eq!(Arc::strong_count(&value), 2);
        // SAFETY: as above.
        unsafe { Kept::finished(kept, 2) };
        assert_eq!(Arc::strong_count(&value), 2);
        // SAFETY: as above.
        unsafe { Kept::finished(kept, -1) };
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
