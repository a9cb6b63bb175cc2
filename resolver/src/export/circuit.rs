//! The circuit breaker: while a backend fails, one probe at a time instead of every thread knocking.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use crate::config::Retry;

/// Closed while the backend takes batches; open from the first retryable failure to the next answer.
#[derive(Debug)]
pub(super) struct Circuit {
    retry: Retry,
    jitter: Jitter,
    open: Option<OpenCircuit>,
}

#[derive(Debug)]
struct OpenCircuit {
    since: Instant,
    next_probe: Instant,
    probing: bool,
    failures: u32,
}

/// What the circuit says to a worker that has a batch in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Go on: the backend takes batches.
    Pass,
    /// Go on, as the only one; [`Circuit::leave`] must follow.
    Probe,
    /// Not before this; `None` while somebody else's probe is under way.
    Closed(Option<Instant>),
}

impl Circuit {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, jitter: Jitter::seeded(), open: None }
    }

    /// Asks to export a batch. With `hurry` a pause is over at once: the queue is shutting down.
    pub(super) fn enter(&mut self, now: Instant, hurry: bool) -> Gate {
        let Some(open) = &mut self.open else { return Gate::Pass };
        if open.probing {
            return Gate::Closed(None);
        }
        if now < open.next_probe && !hurry {
            return Gate::Closed(Some(open.next_probe));
        }
        open.probing = true;
        Gate::Probe
    }

    /// A probe is over, whatever came of it.
    pub(super) fn leave(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    /// A call failed in a way that may pass. Returns how long to wait before the next, and whether this was the first.
    ///
    /// Of calls that were already under way when the circuit opened, only the server's own wish counts: ten threads
    /// that fail together are one failure.
    pub(super) fn failed(&mut self, now: Instant, server_wish: Option<Duration>, was_probe: bool) -> (Duration, bool) {
        // A server (or what pretends to be one) must not silence a backend for longer than any batch would live.
        let server_wish = server_wish.map(|wish| wish.min(self.retry.max_elapsed.max(self.retry.max)));
        let first = self.open.is_none();
        let open = self.open.get_or_insert(OpenCircuit { since: now, next_probe: now, probing: false, failures: 0 });
        let mut next_probe = open.next_probe;
        if first || was_probe {
            next_probe = now + self.jitter.spread(backoff(&self.retry, open.failures));
            open.failures = open.failures.saturating_add(1);
        }
        if let Some(wish) = server_wish {
            next_probe = next_probe.max(now + wish);
        }
        open.next_probe = next_probe;
        (next_probe.saturating_duration_since(now), first)
    }

    /// The backend answered. Returns for how long it had not, if it had not.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.open.take().map(|open| now.saturating_duration_since(open.since))
    }

    /// Whether the backend is failing.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// `initial` doubled with every failure, up to `max`.
fn backoff(retry: &Retry, failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    retry.initial.saturating_mul(factor).min(retry.max)
}

/// Spreads the retries of many processes whose collector came back at one moment. Not for secrets.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    fn seeded() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// Between half of `pause` and all of it.
    fn spread(&mut self, pause: Duration) -> Duration {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let half = pause / 2;
        // 53 bits: as many as the fraction of a double holds.
        half + half.mul_f64((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(1),
        max_elapsed: Duration::from_secs(60),
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_are_jittered_by_up_to_half() {
        let mut circuit = Circuit::new(RETRY);
        let now = Instant::now();
        for expected_ms in [100, 200, 400, 800, 1000, 1000, 1000] {
            let (pause, _) = circuit.failed(now, None, true);
            let full = Duration::from_millis(expected_ms);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} for {full:?}");
        }
    }

    #[test]
    fn two_processes_do_not_retry_at_the_same_moment() {
        let now = Instant::now();
        let mut pauses: Vec<_> = (0..16).map(|_| Circuit::new(RETRY).failed(now, None, true).0).collect();
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 8, "{pauses:?}");
    }

    #[test]
    fn a_server_that_asks_for_more_patience_gets_it_but_not_for_ever() {
        let now = Instant::now();
        let (pause, first) = Circuit::new(RETRY).failed(now, Some(Duration::from_secs(7)), false);
        assert_eq!((pause, first), (Duration::from_secs(7), true));
        let (pause, _) = Circuit::new(RETRY).failed(now, Some(Duration::from_secs(86_400)), false);
        assert_eq!(pause, Duration::from_secs(60));
    }

    #[test]
    fn threads_that_fail_together_are_one_failure() {
        let mut circuit = Circuit::new(RETRY);
        let now = Instant::now();
        let (first_pause, _) = circuit.failed(now, None, false);
        for _ in 0..10 {
            assert_eq!(circuit.failed(now, None, false), (first_pause, false));
        }
    }

    #[test]
    fn an_open_circuit_lets_one_probe_through_after_its_pause() {
        let mut circuit = Circuit::new(RETRY);
        let now = Instant::now();
        assert_eq!(circuit.enter(now, false), Gate::Pass);
        let (pause, _) = circuit.failed(now, None, false);
        assert_eq!(circuit.enter(now, false), Gate::Closed(Some(now + pause)));
        assert_eq!(circuit.enter(now + pause, false), Gate::Probe);
        assert_eq!(circuit.enter(now + pause, false), Gate::Closed(None));
        circuit.leave();
        assert_eq!(circuit.enter(now, true), Gate::Probe, "shutting down: no pause");
        assert!(circuit.answered(now + pause).is_some());
        assert_eq!(circuit.enter(now, false), Gate::Pass);
    }
}
