//! One collection for all instruments that a reader asks in one round.

#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::per_process::PerProcess;

/// The rounds under way, one for each thread that a reader collects on.
///
/// OpenTelemetry's interface says to an instrument that it is asked for, and not in which round: one that is asked for again
/// begins the next.
pub(super) struct Rounds<T> {
    /// How many instruments there are to be asked: a round in which all were is over, and its collection freed.
    instruments: usize,
    under_way: PerProcess<Mutex<Vec<Round<T>>>>,
}

struct Round<T> {
    thread: ThreadId,
    begun: Instant,
    told: Vec<&'static str>,
    collected: Arc<T>,
}

impl<T> Rounds<T> {
    pub(super) fn of(instruments: usize) -> Self {
        Self { instruments, under_way: PerProcess::new() }
    }

    /// What was collected in the round in which `instrument` is asked for on this thread; `collect` is called if that begins
    /// with it.
    pub(super) fn collected(&self, instrument: &'static str, now: Instant, collect: impl FnOnce() -> T) -> Arc<T> {
        let under_way = || {
            let rounds = self.under_way.get_or_init(Mutex::default);
            rounds.lock().unwrap_or_else(PoisonError::into_inner)
        };
        let thread = thread::current().id();
        let mut rounds = under_way();
        rounds.retain(|round| {
            let is_over = now.saturating_duration_since(round.begun) > LONGEST;
            !is_over && (round.thread != thread || !round.told.contains(&instrument))
        });
        if let Some(round) = rounds.iter_mut().find(|round| round.thread == thread) {
            round.told.push(instrument);
            let collected = Arc::clone(&round.collected);
            if round.told.len() >= self.instruments {
                rounds.retain(|round| round.thread != thread);
            }
            return collected;
        }
        drop(rounds);
        // Not with the lock: other readers have theirs.
        let collected = Arc::new(collect());
        if self.instruments > 1 {
            let round = Round { thread, begun: now, told: vec![instrument], collected: Arc::clone(&collected) };
            under_way().push(round);
        }
        collected
    }
}

/// A round in which not all instruments are asked for, because the application has left some out, ends with it.
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Told {
        rounds: Rounds<u32>,
        collections: AtomicU32,
        begun: Instant,
    }

    impl Told {
        fn new() -> Self {
            Self { rounds: Rounds::of(3), collections: AtomicU32::new(0), begun: Instant::now() }
        }

        fn at(&self, milliseconds: u64, instrument: &'static str) -> u32 {
            let now = self.begun + Duration::from_millis(milliseconds);
            *self.rounds.collected(instrument, now, || self.collections.fetch_add(1, Ordering::Relaxed) + 1)
        }

        fn now(&self, instruments: &[&'static str]) -> Vec<u32> {
            instruments.iter().map(|instrument| self.at(0, instrument)).collect()
        }
    }

    #[test]
    fn all_instruments_of_a_round_have_one_collection_and_the_next_round_has_another() {
        let told = Told::new();
        assert_eq!(told.now(&["a", "b", "c", "a", "b", "c"]), [1, 1, 1, 2, 2, 2]);
        assert_eq!(told.now(&["a", "c", "a", "c", "a"]), [3, 3, 4, 4, 5], "one of them is left out");
    }

    #[test]
    fn what_is_over_is_freed_and_told_to_nobody() {
        let told = Told::new();
        assert_eq!((told.at(0, "a"), told.at(1_000, "b"), told.at(1_001, "c")), (1, 1, 2));
        assert_eq!((told.at(1_001, "a"), told.at(1_001, "b")), (2, 2));
        assert!(told.rounds.under_way.get().unwrap().lock().unwrap().is_empty());
    }

    #[test]
    fn readers_that_collect_at_once_have_a_collection_each() {
        let told = Told::new();
        assert_eq!(told.now(&["a"]), [1]);
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(told.now(&["a", "b"]), [2, 2]));
        });
        assert_eq!(told.now(&["b", "c"]), [1, 1]);
    }
}
