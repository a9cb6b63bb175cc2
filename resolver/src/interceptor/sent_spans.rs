//! What an acknowledgement needs to know of the span that its message began, noted where it is near.
//!
//! The message says all of it itself, in our header, and is asked wherever nothing is noted here. But a broker's thread has to
//! fetch that header from memory, three pointers away from the message, which takes it longer than everything else that it
//! does for us. `RATIONALE.md`: "Why is a sent span noted beside the message too?"
//!
//! A note has its place by the message's address, and may be lost to another message whose place is the same. It is never
//! another's: each send writes or erases the note of its address, and no two messages in flight have one address.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::per_process::FirstMade;
use crate::propagation::SpanContext;
use crate::zeroed::Zeroed;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentSpan {
    pub context: SpanContext,
    /// When it was sent, by [`crate::clock::ticks`].
    pub ticks: u64,
    /// Whether its message has its trace state.
    pub has_state: bool,
}

/// A line of the cache. What two threads write here at the same time is told from what one of them wrote by the seal, so that
/// no thread has to wait for another, nor for its own stores.
#[repr(align(64))]
struct Note {
    /// The message's address; 0: nothing is noted.
    message: AtomicU64,
    trace_id: [AtomicU64; 2],
    span_id: AtomicU64,
    ticks: AtomicU64,
    /// The trace's flags, and more: see [`facts`].
    facts: AtomicU64,
    /// The [`seal`] of all of these.
    seal: AtomicU64,
}

/// Of the whole process: an address is. 4 MiB, of which there is only what was written to.
static NOTES: FirstMade<Zeroed<Note>> = FirstMade::new();

const NOTES_COUNT: usize = 1 << 16;
/// Bytes of memory, as a power of two, that one note is for: a message and what belongs to it take more. Messages that were
/// made one after the other then lie so here too, and few pages are there for few messages in flight.
const APART: u32 = 9;
/// Of the facts: all flags that a context can have here.
const FLAGS: u8 = SpanContext::SAMPLED | SpanContext::RANDOM | SpanContext::DEBUG;
/// One more, which none of the flags is.
const HAS_STATE: u64 = 1 << 2;

/// Notes the span that the message at this address begins.
#[inline]
pub(super) fn note(message: usize, span: &SentSpan) {
    let Some(note) = of(message) else { return };
    let id = u128::from_ne_bytes(span.context.trace_id);
    let words = [id as u64, (id >> 64) as u64, u64::from_ne_bytes(span.context.span_id), span.ticks, facts(span)];
    // Relaxed, all of them: librdkafka hands the message to the thread that acknowledges it, and with it what was written before.
    let message = message as u64;
    note.message.store(message, Ordering::Relaxed);
    note.trace_id[0].store(words[0], Ordering::Relaxed);
    note.trace_id[1].store(words[1], Ordering::Relaxed);
    note.span_id.store(words[2], Ordering::Relaxed);
    note.ticks.store(words[3], Ordering::Relaxed);
    note.facts.store(words[4], Ordering::Relaxed);
    note.seal.store(seal(message, words), Ordering::Relaxed);
}

/// Erases what is noted of a message that had this address before, or of another whose place is the same: to look first which
/// it is would be to wait for a line of the cache that a broker's thread has written to.
#[inline]
pub(super) fn forget(message: usize) {
    if let Some(note) = of(message) {
        note.message.store(0, Ordering::Relaxed);
    }
}

/// Has what is noted of this message brought near, for [`take`], while something else is waited for. Changes nothing.
#[inline]
pub(super) fn fetch(message: usize) {
    let Some(note) = of(message) else { return };
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an address that is only fetched cannot fault, and every x86_64 has SSE.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(note).cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: an address that is only fetched cannot fault; no register, flag or memory changes.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) note, options(nostack, preserves_flags, readonly));
    }
}

/// The span that the message at this address began, if it is noted; then it is no longer.
#[inline]
pub(super) fn take(message: usize) -> Option<SentSpan> {
    let note = of(message).filter(|note| note.message.load(Ordering::Relaxed) == message as u64)?;
    let words = [
        note.trace_id[0].load(Ordering::Relaxed),
        note.trace_id[1].load(Ordering::Relaxed),
        note.span_id.load(Ordering::Relaxed),
        note.ticks.load(Ordering::Relaxed),
        note.facts.load(Ordering::Relaxed),
    ];
    let is_whole = note.seal.load(Ordering::Relaxed) == seal(message as u64, words);
    note.message.store(0, Ordering::Relaxed);
    let [first, second, span_id, ticks, facts] = words;
    let trace_id = (u128::from(second) << 64 | u128::from(first)).to_ne_bytes();
    let context = SpanContext { trace_id, span_id: span_id.to_ne_bytes(), flags: facts as u8 & FLAGS };
    is_whole.then_some(SentSpan { context, ticks, has_state: facts & HAS_STATE != 0 })
}

#[inline]
fn facts(span: &SentSpan) -> u64 {
    u64::from(span.context.flags & FLAGS) | if span.has_state { HAS_STATE } else { 0 }
}

/// Where a message of this address is noted; `None` where the memory cannot be had.
#[inline]
fn of(message: usize) -> Option<&'static Note> {
    // SAFETY: a `Note` is atomic integers, for which zero is valid.
    let notes = NOTES.get_or_init(|| unsafe { Zeroed::new(NOTES_COUNT) });
    notes.get(place(message))
}

/// Neighbours are neighbours, and what is that far away from each other that it would come again upon the same places, as the
/// memory that the C library gives two threads, does not.
#[inline]
fn place(message: usize) -> usize {
    const AROUND: u32 = APART + NOTES_COUNT.trailing_zeros();
    let far = ((message >> AROUND) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (message >> APART).wrapping_add(far as usize) % NOTES_COUNT
}

/// Each word at a place of its own: ids are random, so words of two spans together have another.
#[inline]
fn seal(message: u64, words: [u64; 5]) -> u64 {
    let [first, second, span_id, ticks, facts] = words;
    let ids = first.rotate_left(7) ^ second.rotate_left(19) ^ span_id.rotate_left(31);
    message ^ ids ^ ticks.rotate_left(43) ^ facts.rotate_left(55)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(number: u64) -> SentSpan {
        let [high, low] = [number, !number].map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let trace_id = (u128::from(high) << 64 | u128::from(low)).to_ne_bytes();
        let context = SpanContext { trace_id, span_id: high.to_ne_bytes(), flags: number as u8 & FLAGS };
        SentSpan { context, ticks: number, has_state: number % 3 == 0 }
    }

    /// Messages of a test of their own: nobody has this memory.
    fn address(test: usize, message: usize) -> usize {
        (test << 40) + (message << APART)
    }

    #[test]
    fn a_span_is_found_once_by_the_message_that_began_it() {
        for number in 0..300 {
            note(address(1, number as usize), &span(number));
        }
        assert_eq!(take(address(1, 300)), None);
        for number in 0..300 {
            assert_eq!(take(address(1, number as usize)), Some(span(number)));
            assert_eq!(take(address(1, number as usize)), None);
        }
    }

    #[test]
    fn what_is_noted_of_an_address_is_what_was_sent_by_it_last() {
        note(address(2, 1), &span(1));
        note(address(2, 1), &span(2));
        note(address(2, 3), &span(3));
        forget(address(2, 3));
        assert_eq!((take(address(2, 1)), take(address(2, 3))), (Some(span(2)), None));
    }

    #[test]
    fn a_message_whose_place_is_another_s_finds_nothing_and_neither_does_the_other() {
        let near = address(3, 0);
        let same = (1..).map(|more| near + (more << APART)).find(|other| place(*other) == place(near)).unwrap();
        note(near, &span(1));
        note(same, &span(2));
        assert_eq!((take(near), take(same)), (None, Some(span(2))));
        note(same, &span(3));
        forget(near);
        assert_eq!((take(near), take(same)), (None, None));
    }

    /// As two threads may leave it that write at the same time.
    #[test]
    fn what_is_of_two_spans_is_of_none() {
        let words = |note: &'static Note| {
            let Note { message, trace_id: [first, second], span_id, ticks, facts, seal } = note;
            [message, first, second, span_id, ticks, facts, seal]
        };
        let message = address(4, 7);
        for other in 1..7 {
            note(message, &span(6));
            let place = words(of(message).unwrap());
            let before: Vec<u64> = place.iter().map(|word| word.load(Ordering::Relaxed)).collect();
            note(message, &span(9));
            place[other].store(before[other], Ordering::Relaxed);
            assert_eq!(take(message), None, "word {other}");
        }
    }

    #[test]
    fn the_memory_of_two_threads_does_not_fall_upon_the_same_places() {
        let arenas = (1..=8).map(|arena| arena * (64 << 20));
        let places: std::collections::HashSet<_> = arenas.map(place).collect();
        assert_eq!(places.len(), 8);
    }
}
