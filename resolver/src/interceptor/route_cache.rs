//! A message's route in a few nanoseconds: one look into a table of the calling thread.
//!
//! An entry owns its route, so that no other thread has to be asked before one is followed, or waited for before one goes:
//! what a reload has replaced goes when the thread comes by with other things, or ends. A thread keeps [`ENTRIES`] of them at
//! the most.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::route::Route;
use crate::resolver;

/// One of a thread's most recent routes.
struct Entry {
    /// [`EMPTY`], or the number of the client, which no other has.
    client: Cell<u64>,
    topic_handle: Cell<usize>,
    /// The route is good for as long as this is the process's.
    epoch: Cell<u64>,
    /// Owns a strong count unless it is null.
    route: Cell<*const Route>,
    /// How many on this very thread's stack follow the route: more than one if a signal handler came in between. It stays
    /// what it is as long as any does.
    followed: Cell<usize>,
}

const ENTRIES: usize = 64;
const EMPTY: u64 = 0;

thread_local! {
    /// Without a destructor: it is there to the thread's last moment.
    static ENTRIES_OF_THREAD: [Entry; ENTRIES] = const { [const { Entry::empty() }; ENTRIES] };
    /// Empties the table when the thread ends. Once it is gone nothing is kept any more.
    static AT_THE_END: AtTheEnd = const { AtTheEnd };
}
const _: () = assert!(!std::mem::needs_drop::<[Entry; ENTRIES]>());

/// A route that stays where it is until this goes: not beyond the callback in which it was found.
pub(super) struct Found<'a> {
    route: NonNull<Route>,
    /// Where it is kept; null: this owns a strong count of its own.
    entry: *const Entry,
    /// Not beyond the client, and not on another thread.
    of: PhantomData<(&'a (), *const ())>,
}

/// The route of the topic behind `topic_handle` for client number `client`; `find` is asked on a miss.
///
/// `is_name` is asked on every hit: librdkafka may have freed a topic and given its address to another.
#[inline]
pub(super) fn route<'a>(
    client: u64,
    topic_handle: usize,
    is_name: impl FnOnce(&CStr) -> bool,
    find: impl FnOnce() -> Option<Arc<Route>>,
) -> Option<Found<'a>> {
    // Before anything is found: what is found then is not older.
    let epoch = resolver::epoch();
    let index = (topic_handle >> 5 ^ topic_handle >> 12 ^ client as usize) % ENTRIES;
    let place = ENTRIES_OF_THREAD.try_with(|entries| entries.get(index).map(ptr::from_ref)).ok().flatten()?;
    // SAFETY: the table lives as long as its thread, which is the calling one.
    let entry = unsafe { &*place };
    if entry.client.get() == client && entry.topic_handle.get() == topic_handle && entry.epoch.get() == epoch {
        // SAFETY: an entry with a client has a route, and owns it: whoever changes it is this thread.
        let route = unsafe { NonNull::new_unchecked(entry.route.get().cast_mut()) };
        // SAFETY: as above.
        if is_name(unsafe { route.as_ref() }.topic_name()) {
            entry.followed.set(entry.followed.get() + 1);
            return Some(Found { route, entry, of: PhantomData });
        }
    }
    missed(entry, client, topic_handle, epoch, find()?)
}

/// Keeps a route that had to be looked for, if its place is free.
#[cold]
fn missed<'a>(entry: &Entry, client: u64, topic_handle: usize, epoch: u64, route: Arc<Route>) -> Option<Found<'a>> {
    if entry.followed.get() > 0 || AT_THE_END.try_with(|_| ()).is_err() {
        return Some(Found { route: into_raw(route), entry: ptr::null(), of: PhantomData });
    }
    // From here on: what goes may call us, by way of a lock or the log, and find the place taken.
    entry.followed.set(1);
    entry.client.set(EMPTY);
    entry.topic_handle.set(topic_handle);
    entry.epoch.set(epoch);
    let route = into_raw(route);
    let before = entry.route.replace(route.as_ptr());
    entry.client.set(client);
    // SAFETY: it was the entry's, which has another now.
    unsafe { release(before) };
    Some(Found { route, entry, of: PhantomData })
}

fn into_raw(route: Arc<Route>) -> NonNull<Route> {
    // SAFETY: an `Arc`'s pointer is not null.
    unsafe { NonNull::new_unchecked(Arc::into_raw(route).cast_mut()) }
}

/// # Safety
///
/// `route` is null, or came from `Arc::into_raw`, and its count is nobody else's.
#[cold]
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
        // SAFETY: owned by this, or by the entry, which does not change it before this goes.
        unsafe { self.route.as_ref() }
    }
}

impl Drop for Found<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: null, or an entry of this thread's table: `Found` stays on its thread.
        match unsafe { self.entry.as_ref() } {
            Some(entry) => entry.followed.set(entry.followed.get() - 1),
            // SAFETY: the count is this one's.
            None => unsafe { release(self.route.as_ptr()) },
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
            followed: Cell::new(0),
        }
    }
}

/// See [`AT_THE_END`].
struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let _ = ENTRIES_OF_THREAD.try_with(|entries| {
            for entry in entries.iter().filter(|entry| entry.followed.get() == 0) {
                entry.client.set(EMPTY);
                // SAFETY: the entry owned it, and has none now.
                unsafe { release(entry.route.replace(ptr::null())) };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Weak;

    use super::super::route::RouteMaker;
    use super::*;
    use crate::Resolver;
    use crate::config::Source;
    use crate::services::Side;

    /// The route of a topic, and what tells whether it is there still.
    fn made(topic: &CStr) -> (Arc<Route>, Weak<Route>) {
        let text = "version = 1\n[services.shop]\ntopics = [\"*\"]\n".to_owned();
        let resolver = Resolver::load(Source::Text { name: "t.toml".to_owned(), text }).unwrap();
        let maker = RouteMaker {
            side: Side::Produce,
            facts: Arc::default(),
            cluster: String::new(),
            bound: None,
            api: None,
        };
        let route = Arc::new(maker.route(&resolver.shared().unwrap().rules(), topic));
        let watched = Arc::downgrade(&route);
        (route, watched)
    }

    fn is_there(watched: &Weak<Route>) -> bool {
        watched.strong_count() > 0
    }

    #[test]
    fn a_route_that_is_followed_stays_while_another_would_take_its_place() {
        let ((orders, first), (mails, second)) = (made(c"orders"), made(c"mails"));
        let following = route(7, 64, |known| known == c"orders", || Some(orders)).unwrap();
        // As a signal handler that sends by a topic of the same address.
        let nested = route(7, 64, |known| known == c"mails", || Some(mails)).unwrap();
        assert_eq!((following.topic(), nested.topic()), ("orders", "mails"));
        drop(nested);
        assert!(is_there(&first) && !is_there(&second), "what is not kept goes with whoever followed it");
        // Twice, and the one in the middle of which the other came goes on.
        drop(route(7, 64, |known| known == c"orders", || None).unwrap());
        assert!(route(7, 64, |known| known == c"mails", || Some(made(c"mails").0)).is_some() && is_there(&first));
        drop(following);
        drop(route(7, 64, |known| known == c"mails", || Some(made(c"mails").0)).unwrap());
        assert!(!is_there(&first), "now its place is another's");
    }

    #[test]
    fn nothing_is_kept_beyond_the_end_of_a_thread() {
        struct Late(RefCell<Option<Arc<Route>>>);
        impl Drop for Late {
            fn drop(&mut self) {
                assert!(route(9, 128, |known| known == c"late", || self.0.take()).is_some());
            }
        }
        thread_local!(static LATE: Late = const { Late(RefCell::new(None)) });
        let ((orders, first), (late, second)) = (made(c"orders"), made(c"late"));
        let thread = std::thread::spawn(|| {
            // Made first, so it goes last.
            LATE.try_with(|late_route| late_route.0.replace(Some(late))).unwrap();
            drop(route(7, 64, |known| known == c"orders", || Some(orders)));
        });
        thread.join().unwrap();
        assert!(!is_there(&first) && !is_there(&second));
    }
}
