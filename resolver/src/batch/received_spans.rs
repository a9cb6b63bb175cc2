//! Spans of received messages that may still get a length.
//!
//! A consumer span begins when the message is handed to the application (its *delivery*; the report of a
//! send is called acknowledgement here). Whether it is a point (`receive`) or has the length of the processing (`process`) is known only when the
//! application opens a processing guard, or does not. So the record waits here: [`ReceivedSpans::claim`] takes it for a
//! guard; what nobody claims leaves as `receive` when its place is needed, when it has waited [`CLAIM_WINDOW`], or at a
//! flush.
//!
//! Without guards, in programs of other languages, [`ReceivedSpans::hold`] says where the record waits, and what is seen of
//! the processing reaches it there: [`ReceivedSpans::prolong`], and [`ReceivedSpans::end`] when its end was seen.
//!
//! Nothing here blocks or allocates: a slot that is busy on another thread is passed over, and then the span leaves at
//! once as `receive`.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::leaving::Patience;
use super::record::{EndedBy, FinishedSpan, SpanFlags};
use super::span_fields::SpanFields;
use super::span_origin::SpanOrigin;
use super::trace_state_field::TraceStateField;
use crate::clock::{self, Moment};
use crate::tracer::SpanContext;
use crate::zeroed::Zeroed;

/// How long an unclaimed delivery waits before it leaves as `receive`.
pub(crate) const CLAIM_WINDOW: Duration = Duration::from_secs(2);
/// How long a delivery waits for its thread's next poll: as long as librdkafka lets a member of a group go without
/// (the default of `max.poll.interval.ms`), after which it is no member any more.
const POLL_WINDOW: Duration = Duration::from_secs(300);
/// Longest `extra` that is kept with a waiting record: the longest that there is. A longer one would leave at once, and its
/// message's processing be a second span.
const EXTRA: usize = SpanFields::MAX_LEN;
/// Longest `extra` without attributes of the message: a trace state.
const SMALL_EXTRA: usize = TraceStateField::MAX_LEN;
/// Slots of a place: for the messages of several clients that read the same one, and for others that fall upon it, of another
/// partition or 2048 messages before.
const NEIGHBOURS: usize = 4;
const PLACES: usize = 2048;
const SLOTS: usize = PLACES * NEIGHBOURS;

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const HELD: u8 = 2;

/// All deliveries of the process that wait.
pub(crate) struct ReceivedSpans {
    /// The places of the first neighbours, then those of the second ones, and so on: what few clients use is together.
    slots: Zeroed<Slot>,
    /// By slot. Apart, so that they cost no memory where no message has a trace state.
    extras: Zeroed<Extra<SMALL_EXTRA>>,
    /// The same for those that are longer. Apart, so that a trace state alone takes no more memory for them.
    large_extras: Zeroed<Extra<EXTRA>>,
    /// A bit for every slot: set before it becomes `HELD`, cleared by the sweep that finds it `EMPTY`. So that a sweep
    /// looks at what is in use only: the pages of the other slots are not there.
    used: [AtomicU64; SLOTS / 64],
}

struct Slot {
    /// `EMPTY`, `BUSY` or `HELD`. Whoever moves it to `BUSY` owns `held` until the store that ends it.
    state: AtomicU8,
    /// Written whenever `state` becomes `HELD`.
    held: UnsafeCell<MaybeUninit<Held>>,
}

#[derive(Clone, Copy)]
struct Held {
    span: FinishedSpan,
    thread: u64,
    /// The number of the client that was handed it.
    neighbour: usize,
    /// When it was: the system's clock, which `span.start` is by, may be set meanwhile.
    delivered: Moment,
}

/// What belongs to the slot of the same index: its first `span.extra_len` bytes. Owned as the slot's `held` is.
struct Extra<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: `held`, and the extra of its slot, are touched only by the thread that moved `state` to `BUSY`.
unsafe impl Sync for ReceivedSpans {}
// SAFETY: the origin pointers inside are followed only while the origin is alive: a client's deliveries are emptied
// before its origins are dropped (see `batch_thread`).
unsafe impl Send for ReceivedSpans {}

/// On which thread a delivery was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// On any; the calling thread's come first.
    Anybodys,
    /// On the calling one.
    ThisThreads,
}

/// A delivery that a processing guard took.
pub(crate) struct Claimed {
    pub span: FinishedSpan,
    /// Keeps what `span.origin` points to alive for the guard.
    pub origin: Arc<SpanOrigin>,
    pub extra: Vec<u8>,
}

/// Where a delivery waits, for the thread that was handed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitingPlace {
    index: u32,
    /// Tells it from whatever waits there later.
    span_id: [u8; 8],
}

/// What identifies a message for the application: its place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub topic: &'a str,
    pub topic_hash: u64,
    pub partition: i32,
    pub offset: i64,
}

impl ReceivedSpans {
    pub(crate) fn new() -> Self {
        // SAFETY: a zero state is EMPTY, and an empty slot's `held` may be anything.
        let slots = unsafe { Zeroed::new(SLOTS) };
        // SAFETY: an extra is bytes.
        let (extras, large_extras) = unsafe { (Zeroed::new(SLOTS), Zeroed::new(SLOTS)) };
        Self { slots, extras, large_extras, used: [const { AtomicU64::new(0) }; SLOTS / 64] }
    }

    /// Lets `span`, which was `delivered` then, wait, and says where. What it displaced, or itself when it cannot wait, is given to `leave`.
    pub(crate) fn hold(
        &self,
        span: &FinishedSpan,
        extra: &[u8],
        topic_hash: u64,
        neighbour: usize,
        delivered: Moment,
        mut leave: impl FnMut(&FinishedSpan, &[u8]),
    ) -> Option<WaitingPlace> {
        let index = self.roomiest(Self::place(topic_hash, span.partition, span.offset), neighbour);
        let taken = self.slots.get(index).filter(|_| self.has_room_for(extra));
        let Some((slot, before)) = taken.and_then(|slot| Some((slot, slot.take_over()?))) else {
            leave(span, extra);
            return None;
        };
        // SAFETY: `take_over` moved the state to BUSY, so this thread owns `held`.
        let held = unsafe { &mut *slot.held.get() };
        if before == HELD {
            // SAFETY: a slot that was HELD was written.
            let displaced = unsafe { held.assume_init_ref() };
            // SAFETY: the slot is this thread's, and with it the extra, and was written as long as the span says.
            leave(&displaced.span, unsafe { self.extra(index, &displaced.span) });
        }
        let span = FinishedSpan { extra_len: extra.len() as u16, ..*span };
        held.write(Held { span, thread: thread_number(), neighbour, delivered });
        // SAFETY: the slot is this thread's.
        unsafe { self.set_extra(index, extra) };
        self.mark(index);
        // Release: pairs with the acquire in `take_over`.
        slot.state.store(HELD, Ordering::Release);
        Some(WaitingPlace { index: index as u32, span_id: span.span_id })
    }

    /// A slot of that place where nothing waits, if there is one: that of `neighbour` first, and that else.
    fn roomiest(&self, place: usize, neighbour: usize) -> usize {
        let first = Self::slot(place, neighbour);
        let is_empty =
            |index: &usize| self.slots.get(*index).is_some_and(|slot| slot.state.load(Ordering::Relaxed) == EMPTY);
        (0..NEIGHBOURS).map(|next| Self::slot(place, neighbour.wrapping_add(next))).find(is_empty).unwrap_or(first)
    }

    /// The processing of the delivery at `place` has lasted until `end` at least.
    pub(crate) fn prolong(&self, place: WaitingPlace, end: u64, by: EndedBy) {
        self.at(
            place.index as usize,
            |held| place.is_of(&held.span),
            Slot::take_held_soon,
            |slot, held| {
                held.span.lasts(end, by);
                slot.state.store(HELD, Ordering::Release);
            },
        );
    }

    /// The same, for the message at `place` that the client of number `neighbour` was handed: until `ago` nanoseconds before now.
    pub(crate) fn prolong_message(&self, place: &Place<'_>, neighbour: usize, ago: u64, by: EndedBy) {
        let is_it = |held: &Held| {
            // SAFETY: a held record's origin is alive: the table is emptied of it before it is dropped.
            let topic = unsafe { SpanOrigin::at(held.span.origin) }.map(SpanOrigin::topic);
            let found = (held.span.partition, held.span.offset, topic);
            held.neighbour == neighbour && found == (place.partition, place.offset, Some(place.topic))
        };
        let at = Self::place(place.topic_hash, place.partition, place.offset);
        for index in (0..NEIGHBOURS).map(|next| Self::slot(at, neighbour.wrapping_add(next))) {
            let mut is_done = false;
            self.at(index, is_it, Slot::take_held_soon, |slot, held| {
                let lasted = held.delivered.elapsed().saturating_sub(ago);
                held.span.lasts(held.span.start.saturating_add(lasted), by);
                slot.state.store(HELD, Ordering::Release);
                is_done = true;
            });
            if is_done {
                return;
            }
        }
    }

    /// The delivery at `place` waits no longer: it leaves as `change` makes it. One that has left is let alone.
    ///
    /// For the application's own call, which is not in a callback: the batch thread, should it be at the slot, is waited
    /// for, since without its end the delivery would wait for minutes, and leave without a length.
    pub(crate) fn end(
        &self,
        place: WaitingPlace,
        change: impl FnOnce(&mut FinishedSpan),
        leave: impl FnOnce(&FinishedSpan, &[u8]),
    ) {
        self.leaves(place, Slot::take_held_in_time, change, leave);
    }

    /// The same in a callback: as it is, and if another thread is at the slot, when its time is over.
    pub(crate) fn let_go(&self, place: WaitingPlace, leave: impl FnOnce(&FinishedSpan, &[u8])) {
        self.leaves(place, Slot::take_held_soon, |_| (), leave);
    }

    fn leaves(
        &self,
        place: WaitingPlace,
        take: impl FnOnce(&Slot) -> bool,
        change: impl FnOnce(&mut FinishedSpan),
        leave: impl FnOnce(&FinishedSpan, &[u8]),
    ) {
        self.at(
            place.index as usize,
            |held| place.is_of(&held.span),
            take,
            |slot, held| {
                let mut span = held.span;
                change(&mut span);
                // SAFETY: the slot is this thread's, and with it the extra, and was written as long as the span says.
                leave(&span, unsafe { self.extra(place.index as usize, &span) });
                slot.state.store(EMPTY, Ordering::Release);
            },
        );
    }

    /// Lets `then` have the slot at `index`, if `take` gets it and it holds the span that `is_it` says; `then` ends the
    /// ownership by a store to the state.
    fn at(
        &self,
        index: usize,
        is_it: impl FnOnce(&Held) -> bool,
        take: impl FnOnce(&Slot) -> bool,
        then: impl FnOnce(&Slot, &mut Held),
    ) {
        let Some(slot) = self.slots.get(index).filter(|slot| take(slot)) else { return };
        // SAFETY: `take` moved the state to BUSY, so this thread owns `held`, which a HELD slot has written.
        let held = unsafe { (*slot.held.get()).assume_init_mut() };
        if is_it(held) {
            then(slot, held);
        } else {
            slot.state.store(HELD, Ordering::Release);
        }
    }

    /// Takes the delivery of the message at `place`, if it still waits.
    ///
    /// When several clients of this process read the same place, one handed over on the calling thread is preferred,
    /// among those that `accept` takes.
    pub(crate) fn claim(
        &self,
        place: &Place<'_>,
        whose: Whose,
        accept: impl Fn(&SpanOrigin, &FinishedSpan) -> bool,
    ) -> Option<Claimed> {
        self.find(place, whose, accept, |index, slot, held| {
            // SAFETY: alive, as `find` says.
            let origin = unsafe { SpanOrigin::shared(held.span.origin) };
            // SAFETY: the extra is this thread's with the slot, and was written as long as the span says.
            let extra = unsafe { self.extra(index, &held.span) }.to_vec();
            let claimed = Claimed { span: held.span, origin, extra };
            slot.state.store(EMPTY, Ordering::Release);
            claimed
        })
    }

    /// Whether deliveries of several messages wait at `place`, which brought other contexts: of more than one cluster, then.
    pub(crate) fn is_of_several(&self, place: &Place<'_>, whose: Whose, accept: impl Fn(&SpanOrigin) -> bool) -> bool {
        let first = Cell::new(None);
        let differs = |span: &FinishedSpan| match (first.get(), span.brought()) {
            (None, brought) => {
                first.set(brought);
                false
            }
            (Some(known), brought) => brought.is_some_and(|brought| match (known, brought) {
                (Some(known), Some(brought)) => !SpanContext::is_same_span(&known, &brought),
                (known, brought) => known.is_some() != brought.is_some(),
            }),
        };
        let keep = |_, slot: &Slot, _: &mut Held| slot.state.store(HELD, Ordering::Release);
        self.find(place, whose, |origin, span| accept(origin) && differs(span), keep).is_some()
    }

    /// Changes the delivery of the message at `place`, which goes on waiting; whether it still waits, among those that
    /// `accept` takes. `change` is given its extra, and gives the one that it has from then on. For an application's own call, as
    /// [`Self::claim`] is.
    pub(crate) fn change(
        &self,
        place: &Place<'_>,
        accept: impl Fn(&SpanOrigin) -> bool,
        change: impl FnOnce(&mut FinishedSpan, &[u8], Arc<SpanOrigin>) -> Vec<u8>,
    ) -> bool {
        let changed = self.find(
            place,
            Whose::Anybodys,
            |origin, _| accept(origin),
            |index, slot, held| {
                // SAFETY: alive, as `find` says.
                let origin = unsafe { SpanOrigin::shared(held.span.origin) };
                // SAFETY: the slot is this thread's, and with it the extra, and was written as long as the span says.
                let extra = unsafe { self.extra(index, &held.span) }.to_vec();
                let changed = change(&mut held.span, &extra, origin);
                if self.has_room_for(&changed) {
                    held.span.extra_len = changed.len() as u16;
                    // SAFETY: as above.
                    unsafe { self.set_extra(index, &changed) };
                }
                slot.state.store(HELD, Ordering::Release);
            },
        );
        changed.is_some()
    }

    /// Lets `then` have the slot where the message at `place` waits, if it still does; `then` ends the ownership by a store to
    /// the state, and the origin that the record names is alive until then.
    fn find<T>(
        &self,
        place: &Place<'_>,
        whose: Whose,
        accept: impl Fn(&SpanOrigin, &FinishedSpan) -> bool,
        then: impl FnOnce(usize, &Slot, &mut Held) -> T,
    ) -> Option<T> {
        let at = Self::place(place.topic_hash, place.partition, place.offset);
        let this_thread = thread_number();
        for only_this_thread in [true, false] {
            if !only_this_thread && whose == Whose::ThisThreads {
                break;
            }
            for index in (0..NEIGHBOURS).map(|neighbour| Self::slot(at, neighbour)) {
                let slot = self.slots.get(index)?;
                if !slot.take_held_in_time() {
                    continue;
                }
                // SAFETY: `take_held` moved the state to BUSY, so this thread owns `held`.
                let held = unsafe { (*slot.held.get()).assume_init_mut() };
                // SAFETY: a held record's origin is alive: the table is emptied of it before it is dropped.
                let origin = unsafe { SpanOrigin::at(held.span.origin) };
                let matches = held.span.partition == place.partition
                    && held.span.offset == place.offset
                    && (!only_this_thread || held.thread == this_thread)
                    && origin.is_some_and(|origin| origin.topic() == place.topic && accept(origin, &held.span));
                if matches {
                    return Some(then(index, slot, held));
                }
                slot.state.store(HELD, Ordering::Release);
            }
        }
        None
    }

    /// Gives every delivery that `leaves` says yes to, to `leave`; `leaves` is told whether it has waited for as long as it may.
    /// Returns how many slots were passed over.
    ///
    /// A slot that another thread is at is waited for while `patience` lasts, and then left for the next sweep. If none was
    /// passed over, no thread follows an origin afterwards that a delivery named before the call and that `leaves` says yes
    /// to. Runs on the batch thread only, which may wait.
    pub(super) fn sweep(
        &self,
        patience: &mut Patience,
        leaves: impl Fn(&FinishedSpan, bool) -> bool,
        mut leave: impl FnMut(&FinishedSpan, &[u8]),
    ) -> u64 {
        let now = clock::unix_nanos();
        let leaves = |held: &Held| leaves(&held.span, held.is_over(now));
        let mut passed_over = 0;
        for (first, word) in (0..).step_by(64).zip(&self.used) {
            let mut in_use = word.load(Ordering::Relaxed);
            while in_use != 0 {
                let index = first + in_use.trailing_zeros() as usize;
                in_use &= in_use - 1;
                passed_over += u64::from(!self.sweep_slot(index, patience, leaves, &mut leave));
            }
        }
        passed_over
    }

    /// `false`: another thread is at it, and stays.
    fn sweep_slot(
        &self,
        index: usize,
        patience: &mut Patience,
        leaves: impl Fn(&Held) -> bool,
        mut leave: impl FnMut(&FinishedSpan, &[u8]),
    ) -> bool {
        self.unmark(index);
        let Some(slot) = self.slots.get(index) else { return true };
        match slot.take_held_patiently(patience) {
            Some(true) => {}
            Some(false) => return true,
            None => {
                // Who is at it may have found the mark before it was cleared, and not mark it again.
                self.mark(index);
                return false;
            }
        }
        // SAFETY: `take_held` moved the state to BUSY, so this thread owns `held`.
        let held = unsafe { (*slot.held.get()).assume_init_ref() };
        if !leaves(held) {
            self.mark(index);
            slot.state.store(HELD, Ordering::Release);
            return true;
        }
        // Copied, so that a `leave` that fails leaves no slot busy for ever.
        // SAFETY: the slot is this thread's, and with it the extra, and was written as long as the span says.
        let (span, extra) = (held.span, unsafe { self.extra(index, &held.span) }.to_vec());
        slot.state.store(EMPTY, Ordering::Release);
        leave(&span, &extra);
        true
    }

    /// Tells the next sweep of the slot, which this thread has made BUSY, or could not.
    ///
    /// Mostly it was told already: then nothing is written, for which other threads' deliveries would have to wait.
    fn mark(&self, index: usize) {
        let bit = 1 << (index % 64);
        // SeqCst, as the swap that made the slot BUSY, and in `unmark` the clearing with the look at the slot that follows: if the
        // mark that is seen here is being cleared, that look sees BUSY, or what came after.
        if let Some(word) = self.used.get(index / 64).filter(|word| word.load(Ordering::SeqCst) & bit == 0) {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// To be called before the slot is looked at: a thread that holds a message there afterwards marks it again.
    fn unmark(&self, index: usize) {
        if let Some(word) = self.used.get(index / 64) {
            // SeqCst: see `mark`.
            word.fetch_and(!(1 << (index % 64)), Ordering::SeqCst);
        }
    }

    fn has_room_for(&self, extra: &[u8]) -> bool {
        extra.is_empty() || self.room(0, extra.len()).is_some()
    }

    /// Where the extra of a slot is, if it has `len` bytes.
    fn room(&self, index: usize, len: usize) -> Option<*mut u8> {
        if len <= SMALL_EXTRA {
            return self.extras.get(index).map(|extra| extra.0.get().cast());
        }
        self.large_extras.get(index).filter(|_| len <= EXTRA).map(|extra| extra.0.get().cast())
    }

    /// Writes the extra that waits at `index`, for which there is room.
    ///
    /// # Safety
    ///
    /// The calling thread owns the slot.
    unsafe fn set_extra(&self, index: usize, extra: &[u8]) {
        if let Some(place) = self.room(index, extra.len()).filter(|_| !extra.is_empty()) {
            // SAFETY: the caller's thread owns it, and it has room for so many bytes.
            unsafe { std::ptr::copy_nonoverlapping(extra.as_ptr(), place, extra.len()) };
        }
    }

    /// The extra that waits with `span` at `index`.
    ///
    /// # Safety
    ///
    /// The calling thread owns the slot, and does until it is done with the result; `span` is what the slot holds.
    unsafe fn extra(&self, index: usize, span: &FinishedSpan) -> &[u8] {
        let len = usize::from(span.extra_len);
        let Some(first) = self.room(index, len) else { return &[] };
        // SAFETY: the caller's thread owns it, and it has room for so many bytes; who writes needs to own it too.
        unsafe { std::slice::from_raw_parts(first, len) }
    }

    /// Consecutive offsets of a partition get consecutive places, so that a displaced message is `PLACES` behind at least.
    fn place(topic_hash: u64, partition: i32, offset: i64) -> usize {
        let partition = (partition as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = topic_hash.wrapping_add(partition >> 32).wrapping_add(offset as u64);
        place as usize % PLACES
    }

    fn slot(place: usize, neighbour: usize) -> usize {
        (neighbour % NEIGHBOURS) * PLACES + place
    }
}

impl Held {
    /// Whether it has waited for as long as it may, at `now`, in nanoseconds since the Unix epoch.
    fn is_over(&self, now: u64) -> bool {
        let window = if self.span.flags.contains(SpanFlags::UNTIL_POLL) { POLL_WINDOW } else { CLAIM_WINDOW };
        let window = window.as_nanos() as u64;
        // The system's clock tells at one reading for all that it is too early. What it says else, also of a start that is
        // yet to come, may be because it was set.
        now.wrapping_sub(self.span.start) > window && self.delivered.elapsed() > window
    }
}

impl WaitingPlace {
    fn is_of(self, span: &FinishedSpan) -> bool {
        span.span_id == self.span_id
    }
}

impl Slot {
    /// Moves the state to `BUSY` and says what it was; `None` when another thread is at it.
    ///
    /// Whoever only looks, the batch thread above all, is gone after nanoseconds: so much patience a callback has.
    fn take_over(&self) -> Option<u8> {
        for _ in 0..64 {
            // Acquire: pairs with the release stores that end each ownership. SeqCst: see `mark`.
            let before = self.state.swap(BUSY, Ordering::SeqCst);
            if before != BUSY {
                return Some(before);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// As `take_held`, with the patience of `take_over`.
    fn take_held_soon(&self) -> bool {
        for _ in 0..64 {
            if self.take_held() {
                return true;
            }
            if self.state.load(Ordering::Relaxed) == EMPTY {
                return false;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// As `take_held`; another thread that only looks at the slot, as every claim at a place does, is waited for.
    ///
    /// For a claim, which is not in a callback. Not for ever: that thread may be suspended.
    fn take_held_in_time(&self) -> bool {
        for _ in 0..1000 {
            if self.take_held() {
                return true;
            }
            if self.state.load(Ordering::Relaxed) == EMPTY {
                return false;
            }
            std::thread::yield_now();
        }
        false
    }

    /// As `take_held`; any other thread that is at the slot is waited for, also when one comes after another. `None`: it is
    /// there still when `patience` is at its end.
    fn take_held_patiently(&self, patience: &mut Patience) -> Option<bool> {
        loop {
            // Acquire: pairs with the release stores that end each ownership. SeqCst: see `mark`.
            match self.state.load(Ordering::SeqCst) {
                EMPTY => return Some(false),
                HELD if self.take_held() => return Some(true),
                _ if patience.lasts() => {}
                _ => return None,
            }
        }
    }

    /// Moves the state from `HELD` to `BUSY`.
    fn take_held(&self) -> bool {
        // Acquire: pairs with the release store in `hold`.
        self.state.load(Ordering::Relaxed) == HELD
            && self.state.compare_exchange(HELD, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// A number of the calling thread that no living thread shares.
fn thread_number() -> u64 {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.try_with(|mark| std::ptr::from_ref(mark) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
