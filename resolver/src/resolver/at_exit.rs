//! A process that ends normally exports what it has.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, TryLockError};
use std::time::{Duration, Instant};

use super::EXIT_DEADLINE;
use super::losses::Moment;
use super::shared::Shared;
use crate::batch::Pipeline;
use crate::host;
use crate::per_process::PerProcess;

static RESOLVERS: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Lets the end of the process flush `shared`, unless it is shut down before.
pub(super) fn remember(shared: &Arc<Shared>) {
    if let Some(mut resolvers) = resolvers() {
        resolvers.push(Arc::clone(shared));
    }
    static REGISTERED: Once = Once::new();
    // After the plugins were loaded: handlers run in reverse order, so ours runs before theirs.
    REGISTERED.call_once(|| {
        host::at_exit(flush_all);
        Pipeline::at_end(end_backends);
    });
}

/// Exports what `shared` has in hand, if the process may end without telling anybody: Go programs always end without the
/// C library's exit handlers, and forked children often, by `_exit()`. There the end of the last client, which is when
/// this is called, is the last that is seen. All waits of a process together last [`EXIT_DEADLINE`] at most.
pub(super) fn flush_if_unseen(shared: &Shared) {
    static WAITED: PerProcess<AtomicU64> = PerProcess::new();
    if !may_be_unseen() {
        return;
    }
    let waited = WAITED.get_or_init(AtomicU64::default);
    let left = EXIT_DEADLINE.saturating_sub(Duration::from_nanos(waited.load(Ordering::Relaxed)));
    if left.is_zero() {
        return;
    }
    let started = Instant::now();
    shared.flush(started + left);
    waited.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Whether this process may end without telling anybody.
pub(super) fn may_be_unseen() -> bool {
    host::is_fork() || host::has_go_code()
}

/// Exports what is in hand, as the normal end of the process does, within [`EXIT_DEADLINE`].
///
/// For a door that sees the process end without the C library's exit handlers, by `_exit()`. The work is done on the
/// batch thread, and this one only waits: it may be called from anywhere, a signal handler too, whatever locks the
/// calling thread holds. Does nothing in a process that traced nothing, nor in a `vfork()` child, which has its
/// parent's memory.
pub fn before_exit() {
    Pipeline::end(EXIT_DEADLINE);
}

/// `shared` was shut down: the end of the process has nothing to do for it.
pub(super) fn forget(shared: &Arc<Shared>) {
    if let Some(mut resolvers) = resolvers() {
        resolvers.retain(|resolver| !Arc::ptr_eq(resolver, shared));
    }
}

/// Runs on the thread that ends the process, after `main` or in `exit()`.
fn flush_all() {
    if !Pipeline::is_running() {
        return; // A fork that traced nothing.
    }
    let Some(resolvers) = resolvers().map(|resolvers| resolvers.clone()) else { return };
    let deadline = Instant::now() + EXIT_DEADLINE;
    Pipeline::current().seal_all(None, deadline);
    for resolver in resolvers.iter() {
        resolver.backends().shutdown(deadline);
        resolver.tell_sum(Moment::Seen);
    }
}

/// Runs on the batch thread, which has sealed everything.
fn end_backends() {
    let deadline = Instant::now() + EXIT_DEADLINE;
    for resolver in resolvers().map(|resolvers| resolvers.clone()).unwrap_or_default() {
        resolver.backends().shutdown(deadline);
        resolver.tell_sum(Moment::Seen);
    }
}

/// The list, locked. It is held for moments only, so when it cannot be had for long, this process is the fork of one in
/// which another thread held it: `None`, and the end of this process flushes nothing.
fn resolvers() -> Option<MutexGuard<'static, Vec<Arc<Shared>>>> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let started = Instant::now();
    loop {
        match RESOLVERS.try_lock() {
            Ok(resolvers) => return Some(resolvers),
            Err(TryLockError::Poisoned(resolvers)) => return Some(resolvers.into_inner()),
            Err(TryLockError::WouldBlock) if started.elapsed() > PATIENCE => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
