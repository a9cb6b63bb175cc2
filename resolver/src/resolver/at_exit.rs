//! A process that ends normally exports what it has.

use std::sync::{Mutex, Once, PoisonError, Weak};
use std::time::Instant;

use super::shared::Shared;
use super::{Arc, EXIT_DEADLINE};
use crate::batch::Pipeline;

static RESOLVERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Lets the end of the process flush `shared`, if it still lives then.
pub(super) fn remember(shared: &Arc<Shared>) {
    let mut resolvers = RESOLVERS.lock().unwrap_or_else(PoisonError::into_inner);
    resolvers.retain(|resolver| resolver.strong_count() > 0);
    resolvers.push(Arc::downgrade(shared));
    static REGISTERED: Once = Once::new();
    // After the plugins were loaded: handlers run in reverse order, so ours runs before theirs.
    REGISTERED.call_once(|| crate::at_exit(flush_all));
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
    for resolver in resolvers.iter().filter_map(Weak::upgrade) {
        resolver.backends().shutdown(deadline);
    }
}
