//! The waiting deliveries: held, claimed and swept by several threads at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Instant;

use super::*;
use crate::batch::record::{Outcome, SpanFlags, SpanKind, TimeInQueue};
use crate::batch::span_origin::test_origin;

const MESSAGES: i64 = if cfg!(miri) { 300 } else { 40_000 };
const HASH: u64 = 11;

fn origin() -> Arc<SpanOrigin> {
    test_origin("orders")
}

fn span(origin: &Arc<SpanOrigin>, client: u64, offset: i64) -> FinishedSpan {
    FinishedSpan {
        origin: origin.address(),
        trace_id: [1; 16],
        span_id: client.to_be_bytes(),
        parent_span_id: [0; 8],
        link_trace_id: [0; 16],
        link_span_id: [0; 8],
        start: offset as u64,
        end: offset as u64,
        offset,
        time_in_queue: TimeInQueue::UNKNOWN,
        partition: 0,
        outcome: Outcome::OK,
        kind: SpanKind::Receive,
        flags: SpanFlags::default(),
        trace_flags: 1,
        extra_len: 0,
    }
}

fn place(offset: i64) -> Place<'static> {
    Place { topic: "orders", topic_hash: HASH, partition: 0, offset }
}

fn extra(offset: i64) -> Vec<u8> {
    vec![offset as u8; [0, 1, SMALL_EXTRA, SMALL_EXTRA + 1, EXTRA, EXTRA + 1][offset as usize % 6]]
}

#[test]
fn every_delivery_is_claimed_or_leaves_and_never_both() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let seen = Mutex::new(HashMap::<(u64, i64), u32>::new());
    let see = |span: &FinishedSpan, with: &[u8]| {
        assert_eq!(with, extra(span.offset), "the extra is the span's own");
        let key = (u64::from_be_bytes(span.span_id), span.offset);
        *seen.lock().unwrap().entry(key).or_default() += 1;
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (received_spans, origin, see, done) = (&received_spans, &origin, &see, &done);
        // Two clients that read the same messages; each processes every other one at once.
        let clients: Vec<_> = (0..2_u64)
            .map(|client| {
                scope.spawn(move || {
                    for offset in 0..MESSAGES {
                        let span = span(origin, client, offset);
                        received_spans.hold(&span, &extra(offset), HASH, client as usize, Moment::now(), see);
                        if offset % 2 == 0 {
                            if let Some(claimed) = received_spans.claim(&place(offset), Whose::Anybodys, |_, _| true) {
                                see(&claimed.span, &claimed.extra);
                            }
                        }
                    }
                })
            })
            .collect();
        let sweeper = scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                received_spans.sweep(&mut Patience::default(), |span, _| span.offset % 7 == 0, see);
                std::thread::yield_now();
            }
        });
        clients.into_iter().for_each(|client| client.join().unwrap());
        done.store(true, Ordering::Release);
        sweeper.join().unwrap();
    });
    received_spans.sweep(&mut Patience::default(), |_, _| true, &see);
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len() as i64, 2 * MESSAGES, "none is lost");
    assert!(seen.values().all(|times| *times == 1), "none is seen twice");
    received_spans.sweep(&mut Patience::default(), |_, _| true, |_, _| panic!("none is left"));
    assert!(received_spans.used.iter().all(|word| word.load(Ordering::Relaxed) == 0), "a sweep has nothing to look at");
    drop(received_spans);
    assert_eq!(Arc::strong_count(&origin), 1, "every claim gave its origin back");
}

#[test]
fn a_claim_takes_the_message_it_names_and_only_if_the_route_is_accepted() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let never = |_: &FinishedSpan, _: &[u8]| panic!("there is room");
    received_spans.hold(&span(&origin, 0, 5), b"state", HASH, 0, Moment::now(), never);
    // The same place in the table.
    assert!(received_spans.claim(&place(5 + PLACES as i64), Whose::Anybodys, |_, _| true).is_none());
    assert!(received_spans.claim(&place(5), Whose::Anybodys, |_, _| false).is_none());
    let claimed = received_spans.claim(&place(5), Whose::Anybodys, |_, _| true).unwrap();
    assert_eq!((claimed.span.offset, claimed.extra), (5, b"state".to_vec()));
    assert!(received_spans.claim(&place(5), Whose::Anybodys, |_, _| true).is_none(), "once");
}

/// Without `came_with` the work on one cluster's message takes the span of the other's.
#[test]
fn of_two_clusters_messages_at_one_place_each_is_known_by_what_it_brought() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let never = |_: &FinishedSpan, _: &[u8]| panic!("there is room");
    let brought = |sender: u8, trace: u8| SpanContext { trace_id: [trace; 16], span_id: [sender; 8], flags: 1 };
    let hold = |client: u64, brought: SpanContext| {
        let flags = SpanFlags(SpanFlags::PARENT_REMOTE);
        let (trace_id, parent_span_id) = (brought.trace_id, brought.span_id);
        let span = FinishedSpan { trace_id, parent_span_id, flags, ..span(&origin, client, 5) };
        received_spans.hold(&span, &[], HASH, client as usize, Moment::now(), never);
    };
    let claimed = |headers: Option<SpanContext>| {
        let claimed = received_spans.claim(&place(5), Whose::Anybodys, |_, span| span.came_with(headers.as_ref()));
        claimed.map(|claimed| u64::from_be_bytes(claimed.span.span_id))
    };
    hold(1, brought(1, 1));
    assert!(!received_spans.is_of_several(&place(5), Whose::Anybodys, |_| true));
    // Two consumers of one cluster have the same message.
    hold(2, brought(1, 1));
    assert!(!received_spans.is_of_several(&place(5), Whose::Anybodys, |_| true));
    hold(3, brought(3, 3));
    assert!(
        received_spans.is_of_several(&place(5), Whose::Anybodys, |_| true)
            && !received_spans.is_of_several(&place(5), Whose::Anybodys, |_| false)
    );
    assert_eq!((claimed(Some(brought(4, 4))), claimed(None)), (None, None));
    assert_eq!(claimed(Some(brought(3, 3))), Some(3));
    let written_for_the_program = SpanContext { trace_id: [1; 16], span_id: 2_u64.to_be_bytes(), flags: 1 };
    assert_eq!(claimed(Some(written_for_the_program)), Some(2));
    assert_eq!((claimed(Some(brought(1, 1))), claimed(Some(brought(1, 1)))), (Some(1), None));
}

/// Without its flag the call's span is taken for what each message brought, and no headers are those of either.
#[test]
fn messages_of_no_sender_that_two_calls_handed_over_are_of_one_cluster() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    for call in [1, 2] {
        let below = FinishedSpan { parent_span_id: [call; 8], ..span(&origin, u64::from(call), 5) };
        assert_eq!(below.brought(), Some(None));
        received_spans.hold(&below, &[], HASH, usize::from(call), Moment::now(), |_, _| panic!("there is room"));
    }
    assert!(!received_spans.is_of_several(&place(5), Whose::Anybodys, |_| true));
    assert!(received_spans.claim(&place(5), Whose::Anybodys, |_, span| span.came_with(None)).is_some());
}

#[test]
fn who_does_not_know_what_a_message_brought_gets_what_its_thread_was_handed_and_no_other() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let hold = |client: u64| {
        received_spans
            .hold(&span(&origin, client, 5), &[], HASH, client as usize, Moment::now(), |_, _| panic!("there is room"));
    };
    let of_this_thread = || {
        let claimed = received_spans.claim(&place(5), Whose::ThisThreads, |_, _| true)?;
        Some(u64::from_be_bytes(claimed.span.span_id))
    };
    std::thread::scope(|scope| scope.spawn(|| hold(1)).join().unwrap());
    assert_eq!(of_this_thread(), None);
    hold(2);
    assert_eq!((of_this_thread(), of_this_thread()), (Some(2), None));
    assert!(received_spans.claim(&place(5), Whose::Anybodys, |_, _| true).is_some(), "the other thread's waits");
}

#[test]
fn what_waits_with_a_delivery_is_whole_beside_its_neighbours_and_what_is_too_long_leaves_at_once() {
    let lengths = [1, SMALL_EXTRA - 1, SMALL_EXTRA, SMALL_EXTRA + 1, EXTRA - 1, EXTRA];
    for (len, small) in lengths.into_iter().flat_map(|len| [(len, 0), (len, 1)]) {
        let (received_spans, origin) = (ReceivedSpans::new(), origin());
        let mut left = Vec::new();
        let mut hold = |offset: i64, extra: &[u8]| {
            let leave = |span: &FinishedSpan, extra: &[u8]| left.push((span.offset, extra.to_vec()));
            received_spans.hold(&span(&origin, 0, offset), extra, HASH, 0, Moment::now(), leave)
        };
        // The next one is in this table or in that, so that a byte too many is seen in one of them.
        let neighbour = |offset: i64| vec![0xee; if offset % 2 == small { SMALL_EXTRA } else { EXTRA }];
        let around = [4, 5, 7, 8];
        around.iter().for_each(|offset| assert!(hold(*offset, &neighbour(*offset)).is_some()));
        let waits = vec![7; len];
        assert!(hold(6, &waits).is_some(), "{len}");
        let too_long = vec![9; EXTRA + 1];
        assert!(hold(9, &too_long).is_none());
        assert_eq!(left, [(9, too_long)]);
        let extra = |offset: i64| received_spans.claim(&place(offset), Whose::Anybodys, |_, _| true).unwrap().extra;
        assert!(extra(6) == waits && around.iter().all(|offset| extra(*offset) == neighbour(*offset)), "{len}");
    }
}

#[test]
fn a_delivery_whose_place_is_needed_leaves() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let mut left = Vec::new();
    for lap in 0..=NEIGHBOURS {
        let offset = 3 + (lap * PLACES) as i64;
        received_spans.hold(&span(&origin, 0, offset), &[9], HASH, 0, Moment::now(), |span, extra| {
            left.push((span.offset, extra.to_vec()))
        });
    }
    assert_eq!(left, [(3, vec![9])]);
}

/// Where no other client takes them, the slots of a place are for messages that fall upon it from elsewhere in the log.
#[test]
fn of_messages_that_share_a_place_none_leaves_while_there_are_slots_of_it() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let (offsets, delivered) = ([3, 3 + PLACES as i64, 3 + 2 * PLACES as i64], Moment::now());
    for (client, offset) in [(1, offsets[0]), (0, offsets[1]), (0, offsets[2])] {
        let never = |_: &FinishedSpan, _: &[u8]| panic!("there is room");
        received_spans.hold(&span(&origin, client, offset), &[9], HASH, client as usize, delivered, never);
    }
    // Each is known by its client, wherever it waits; the same message of another client is another one.
    while delivered.elapsed() == 0 {}
    received_spans.prolong_message(&place(offsets[2]), 0, 0, EndedBy::Commit);
    received_spans.prolong_message(&place(offsets[0]), 0, 0, EndedBy::Commit);
    let has_a_length = |offset| {
        received_spans.claim(&place(offset), Whose::Anybodys, |_, _| true).unwrap().span.kind == SpanKind::Process
    };
    assert_eq!(offsets.map(has_a_length), [false, false, true]);
}

/// In how many of [`TRIES`] `take` gets the delivery that it is given the place of, while another thread looks at it.
///
/// Many tries, since the wait has an end: on a busy machine half of them may miss. Without the wait all do.
fn taken_from_a_thread_that_only_looks(take: impl Fn(&ReceivedSpans, WaitingPlace) -> bool) -> usize {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    let slot = &received_spans.slots[ReceivedSpans::place(HASH, 0, 1)];
    let (state, begun, mut taken) = (&slot.state, AtomicUsize::new(0), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for attempt in 1..=TRIES {
                while begun.load(Ordering::Acquire) < attempt {
                    std::thread::yield_now();
                }
                // Longer than a callback's patience.
                let since = Instant::now();
                while since.elapsed() < Duration::from_micros(20) {
                    std::hint::spin_loop();
                }
                state.store(HELD, Ordering::Release);
            }
        });
        for attempt in 1..=TRIES {
            let waits = received_spans.hold(&span(&origin, 0, 1), &[], HASH, 0, Moment::now(), |_, _| {}).unwrap();
            assert!(slot.take_held());
            begun.store(attempt, Ordering::Release);
            taken += usize::from(take(&received_spans, waits));
            while state.load(Ordering::Acquire) == BUSY {
                std::thread::yield_now();
            }
        }
    });
    taken
}

const TRIES: usize = 200;

#[test]
fn a_claim_waits_for_a_thread_that_only_looks() {
    let claimed = taken_from_a_thread_that_only_looks(|received_spans, _| {
        received_spans.claim(&place(1), Whose::Anybodys, |_, _| true).is_some()
    });
    assert!(claimed > TRIES / 10, "{claimed} of {TRIES}");
}

#[test]
fn so_does_the_end_of_a_processing() {
    let ended = taken_from_a_thread_that_only_looks(|received_spans, waits| {
        let mut left = false;
        received_spans.end(waits, |span| span.ends(9, EndedBy::Poll), |_, _| left = true);
        left
    });
    assert!(ended > TRIES / 10, "{ended} of {TRIES}");
}

#[test]
fn a_leave_that_fails_leaves_no_slot_busy() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    received_spans.hold(&span(&origin, 0, 1), &[], HASH, 0, Moment::now(), |_, _| panic!("there is room"));
    let swept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        received_spans.sweep(&mut Patience::default(), |_, _| true, |_, _| panic!("as a defect would"));
    }));
    assert!(swept.is_err());
    received_spans.sweep(&mut Patience::default(), |_, _| true, |_, _| panic!("it was given away"));
}

const HOUR: u64 = 3_600_000_000_000;

#[test]
fn no_step_of_the_systems_clock_is_in_the_length_that_a_commit_shows() {
    for start in [Moment::now().unix_nanos - HOUR, Moment::now().unix_nanos + HOUR] {
        let (received_spans, origin, delivered) = (ReceivedSpans::new(), origin(), Moment::now());
        let span = FinishedSpan { start, end: start, ..span(&origin, 0, 1) };
        received_spans.hold(&span, &[], HASH, 0, delivered, |_, _| panic!("there is room"));
        received_spans.prolong_message(&place(1), 0, delivered.elapsed() + HOUR, EndedBy::Commit);
        while delivered.elapsed() < 1000 {}
        received_spans.prolong_message(&place(1), 0, 0, EndedBy::Commit);
        let claimed = received_spans.claim(&place(1), Whose::Anybodys, |_, _| true).unwrap().span;
        let length = claimed.end - claimed.start;
        assert!(claimed.kind == SpanKind::Process && (1000..HOUR / 2).contains(&length), "{length}");
    }
}

#[test]
fn a_delivery_waits_for_as_long_as_it_may_whatever_the_systems_clock_is_set_to() {
    let (received_spans, origin, delivered) = (ReceivedSpans::new(), origin(), Moment::now());
    let now = delivered.unix_nanos;
    for (offset, start) in [(1, now - HOUR), (2, now + HOUR)] {
        let span = FinishedSpan { start, end: start, ..span(&origin, 0, offset) };
        received_spans.hold(&span, &[], HASH, 0, delivered, |_, _| panic!("there is room"));
    }
    let sweep = || {
        let mut left = Vec::new();
        received_spans.sweep(&mut Patience::default(), |_, is_over| is_over, |span, _| left.push(span.offset));
        left
    };
    let left = sweep();
    assert!(left.is_empty() || delivered.elapsed() > CLAIM_WINDOW.as_nanos() as u64, "{left:?}");
    while delivered.elapsed() <= CLAIM_WINDOW.as_nanos() as u64 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!([left, sweep()].concat(), [1, 2]);
}

#[test]
fn a_sweep_passes_over_a_slot_whose_thread_stays_and_the_next_one_finds_it() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    for offset in [1, 2] {
        received_spans.hold(&span(&origin, 0, offset), &[], HASH, 0, Moment::now(), |_, _| panic!("there is room"));
    }
    let slot = &received_spans.slots[ReceivedSpans::place(HASH, 0, 1)];
    let sweep = || {
        let mut left = Vec::new();
        let passed_over = received_spans.sweep(&mut Patience::default(), |_, _| true, |span, _| left.push(span.offset));
        (passed_over, left)
    };
    assert!(slot.take_held());
    assert_eq!(sweep(), (1, vec![2]));
    assert_eq!(sweep(), (1, vec![]));
    slot.state.store(HELD, Ordering::Release);
    assert_eq!(sweep(), (0, vec![1]));
}

#[test]
fn a_delivery_that_is_changed_goes_on_waiting() {
    let (received_spans, origin) = (ReceivedSpans::new(), origin());
    received_spans.hold(&span(&origin, 1, 7), &extra(7), HASH, 0, Moment::now(), |_, _| panic!("nothing was there"));
    assert!(received_spans.change(
        &place(7),
        |_| true,
        |span, given, _| {
            assert_eq!(given, extra(7));
            span.trace_id = [9; 16];
            extra(9)
        }
    ));
    assert!(!received_spans.change(&place(8), |_| true, |_, _, _| panic!("it is not there")));
    assert!(!received_spans.change(&place(7), |_| false, |_, _, _| panic!("it is another's")));
    let claimed = received_spans.claim(&place(7), Whose::Anybodys, |_, _| true).unwrap();
    assert_eq!((claimed.span.trace_id, claimed.extra), ([9; 16], extra(9)), "which is longer");
    received_spans.hold(&span(&origin, 1, 7), &extra(7), HASH, 0, Moment::now(), |_, _| panic!("nothing was there"));
    assert!(received_spans.change(&place(7), |_| true, |_, _, _| vec![0; EXTRA + 1]));
    assert_eq!(
        received_spans.claim(&place(7), Whose::Anybodys, |_, _| true).unwrap().extra,
        extra(7),
        "there is no room for more"
    );
}
