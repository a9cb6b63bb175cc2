//! The exemplar of one bucket.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::metrics::model::Exemplar;

/// Which exemplars a collection has. Only the scheduled one changes what is kept: whoever else reads takes nothing away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exemplars {
    /// Those that no scheduled collection had before. It goes to all backends, so each of them has each exemplar once.
    New,
    /// Those that are kept, however often they were read: for whoever asks when it likes.
    Kept,
    /// None: the reader's format has no place for them.
    Unread,
}

/// The sampled span in which something is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InSpan {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// Nanoseconds since 1970.
    pub time: u64,
}

/// Written by whatever thread measures, read by whoever collects. Nobody waits: a thread that finds another one writing
/// lets that one's exemplar be it.
///
/// The first since the last scheduled collection stays: all others cost two loads.
#[derive(Debug, Default)]
pub(super) struct ExemplarSlot {
    /// Odd: being written. Zero: never was.
    version: AtomicU64,
    /// The version that a scheduled collection had last.
    collected: AtomicU64,
    nanos: AtomicU64,
    time: AtomicU64,
    trace_high: AtomicU64,
    trace_low: AtomicU64,
    span: AtomicU64,
}

impl ExemplarSlot {
    /// Whether the one that is kept was in a scheduled collection, or there is none.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.version.load(Ordering::Relaxed) == self.collected.load(Ordering::Relaxed)
    }

    /// Once it is wanted. Two threads that found that at the same time may both write, one after the other.
    pub(super) fn note(&self, nanos: u64, within: &InSpan) {
        let version = self.version.load(Ordering::Relaxed);
        let odd = version | 1;
        // Acquire: the stores below come after it.
        if version == odd || self.version.compare_exchange(version, odd, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return;
        }
        // Release fence: whoever sees one of the new values also sees the odd version.
        fence(Ordering::Release);
        let trace = u128::from_ne_bytes(within.trace_id);
        self.nanos.store(nanos, Ordering::Relaxed);
        self.time.store(within.time, Ordering::Relaxed);
        self.trace_high.store((trace >> 64) as u64, Ordering::Relaxed);
        self.trace_low.store(trace as u64, Ordering::Relaxed);
        self.span.store(u64::from_ne_bytes(within.span_id), Ordering::Relaxed);
        // Release: pairs with the acquire in `read`.
        self.version.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// The exemplar, as far as it is asked for; `None`, too, while it is being written.
    pub(super) fn collect(&self, which: Exemplars) -> Option<Exemplar> {
        match which {
            Exemplars::New => {
                let (version, exemplar) = self.read(self.collected.load(Ordering::Relaxed))?;
                // One scheduled collection runs at a time.
                self.collected.store(version, Ordering::Relaxed);
                Some(exemplar)
            }
            Exemplars::Kept => self.read(NEVER).map(|(_, exemplar)| exemplar),
            Exemplars::Unread => None,
        }
    }

    /// What is there, whole, with its version; nothing if that is the version that is known.
    fn read(&self, known: u64) -> Option<(u64, Exemplar)> {
        // Acquire: pairs with the release that ends `note`.
        let version = self.version.load(Ordering::Acquire);
        if version % 2 == 1 || version == NEVER || version == known {
            return None;
        }
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let trace = u128::from(read(&self.trace_high)) << 64 | u128::from(read(&self.trace_low));
        let exemplar = Exemplar {
            value: read(&self.nanos) as f64 / 1e9,
            time: read(&self.time),
            trace_id: trace.to_ne_bytes(),
            span_id: read(&self.span).to_ne_bytes(),
        };
        fence(Ordering::Acquire);
        if self.version.load(Ordering::Relaxed) != version {
            return None; // The next collection has the newer one.
        }
        Some((version, exemplar))
    }
}

/// The version of a slot that nothing was written to.
const NEVER: u64 = 0;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn span(number: u64) -> InSpan {
        let trace = u128::from(number) << 64 | u128::from(number);
        InSpan { trace_id: trace.to_ne_bytes(), span_id: number.to_ne_bytes(), time: number }
    }

    impl ExemplarSlot {
        /// As a histogram does it.
        fn offer(&self, nanos: u64, within: &InSpan) {
            if self.is_wanted() {
                self.note(nanos, within);
            }
        }
    }

    #[test]
    fn a_schedule_has_the_first_exemplar_since_the_last_one_and_every_other_reader_as_often_as_it_reads() {
        let slot = ExemplarSlot::default();
        let read = |which| slot.collect(which).map(|found| (found.value, found.time, found.trace_id, found.span_id));
        let expected = |value, number| Some((value, number, span(number).trace_id, span(number).span_id));
        assert_eq!((read(Exemplars::New), read(Exemplars::Kept)), (None, None));
        slot.offer(1_500_000_000, &span(1));
        slot.offer(2_500_000_000, &span(2));
        for _ in 0..2 {
            assert_eq!(read(Exemplars::Kept), expected(1.5, 1));
            assert_eq!(read(Exemplars::Unread), None);
        }
        assert_eq!(read(Exemplars::New), expected(1.5, 1));
        assert_eq!((read(Exemplars::New), read(Exemplars::Kept)), (None, expected(1.5, 1)));
        slot.offer(1_000_000_000, &span(3));
        assert_eq!((read(Exemplars::Kept), read(Exemplars::New)), (expected(1.0, 3), expected(1.0, 3)));
    }

    #[test]
    fn a_thread_that_finds_another_one_writing_changes_nothing() {
        let slot = ExemplarSlot::default();
        slot.note(1, &span(1));
        let version = slot.version.fetch_or(1, Ordering::Relaxed);
        slot.note(2, &span(2));
        assert!(slot.collect(Exemplars::New).is_none());
        slot.version.store(version, Ordering::Relaxed);
        assert_eq!(slot.collect(Exemplars::New).unwrap().trace_id, span(1).trace_id);
    }

    #[test]
    fn an_exemplar_is_never_put_together_of_two() {
        let (slot, writing) = (ExemplarSlot::default(), AtomicUsize::new(2));
        std::thread::scope(|scope| {
            for first in [1, 2] {
                let (slot, writing) = (&slot, &writing);
                scope.spawn(move || {
                    for number in (first..100_000).step_by(2) {
                        slot.note(number, &span(number));
                        if number % 16 < 2 {
                            std::thread::yield_now();
                        }
                    }
                    writing.fetch_sub(1, Ordering::Release);
                });
            }
            let mut taken = 0;
            loop {
                let is_over = writing.load(Ordering::Acquire) == 0;
                if let Some(exemplar) = slot.collect(Exemplars::New) {
                    let expected = span(exemplar.time);
                    assert_eq!((exemplar.trace_id, exemplar.span_id), (expected.trace_id, expected.span_id));
                    assert_eq!(exemplar.value, exemplar.time as f64 / 1e9);
                    taken += 1;
                } else if is_over {
                    break;
                }
            }
            assert!(taken > 0);
        });
    }
}
