//! The shop's own counters: what its threads have done, and how they know that all is done.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by all threads. Counters only ever grow.
pub(crate) struct Board {
    /// How many orders there will be, if known beforehand.
    pub(crate) total: Option<u64>,
    pub(crate) ordered: Counter,
    pub(crate) accepted: Counter,
    pub(crate) declined: Counter,
    /// Authorizations that were tried again.
    pub(crate) retried: Counter,
    pub(crate) shipped: Counter,
    pub(crate) notified: Counter,
    /// Messages that Kafka did not take.
    pub(crate) undelivered: Counter,
    /// Consumers that have their partitions.
    pub(crate) ready: Counter,
    all_ordered: AtomicBool,
    stopped: AtomicBool,
}

/// A number that threads count up together.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Board {
    pub(crate) fn new(total: Option<u64>) -> Self {
        Board {
            total,
            ordered: Counter::default(),
            accepted: Counter::default(),
            declined: Counter::default(),
            retried: Counter::default(),
            shipped: Counter::default(),
            notified: Counter::default(),
            undelivered: Counter::default(),
            ready: Counter::default(),
            all_ordered: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    /// No order follows.
    pub(crate) fn all_ordered(&self) {
        // Pairs with the load in `is_done`: who sees it sees the last count of `ordered` too.
        self.all_ordered.store(true, Ordering::Release);
    }

    /// Ends every service: something has failed.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the services have nothing left to do.
    pub(crate) fn is_done(&self) -> bool {
        if self.stopped.load(Ordering::Relaxed) {
            return true;
        }
        // Pairs with the store in `all_ordered`.
        self.all_ordered.load(Ordering::Acquire) && self.notified.get() + self.undelivered.get() >= self.ordered.get()
    }

    /// Whether orders are on their way, so that a standstill is a failure. The input itself may take its time.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.notified.get() + self.undelivered.get() < self.ordered.get()
    }

    /// Grows with every step of every order.
    pub(crate) fn steps(&self) -> u64 {
        [&self.ready, &self.ordered, &self.accepted, &self.declined, &self.shipped, &self.notified]
            .iter()
            .map(|counter| counter.get())
            .sum()
    }
}
