//! How many clients of other languages a process has: the end of the last one may be the last that is seen of it.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::batch::{Leave, Pipeline};
use crate::host;
use crate::per_process::PerProcess;

/// Clients of this process that live.
static OPEN: PerProcess<AtomicUsize> = PerProcess::new();
/// Whether an integration sees the process end by `_exit()` too.
static END_IS_SEEN: AtomicBool = AtomicBool::new(false);

/// How long a Go program waits for its spans when it closes its last client, in all of its life.
const PATIENCE_OF_GO: Duration = Duration::from_secs(1);
/// How long a fork does.
const PATIENCE_OF_A_FORK: Duration = Duration::from_millis(300);

/// A client is there.
pub(crate) fn opened(end_is_seen: bool) {
    open().fetch_add(1, Ordering::Relaxed);
    END_IS_SEEN.fetch_or(end_is_seen, Ordering::Relaxed);
}

/// A client begins to close. If it is the last, what is in hand leaves while librdkafka takes it apart. Waits for nothing.
pub(crate) fn closing() {
    if open().load(Ordering::Relaxed) == 1 {
        Pipeline::seal_soon();
    }
}

/// A client is gone. Runs on the application's thread, in `rd_kafka_destroy()`.
///
/// `RATIONALE.md`: "Why does the end of the last client wait for its spans, in some processes?"
pub(crate) fn closed() {
    if open().fetch_sub(1, Ordering::Relaxed) != 1 {
        return;
    }
    Pipeline::seal_soon();
    if host::has_go_code() {
        wait(PATIENCE_OF_GO);
    } else if is_end_unseen() {
        wait(PATIENCE_OF_A_FORK);
    }
}

/// Whether the process may end without telling anybody.
pub(crate) fn is_end_unseen() -> bool {
    host::has_go_code() || !END_IS_SEEN.load(Ordering::Relaxed) && host::is_fork()
}

/// Waits for a backend that answers: as long as `patience` lasts, which is one for all of the process's life.
#[cold]
fn wait(patience: Duration) {
    static WAITED: PerProcess<AtomicU64> = PerProcess::new();
    let waited = WAITED.get_or_init(AtomicU64::default);
    let left = patience.saturating_sub(Duration::from_nanos(waited.load(Ordering::Relaxed)));
    if !left.is_zero() {
        let started = Instant::now();
        Pipeline::leave(Leave::Unseen, left);
        waited.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn open() -> &'static AtomicUsize {
    OPEN.get_or_init(AtomicUsize::default)
}
