//! What librdkafka holds instead of a pointer to a client: a handle, which is the number of a slot and a generation.
//!
//! Acknowledgements arrive after `on_destroy`, a configuration whose client could not be created may be destroyed twice
//! (librdkafka before 2.13), and some clients never say good-bye at all. So the opaque that librdkafka gives back is
//! not followed but looked up: a slot that was released since gives nothing, and a slot's memory is never freed, only
//! used again.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::binding::{Binding, Integration};
use super::client::Client;
use crate::per_process::PerProcess;

/// Slots that can be taken, or may be taken back.
#[derive(Default)]
struct Pool {
    free: Vec<u32>,
    /// The latest slots taken by [`Integration::Rust`], oldest first; some have a client, or were released, since.
    recent: VecDeque<ClientHandle>,
}

/// The opaque of one configuration and, later, of the client made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientHandle(u64);

struct Slot {
    /// Even: free. Odd: taken. Grows with every take and release, under the lock of `binding`.
    generation: AtomicU32,
    /// Owned by the slot while it is taken; null before `on_new`.
    client: AtomicPtr<Client>,
    binding: Mutex<Option<Arc<Binding>>>,
}

const CHUNK: usize = 64;
const CHUNKS: usize = 1024;
/// Configurations of [`Integration::Rust`] that may wait for their client.
const WAITING: usize = 1024;

static CHUNK_TABLE: [AtomicPtr<[Slot; CHUNK]>; CHUNKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];
static POOL: PerProcess<Mutex<Pool>> = PerProcess::new();
static USED: AtomicU32 = AtomicU32::new(0);

const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "an opaque carries a generation and an index");

impl ClientHandle {
    /// Takes a slot for a configuration. `None` when 65 536 are taken.
    ///
    /// rdkafka forgets, without destroying it, a configuration that `rd_kafka_new` refuses before `on_new`: nobody tells
    /// of its end. So a configuration of [`Integration::Rust`] that 1024 later ones find still without a client loses its
    /// slot; should it be used all the same, its client is not traced.
    pub(super) fn take(binding: Binding) -> Option<Self> {
        let integration = binding.integration;
        let id = Self::take_any(binding)?;
        if integration == Integration::Rust {
            let mut pool = pool();
            pool.recent.push_back(id);
            let oldest = if pool.recent.len() > WAITING { pool.recent.pop_front() } else { None };
            drop(pool);
            if let Some(oldest) = oldest {
                oldest.release_if(|client| client.is_null());
            }
        }
        Some(id)
    }

    fn take_any(binding: Binding) -> Option<Self> {
        let index = match pool().free.pop() {
            Some(index) => index,
            None => new_index()?,
        };
        let slot = slot(index)?;
        let mut place = slot.binding.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::new(binding));
        // Release: pairs with the acquire in `live`.
        let generation = slot.generation.fetch_add(1, Ordering::Release) + 1;
        drop(place);
        Some(Self(u64::from(generation) << 32 | u64::from(index)))
    }

    /// The number as librdkafka carries it. Never null: a taken slot's generation is odd.
    pub(super) fn to_opaque(self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.0 as usize)
    }

    pub(super) fn from_opaque(opaque: *mut c_void) -> Self {
        Self(opaque.addr() as u64)
    }

    /// That with this [`number`](Self::number); any other number is one of a client that is gone.
    pub(super) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// What `conf_init` left; `None` once released.
    pub(super) fn binding(self) -> Option<Arc<Binding>> {
        let binding = self.live()?.binding.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked under the lock, where no release comes between: the next owner's binding is nobody else's.
        self.live()?;
        binding.clone()
    }

    /// The client in this slot, if it is still there.
    ///
    /// # Safety
    ///
    /// The reference must not be used after the callback in which it was obtained: librdkafka runs no callback of a
    /// client after, or during, `on_conf_destroy` of its configuration, which is what releases the slot
    /// (`rd_kafka_destroy_final` in rdkafka.c joins every thread first).
    #[inline]
    pub(super) unsafe fn client<'a>(self) -> Option<&'a Client> {
        // Acquire: pairs with the release in `open`.
        let client = self.live()?.client.load(Ordering::Acquire);
        // SAFETY: owned by the slot until `release`, which the caller excludes.
        unsafe { client.as_ref() }
    }

    /// What `look` makes of the client in this slot, if it is still there: for threads that are in no callback of it. Its
    /// release, and so whoever destroys it, waits meanwhile.
    pub(super) fn with_client<T>(self, look: impl FnOnce(&Client) -> T) -> Option<T> {
        let _held = self.live()?.binding.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: asked under the lock without which no client leaves a slot.
        unsafe { self.client() }.map(look)
    }

    /// Puts the client in. A client that was there before (a second `rd_kafka_new` of the same configuration, after
    /// one that failed) is retired. Whether there was none.
    pub(super) fn open(self, client: Client) -> bool {
        let Some(slot) = slot(self.0 as u32) else { return false };
        // Held so that a release comes wholly before, and then the client is not put in, or wholly after.
        let binding = slot.binding.lock().unwrap_or_else(PoisonError::into_inner);
        if self.live().is_none() {
            return false;
        }
        let client = Box::into_raw(Box::new(client));
        // AcqRel: publishes to `client`, and takes over what was published before.
        let before = slot.client.swap(client, Ordering::AcqRel);
        drop(binding);
        let is_first = before.is_null();
        retire(before);
        is_first
    }

    /// Empties the slot. The second of two calls does nothing.
    pub(super) fn release(self) {
        self.release_if(|_| true);
    }

    /// Empties the slot if `may` says so of its client, which is null before `on_new`.
    ///
    /// Asked, decided and done under one lock, which `open` takes too: a client that comes meanwhile is in before, and
    /// seen, or it comes after, and is not let in.
    fn release_if(self, may: impl FnOnce(*mut Client) -> bool) {
        let Some(slot) = slot(self.0 as u32) else { return };
        let mut binding = slot.binding.lock().unwrap_or_else(PoisonError::into_inner);
        if self.live().is_none() || !may(slot.client.load(Ordering::Acquire)) {
            return;
        }
        // Release: pairs with the acquire in `live`. Alone in here: generations change under the lock only.
        slot.generation.fetch_add(1, Ordering::Release);
        let bound = binding.take();
        let client = slot.client.swap(std::ptr::null_mut(), Ordering::AcqRel);
        drop(binding);
        retire(client);
        drop(bound);
        pool().free.push(self.0 as u32);
    }

    /// The number itself: differs for every client that lives or has lived.
    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0
    }

    #[inline]
    fn live(self) -> Option<&'static Slot> {
        let slot = slot(self.0 as u32)?;
        // Acquire: pairs with the release in `take`.
        (slot.generation.load(Ordering::Acquire) == (self.0 >> 32) as u32).then_some(slot)
    }
}

/// Whether the client with this number ([`ClientHandle::number`]) still lives.
pub(super) fn lives(number: u64) -> bool {
    ClientHandle(number).live().is_some()
}

#[inline]
fn slot(index: u32) -> Option<&'static Slot> {
    // Acquire: pairs with the release in `new_index`.
    let chunk = CHUNK_TABLE.get(index as usize / CHUNK)?.load(Ordering::Acquire);
    // SAFETY: a published chunk is leaked, never freed.
    unsafe { chunk.as_ref() }?.get(index as usize % CHUNK)
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_index() -> Option<u32> {
    let index = USED.fetch_add(1, Ordering::Relaxed);
    let place = CHUNK_TABLE.get(index as usize / CHUNK)?;
    if place.load(Ordering::Acquire).is_null() {
        let chunk = Box::into_raw(Box::new(
            [const {
                Slot {
                    generation: AtomicU32::new(0),
                    client: AtomicPtr::new(std::ptr::null_mut()),
                    binding: Mutex::new(None),
                }
            }; CHUNK],
        ));
        // Release: pairs with the acquire in `slot`.
        if place.compare_exchange(std::ptr::null_mut(), chunk, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: another thread's chunk won; this one was never published.
            drop(unsafe { Box::from_raw(chunk) });
        }
    }
    Some(index)
}

fn retire(client: *mut Client) {
    if !client.is_null() {
        // SAFETY: came from `Box::into_raw` in `open`, and was just swapped out, so it is owned here alone.
        unsafe { Box::from_raw(client) }.retire();
    }
}
