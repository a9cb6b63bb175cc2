//! What the calling thread was seen to do with the messages it is handed: the grounds on which it is believed, or not, to
//! work on the last one when it sends.
//!
//! One thread is not one train of thought. A thread that takes message after message and works on them later, or that is an
//! event loop, has many in hand at once, and then no send says which one it belongs to. Such a thread gives itself away by the
//! order of its deliveries and sends, or by how it waits; what it has shown once, it is believed of for good.

#![forbid(unsafe_code)]

use std::cell::Cell;

use super::client_handles;

/// Consumers that a thread is handed messages by, live at once, and are remembered apart; of further ones nothing is guessed.
const CONSUMERS: usize = 8;
/// Waits for several things at once after which a thread is an event loop: a program that runs another one and reads what it
/// prints waits so now and then.
const WAITS_OF_A_LOOP: u8 = 3;

/// What a thread does with one consumer's messages. Plain data: of one thread only.
#[derive(Clone, Copy)]
struct Habits {
    /// The consumer's number; 0 is none.
    consumer: u64,
    /// It has sent several messages in a row after it had taken several: it works them off later.
    accumulates: bool,
    /// It has sent just one after it had taken several: it passes some on, and leaves others.
    filters: bool,
    /// The longest that a processing was seen to take, in nanoseconds.
    longest: u64,
}

struct Thread {
    /// The consumer that handed over the last message; 0: none ever did.
    consumer: Cell<u64>,
    /// Messages handed over since the last send.
    handed: Cell<u32>,
    /// Messages that had been handed over before the first send of the row that is under way.
    handed_before: Cell<u32>,
    /// The consumer of the message that the first send of the row was under; 0: under none.
    row_under: Cell<u64>,
    /// Sends since the last delivery.
    sent: Cell<u32>,
    /// Waits as an event loop has them, up to [`WAITS_OF_A_LOOP`].
    waits: Cell<u8>,
    /// Inside a call that calls the application back, for reports of what it sent long ago.
    called_back: Cell<bool>,
    known: [Cell<Habits>; CONSUMERS],
}

const NOTHING_KNOWN: Habits = Habits { consumer: 0, accumulates: false, filters: false, longest: 0 };

// Has no destructor, so it can be used for as long as its thread runs any code at all.
thread_local!(static THREAD: Thread = const { Thread::new() });

/// The thread is handed a message of the consumer with this number.
pub(super) fn handed_over(consumer: u64) {
    let _ = THREAD.try_with(|thread| {
        // One send after several messages, under the last of them, and then the next message: the others were left.
        if thread.sent.get() == 1 && thread.handed_before.get() > 1 && thread.row_under.get() == consumer {
            thread.change(consumer, |habits| habits.filters = true);
        }
        thread.consumer.set(consumer);
        thread.sent.set(0);
        thread.handed.set(thread.handed.get().saturating_add(1));
    });
}

/// The thread sends, whatever it is at. `under` says whose message it has, if it has one; asked only on a thread that
/// consumes.
///
/// Every send counts, one to a topic that is not traced too: what shows that a thread works its messages off later is the order
/// of all it does. On a thread that never consumed it costs one look.
#[inline]
pub(super) fn sends(under: impl FnOnce() -> Option<u64>) {
    let _ = THREAD.try_with(|thread| {
        let consumer = thread.consumer.get();
        if consumer != 0 && !thread.called_back.get() {
            thread.sends(consumer, under);
        }
    });
}

/// Whether the consumer's message that the thread was handed last may be taken for the cause of what was told to [`sends`]
/// just now; `filters_count`: calls for messages are seen, so that a thread which takes several one by one is told from one
/// that takes them by one call.
pub(super) fn is_believed(consumer: u64, filters_count: bool) -> bool {
    let believed = THREAD.try_with(|thread| {
        let Some(habits) = thread.habits(consumer) else { return false };
        let many = thread.handed_before.get() > 1;
        !thread.called_back.get()
            && !habits.accumulates
            && !thread.is_loop()
            && (!many || (filters_count && habits.filters))
    });
    believed.unwrap_or(false)
}

/// Whether a send would be believed to follow from the one message of this consumer's that the thread was handed since it sent
/// the last time. Changes nothing.
pub(super) fn is_at_one(consumer: u64) -> bool {
    let is_at_one = THREAD.try_with(|thread| {
        let Some(habits) = thread.habits(consumer) else { return false };
        let handed = if thread.sent.get() == 0 { &thread.handed } else { &thread.handed_before };
        !thread.called_back.get() && !habits.accumulates && !thread.is_loop() && handed.get() <= 1
    });
    is_at_one.unwrap_or(false)
}

/// A processing of this consumer's messages was seen to take so many nanoseconds.
pub(super) fn took(consumer: u64, nanos: u64) {
    let _ = THREAD.try_with(|thread| thread.change(consumer, |habits| habits.longest = habits.longest.max(nanos)));
}

/// The longest that a processing of this consumer's messages was seen to take, in nanoseconds; 0 before any was.
pub(super) fn longest(consumer: u64) -> u64 {
    let longest = THREAD.try_with(|thread| thread.habits(consumer).map_or(0, |habits| habits.longest));
    longest.unwrap_or(0)
}

/// The thread waits for whatever comes first of several things.
pub(super) fn waits_for_anything() {
    let _ = THREAD.try_with(|thread| thread.waits.set(thread.waits.get().saturating_add(1).min(WAITS_OF_A_LOOP)));
}

/// Whether the thread is an event loop, by how it waits.
pub(super) fn is_loop() -> bool {
    THREAD.try_with(Thread::is_loop).unwrap_or(true)
}

/// Says for the length of a call that the application is called back in it; returns what was said before.
pub(super) fn set_called_back(called_back: bool) -> bool {
    THREAD.try_with(|thread| thread.called_back.replace(called_back)).unwrap_or(false)
}

impl Thread {
    const fn new() -> Self {
        Self {
            consumer: Cell::new(0),
            handed: Cell::new(0),
            handed_before: Cell::new(0),
            row_under: Cell::new(0),
            sent: Cell::new(0),
            waits: Cell::new(0),
            called_back: Cell::new(false),
            known: [const { Cell::new(NOTHING_KNOWN) }; CONSUMERS],
        }
    }

    fn sends(&self, consumer: u64, under: impl FnOnce() -> Option<u64>) {
        let first = self.sent.get() == 0;
        if first {
            self.handed_before.set(self.handed.replace(0));
            self.row_under.set(under().unwrap_or(0));
        }
        self.sent.set(self.sent.get().saturating_add(1));
        if !first && self.handed_before.get() > 1 {
            self.change(consumer, |habits| habits.accumulates = true);
        }
    }

    fn is_loop(&self) -> bool {
        self.waits.get() >= WAITS_OF_A_LOOP
    }

    /// `None` when there are too many consumers.
    fn habits(&self, consumer: u64) -> Option<Habits> {
        self.place(consumer, client_handles::lives).map(Cell::get)
    }

    fn change(&self, consumer: u64, change: impl FnOnce(&mut Habits)) {
        if let Some(place) = self.place(consumer, client_handles::lives) {
            let mut habits = place.get();
            change(&mut habits);
            place.set(habits);
        }
    }

    /// Where this consumer's habits are. A new one gets an empty place, or that of one that does not live any more, of whose
    /// habits it inherits nothing: no two have the same number.
    fn place(&self, consumer: u64, lives: impl Fn(u64) -> bool) -> Option<&Cell<Habits>> {
        let of = |number| self.known.iter().find(|place| place.get().consumer == number);
        of(consumer).or_else(|| {
            let place = of(0).or_else(|| self.known.iter().find(|place| !lives(place.get().consumer)))?;
            place.set(Habits { consumer, ..NOTHING_KNOWN });
            Some(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One send under a message of `consumer`: whether it is believed.
    fn believed_send(consumer: u64, filters_count: bool) -> bool {
        sends(|| Some(consumer));
        is_believed(consumer, filters_count)
    }

    /// Runs on a thread of its own, whose habits are new: `m` is a message, `s` a send under it, `-` one under none. For each
    /// send under a message, whether it is believed.
    fn believed(order: &str, filters_count: bool) -> String {
        let order = order.to_owned();
        let run = move || {
            order
                .chars()
                .filter_map(|what| match what {
                    'm' => {
                        handed_over(1);
                        None
                    }
                    '-' => {
                        sends(|| None);
                        None
                    }
                    _ => Some(if believed_send(1, filters_count) { 'y' } else { 'n' }),
                })
                .collect()
        };
        std::thread::spawn(run).join().unwrap()
    }

    #[test]
    fn one_message_and_what_is_sent_of_it_belong_together() {
        assert_eq!(believed("msmsms", true), "yyy");
        assert_eq!(believed("msssmss", false), "yyyyy");
        assert_eq!(believed("ss", false), "yy", "there is no message to be taken for the cause");
    }

    #[test]
    fn sends_under_no_message_count_as_well() {
        assert_eq!(believed("mm--msms", true), "nn", "it works them off later");
        assert_eq!(believed("mm-msms", true), "yy", "what came of the two is out");
        assert_eq!(believed("mm-mms", true), "n", "no filter: what it sent did not follow the last of them");
    }

    #[test]
    fn a_thread_that_never_consumed_is_not_asked_what_it_is_at() {
        std::thread::spawn(|| sends(|| panic!("there is no message"))).join().unwrap();
    }

    #[test]
    fn a_thread_that_takes_several_and_then_sends_several_is_never_believed_again() {
        assert_eq!(believed("mmmsssmsms", true), "nnnnn");
        assert_eq!(believed("msmmssms", true), "ynnn");
    }

    #[test]
    fn a_filter_is_known_by_its_second_message_where_calls_are_seen() {
        assert_eq!(believed("mmsmmmsmsmms", true), "nyyy");
        assert_eq!(believed("mmsmmmsmsmms", false), "nnyn");
    }

    #[test]
    fn habits_are_a_consumer_s() {
        let run = || {
            handed_over(1);
            handed_over(1);
            assert!(!believed_send(1, true) && !believed_send(1, true));
            for (consumer, expected) in [(2, true), (1, false), (2, true)] {
                handed_over(consumer);
                assert_eq!(believed_send(consumer, true), expected, "{consumer}");
            }
        };
        std::thread::spawn(run).join().unwrap();
    }

    #[test]
    fn a_consumer_that_is_gone_makes_room_for_a_new_one_which_inherits_nothing() {
        let thread = Thread::new();
        let accumulates = |consumer, gone: &[u64]| {
            let place = thread.place(consumer, |other| !gone.contains(&other))?;
            Some(place.replace(Habits { accumulates: true, ..place.get() }).accumulates)
        };
        for consumer in 1..=CONSUMERS as u64 {
            assert_eq!(accumulates(consumer, &[]), Some(false));
        }
        assert_eq!(accumulates(9, &[]), None, "more living ones than are told apart");
        for new in 9..100 {
            assert_eq!(accumulates(new, &[new - 6]), Some(false));
            assert_eq!((accumulates(new, &[]), accumulates(1, &[])), (Some(true), Some(true)));
        }
    }

    #[test]
    fn a_thread_that_waits_for_anything_again_and_again_is_an_event_loop() {
        let run = || {
            for wait in 1..=4 {
                waits_for_anything();
                handed_over(1);
                assert_eq!(believed_send(1, true), wait < 3);
            }
            assert!(is_loop());
        };
        std::thread::spawn(run).join().unwrap();
    }

    #[test]
    fn what_a_call_back_sends_is_not_believed_and_not_counted() {
        let run = || {
            handed_over(1);
            handed_over(1);
            let before = set_called_back(true);
            assert!(!believed_send(1, true) && !believed_send(1, true));
            set_called_back(before);
            assert!(!believed_send(1, true));
            handed_over(1);
            assert!(believed_send(1, true), "one send after two messages: a filter");
        };
        std::thread::spawn(run).join().unwrap();
    }

    #[test]
    fn the_longest_processing_is_remembered() {
        let run = || {
            assert_eq!(longest(1), 0);
            took(1, 20);
            took(1, 10);
            assert_eq!((longest(1), longest(2)), (20, 0));
        };
        std::thread::spawn(run).join().unwrap();
    }
}
