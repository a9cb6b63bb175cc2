//! One instrument of one topic: a histogram of what went well, and one for each way in which it failed.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bounds::DURATIONS;
use super::histogram::Histogram;

/// See the module.
#[derive(Debug)]
pub(super) struct Outcomes {
    fine: Histogram,
    failed: [OnceLock<Box<Failed>>; MOST_FAILURES],
}

/// How something failed, and how long that took.
#[derive(Debug)]
struct Failed {
    /// librdkafka's error code; 0 where the application names its errors.
    code: i32,
    error_type: String,
    durations: Histogram,
}

/// What failed, as it is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure<'a> {
    /// librdkafka's error code.
    Code(i32),
    /// The application's own word.
    Named(&'a str),
}

/// How many ways to fail have a histogram, in one process and resolver.
#[derive(Debug, Default)]
pub(super) struct FailureRoom(AtomicUsize);

/// Ways to fail of one topic that have a histogram of their own.
const MOST_FAILURES: usize = 16;
/// The same, of all topics together.
pub(super) const MOST_FAILURES_OF_ALL: usize = 1_000;

impl Outcomes {
    pub(super) fn new() -> Self {
        Self { fine: Histogram::new(&DURATIONS), failed: [const { OnceLock::new() }; MOST_FAILURES] }
    }

    #[inline]
    pub(super) fn fine(&self) -> &Histogram {
        &self.fine
    }

    /// Where a failure is counted; `None`: there is no room for one more kind. Allocates at the first of its kind.
    #[cold]
    pub(super) fn of(
        &self,
        failure: Failure<'_>,
        room: &FailureRoom,
        name: impl FnOnce() -> String,
    ) -> Option<&Histogram> {
        let mut fresh: Option<Box<Failed>> = None;
        let mut name = Some(name);
        for place in &self.failed {
            if place.get().is_none() {
                let failed = match (fresh.take(), name.take()) {
                    (Some(failed), _) => failed,
                    (None, Some(name)) if room.take() => Box::new(failure.first(name())),
                    (None, _) => return None,
                };
                // Another thread may have been faster: then this place is looked at as any other.
                if let Err(failed) = place.set(failed) {
                    fresh = Some(failed);
                }
            }
            if let Some(found) = place.get().filter(|known| failure.is(known)) {
                if fresh.is_some() {
                    room.give_back();
                }
                return Some(&found.durations);
            }
        }
        if fresh.is_some() {
            room.give_back();
        }
        None
    }

    /// Every outcome: how it failed, and its durations.
    pub(super) fn all(&self) -> impl Iterator<Item = (Option<&str>, &Histogram)> {
        let failed = self.failed.iter().filter_map(OnceLock::get);
        std::iter::once((None, &self.fine))
            .chain(failed.map(|failed| (Some(failed.error_type.as_str()), &failed.durations)))
    }
}

impl Failure<'_> {
    fn is(self, known: &Failed) -> bool {
        match self {
            Self::Code(code) => known.code == code,
            Self::Named(name) => known.error_type == name,
        }
    }

    fn first(self, error_type: String) -> Failed {
        let code = match self {
            Self::Code(code) => code,
            Self::Named(_) => 0,
        };
        Failed { code, error_type, durations: Histogram::new(&DURATIONS) }
    }
}

impl FailureRoom {
    fn take(&self) -> bool {
        let more = |taken| (taken < MOST_FAILURES_OF_ALL).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::exemplar_slot::Exemplars;
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_own_durations_and_further_ones_have_none() {
        let (outcomes, room) = (Outcomes::new(), FailureRoom::default());
        for round in 0..2 {
            for code in 1..=MOST_FAILURES as i32 {
                let name = || if round == 0 { format!("E{code}") } else { unreachable!("it is known") };
                outcomes.of(Failure::Code(code), &room, name).unwrap().record(1, || None);
            }
        }
        assert!(outcomes.of(Failure::Code(99), &room, || "E99".to_owned()).is_none());
        assert_eq!((outcomes.all().count(), room.taken()), (1 + MOST_FAILURES, MOST_FAILURES));
        let counts: Vec<_> = outcomes
            .all()
            .map(|(name, all)| (name, all.collect(Vec::new(), Exemplars::New).map(|all| all.counts[0])))
            .collect();
        assert_eq!(counts[..2], [(None, None), (Some("E1"), Some(2))]);
    }

    #[test]
    fn all_topics_together_have_so_many_ways_to_fail_and_no_more() {
        let room = FailureRoom::default();
        let topics: Vec<_> = (0..=MOST_FAILURES_OF_ALL / MOST_FAILURES).map(|_| Outcomes::new()).collect();
        let found = topics.iter().flat_map(|topic| {
            let room = &room;
            (0..MOST_FAILURES).map(move |kind| {
                let name = format!("{kind}");
                topic.of(Failure::Named(&name), room, || name.clone()).is_some()
            })
        });
        assert_eq!(found.filter(|found| *found).count(), MOST_FAILURES_OF_ALL);
        assert_eq!(room.taken(), MOST_FAILURES_OF_ALL);
    }

    #[test]
    fn threads_that_meet_a_failure_at_once_share_one_place() {
        for _ in 0..200 {
            let (outcomes, room) = (Outcomes::new(), FailureRoom::default());
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for name in ["a", "b"] {
                            outcomes.of(Failure::Named(name), &room, || name.to_owned()).unwrap().record(1, || None);
                        }
                    });
                }
            });
            assert_eq!((outcomes.all().count(), room.taken()), (3, 2));
        }
    }
}
