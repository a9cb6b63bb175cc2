//! What a program says itself about its messages, in whatever language: which one it processes, and what a send follows
//! from. Where it says something nothing is guessed.
//!
//! A processing has a number, which stays good on every thread and means nothing once the processing has ended: whoever
//! uses it too late, or twice, does no harm.
//!
//! What is said here is said by the application's calls, not in callbacks, so it may lock and allocate.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::contain_panic::contain_panic;
use super::current_message;
use super::parent::Incoming;
use super::processing::{MessagePlace, Work};
use crate::Resolver;
use crate::batch::Pipeline;
use crate::per_process::PerProcess;
use crate::propagation::{BAGGAGE_MAX_BYTES, SpanContext};
use crate::tracer::ids;
use crate::tracer::sampler::ParentSampling;

/// Processings that may be open at once; the message of a further one keeps its `receive` span.
const MOST_OPEN: usize = 100_000;
/// Messages whose baggage waits for their processing to begin.
const BAGGAGE_PLACES: usize = 1024;

/// How much a program says.
static DECLARES: AtomicBool = AtomicBool::new(false);
/// Whether any thread ever said what a send follows from: else no send asks.
static SAYS_PARENTS: AtomicBool = AtomicBool::new(false);
static OPEN: PerProcess<Mutex<HashMap<u64, Open>>> = PerProcess::new();
static BAGGAGE: PerProcess<Mutex<Vec<Kept>>> = PerProcess::new();

/// What a send that follows from a processing, or from a context, has to know of it.
#[derive(Debug)]
struct Cause {
    context: SpanContext,
    /// No span of this process is between.
    remote: bool,
    /// What the message brought: a record with this context in its headers forwards it.
    brought: Option<SpanContext>,
    /// It answers what the same train of thought began, and is taken for current by the order of calls only.
    is_answer: bool,
    /// The program named the context itself: it counts more than the record's headers.
    named: bool,
    trace_state: Vec<u8>,
    baggage: Vec<u8>,
}

struct Open {
    work: Work,
    cause: Arc<Cause>,
}

/// The baggage of a message that was handed over.
#[derive(Default)]
struct Kept {
    span_id: [u8; 8],
    baggage: Vec<u8>,
}

/// What the next send of a thread follows from.
#[derive(Debug, Default)]
enum Next {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// `None`: it begins a trace. The number is that of the train of thought.
    Said(Option<Arc<Cause>>, u64),
}

/// What was said of one send.
#[derive(Debug, Default)]
pub(super) struct Declared(Next);

thread_local!(static CURRENT: RefCell<Option<Arc<Cause>>> = const { RefCell::new(None) });
thread_local!(static CURRENT_NUMBER: Cell<u64> = const { Cell::new(0) });
thread_local!(static NEXT: RefCell<Next> = const { RefCell::new(Next::Unsaid) });

/// From now on the program says what it processes: messages that are handed over wait for that, as long as a processing
/// guard's do, and no send of this process is taken to follow from what its thread was handed last.
///
/// For good, and for the children of forks.
pub fn declare() {
    contain_panic(|| {
        DECLARES.store(true, Ordering::Relaxed);
        current_message::leave();
    });
}

/// Whether [`declare`] was called.
#[inline]
pub(super) fn declares() -> bool {
    DECLARES.load(Ordering::Relaxed)
}

/// Begins the processing of the message at `place` and gives its number; 0: nobody traces the message.
///
/// It takes over the span that began when the message was handed over, as a processing guard does; when that is gone it is a
/// span of its own, with what `headers` say as its parent. `inferred` is 0 where the program names the message itself;
/// else the number of a train of thought that is only taken to process it: a message that answers what the same one began is
/// then not the cause of what it sends next.
pub fn begin<'a>(
    resolver: &Resolver,
    place: MessagePlace<'_>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    inferred: u64,
) -> u64 {
    if open().len() >= MOST_OPEN {
        return 0;
    }
    let work = resolver.shared().and_then(|shared| Work::start(&shared, place, headers, None));
    let Some(work) = work else { return 0 };
    Pipeline::before_leaving(leave);
    let brought = work.brought();
    let cause = Cause {
        context: work.context(),
        remote: work.is_passed_on(),
        brought,
        is_answer: inferred != 0 && brought.is_some_and(|context| is_answer(&context, inferred)),
        named: false,
        trace_state: work.trace_state().unwrap_or_default().as_bytes().to_vec(),
        baggage: if work.takes_baggage() { take_baggage(work.context().span_id) } else { Vec::new() },
    };
    let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
    open().insert(number, Open { work, cause: Arc::new(cause) });
    number
}

/// Makes a processing, or with 0 none, the current one of the calling thread; gives the number of the one before.
///
/// What the thread sends then follows from it, unless more is said of a send. A number that means nothing counts as 0.
pub fn make_current(number: u64) -> u64 {
    let cause = cause_of(number);
    let number = if cause.is_some() { number } else { 0 };
    SAYS_PARENTS.store(true, Ordering::Relaxed);
    let _ = CURRENT.try_with(|current| current.replace(cause));
    CURRENT_NUMBER.replace(number)
}

/// The processing failed: its span gets the status Error, `error.type` and a description. The last call counts.
pub fn fail(number: u64, error_type: &str, description: &str) {
    if let Some(open) = open().get_mut(&number) {
        open.work.fail(error_type, description);
    }
}

/// The processing ends, and with it its span. Where it is current it stays so: what follows from it may come later.
pub fn end(number: u64) {
    let ended = open().remove(&number);
    // Its span leaves without the lock.
    drop(ended);
}

/// Nobody is at work on it any more, as far as is known, or somebody is again: while it is paused its span ends at the moment
/// when it was paused last, whenever the processing itself ends.
pub fn pause(number: u64, paused: bool) {
    if let Some(open) = open().get_mut(&number) {
        open.work.pause(paused);
    }
}

/// All that are open end.
pub fn end_all() {
    let ended = std::mem::take(&mut *open());
    drop(ended);
}

/// The same, on the batch thread, when the process may end and be seen no more. The thread that ends it may hold the lock.
fn leave() {
    for _ in 0..PATIENCE {
        if let Some(mut open) = OPEN.get().and_then(|open| open.try_lock().ok()) {
            let ended = std::mem::take(&mut *open);
            drop(open);
            drop(ended);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Milliseconds that the end of a process waits for a lock that is held for far shorter, if it is not held for ever.
const PATIENCE: u32 = 20;

/// The context of a processing that is open, or, for 0, of the calling thread's current one.
pub fn context(number: u64) -> Option<SpanContext> {
    let cause = if number == 0 { current() } else { cause_of(number) };
    cause.map(|cause| cause.context)
}

/// The next send of the calling thread follows from this processing; with 0 it begins a trace, unless its headers say
/// otherwise. `train` is 0, or the number of the train of thought that sends: see [`begin`].
///
/// Both 0: nothing is said.
pub fn next_send(number: u64, train: u64) {
    let next = if (number, train) == (0, 0) { Next::Unsaid } else { Next::Said(cause_of(number), train) };
    set_next(next);
}

/// The next send of the calling thread follows from this context, whatever its headers say.
pub fn next_send_of(context: SpanContext, trace_state: &[u8], baggage: &[u8]) {
    let cause = Cause {
        context,
        remote: false,
        brought: None,
        is_answer: false,
        named: true,
        trace_state: trace_state.to_vec(),
        baggage: baggage.to_vec(),
    };
    set_next(Next::Said(Some(Arc::new(cause)), 0));
}

fn set_next(next: Next) {
    SAYS_PARENTS.store(true, Ordering::Relaxed);
    let _ = NEXT.try_with(|cell| cell.replace(next));
}

/// What was said of the send that is under way. To be asked once for each.
#[inline]
pub(super) fn of_this_send() -> Declared {
    if SAYS_PARENTS.load(Ordering::Relaxed) { said() } else { Declared(Next::Unsaid) }
}

fn said() -> Declared {
    let next = NEXT.try_with(RefCell::take).unwrap_or_default();
    Declared(match next {
        Next::Unsaid => current().map_or(Next::Unsaid, |cause| Next::Said(Some(cause), 0)),
        said => said,
    })
}

impl Declared {
    /// Calls `with` with what the send follows from, if that was said. What the record's own headers say, `forwarded`, counts
    /// more than a processing, unless they only repeat what the processed message brought.
    pub(super) fn with_parent<T>(
        &self,
        forwarded: Option<&SpanContext>,
        with: impl FnOnce(&Incoming<'_>) -> T,
    ) -> Option<T> {
        let Next::Said(cause, train) = &self.0 else { return None };
        let begins = Incoming { train: *train, ..Incoming::NOTHING };
        let Some(cause) = cause.as_deref().filter(|cause| !cause.is_answer) else {
            return forwarded.is_none().then(|| with(&begins));
        };
        let same =
            |one: &SpanContext, other: &SpanContext| (one.trace_id, one.span_id) == (other.trace_id, other.span_id);
        let is_its_own = |header: &SpanContext| {
            same(header, &cause.context) || cause.brought.as_ref().is_some_and(|brought| same(header, brought))
        };
        if !cause.named && forwarded.is_some_and(|header| !is_its_own(header)) {
            return None;
        }
        Some(with(&Incoming {
            context: Some(cause.context),
            sampling: ParentSampling::of(cause.context.flags),
            remote: cause.remote,
            trace_state: Some(cause.trace_state.as_slice()).filter(|state| !state.is_empty()),
            baggage: Some(cause.baggage.as_slice()).filter(|baggage| !baggage.is_empty()),
            ..Incoming::NOTHING
        }))
    }
}

/// Keeps the baggage of a message that was handed over, and whose span or context has this id, until its processing begins.
///
/// Called in a callback: allocates only for messages that have baggage, and keeps none where another thread is at it.
pub(super) fn keep_baggage<'a>(span_id: [u8; 8], values: impl Iterator<Item = &'a [u8]>) {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return;
    }
    let Ok(mut places) = BAGGAGE.get_or_init(Mutex::default).try_lock() else { return };
    if places.is_empty() {
        places.resize_with(BAGGAGE_PLACES, Kept::default);
    }
    if let Some(place) = places.get_mut(baggage_place(span_id)) {
        place.span_id = span_id;
        place.baggage.clear();
        for value in values {
            if place.baggage.len() + value.len() < BAGGAGE_MAX_BYTES {
                let comma: &[u8] = if place.baggage.is_empty() { b"" } else { b"," };
                place.baggage.extend_from_slice(comma);
                place.baggage.extend_from_slice(value);
            }
        }
    }
}

fn take_baggage(span_id: [u8; 8]) -> Vec<u8> {
    let Some(places) = BAGGAGE.get() else { return Vec::new() };
    let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
    let place = places.get_mut(baggage_place(span_id)).filter(|place| place.span_id == span_id);
    place.map(|place| std::mem::take(&mut place.baggage)).unwrap_or_default()
}

fn baggage_place(span_id: [u8; 8]) -> usize {
    (u64::from_be_bytes(span_id).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % BAGGAGE_PLACES
}

/// Whether the train of thought with this number began the trace, and what it is handed is not its own first message.
fn is_answer(brought: &SpanContext, train: u64) -> bool {
    ids::is_of_train(train, &brought.trace_id) && !ids::is_first_span(train, &brought.trace_id, &brought.span_id)
}

fn current() -> Option<Arc<Cause>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

fn cause_of(number: u64) -> Option<Arc<Cause>> {
    if number == 0 {
        return None;
    }
    open().get(&number).map(|open| Arc::clone(&open.cause))
}

/// Those that are open in this process: a fork's child has none of its parent's.
fn open() -> MutexGuard<'static, HashMap<u64, Open>> {
    OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers are never given twice, in children of forks neither.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);
