//! How many clients of other languages a process has: the end of the last one may be the last that is seen of it.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::per_process::PerProcess;
use crate::resolver::Shared;

/// Clients of this process that live.
static OPEN: PerProcess<AtomicUsize> = PerProcess::new();

/// A client is there.
pub(super) fn opened() {
    OPEN.get_or_init(AtomicUsize::default).fetch_add(1, Ordering::Relaxed);
}

/// A client of `resolver` is gone. Runs on the application's thread, in `rd_kafka_destroy()`.
pub(super) fn closed(resolver: &Arc<Shared>) {
    if OPEN.get_or_init(AtomicUsize::default).fetch_sub(1, Ordering::Relaxed) == 1 {
        resolver.flush_if_the_end_may_be_unseen();
    }
}
