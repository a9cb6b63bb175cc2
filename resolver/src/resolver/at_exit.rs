//! A process that ends normally exports what it has.

#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Instant;

use super::shared::Shared;
use super::EXIT_DEADLINE;
use crate::batch::Pipeline;
use crate::host;

static RESOLVERS: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Lets the end of the process flush `shared`, unless it is shut down before.
pub(super) fn remember(shared: &Arc<Shared>) {
    RESOLVERS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(shared));
    static REGISTERED: Once = Once::new();
    // After the plugins were loaded: handlers run in reverse order, so ours runs before theirs.
    REGISTERED.call_once(|| host::at_exit(flush_all));
}

/// `shared` was shut down: the end of the process has nothing to do for it.
pub(super) fn forget(shared: &Arc<Shared>) {
    RESOLVERS.lock().unwrap_or_else(PoisonError::into_inner).retain(|resolver| !Arc::ptr_eq(resolver, shared));
}

/// Runs on the thread that ends the process, after `main` or in `exit()`.
fn flush_all() {
    if !Pipeline::is_running() {
        return; // A fork that traced nothing.
    }
    // A thread may hold the lock for ever: the process ends all the same.
    let Ok(resolvers) = RESOLVERS.try_lock() else { return };
    let deadline = Instant::now() + EXIT_DEADLINE;
    Pipeline::current().seal_all(deadline);
    for resolver in resolvers.iter() {
        resolver.backends().shutdown(deadline);
    }
}
