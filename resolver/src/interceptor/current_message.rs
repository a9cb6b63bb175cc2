//! The message that the calling thread was handed last, for programs whose code says nothing about processing.
//!
//! Two things follow from it: what the thread sends meanwhile may belong to its trace (the *ambient* parent), and, where
//! something shows it, how long its processing took. A thread has one such message at most: the next delivery, or the
//! thread's next poll where polls are seen, is its end. A message that is known to be handed over together with others is
//! never the current one: which of them the thread is at cannot be known.
//!
//! `RATIONALE.md`: "When is a send taken to follow from the message before it?"

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::incoming::{Incoming, repeats};
use super::poll_counts::Poll;
use super::{client_handles, declared_parents, event_loops, thread_habits};
use crate::batch::{CLAIM_WINDOW, EndedBy, FinishedSpan, Pipeline, WaitingPlace};
use crate::clock::Moment;
use crate::per_process;
use crate::propagation::{SpanContext, join_baggage};
use crate::tracer::sampler::ParentSampling;

/// See the module. Plain data: read and written on one thread only.
#[derive(Clone, Copy)]
pub(super) struct CurrentMessage {
    /// The trace that sends continue: the consumer span's context, or, where there is no span, the message's own.
    pub context: SpanContext,
    /// Whether sends continue it at all.
    pub is_ambient: bool,
    /// This thread began its trace: it is an answer to what the thread sent, and no cause of what the thread sends next.
    pub is_answer: bool,
    /// The context came with the message: no span of this process is between.
    pub is_remote: bool,
    /// What the message brought: a record with this context in its headers forwards it.
    pub brought: Option<SpanContext>,
    /// Where its span waits, if it has one that is recorded.
    pub waits: Option<WaitingPlace>,
    /// When it was handed over.
    pub since: Moment,
    /// By which poll, where polls are seen.
    pub poll: Option<Poll>,
    /// The number of the consumer that handed it over.
    pub consumer: u64,
    /// The address of that consumer, by which its calls name it; 0 is not known.
    pub client: usize,
    /// How long it may be the cause of a send, in nanoseconds.
    pub window: u64,
    /// Of the process: a fork has a copy of what its parent was at.
    pub generation: usize,
}

/// What the current message carries beside its context; empty is none.
#[derive(Default)]
struct Carried {
    trace_state: Vec<u8>,
    baggage: Vec<u8>,
}

thread_local!(static CURRENT: Cell<Option<CurrentMessage>> = const { Cell::new(None) });
// The span ids that the messages which the thread was handed last have brought, and the place of the next.
thread_local!(static BROUGHT: ([Cell<u64>; REMEMBERED], Cell<usize>) =
    const { ([const { Cell::new(0) }; REMEMBERED], Cell::new(0)) });
// Messages that the thread has sent under the current one.
thread_local!(static SENT_UNDER: Cell<u32> = const { Cell::new(0) });
thread_local!(static CARRIED: RefCell<Carried> = const { RefCell::new(Carried { trace_state: Vec::new(), baggage: Vec::new() }) });

/// Messages of a thread of which it is known whether another one has brought the same context.
const REMEMBERED: usize = 16;

impl CurrentMessage {
    pub(super) fn new(context: SpanContext, since: Moment, consumer: u64) -> Self {
        Self {
            context,
            is_ambient: true,
            is_answer: false,
            is_remote: false,
            brought: None,
            waits: None,
            since,
            poll: None,
            consumer,
            client: 0,
            window: CLAIM_WINDOW.as_nanos() as u64,
            generation: per_process::generation(),
        }
    }

    /// Lets its span leave, as `change` makes it.
    pub(super) fn ends(&self, change: impl FnOnce(&mut FinishedSpan)) {
        if let (Some(place), Some(received_spans)) = (self.waits, Pipeline::current().received_spans()) {
            received_spans.end(place, change, Pipeline::leave_received);
        }
    }

    /// When its processing ends that has lasted for so many nanoseconds: on the clock by which it began, should that have been set
    /// meanwhile.
    pub(super) fn until(&self, lasted: u64) -> u64 {
        self.since.unix_nanos.saturating_add(lasted)
    }

    /// Whether a send that says nothing itself, `lasted` nanoseconds after it was handed over, is taken to follow from it;
    /// `habitual`: as far as the thread's habits go.
    fn is_cause(&self, lasted: u64, habitual: bool) -> bool {
        // Without polls, or where threads of a pool take turns at them, nothing tells that the thread has gone on to other
        // things, but that it takes long.
        let unseen = CLAIM_WINDOW.as_nanos() as u64;
        let window = if self.poll.is_some_and(Poll::is_latest) { self.window } else { self.window.min(unseen) };
        habitual
            && !self.is_answer
            && !event_loops::at_work()
            && lasted <= window
            && client_handles::lives(self.consumer)
    }

    fn incoming<'a>(&self, carried: &'a Carried, guessed: bool) -> Incoming<'a> {
        let some = |bytes: &'a [u8]| Some(bytes).filter(|bytes| !bytes.is_empty());
        Incoming {
            context: Some(self.context),
            sampling: ParentSampling::of(self.context.flags),
            remote: self.is_remote,
            guessed,
            trace_state: some(&carried.trace_state),
            baggage: some(&carried.baggage),
            ..Incoming::NOTHING
        }
    }
}

/// Makes `message` the current one of the calling thread.
///
/// `carried` are its trace state and the values of its `baggage` headers. Allocates only where a message carries more
/// of these than any before on this thread.
pub(super) fn begin<'a>(
    message: CurrentMessage,
    trace_state: Option<&[u8]>,
    baggage: &mut impl Iterator<Item = &'a [u8]>,
) {
    let kept = CARRIED.try_with(|carried| {
        let mut carried = carried.borrow_mut();
        carried.trace_state.clear();
        carried.trace_state.extend_from_slice(trace_state.unwrap_or_default());
        join_baggage(&mut carried.baggage, baggage);
    });
    if kept.is_ok() {
        let _ = BROUGHT.try_with(|(places, next)| {
            let at = next.get() % REMEMBERED;
            next.set(at + 1);
            if let Some(place) = places.get(at) {
                place.set(message.brought.map_or(0, |brought| u64::from_ne_bytes(brought.span_id)));
            }
        });
        CURRENT.set(Some(message));
        SENT_UNDER.set(0);
    }
}

/// Whether the thread was handed another message lately that had brought this context: somebody has put the same one into several,
/// and a record that forwards it may follow from any of them.
fn is_brought_by_several(context: &SpanContext) -> bool {
    let span_id = u64::from_ne_bytes(context.span_id);
    let several = BROUGHT.try_with(|(places, _)| places.iter().filter(|known| known.get() == span_id).count() > 1);
    several.unwrap_or(false)
}

/// The current message.
pub(super) fn peek() -> Option<CurrentMessage> {
    CURRENT.get().filter(|message| message.generation == per_process::generation())
}

/// The current message, of which it is forgotten that it is.
pub(super) fn take() -> Option<CurrentMessage> {
    CURRENT.take().filter(|message| message.generation == per_process::generation())
}

/// The calling thread is done with its current message, if it has one; nothing shows when it was.
pub(super) fn leave() {
    let Some(message) = take() else { return };
    if let (Some(place), Some(received_spans)) = (message.waits, Pipeline::current().received_spans()) {
        received_spans.let_go(place, Pipeline::leave_received);
    }
}

/// The thread waits for whatever comes first of several things, as an event loop does: it is in no message any more.
pub(super) fn waits_for_anything() {
    leave();
    thread_habits::waits_for_anything();
}

/// The thread sends a message, whatever becomes of it. To be told before [`with_ambient`] is asked.
pub(super) fn sends() {
    thread_habits::sends(|| CURRENT.get().map(|message| message.consumer));
}

/// Calls `with` with what a send on this thread continues, if that is its current message.
///
/// `forwarded` is what the record's own headers say: they win, unless they only repeat what the current message brought; then
/// it is known that the record follows from that message, but where others have brought the same. Without headers it is a guess, and made only where nothing speaks
/// against it. `topic` names what is sent. The send shows that the message is still being processed.
pub(super) fn with_ambient<T>(
    forwarded: Option<&SpanContext>,
    topic: &CStr,
    with: impl FnOnce(&Incoming<'_>) -> T,
) -> Option<T> {
    // What a program that says what it processes was handed before it said so is not guessed with either.
    let message = CURRENT.get().filter(|_| !declared_parents::declares())?;
    let habitual = thread_habits::is_believed(message.consumer, message.poll.is_some());
    if !message.is_ambient || message.generation != per_process::generation() {
        return None;
    }
    let lasted = message.since.elapsed();
    let belongs = match forwarded {
        Some(header) if header.is_same_span(&message.context) => true,
        Some(header) => {
            let is_at_one = || habitual && !event_loops::at_work();
            repeats(header, &message.context, message.brought.as_ref())
                && (!is_brought_by_several(header) || is_at_one())
        }
        None => message.is_cause(lasted, habitual),
    };
    if !belongs {
        return None;
    }
    let guessed = forwarded.is_none();
    let result = CARRIED
        .try_with(|carried| carried.try_borrow().ok().map(|carried| with(&message.incoming(&carried, guessed))))
        .ok()
        .flatten()?;
    if let (Some(place), Some(received_spans), true) = (message.waits, Pipeline::current().received_spans(), habitual) {
        received_spans.prolong(place, message.until(lasted), EndedBy::Send);
    }
    if guessed {
        count(topic);
    }
    Some(result)
}

/// The same, of a send that was refused, without headers to be known: nothing is changed by it, and of several messages, which
/// of them it is for is not guessed.
pub(super) fn with_ambient_of_refused<T>(with: impl FnOnce(&Incoming<'_>) -> T) -> Option<T> {
    let message = peek().filter(|message| message.is_ambient && !declared_parents::declares())?;
    if !message.is_cause(message.since.elapsed(), thread_habits::is_at_one(message.consumer)) {
        return None;
    }
    let lend =
        |carried: &RefCell<Carried>| carried.try_borrow().ok().map(|carried| with(&message.incoming(&carried, true)));
    CARRIED.try_with(lend).ok().flatten()
}

/// One more send that is taken to follow from the current message.
fn count(topic: &CStr) {
    let sent = SENT_UNDER.get().saturating_add(1);
    SENT_UNDER.set(sent);
    if sent == TOO_MANY + 1 {
        tell_of_too_many(topic);
    }
}

/// Sends under one message from which on it is said, once, that they may not belong to it.
const TOO_MANY: u32 = 1000;

#[cold]
fn tell_of_too_many(topic: &CStr) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        Pipeline::current().tell(
            log::Level::Warn,
            format!(
                "a thread has sent more than {TOO_MANY} messages, now to topic `{}`, after one message that it consumed, and \
                 all are taken to follow from that one. If they do not, set ambient = \"off\" for the consumed topic or its \
                 service",
                topic.to_string_lossy()
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::child_is_well;

    fn context(of: u8) -> SpanContext {
        SpanContext { trace_id: [of; 16], span_id: [of; 8], flags: 1 }
    }

    /// The thread is handed a message that brought the one, and whose span is the other.
    fn handed_over(brought: u8, own: u8) {
        thread_habits::handed_over(1);
        let message = CurrentMessage::new(context(own), Moment::now(), 1);
        begin(CurrentMessage { brought: Some(context(brought)), ..message }, None, &mut std::iter::empty());
    }

    /// Whose child a send with this context in its headers is.
    fn sends(forwarded: u8) -> Option<u8> {
        super::sends();
        with_ambient(Some(&context(forwarded)), c"out", |incoming| {
            incoming.context.map_or(0, |parent| parent.span_id[0])
        })
    }

    fn on_a_thread_of_its_own(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn forwarded_headers_name_the_message_that_alone_brought_them() {
        on_a_thread_of_its_own(|| {
            handed_over(1, 11);
            handed_over(2, 12);
            handed_over(3, 13);
            assert_eq!((sends(3), sends(13)), (Some(13), Some(13)));
            assert_eq!((sends(1), sends(4)), (None, None), "another message's, and a stranger's");
        });
    }

    /// Without `is_brought_by_several` all three sends are children of the last message.
    #[test]
    fn a_context_that_several_messages_have_brought_names_none_of_those_in_hand() {
        on_a_thread_of_its_own(|| {
            (11..=13).for_each(|own| handed_over(1, own));
            assert_eq!((sends(1), sends(1), sends(1)), (None, None, None));
            assert_eq!(sends(13), Some(13), "its own span");
        });
    }

    #[test]
    fn a_context_that_several_messages_have_brought_names_the_one_that_the_thread_is_at() {
        on_a_thread_of_its_own(|| {
            for own in 11..=13 {
                handed_over(1, own);
                assert_eq!(sends(1), Some(own));
            }
        });
    }

    #[test]
    fn what_the_thread_was_handed_before_the_program_said_what_it_processes_is_no_cause_any_more() {
        assert!(child_is_well(|| {
            handed_over(1, 11);
            let before = sends(1);
            declared_parents::set_declares();
            before == Some(11) && sends(1).is_none() && with_ambient_of_refused(|_| ()).is_none()
        }));
    }
}
