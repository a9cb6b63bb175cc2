//! What a program says itself about its messages, in whatever language: which one it processes, and what a send follows
//! from. Where it says something nothing is guessed.
//!
//! A processing has a number, which stays good on every thread and means nothing once the processing has ended: whoever
//! uses it too late, or twice, does no harm.
//!
//! What is said here is said by the application's calls, not in callbacks, so it may lock and allocate.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batches;
use super::contain_panic::contain_panic;
use super::current_message;
use super::declared_parents::{self, Cause, Next, current, set_next, take_baggage};
use super::ended_causes::EndedCauses;
use super::processing::{MessagePlace, Work};
use crate::Resolver;
use crate::batch::{Leave, Patience, Pipeline};
use crate::counted::{counted, verb};
use crate::diagnostics;
use crate::per_process::PerProcess;
use crate::propagation::{SpanContext, parse_traceparent, write_traceparent};
use crate::resolver::batches_are_wanted;
use crate::tracer::ids;

/// Processings that may be open at once; the message of a further one keeps its `receive` span, which is told once.
const MOST_OPEN: usize = 100_000;
static OPEN: PerProcess<Mutex<HashMap<u64, Open>>> = PerProcess::new();
struct Open {
    work: Work,
    /// `None`: it is only measured, and nothing follows from it.
    cause: Option<Arc<Cause>>,
}

/// From now on the program says what it processes: messages that are handed over wait for that, as long as a processing
/// guard's do, and no send of this process is taken to follow from what its thread was handed last.
///
/// For good, and for the children of forks.
pub fn declare() {
    contain_panic(|| {
        declared_parents::set_declares();
        current_message::leave();
    });
}

/// Begins the processing of the message at `place` and gives its number; 0: nobody traces the message.
///
/// It takes over the span that began when the message was handed over, as a processing guard does; when that is gone it is a
/// span of its own, with the context of the message's headers, as far as it is given, as its parent. `inferred` is 0 where the
/// program names the message itself; else the number of a train of thought that is only taken to process it: a message that
/// answers what the same one began is then not the cause of what it sends next.
pub fn begin(place: MessagePlace<'_>, traceparent: Option<&[u8]>, tracestate: Option<&[u8]>, inferred: u64) -> u64 {
    let Some(shared) = Resolver::loaded().and_then(Resolver::shared) else { return 0 };
    if is_full() {
        return 0;
    }
    let headers = [(&b"traceparent"[..], traceparent), (&b"tracestate"[..], tracestate)];
    let headers = headers.into_iter().filter(|(_, value)| value.is_some());
    // Without one it is not known whether the message brought none, or was not read.
    let are_all = traceparent.is_some();
    Work::start(&shared, place, headers, None, are_all).map_or(0, |work| keep_open(work, inferred))
}

/// The same for whoever has not read the message's headers, which its delivery has: [`DELIVERY_IS_GONE`] where somebody traces the
/// message and nothing knows its context any more, so that they have to be read for [`begin`].
pub fn begin_delivered(place: MessagePlace<'_>, inferred: u64) -> u64 {
    let Some(shared) = Resolver::loaded().and_then(Resolver::shared) else { return 0 };
    if is_full() {
        return 0;
    }
    match Work::of_delivery(&shared, place) {
        Ok(work) => keep_open(work, inferred),
        Err(is_somebodys) => {
            if is_somebodys {
                DELIVERY_IS_GONE
            } else {
                0
            }
        }
    }
}

fn is_full() -> bool {
    let is_full = open().len() >= MOST_OPEN;
    if is_full {
        tell_of_too_many();
    }
    is_full
}

#[cold]
fn tell_of_too_many() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        Pipeline::current().tell(
            log::Level::Warn,
            format!(
                "{MOST_OPEN} processings of messages were begun and not ended: no further one is begun, and what is sent in its course \
                 has no parent. End each (in C by ti_end())"
            ),
        );
    }
}

/// No processing's number.
pub const DELIVERY_IS_GONE: u64 = u64::MAX;

fn keep_open(work: Work, inferred: u64) -> u64 {
    Pipeline::before_leaving(leave);
    let brought = work.brought();
    let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
    let cause = Cause {
        number,
        context: work.context(),
        remote: work.is_passed_on(),
        brought,
        is_answer: inferred != 0 && brought.is_some_and(|context| is_answer(&context, inferred)),
        trace_state: work.trace_state().unwrap_or_default().as_bytes().to_vec(),
        baggage: if work.takes_baggage() { take_baggage(work.bearer()) } else { Vec::new() },
    };
    let cause = (!work.is_only_measured()).then(|| Arc::new(cause));
    open().insert(number, Open { work, cause });
    number
}

/// Whether somebody wants to know which messages came by one call: see [`hand_over`].
pub fn wants_batches() -> bool {
    batches_are_wanted()
}

/// One call has given the program these messages, none of which is processed yet, each with the `traceparent` of its headers.
/// For programs whose clients ask for each message by itself: what the engine sees of others' calls it knows without it.
pub fn hand_over<'a>(messages: impl Iterator<Item = (MessagePlace<'a>, Option<&'a [u8]>)>) {
    contain_panic(|| {
        batches::hand_over(messages.map(|(place, traceparent)| {
            (place.with_hash(), traceparent.and_then(|text| text.first_chunk()).and_then(parse_traceparent))
        }));
    });
}

/// Makes a processing, or with 0 none, the current one of the calling thread; gives the number of the one before.
///
/// What the thread sends then follows from it, unless more is said of a send. A number that means nothing counts as 0.
pub fn make_current(number: u64) -> u64 {
    declared_parents::set_current(cause_of(number))
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

/// The same, on the batch thread, when the process ends; where it may go on, and its processings with it, they stay open, and it is
/// said what is lost if it does not. The thread that ends it may hold the lock: `false`.
fn leave(leave: Leave) -> bool {
    let Some(table) = OPEN.get().filter(|_| leave != Leave::Unseen) else { return true };
    let Some(mut open) = Patience::default().lock(table) else { return false };
    let (ended, many) = match leave {
        Leave::OrNot => (HashMap::new(), open.len()),
        _ => (std::mem::take(&mut *open), 0),
    };
    drop(open);
    drop(ended);
    if many > 0 {
        tell_of_unfinished(many);
    }
    true
}

#[cold]
fn tell_of_unfinished(many: usize) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        let many = many as u64;
        diagnostics::warn(&format!(
            "the process is about to become another program, or to end by a signal, while {} {} not ended: if it does so, {} no span",
            counted(many, "processing"),
            verb(many, "is", "are"),
            verb(many, "it has", "they have"),
        ));
    }
}

/// The context, as a `traceparent`, of a processing that is open, or, for 0, of the calling thread's current one.
pub fn traceparent(number: u64) -> Option<[u8; 55]> {
    let cause = if number == 0 { current() } else { cause_of(number) };
    cause.map(|cause| write_traceparent(&cause.context))
}

/// The next send of the calling thread follows from this processing; with 0 it begins a trace, unless its headers say
/// otherwise. `train` is 0, or the number of the train of thought that sends: see [`begin`].
///
/// Both 0: nothing is said.
pub fn next_send(number: u64, train: u64) {
    let next = if (number, train) == (0, 0) { Next::Unsaid } else { Next::Said(cause_of(number), train) };
    set_next(next);
}

/// The next send of the calling thread follows from this context, whatever its headers say. A `traceparent` that is none says
/// nothing.
pub fn next_send_of(traceparent: &[u8], trace_state: &[u8], baggage: &[u8]) {
    let Some(context) = traceparent.first_chunk().and_then(parse_traceparent) else { return };
    let cause = Cause {
        number: 0,
        context,
        remote: false,
        brought: None,
        is_answer: false,
        trace_state: trace_state.to_vec(),
        baggage: baggage.to_vec(),
    };
    set_next(Next::Said(Some(Arc::new(cause)), 0));
}

/// The same for what follows from a processing that may have ended: for programs that keep what is current where threads do
/// not see it. One that so many others have ended after says nothing.
pub fn next_send_of_any(number: u64) {
    set_next(cause_of_any(number).map_or(Next::Unsaid, |cause| Next::Said(Some(cause), 0)));
}

/// The context, as a `traceparent`, of a processing that may have ended.
pub fn traceparent_of_any(number: u64) -> Option<[u8; 55]> {
    cause_of_any(number).map(|cause| write_traceparent(&cause.context))
}

/// The processing ends, as by [`end`], and what is sent may still follow from it: see [`next_send_of_any`].
pub fn end_followed(number: u64) {
    let ended = open().remove(&number);
    if let Some(cause) = ended.as_ref().and_then(|ended| ended.cause.clone()) {
        ended_causes().keep(cause);
    }
}

/// Whether the train of thought with this number began the trace, and what it is handed is not its own first message.
fn is_answer(brought: &SpanContext, train: u64) -> bool {
    ids::is_of_train(train, &brought.trace_id) && !ids::is_first_span(train, &brought.trace_id, &brought.span_id)
}

fn cause_of(number: u64) -> Option<Arc<Cause>> {
    if number == 0 {
        return None;
    }
    open().get(&number).and_then(|open| open.cause.clone())
}

fn cause_of_any(number: u64) -> Option<Arc<Cause>> {
    cause_of(number).or_else(|| ended_causes().of(number))
}

fn ended_causes() -> MutexGuard<'static, EndedCauses> {
    static ENDED: PerProcess<Mutex<EndedCauses>> = PerProcess::new();
    ENDED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those that are open in this process: a fork's child has none of its parent's.
fn open() -> MutexGuard<'static, HashMap<u64, Open>> {
    OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers are never given twice, in children of forks neither.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// As where a signal's handler ends the process while its thread is at the table: the round of the end tells of it.
    #[test]
    fn an_end_that_cannot_have_the_open_processings_says_so() {
        let at_it = open();
        assert!(!leave(Leave::Last) && !leave(Leave::OrNot));
        assert!(leave(Leave::Unseen), "which asks for none");
        drop(at_it);
        assert!(leave(Leave::OrNot));
    }
}
