//! The segments under load, and when they run out.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;

use super::*;
use crate::batch::record::OriginAddress;
use crate::batch::record::{Outcome, SpanFlags, SpanKind, TimeInQueue};

/// Few enough for an interpreter, many enough for the segments to go round.
const SPANS: u64 = if cfg!(miri) { 600 } else { 60_000 };
const THREADS: u64 = 4;

fn span(thread: u64, number: u64) -> FinishedSpan {
    FinishedSpan {
        origin: OriginAddress(std::ptr::null()),
        trace_id: [7; 16],
        span_id: number.to_be_bytes(),
        parent_span_id: thread.to_be_bytes(),
        link_trace_id: [0; 16],
        link_span_id: [0; 8],
        start: number,
        end: number,
        offset: number as i64,
        time_in_queue: TimeInQueue::UNKNOWN,
        partition: thread as i32,
        outcome: Outcome::OK,
        kind: SpanKind::Send,
        flags: SpanFlags::default(),
        trace_flags: 1,
        extra_len: 0,
    }
}

/// Lengths that fill no slot, one to its last byte, one and a little, and several.
fn extra(number: u64) -> Vec<u8> {
    let len = [0, 0, 0, 1, 127, 128, 129, 300, 515, MAX_EXTRA][number as usize % 10];
    vec![number as u8; len]
}

#[test]
fn every_span_of_every_thread_arrives_once_and_whole() {
    let segments = Segments::new(16 * SLOTS * size_of::<FinishedSpan>());
    let currents: Vec<_> = (0..THREADS).map(|_| AtomicU32::new(NONE)).collect();
    let done = AtomicBool::new(false);
    let mut seen = HashSet::new();
    let mut read = |span: &FinishedSpan, extra: &[u8]| {
        let thread = u64::from_be_bytes(span.parent_span_id);
        let number = u64::from_be_bytes(span.span_id);
        assert!(seen.insert((thread, number)), "{number} of thread {thread} twice");
        assert_eq!((span.start, span.offset, extra), (number, number as i64, &self::extra(number)[..]));
    };
    let pushed: u64 = std::thread::scope(|scope| {
        let (segments, currents, done) = (&segments, &currents, &done);
        let pushers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut claim: Option<Claim> = None;
                    let mut pushed = 0;
                    for number in 0..SPANS {
                        let (span, extra) = (span(thread, number), extra(number));
                        if claim.as_mut().is_some_and(|claim| segments.push(claim, &span, &extra)) {
                            pushed += 1;
                            continue;
                        }
                        if let Some(full) = claim.take() {
                            let _ = segments.submit(full);
                        }
                        claim = std::iter::from_fn(|| Some(segments.claim())).find_map(|claim| {
                            if claim.is_none() {
                                std::thread::yield_now();
                            }
                            claim
                        });
                        let index = claim.as_ref().map_or(NONE, Segments::index_of);
                        currents[thread as usize].store(index, Ordering::Release);
                        pushed += u64::from(claim.as_mut().is_some_and(|claim| segments.push(claim, &span, &extra)));
                    }
                    if let Some(last) = claim {
                        let _ = segments.submit(last);
                    }
                    currents[thread as usize].store(NONE, Ordering::Release);
                    pushed
                })
            })
            .collect();
        let round = scope.spawn({
            let read = &mut read;
            move || {
                let mut last = false;
                while !std::mem::replace(&mut last, done.load(Ordering::Acquire)) || !last {
                    for current in currents {
                        let index = current.load(Ordering::Acquire);
                        if index != NONE {
                            segments.drain(index, &mut *read);
                        }
                    }
                    segments.drain_full(&mut *read);
                    std::thread::yield_now();
                }
            }
        });
        let pushed = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
        done.store(true, Ordering::Release);
        round.join().unwrap();
        pushed
    });
    assert_eq!(seen.len() as u64, pushed, "what was pushed was read");
    assert_eq!(pushed, THREADS * SPANS);
    let free = std::iter::from_fn(|| segments.claim()).count();
    assert_eq!(free, 16, "every segment came back");
}

#[test]
fn an_empty_arena_refuses_and_recovers() {
    let segments = Segments::new(0);
    let mut claims: Vec<_> = std::iter::from_fn(|| segments.claim()).collect();
    assert_eq!(claims.len(), 16);
    assert!(segments.claim().is_none());
    let mut claim = claims.pop().unwrap();
    assert!((0..SLOTS as u64).all(|number| segments.push(&mut claim, &span(0, number), &[])));
    assert!(!segments.push(&mut claim, &span(0, 0), &[]), "full");
    let _ = segments.submit(claim);
    let mut read = 0;
    segments.drain_full(|_, _| read += 1);
    assert_eq!(read, SLOTS);
    assert!(segments.claim().is_some());
}

#[test]
fn a_record_whose_reader_fails_is_not_read_again() {
    let segments = Segments::new(0);
    let mut claim = segments.claim().unwrap();
    for number in 0..3 {
        assert!(segments.push(&mut claim, &span(0, number), &extra(8)));
    }
    let mut read = Vec::new();
    for _ in 0..2 {
        let round = catch_unwind(AssertUnwindSafe(|| {
            segments.drain(Segments::index_of(&claim), |span, _| {
                read.push(span.start);
                assert_ne!(span.start, 1, "as a defect would");
            });
        }));
        assert!(round.is_err() || read.len() == 3);
    }
    assert_eq!(read, [0, 1, 2]);
}
