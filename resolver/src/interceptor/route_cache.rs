//! A message's route in a few nanoseconds: one look into a table of the calling thread.
//!
//! An entry owns its route, so that no other thread has to be asked before one is followed, or waited for before one goes:
//! what a reload has replaced goes when the thread comes by with other things, or ends. A thread keeps [`ENTRIES`] of them at
//! the most.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use super::route::Route;
use crate::resolver;

/// One of a thread's most recent routes.
struct Entry {
    /// [`EMPTY`], [`BUSY`], or the number of the client, which no other has.
    client: Cell<u64>,
    topic_handle: Cell<usize>,
    /// The route is good for as long as this is the process's.
    epoch: Cell<u64>,
    /// Owns a strong count unless it is null.
    route: Cell<*const Route>,
}

const ENTRIES: usize = 64;
const EMPTY: u64 = 0;
/// Its route is in use further up on this very thread's stack: whoever comes now is a signal handler.
const BUSY: u64 = 1;

thread_local! {
    /// Without a destructor: it is there to the thread's last moment.
    static ENTRIES_OF_THREAD: [Entry; ENTRIES] = const { [const { Entry::empty() }; ENTRIES] };
    /// Empties the table when the thread ends. Once it is gone nothing is kept any more.
    static AT_THE_END: AtTheEnd = const { AtTheEnd };
}
const _: () = assert!(!std::mem::needs_drop::<[Entry; ENTRIES]>());

/// A route that stays where it is until this goes: not beyond the callback in which it was found.
pub(super) struct Found<'a> {
    route: *const Route,
    /// Where it is kept, and whose it is there; null: it is held by `_own`.
    entry: *const Entry,
    client: u64,
    _own: Option<Arc<Route>>,
    /// Not beyond the client, and not on another thread.
    of: PhantomData<(&'a (), *const ())>,
}

/// The route of the topic behind `topic_handle` for client number `client`; `find` is asked on a miss.
///
/// `name` is compared on every hit: librdkafka may have freed a topic and given its address to another.
#[inline]
pub(super) fn route<'a>(
    client: u64,
    topic_handle: usize,
    name: &CStr,
    find: impl FnOnce() -> Option<Arc<Route>>,
) -> Option<Found<'a>> {
    // Before anything is found: what is found then is not older.
    let epoch = resolver::epoch();
    let index = (topic_handle >> 5 ^ topic_handle >> 12 ^ client as usize) % ENTRIES;
    let place = ENTRIES_OF_THREAD.try_with(|entries| entries.get(index).map(ptr::from_ref)).ok().flatten()?;
    // SAFETY: the table lives as long as its thread, which is the calling one.
    let entry = unsafe { &*place };
    if entry.client.get() == client && entry.topic_handle.get() == topic_handle && entry.epoch.get() == epoch {
        let route = entry.route.get();
        // SAFETY: the entry owns it, and is not BUSY: whoever changes it is this thread.
        if unsafe { &*route }.topic_name() == name {
            entry.client.set(BUSY);
            return Some(Found { route, entry, client, _own: None, of: PhantomData });
        }
    }
    missed(entry, client, topic_handle, epoch, find()?)
}

/// Keeps a route that had to be looked for, if its place is free.
#[cold]
fn missed<'a>(entry: &Entry, client: u64, topic_handle: usize, epoch: u64, route: Arc<Route>) -> Option<Found<'a>> {
    let pointer = Arc::as_ptr(&route);
    if entry.client.get() == BUSY || AT_THE_END.try_with(|_| ()).is_err() {
        return Some(Found { route: pointer, entry: ptr::null(), client, _own: Some(route), of: PhantomData });
    }
    // BUSY from here on: what goes may call us, by way of a lock or the log, and find the place taken.
    entry.client.set(BUSY);
    entry.topic_handle.set(topic_handle);
    entry.epoch.set(epoch);
    let before = entry.route.replace(Arc::into_raw(route));
    // SAFETY: it was the entry's, which has another now.
    unsafe { release(before) };
    Some(Found { route: pointer, entry, client, _own: None, of: PhantomData })
}

/// # Safety
///
/// `route` is null, or came from `Arc::into_raw`, and its count is nobody else's.
unsafe fn release(route: *const Route) {
    if !route.is_null() {
        // SAFETY: as the caller says.
        drop(unsafe { Arc::from_raw(route) });
    }
}

impl Deref for Found<'_> {
    type Target = Route;

    #[inline]
    fn deref(&self) -> &Route {
        // SAFETY: owned by `_own`, or by the entry, which is BUSY until this goes.
        unsafe { &*self.route }
    }
}

impl Drop for Found<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: null, or an entry of this thread's table: `Found` stays on its thread.
        if let Some(entry) = unsafe { self.entry.as_ref() } {
            entry.client.set(self.client);
        }
    }
}

impl Entry {
    const fn empty() -> Self {
        Self {
            client: Cell::new(EMPTY),
            topic_handle: Cell::new(0),
            epoch: Cell::new(0),
            route: Cell::new(ptr::null()),
        }
    }
}

/// See [`AT_THE_END`].
struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let _ = ENTRIES_OF_THREAD.try_with(|entries| {
            for entry in entries.iter().filter(|entry| entry.client.get() != BUSY) {
                entry.client.set(EMPTY);
                // SAFETY: the entry owned it, and has none now.
                unsafe { release(entry.route.replace(ptr::null())) };
            }
        });
    }
}
