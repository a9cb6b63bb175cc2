//! A message's route in a few nanoseconds: one look into a table of the calling thread.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;

use super::route::Route;

/// One thread's most recent routes. A pointer in here is followed only while the client whose number stands beside it
/// lives, and a client keeps its routes.
#[derive(Clone, Copy)]
struct Entry {
    client: u64,
    topic_handle: usize,
    route: *const Route,
}

const ENTRIES: usize = 64;
const EMPTY: Entry = Entry { client: 0, topic_handle: 0, route: std::ptr::null() };

thread_local!(static ENTRIES_OF_THREAD: [Cell<Entry>; ENTRIES] = const { [const { Cell::new(EMPTY) }; ENTRIES] });

/// The route of the topic behind `topic_handle` for client number `client`; `find` is asked on a miss.
///
/// `name` is compared on every hit: librdkafka may have freed a topic and given its address to another.
///
/// # Safety
///
/// `client` is the handle (`ClientHandle::number`) of a client that lives for `'a`, and that keeps alive whatever `find` returns.
#[inline]
pub(super) unsafe fn route<'a>(
    client: u64,
    topic_handle: usize,
    name: &CStr,
    find: impl FnOnce() -> Option<Arc<Route>>,
) -> Option<&'a Route> {
    let index = (topic_handle >> 5 ^ topic_handle >> 12 ^ client as usize) % ENTRIES;
    let cached = ENTRIES_OF_THREAD.try_with(|entries| entries.get(index).map(Cell::get)).ok().flatten();
    if let Some(entry) = cached.filter(|entry| entry.client == client && entry.topic_handle == topic_handle) {
        // SAFETY: stored below for this very client, which lives and keeps its routes.
        let route = unsafe { &*entry.route };
        if route.topic_name() == name {
            return Some(route);
        }
    }
    let route = Arc::as_ptr(&find()?);
    // A thread whose locals are gone asks every time.
    let _ = ENTRIES_OF_THREAD.try_with(|entries| {
        if let Some(entry) = entries.get(index) {
            entry.set(Entry { client, topic_handle, route });
        }
    });
    // SAFETY: the client keeps it.
    Some(unsafe { &*route })
}
