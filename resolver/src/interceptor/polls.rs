//! What an integration that sees the application's own calls into librdkafka tells the engine: when a message is asked for.
//!
//! The call for the next message is the end of the previous one's processing. Clients whose polls nobody sees
//! (`plugin.library.paths` alone) do without.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::thread::LocalKey;

use super::batches;
use super::contain_panic::{contain_panic, contain_panic_of_message};
use super::current_message::{self, CurrentMessage};
use super::poll_counts::Poll;
use super::thread_habits;
use crate::batch::EndedBy;

/// What a call may hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hands {
    /// One message at most: what the thread sends afterwards continues it.
    One,
    /// Any number: none of them is the one that is processed.
    Many,
}

/// The calling thread asks for messages by `poll`, of the client, topic or queue at address `source`.
///
/// The processing of the message that the thread was handed before ends here, unless another thread has asked the same
/// source meanwhile: a pool of threads takes turns, and then this call says nothing about that message. Allocates nothing;
/// may wait for nanoseconds that the batch thread needs.
pub fn polling<T>(source: usize, hands: Hands, poll: impl FnOnce() -> T) -> T {
    contain_panic_of_message(|| {
        let Some(message) = current_message::take() else { return };
        let alone = message.poll.is_some_and(Poll::is_latest);
        let lasted = message.since.elapsed();
        if alone {
            thread_habits::took(message.consumer, lasted);
        }
        message.ends(|span| {
            if alone {
                span.ends(message.until(lasted), EndedBy::Poll);
            }
        });
    });
    let _batch = if hands == Hands::Many { batches::Call::begin() } else { None };
    // Polls may be nested: librdkafka calls back into the application while it polls.
    let _call = Restore { cell: &CALL, before: CALL.replace(Some((Poll::begin(source), hands))) };
    poll()
}

/// The calling thread closes, by `close`, the client at address `source`: what it was processing ends here, by
/// whatever queue or topic of that client the message came.
pub fn closing<T>(source: usize, close: impl FnOnce() -> T) -> T {
    let of_this =
        |message: &CurrentMessage| message.client == source || message.poll.is_some_and(|poll| poll.source == source);
    contain_panic(|| {
        if current_message::peek().is_some_and(|message| of_this(&message)) {
            if let Some(message) = current_message::take() {
                let seen = message.poll.is_some();
                message.ends(|span| {
                    if seen {
                        span.ends(message.until(message.since.elapsed()), EndedBy::Close);
                    }
                });
            }
        }
    });
    close()
}

/// The calling thread is in a call, `serve`, in which librdkafka calls the application back, for reports of what it sent
/// long ago: what it sends there does not follow from the message that it was handed last.
pub fn calling_back<T>(serve: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            thread_habits::set_called_back(self.0);
        }
    }
    let _call = Before(thread_habits::set_called_back(true));
    serve()
}

/// The calling thread waits for whatever comes first of several things, as an event loop does.
pub fn waiting_for_anything() {
    contain_panic(current_message::waits_for_anything);
}

/// Whether [`waiting_for_anything`] would change anything: not on a thread that is known for an event loop.
#[inline]
pub fn waits_are_counted() -> bool {
    !thread_habits::is_loop()
}

/// Whatever client `create` makes on this thread has its polls seen, by [`polling`].
pub fn seen_polling<T>(create: impl FnOnce() -> T) -> T {
    let _seen = Restore { cell: &SEEN, before: SEEN.replace(true) };
    create()
}

/// Whether the client that is being made on this thread has its polls seen.
pub(super) fn are_seen() -> bool {
    SEEN.get()
}

/// The call for messages that the calling thread is in, where it is seen.
pub(super) fn under_way() -> Option<(Poll, Hands)> {
    CALL.get()
}

/// Puts back what was in `cell` before, when a call ends, in whatever way: callbacks of C++ programs may throw through it.
struct Restore<T: Copy + 'static> {
    cell: &'static LocalKey<Cell<T>>,
    before: T,
}

impl<T: Copy> Drop for Restore<T> {
    fn drop(&mut self) {
        self.cell.set(self.before);
    }
}

thread_local!(static CALL: Cell<Option<(Poll, Hands)>> = const { Cell::new(None) });
thread_local!(static SEEN: Cell<bool> = const { Cell::new(false) });
