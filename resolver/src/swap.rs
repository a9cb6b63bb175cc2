//! A value that is exchanged while others read it: a reload puts another in its place.
//!
//! For looks that are not made for every message. Whoever reads holds a reference of its own, so the one before goes when
//! the last that read it is done. The lock is held for a few instructions, in which nothing is called, and knows who holds
//! it: a thread that a fork left behind in the parent holds nothing in the child.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;

use crate::per_process;

/// See the module.
pub(crate) struct Swap<T> {
    /// 0, or one more than the generation of the process whose thread has it.
    locked: AtomicUsize,
    /// Owns a strong count.
    value: AtomicPtr<T>,
}

// SAFETY: what is handed to other threads are `Arc<T>`s.
unsafe impl<T: Send + Sync> Send for Swap<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Swap<T> {}

impl<T> Swap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self { locked: AtomicUsize::new(0), value: AtomicPtr::new(Arc::into_raw(value).cast_mut()) }
    }

    /// The value as it is now.
    pub(crate) fn load(&self) -> Arc<T> {
        self.lock();
        let value = self.value.load(Ordering::Relaxed).cast_const();
        // SAFETY: came from `Arc::into_raw`, and its count is ours until a `store`, which the lock excludes.
        let value = unsafe {
            Arc::increment_strong_count(value);
            Arc::from_raw(value)
        };
        self.unlock();
        value
    }

    /// Puts `value` in its place, and gives the one before.
    pub(crate) fn store(&self, value: Arc<T>) -> Arc<T> {
        let value = Arc::into_raw(value).cast_mut();
        self.lock();
        let before = self.value.swap(value, Ordering::Relaxed);
        self.unlock();
        // SAFETY: came from `Arc::into_raw`; its count was the cell's, and is given away here.
        unsafe { Arc::from_raw(before.cast_const()) }
    }

    fn lock(&self) {
        let own = per_process::generation() + 1;
        let mut tries = 0_u32;
        loop {
            let holder = self.locked.load(Ordering::Relaxed);
            // What another process's thread holds, nobody holds here: it was copied by a fork. The value is whole all the
            // same: it is one pointer, and the worst that is lost is a count.
            let is_free = holder == 0 || holder != own;
            // Acquire: pairs with the release in `unlock`.
            if is_free && self.locked.compare_exchange(holder, own, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
            tries = tries.saturating_add(1);
            match tries {
                ..100 => std::hint::spin_loop(),
                100..200 => std::thread::yield_now(),
                // Whoever has it may be of a lower priority, and gets a processor only if we sleep.
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    fn unlock(&self) {
        self.locked.store(0, Ordering::Release);
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        // SAFETY: the cell's own count, and nobody else has the cell.
        drop(unsafe { Arc::from_raw(self.value.get_mut().cast_const()) });
    }
}

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
            scope.spawn(|| (0..2_000).for_each(|round| drop(swap.store(Arc::new(vec![round; 64])))));
        });
        assert_eq!(watched.strong_count(), 0);
        assert_eq!(Arc::strong_count(&swap.load()), 2);
    }

    /// Without the look at whose lock it is this waits for ever.
    #[test]
    fn a_lock_that_a_fork_copied_is_no_lock() {
        let swap = Swap::new(Arc::new(1));
        swap.locked.store(per_process::generation() + 7, Ordering::Relaxed);
        assert_eq!((*swap.store(Arc::new(2)), *swap.load()), (1, 2));
    }
}
