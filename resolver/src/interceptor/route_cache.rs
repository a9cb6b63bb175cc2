//! A message's route in a few nanoseconds: one look into a table of the calling thread.
//!
//! An entry owns its route, so that no other thread has to be asked before one is followed, or waited for before one goes:
//! what a reload has replaced, and what a client left that is gone, goes step by step when the thread misses something else, or
//! when it ends. A table has room for [`FEW`] at first, and for more when routes that are in use displace each other: for
//! [`MANY`] at the most, a mebibyte.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{Ordering, compiler_fence};

use super::route::Route;
use crate::resolver;

/// One of a thread's routes. All zero: none.
#[repr(C, align(32))]
struct Entry {
    /// [`EMPTY`], or the number of the client, which no other has.
    client: Cell<u64>,
    topic_handle: Cell<usize>,
    /// Owns a strong count unless it is null.
    route: Cell<*const Route>,
    /// The route is good for as long as this is the process's: its lower half, for nobody reloads four thousand million times.
    epoch: Cell<u32>,
    /// How many on this very thread's stack follow the route: more than one if a signal handler came in between. It stays
    /// what it is as long as any does.
    followed: Cell<u32>,
}

/// What stands before the entries of a table. A table that was outgrown stays, emptied, until the thread ends: what a signal
/// handler has interrupted may still look into it.
#[repr(C, align(64))]
struct Head {
    /// How many entries there are, a power of two, less one.
    mask: usize,
    /// The table that this one has outgrown; the first has none.
    outgrown: Option<Table>,
    /// Routes in use that others have displaced here.
    displaced: Cell<usize>,
    /// Where to look next for what has gone.
    cursor: Cell<usize>,
}

/// The table that every thread has.
#[repr(C)]
struct First {
    head: Head,
    entries: [Entry; FEW],
    /// The one in use; `None`: this.
    larger: Cell<Option<Table>>,
}

/// A head and, behind it, its entries; of the calling thread, and there until it ends.
#[derive(Clone, Copy)]
struct Table(NonNull<Head>);

const FEW: usize = 64;
const MANY: usize = 1 << 15;
/// How much larger the next table is.
const GROWTH: usize = 8;
/// Entries in which a route may be: neighbours, in two cache lines.
const WAYS: usize = 4;
/// Entries that are looked at after each miss.
const STEP: usize = 8;
const EMPTY: u64 = 0;

const _: () = assert!(size_of::<Entry>() == 32 && size_of::<Head>() == 64 && align_of::<Head>() == 64);
const _: () = assert!(std::mem::offset_of!(First, entries) == size_of::<Head>());
const _: () = assert!(!std::mem::needs_drop::<First>());

thread_local! {
    /// Without a destructor: it is there to the thread's last moment.
    static OF_THREAD: First = const { First::empty() };
    /// Empties the tables when the thread ends. Once it is gone nothing is kept any more.
    static AT_THE_END: AtTheEnd = const { AtTheEnd };
}

/// A route that stays where it is until this goes: not beyond the callback in which it was found.
pub(super) struct Found<'a> {
    route: NonNull<Route>,
    /// Where it is kept; `None`: this owns a strong count of its own.
    entry: Option<NonNull<Entry>>,
    /// Not beyond the client, and not on another thread.
    of: PhantomData<(&'a (), *const ())>,
}

/// What an entry is looked for by.
#[derive(Clone, Copy)]
struct Key {
    client: u64,
    topic_handle: usize,
    epoch: u32,
}

/// The route of the topic behind `topic_handle` for client number `client`; `find` is asked on a miss.
///
/// `is_name` is asked on every hit: librdkafka may have freed a topic and given its address to another.
#[inline]
pub(super) fn route<'a>(
    client: u64,
    topic_handle: usize,
    is_name: impl Fn(&CStr) -> bool,
    find: impl FnOnce() -> Option<Arc<Route>>,
) -> Option<Found<'a>> {
    // Before anything is found: what is found then is not older.
    look(Key { client, topic_handle, epoch: resolver::epoch() as u32 }, is_name, find)
}

#[inline]
fn look<'a>(key: Key, is_name: impl Fn(&CStr) -> bool, find: impl FnOnce() -> Option<Arc<Route>>) -> Option<Found<'a>> {
    let table = in_use()?;
    let home = key.home();
    for way in 0..WAYS {
        let entry = table.entry(home ^ way);
        if let Some(route) = entry.follow(key) {
            // SAFETY: the entry owns it, and is followed: nobody changes it.
            if is_name(unsafe { route.as_ref() }.topic_name()) {
                return Some(Found { route, entry: Some(NonNull::from(entry)), of: PhantomData });
            }
            entry.leave();
        }
    }
    missed(key, find()?)
}

/// Keeps a route that had to be looked for, if there is a place for it.
#[cold]
fn missed<'a>(key: Key, route: Arc<Route>) -> Option<Found<'a>> {
    let is_over = AT_THE_END.try_with(|_| ()).is_err();
    if !is_over {
        make_room();
    }
    let table = in_use()?;
    let Some(entry) = table.place_for(key).filter(|_| !is_over) else {
        return Some(Found { route: into_raw(route), entry: None, of: PhantomData });
    };
    // From here on: what goes may call us, by way of a lock or the log, and find the place taken.
    entry.followed.set(1);
    let route = into_raw(route);
    // SAFETY: what the entry gives back it does not own any more.
    unsafe { release(entry.put(key, route.as_ptr())) };
    table.step(key.epoch);
    Some(Found { route, entry: Some(NonNull::from(entry)), of: PhantomData })
}

/// The table of the calling thread.
#[inline]
fn in_use() -> Option<Table> {
    OF_THREAD.try_with(|first| first.larger.get().unwrap_or(Table(NonNull::from(first).cast()))).ok()
}

/// A larger table, where routes in use have displaced each other as often as there are entries.
fn make_room() {
    let Some(table) = in_use() else { return };
    let count = table.head().mask + 1;
    let is_followed = || table.entries().any(|entry| entry.followed.get() > 0);
    if table.head().displaced.get() < count || count >= MANY || is_followed() {
        return;
    }
    table.head().displaced.set(0);
    let Some(larger) = Table::allocate(count * GROWTH, table) else { return };
    // A signal handler that sends from here on uses the new one.
    let _ = OF_THREAD.try_with(|first| first.larger.set(Some(larger)));
    for entry in table.entries().filter(|entry| entry.followed.get() == 0) {
        let (key, route) = (entry.key(), entry.take());
        let place = larger.ways(key).find(|place| place.followed.get() == 0 && place.route.get().is_null());
        let left = match place.filter(|_| !route.is_null()) {
            Some(place) => place.put(key, route),
            None => route,
        };
        // SAFETY: owned by no entry any more.
        unsafe { release(left) };
    }
}

impl Key {
    /// Where it is looked for first; a table takes as many of its bits as it has entries for.
    #[inline]
    fn home(self) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let whole = (self.topic_handle as u64).wrapping_add(self.client.wrapping_mul(SPREAD));
        (whole.wrapping_mul(SPREAD) >> 32) as usize
    }
}

impl Table {
    /// One on the heap, or `None` if there is no memory.
    fn allocate(count: usize, outgrown: Self) -> Option<Self> {
        // SAFETY: not of no size.
        let head = NonNull::new(unsafe { alloc_zeroed(Self::layout(count)?) }.cast::<Head>())?;
        // SAFETY: large enough, and aligned for it; the entries behind it are zero, which is what an empty one is.
        unsafe { head.write(Head::of(count, Some(outgrown))) };
        Some(Self(head))
    }

    fn layout(count: usize) -> Option<Layout> {
        Layout::from_size_align(size_of::<Head>() + count * size_of::<Entry>(), align_of::<Head>()).ok()
    }

    #[inline]
    fn head<'a>(self) -> &'a Head {
        // SAFETY: see `Table`.
        unsafe { self.0.as_ref() }
    }

    /// The entry of a number, of which the table takes the bits that it has entries for.
    #[inline]
    fn entry<'a>(self, number: usize) -> &'a Entry {
        // SAFETY: `mask + 1` entries follow every head, in `First` as in `allocate`.
        unsafe { self.0.add(1).cast::<Entry>().add(number & self.head().mask).as_ref() }
    }

    fn entries<'a>(self) -> impl Iterator<Item = &'a Entry> {
        (0..=self.head().mask).map(move |number| self.entry(number))
    }

    fn ways<'a>(self, key: Key) -> impl Iterator<Item = &'a Entry> {
        (0..WAYS).map(move |way| self.entry(key.home() ^ way))
    }

    /// Where a route may be put; `None`: whoever is interrupted here follows what is there.
    fn place_for<'a>(self, key: Key) -> Option<&'a Entry> {
        let free = || self.ways(key).filter(|entry| entry.followed.get() == 0);
        if let Some(same) = self.ways(key).find(|entry| entry.is(key)) {
            // Another topic has its address now.
            return Some(same).filter(|entry| entry.followed.get() == 0);
        }
        if let Some(unused) = free().find(|entry| !entry.is_in_use(key.epoch)) {
            return Some(unused);
        }
        // One after the other.
        let displaced = self.head().displaced.get() + 1;
        self.head().displaced.set(displaced);
        free().nth(displaced % free().count().max(1))
    }

    /// Lets some of those go that nobody will ask for.
    fn step(self, epoch: u32) {
        let from = self.head().cursor.get();
        self.head().cursor.set(from.wrapping_add(STEP));
        for number in 0..STEP {
            let entry = self.entry(from.wrapping_add(number));
            if entry.followed.get() == 0 && !entry.is_in_use(epoch) {
                // SAFETY: owned by no entry any more.
                unsafe { release(entry.take()) };
            }
        }
    }
}

impl Head {
    const fn of(count: usize, outgrown: Option<Table>) -> Self {
        Self { mask: count - 1, outgrown, displaced: Cell::new(0), cursor: Cell::new(0) }
    }
}

impl First {
    const fn empty() -> Self {
        let entries = [const { Entry::empty() }; FEW];
        Self { head: Head::of(FEW, None), entries, larger: Cell::new(None) }
    }
}

impl Entry {
    const fn empty() -> Self {
        Self {
            client: Cell::new(EMPTY),
            topic_handle: Cell::new(0),
            route: Cell::new(ptr::null()),
            epoch: Cell::new(0),
            followed: Cell::new(0),
        }
    }

    #[inline]
    fn is(&self, key: Key) -> bool {
        self.client.get() == key.client && self.topic_handle.get() == key.topic_handle && self.epoch.get() == key.epoch
    }

    /// Its route, if it is this one's: followed until [`leave`](Self::leave).
    #[inline]
    fn follow(&self, key: Key) -> Option<NonNull<Route>> {
        self.followed.set(self.followed.get() + 1);
        // A signal handler that comes from here on finds it followed, and one that came before is over.
        compiler_fence(Ordering::SeqCst);
        if self.is(key) {
            // SAFETY: an entry with a client has a route.
            return Some(unsafe { NonNull::new_unchecked(self.route.get().cast_mut()) });
        }
        self.leave();
        None
    }

    #[inline]
    fn leave(&self) {
        self.followed.set(self.followed.get() - 1);
    }

    /// Whether somebody may still ask for it.
    fn is_in_use(&self, epoch: u32) -> bool {
        // SAFETY: null, or the entry's own.
        let route = unsafe { self.route.get().as_ref() };
        self.client.get() != EMPTY && self.epoch.get() == epoch && route.is_some_and(|route| !route.is_over())
    }

    fn key(&self) -> Key {
        Key { client: self.client.get(), topic_handle: self.topic_handle.get(), epoch: self.epoch.get() }
    }

    /// Another route, whose count it owns from now on; not that of the one before.
    fn put(&self, key: Key, route: *const Route) -> *const Route {
        self.client.set(EMPTY);
        self.topic_handle.set(key.topic_handle);
        self.epoch.set(key.epoch);
        let before = self.route.replace(route);
        self.client.set(key.client);
        before
    }

    /// Nothing; the route is the caller's.
    fn take(&self) -> *const Route {
        self.client.set(EMPTY);
        self.route.replace(ptr::null())
    }
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
        match self.entry {
            // SAFETY: an entry of this thread's tables, of which none goes while it is followed: `Found` stays on its thread.
            Some(entry) => unsafe { entry.as_ref() }.leave(),
            // SAFETY: the count is this one's.
            None => unsafe { release(self.route.as_ptr()) },
        }
    }
}

/// See [`AT_THE_END`].
struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let Some(mut table) = in_use() else { return };
        let _ = OF_THREAD.try_with(|first| first.larger.set(None));
        loop {
            for entry in table.entries().filter(|entry| entry.followed.get() == 0) {
                // SAFETY: owned by no entry any more.
                unsafe { release(entry.take()) };
            }
            let (count, outgrown) = (table.head().mask + 1, table.head().outgrown);
            let is_followed = table.entries().any(|entry| entry.followed.get() > 0);
            if let Some(layout) = Table::layout(count).filter(|_| count > FEW && !is_followed) {
                // SAFETY: from `allocate`, with this layout; it is not in use, and nobody follows what was in it.
                unsafe { dealloc(table.0.as_ptr().cast(), layout) };
            }
            let Some(next) = outgrown else { return };
            table = next;
        }
    }
}

#[cfg(test)]
mod tests;
