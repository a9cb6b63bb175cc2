//! What the program says of its next sends, as callbacks look at it: `declared` is where it says so.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::incoming::{Incoming, repeats};
use super::route::topic_hash;
use crate::per_process::PerProcess;
use crate::propagation::{SpanContext, join_baggage};
use crate::tracer::sampler::ParentSampling;

/// Messages whose baggage waits for their processing to begin.
const BAGGAGE_PLACES: usize = 1024;

/// How much a program says.
static DECLARES: AtomicBool = AtomicBool::new(false);
/// Whether any thread ever said what a send follows from: else no send asks.
static SAYS_PARENTS: AtomicBool = AtomicBool::new(false);
static BAGGAGE: PerProcess<Mutex<Vec<Kept>>> = PerProcess::new();

/// What a send that follows from a processing, or from a context, has to know of it.
#[derive(Debug)]
pub(super) struct Cause {
    /// Of the processing; 0 where the program named a context.
    pub number: u64,
    pub context: SpanContext,
    /// No span of this process is between.
    pub remote: bool,
    /// What the message brought: a record with this context in its headers forwards it.
    pub brought: Option<SpanContext>,
    /// It answers what the same train of thought began, and is taken for current by the order of calls only.
    pub is_answer: bool,
    pub trace_state: Vec<u8>,
    pub baggage: Vec<u8>,
}

impl Cause {
    /// Whether the program named the context itself: it counts more than the record's headers.
    fn is_named(&self) -> bool {
        self.number == 0
    }
}

/// Whose baggage it is: of the message at this place, and of all who are handed it, of the one with this span. Where there is no
/// span it is the id in the message's own context, which other messages may have brought too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bearer {
    pub span_id: [u8; 8],
    pub topic_hash: u64,
    pub partition: i32,
    pub offset: i64,
}

/// The baggage of a message that was handed over.
#[derive(Default)]
struct Kept {
    bearer: Bearer,
    baggage: Vec<u8>,
}

/// What the next send of a thread follows from.
#[derive(Clone, Debug, Default)]
pub(super) enum Next {
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
thread_local!(static NEXT: RefCell<Next> = const { RefCell::new(Next::Unsaid) });
// When the send of which it was said was refused, and the topic's hash: the program may try again.
thread_local!(static REFUSED: Cell<Option<(Instant, u64)>> = const { Cell::new(None) });
/// For so long. Who gives the record up may send another one, of which nothing was said.
const TRIES_AGAIN: Duration = Duration::from_secs(10);

/// See `declared::declare`.
pub(super) fn set_declares() {
    DECLARES.store(true, Ordering::Relaxed);
}

/// Makes `cause` the current one of the calling thread; gives the number of the one before.
pub(super) fn set_current(cause: Option<Arc<Cause>>) -> u64 {
    SAYS_PARENTS.store(true, Ordering::Relaxed);
    let before = CURRENT.try_with(|current| current.replace(cause)).ok().flatten();
    before.map_or(0, |before| before.number)
}

/// Whether the program says what it processes.
#[inline]
pub(super) fn declares() -> bool {
    DECLARES.load(Ordering::Relaxed)
}

pub(super) fn set_next(next: Next) {
    SAYS_PARENTS.store(true, Ordering::Relaxed);
    REFUSED.set(None);
    let _ = NEXT.try_with(|cell| cell.replace(next));
}

/// What was said of the send to `topic` that is under way. To be asked once for each.
#[inline]
pub(super) fn of_this_send(topic: &CStr) -> Declared {
    if SAYS_PARENTS.load(Ordering::Relaxed) { said(topic) } else { Declared(Next::Unsaid) }
}

/// The same of a send that was refused: what was said stays for a while, for the program may try again.
pub(super) fn of_refused_send(topic: &CStr) -> Declared {
    let next = NEXT.try_with(|next| next.borrow().clone()).unwrap_or_default();
    if matches!(next, Next::Said(..)) {
        REFUSED.set(Some((Instant::now(), hash_of(topic))));
    }
    with_current(next)
}

fn said(topic: &CStr) -> Declared {
    let next = NEXT.try_with(RefCell::take).unwrap_or_default();
    let is_the_same = |(at, refused): (Instant, u64)| refused == hash_of(topic) && at.elapsed() <= TRIES_AGAIN;
    if REFUSED.take().is_none_or(is_the_same) { with_current(next) } else { with_current(Next::Unsaid) }
}

fn hash_of(topic: &CStr) -> u64 {
    topic_hash(&topic.to_string_lossy())
}

fn with_current(next: Next) -> Declared {
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
        let is_another = |header: &SpanContext| !repeats(header, &cause.context, cause.brought.as_ref());
        if !cause.is_named() && forwarded.is_some_and(is_another) {
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

/// Keeps the baggage of a message that was handed over until its processing begins.
///
/// Called in a callback: allocates only for messages that have baggage, and keeps none where another thread is at it.
pub(super) fn keep_baggage<'a>(bearer: Bearer, values: impl Iterator<Item = &'a [u8]>) {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return;
    }
    let Ok(mut places) = BAGGAGE.get_or_init(Mutex::default).try_lock() else { return };
    if places.is_empty() {
        places.resize_with(BAGGAGE_PLACES, Kept::default);
    }
    if let Some(place) = places.get_mut(bearer.place()) {
        place.bearer = bearer;
        join_baggage(&mut place.baggage, &mut values);
    }
}

pub(super) fn take_baggage(bearer: Bearer) -> Vec<u8> {
    let Some(places) = BAGGAGE.get() else { return Vec::new() };
    let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
    let place = places.get_mut(bearer.place()).filter(|place| place.bearer == bearer);
    place.map(|place| std::mem::take(&mut place.baggage)).unwrap_or_default()
}

impl Bearer {
    /// Consecutive offsets of one context get places of their own.
    fn place(self) -> usize {
        let mixed = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let of_partition = mixed(self.topic_hash ^ mixed(self.partition as u64));
        let of_span = mixed(u64::from_be_bytes(self.span_id) ^ of_partition);
        let all = of_span.wrapping_add(mixed(self.offset as u64));
        (all >> 32) as usize % BAGGAGE_PLACES
    }
}

pub(super) fn current() -> Option<Arc<Cause>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Next {
        let cause = Cause {
            number: 0,
            context: SpanContext { trace_id: [1; 16], span_id: [1; 8], flags: 1 },
            remote: false,
            brought: None,
            is_answer: false,
            trace_state: Vec::new(),
            baggage: Vec::new(),
        };
        Next::Said(Some(Arc::new(cause)), 0)
    }

    fn is_said(declared: &Declared) -> bool {
        declared.with_parent(None, |_| ()).is_some()
    }

    #[test]
    fn what_was_said_of_a_send_that_was_refused_is_for_the_same_send_only() {
        std::thread::spawn(|| {
            set_next(cause());
            assert!(is_said(&of_refused_send(c"orders")) && is_said(&of_refused_send(c"orders")));
            assert!(is_said(&of_this_send(c"orders")) && !is_said(&of_this_send(c"orders")), "tried again");
            set_next(cause());
            of_refused_send(c"orders");
            assert!(!is_said(&of_this_send(c"others")) && !is_said(&of_this_send(c"orders")), "given up");
            set_next(cause());
            of_refused_send(c"orders");
            set_next(cause());
            assert!(is_said(&of_this_send(c"others")), "said anew");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn messages_of_one_context_have_their_own_baggage_each_and_so_have_all_who_are_handed_one() {
        let first = Bearer { span_id: [7; 8], topic_hash: 1, partition: 0, offset: 1 };
        let others = [
            Bearer { offset: 2, ..first },
            Bearer { partition: 1, ..first },
            Bearer { topic_hash: 2, ..first },
            Bearer { span_id: [8; 8], ..first },
        ];
        let all: Vec<_> = [first].into_iter().chain(others).zip(["blue", "red", "green", "grey", "white"]).collect();
        for (bearer, tenant) in &all {
            keep_baggage(*bearer, [format!("tenant={tenant}").as_bytes()].into_iter());
        }
        for (bearer, tenant) in &all {
            assert_eq!(String::from_utf8(take_baggage(*bearer)).unwrap(), format!("tenant={tenant}"));
            assert!(take_baggage(*bearer).is_empty(), "once");
        }
    }
}
