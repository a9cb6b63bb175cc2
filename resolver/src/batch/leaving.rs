//! A process that may end at any moment: what it has in hand is to leave before.
//!
//! The batch thread does the work, as often as it is asked, and nothing is closed by it: a process that was about to
//! end may live on. Who asks only waits. It takes no lock and allocates nothing, since it may be in a signal handler,
//! whatever its thread holds.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use crate::per_process::FirstMade;

/// How sure the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Leave {
    /// It may come, and not be seen. A backend that fails is not waited for.
    Unseen,
    /// `exit()` has begun. Destructors of the application follow, which may send, and then [`Leave::Last`].
    First,
    /// The call that ends the process may fail.
    OrNot,
    /// Nothing follows: what has not left by then is lost, counted and told.
    Last,
}

/// What is asked of the batch thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    number: u32,
    pub leave: Leave,
    pub deadline: Instant,
}

/// The requests of one process.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// How long all who ask may wait together.
    budget: Duration,
    /// Nanoseconds that they have waited.
    waited: AtomicU64,
    /// Requests so far.
    asked: AtomicU32,
    /// The last request that was met.
    met: AtomicU32,
    /// Of the latest request: how long it waits, in nanoseconds, and a [`Leave`], which stays at `Last`.
    patience: AtomicU64,
    leave: AtomicU8,
    /// What is collected is to be sealed, and nobody waits.
    seal: AtomicBool,
}

/// How often the batch thread tries again, in one round or before it, where another thread is at something.
///
/// Mostly that one is gone after nanoseconds. But it may be the one that waits for this round: its signal handler ends the
/// process. So nothing in a round waits for ever, and what a round could not look at is looked at in the next one.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    tries: u32,
}

impl Patience {
    /// First the other thread is given the processor, then time.
    const YIELDS: u32 = 1000;
    const SLEEPS: u32 = 20;

    /// Whether to try again; returns when it is time to.
    pub(super) fn lasts(&mut self) -> bool {
        if self.tries == Self::YIELDS + Self::SLEEPS {
            return false;
        }
        self.tries += 1;
        if self.tries <= Self::YIELDS {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// `None` if it is not to be had so soon.
    pub(crate) fn lock<'a, T>(&mut self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        loop {
            match mutex.try_lock() {
                Ok(locked) => return Some(locked),
                Err(TryLockError::Poisoned(locked)) => return Some(locked.into_inner()),
                Err(TryLockError::WouldBlock) if self.lasts() => {}
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }
}

/// What is done on the batch thread first of all when the process ends, or may.
static BEFORE: FirstMade<fn(Leave) -> bool> = FirstMade::new();

/// Of the time, for what is done when nothing more can leave: counting it, and saying so.
const TO_TELL: Duration = Duration::from_millis(200);

impl Leaving {
    pub(crate) fn new(budget: Duration) -> Self {
        Self {
            budget,
            waited: AtomicU64::new(0),
            asked: AtomicU32::new(0),
            met: AtomicU32::new(0),
            patience: AtomicU64::new(0),
            leave: AtomicU8::new(Leave::Unseen as u8),
            seal: AtomicBool::new(false),
        }
    }

    /// Asks, by `wake`, and waits: `at_most`, and what is left of the time that all of the process may wait.
    pub(crate) fn ask(&self, leave: Leave, at_most: Duration, wake: impl FnOnce()) {
        let kept = if leave == Leave::Last { Duration::ZERO } else { TO_TELL };
        let waited = Duration::from_nanos(self.waited.load(Ordering::Relaxed));
        let patience = self.budget.saturating_sub(waited).saturating_sub(kept).min(at_most);
        let started = Instant::now();
        self.patience.store(nanos(patience), Ordering::Relaxed);
        if self.leave.load(Ordering::Relaxed) != Leave::Last as u8 {
            self.leave.store(leave as u8, Ordering::Relaxed);
        }
        // Release: pairs with the acquire in `request`, which then sees what was stored above.
        let mine = self.asked.fetch_add(1, Ordering::Release).wrapping_add(1);
        wake();
        let mut pause = Duration::from_micros(50);
        while !self.is_met(mine) && started.elapsed() < patience {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(1));
        }
        self.waited.fetch_add(nanos(started.elapsed()), Ordering::Relaxed);
    }

    /// Lets the batch thread's next round seal what there is.
    pub(crate) fn seal_soon(&self) {
        // Release: pairs with the acquire in `takes_seal`.
        self.seal.store(true, Ordering::Release);
    }

    /// Called by the batch thread before it drains.
    pub(crate) fn takes_seal(&self) -> bool {
        self.seal.swap(false, Ordering::Acquire)
    }

    /// What is asked for now. Called by the batch thread before it drains.
    pub(crate) fn request(&self) -> Option<Request> {
        // Acquire: pairs with the release in `ask`.
        let number = self.asked.load(Ordering::Acquire);
        if self.is_met(number) {
            return None;
        }
        let said = self.leave.load(Ordering::Relaxed);
        let leave = [Leave::First, Leave::OrNot, Leave::Last]
            .into_iter()
            .find(|known| *known as u8 == said)
            .unwrap_or(Leave::Unseen);
        let patience = Duration::from_nanos(self.patience.load(Ordering::Relaxed));
        let to_tell = if leave == Leave::Unseen { Duration::ZERO } else { TO_TELL };
        Some(Request { number, leave, deadline: Instant::now() + patience.saturating_sub(to_tell) })
    }

    /// Lets the batch thread call `before`, once for every request; the first that is given counts.
    pub(crate) fn set_before(before: fn(Leave) -> bool) {
        BEFORE.get_or_init(|| before);
    }

    /// Called by the batch thread when it has a request. Whether nothing was passed over.
    pub(crate) fn before(leave: Leave) -> bool {
        BEFORE.get().is_none_or(|before| before(leave))
    }

    /// Called by the batch thread when all has left that could.
    pub(crate) fn meet(&self, request: Request) {
        // Release: pairs with the acquire in `is_met`.
        self.met.store(request.number, Ordering::Release);
    }

    fn is_met(&self, number: u32) -> bool {
        // Numbers wrap; what is behind is less than half of them behind.
        self.met.load(Ordering::Acquire).wrapping_sub(number) < u32::MAX / 2
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_waits_of_a_process_together_take_no_longer_than_its_budget() {
        let leaving = Leaving::new(Duration::from_millis(900));
        let started = Instant::now();
        for _ in 0..20 {
            leaving.ask(Leave::OrNot, Duration::from_secs(1), || ());
        }
        leaving.ask(Leave::Last, Duration::from_secs(1), || ());
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(15), "{took:?}");
    }

    #[test]
    fn a_request_that_is_met_is_waited_for_no_longer_and_the_next_is_another() {
        let leaving = Leaving::new(Duration::from_secs(60));
        for leave in [Leave::Unseen, Leave::First, Leave::OrNot, Leave::Last] {
            leaving.ask(leave, Duration::from_secs(60), || {
                let request = leaving.request().unwrap();
                assert_eq!(request.leave, leave);
                leaving.meet(request);
            });
            assert!(leaving.request().is_none());
        }
    }

    #[test]
    fn what_would_live_on_leaves_time_for_the_last_words() {
        let leaving = Leaving::new(Duration::from_millis(500));
        leaving.ask(Leave::OrNot, Duration::from_secs(60), || ());
        let mut left = Duration::ZERO;
        leaving.ask(Leave::Last, Duration::from_secs(60), || {
            left = Duration::from_nanos(leaving.patience.load(Ordering::Relaxed));
        });
        assert!(left > Duration::ZERO && left <= TO_TELL, "{left:?}");
    }
}
