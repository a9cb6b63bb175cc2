//! The end of the last client of a process that may end without telling anybody.
//!
//! A process that ends by `exit()` exports what it has then. Forked children often end by `_exit()`, and Go programs
//! always end without the C library's exit handlers. There the destruction of the last client is the last that is seen.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::EXIT_DEADLINE;
use crate::host;
use crate::per_process::PerProcess;
use crate::resolver::Shared;

/// Clients of this process that live.
static OPEN: PerProcess<AtomicUsize> = PerProcess::new();
/// Nanoseconds that this process has waited here.
static WAITED: PerProcess<AtomicU64> = PerProcess::new();

/// A client is there. Doors with processing guards do without: their programs end by `exit()`.
pub(super) fn opened() {
    OPEN.get_or_init(AtomicUsize::default).fetch_add(1, Ordering::Relaxed);
}

/// A client is gone. If it was the last one of a process whose end nobody may see, what is in hand is exported first;
/// all waits of a process together last [`EXIT_DEADLINE`] at most.
///
/// Runs on: the application's thread, in `rd_kafka_destroy()`, which waits for librdkafka's threads too.
pub(super) fn closed(resolver: &Arc<Shared>) {
    let was_last = OPEN.get_or_init(AtomicUsize::default).fetch_sub(1, Ordering::Relaxed) == 1;
    if !was_last || !(host::is_fork() || host::has_go_code()) {
        return;
    }
    let waited = WAITED.get_or_init(AtomicU64::default);
    let left = EXIT_DEADLINE.saturating_sub(Duration::from_nanos(waited.load(Ordering::Relaxed)));
    if left.is_zero() {
        return;
    }
    let started = Instant::now();
    resolver.flush(started + left);
    waited.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
