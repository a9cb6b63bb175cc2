//! Numbers of trains of thought: see the layer's `_trains.py`. Here are those that are threads.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that nobody has. None is given twice.
pub(super) fn new() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The calling thread's.
pub(super) fn of_this_thread() -> u64 {
    let number = THREAD.get();
    if number != 0 {
        return number;
    }
    let number = new();
    THREAD.set(number);
    number
}

/// The thread makes a call for another train, or none any more.
pub(super) fn lend(lent: bool) {
    LENT.set(lent);
}

pub(super) fn is_lent() -> bool {
    LENT.get()
}

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
    static LENT: Cell<bool> = const { Cell::new(false) };
}
