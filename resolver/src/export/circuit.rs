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
    /// Whether the backend ever gave an answer.
    answered_once: bool,
    /// Whether an end has waited for it in vain since.
    given_up: bool,
    /// While the queue hurries because the process may end.
    hurry: Option<Hurry>,
}

/// How a backend is tried while the process waits for it.
#[derive(Debug)]
struct Hurry {
    /// No try begins later.
    until: Instant,
    /// Whether to try again at all.
    insisting: bool,
    /// Until when a backend is tried that gives no sign of life; `None` before the first look.
    hope: Option<Instant>,
    tries: u32,
    /// The one before the time is over was made.
    last_try: bool,
    hopeless: bool,
}

#[derive(Debug)]
struct OpenCircuit {
    since: Instant,
    next_probe: Instant,
    /// What the server said of it.
    server_wish: Option<Instant>,
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
        Self { retry, jitter: Jitter::seeded(), open: None, answered_once: false, given_up: false, hurry: None }
    }

    /// The process may end: a pause is over at once, unless the server wished for it and it is over before `until`; and
    /// the next ones are short. Until `until` or [`Circuit::relax`].
    ///
    /// Without `insisting` there is one try, as for a backend that has failed for long.
    pub(super) fn hurry(&mut self, until: Instant, insisting: bool) {
        self.hurry = Some(Hurry { until, insisting, hope: None, tries: 0, last_try: false, hopeless: false });
    }

    /// The process lives on: back to pauses that spare the backend.
    pub(super) fn relax(&mut self) {
        self.hurry = None;
    }

    /// Whether, in a hurry, no further try is made.
    pub(super) fn is_hopeless(&self) -> bool {
        self.hurry.as_ref().is_some_and(|hurry| hurry.hopeless)
    }

    /// Asks to export a batch.
    pub(super) fn enter(&mut self, now: Instant) -> Gate {
        self.look_in_a_hurry(now);
        let Some(open) = &mut self.open else { return Gate::Pass };
        if open.probing {
            return Gate::Closed(None);
        }
        if now < open.next_probe {
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
        let open = self.open.get_or_insert(OpenCircuit {
            since: now,
            next_probe: now,
            server_wish: None,
            probing: false,
            failures: 0,
        });
        let mut next_probe = open.next_probe;
        if first || was_probe {
            next_probe = now + self.jitter.spread(backoff(&self.retry, open.failures));
            open.failures = open.failures.saturating_add(1);
        }
        if let Some(wish) = server_wish {
            next_probe = next_probe.max(now + wish);
            open.server_wish = Some(now + wish);
        }
        open.next_probe = next_probe;
        if first || was_probe {
            next_probe = self.next_try_in_a_hurry(now, server_wish).unwrap_or(next_probe);
        }
        (next_probe.saturating_duration_since(now), first)
    }

    /// The backend answered. Returns for how long it had not, if it had not.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.answered_once = true;
        self.given_up = false;
        if let Some(hurry) = &mut self.hurry {
            hurry.hopeless = false;
        }
        self.open.take().map(|open| now.saturating_duration_since(open.since))
    }

    /// At the first look of a hurry: how long there is hope for the backend, and when it is tried next.
    fn look_in_a_hurry(&mut self, now: Instant) {
        let Some(hurry) = self.hurry.as_mut().filter(|hurry| hurry.hope.is_none()) else { return };
        let mut in_vain = self.given_up || !hurry.insisting;
        if let Some(open) = &mut self.open {
            in_vain |= now.saturating_duration_since(open.since) >= SHORT_HOPE;
            let wish = open.server_wish.filter(|wish| hurry.insisting && *wish < hurry.until);
            open.next_probe = wish.unwrap_or(now);
        }
        hurry.hope = Some(match (in_vain, self.answered_once) {
            (true, _) => now,
            (false, true) => hurry.until,
            (false, false) => hurry.until.min(now + SHORT_HOPE),
        });
    }

    /// Sets when a backend that has failed is tried next while the process waits for it; `None` for never, or without a
    /// hurry.
    fn next_try_in_a_hurry(&mut self, now: Instant, server_wish: Option<Duration>) -> Option<Instant> {
        self.look_in_a_hurry(now);
        let (Some(hurry), Some(open)) = (&mut self.hurry, &mut self.open) else { return None };
        // A server that says when is alive; one that says too late is as good as not.
        let in_time = hurry.insisting && server_wish.is_some_and(|wish| now + wish < hurry.until);
        let limit = if in_time { hurry.until } else { hurry.hope.unwrap_or(now) };
        let pause = self.jitter.spread(backoff(&IN_A_HURRY, hurry.tries)).max(server_wish.unwrap_or_default());
        hurry.tries = hurry.tries.saturating_add(1);
        let mut next = now + pause;
        if next >= limit {
            // Too late: rather once more before the time is over, whatever the server wished.
            let just_before = limit.checked_sub(LAST_TRY).unwrap_or(limit);
            if hurry.last_try || just_before <= now {
                hurry.hopeless = true;
                self.given_up = true;
                return None;
            }
            hurry.last_try = true;
            next = just_before;
        }
        open.next_probe = next;
        Some(next)
    }

    /// The shortest pause that would follow if a call came to nothing now. Of several calls that fail together, all but
    /// the first wait for less.
    pub(super) fn least_pause(&self, is_probe: bool) -> Duration {
        let failures = self.open.as_ref().map_or(0, |open| open.failures);
        if is_probe || self.open.is_none() { backoff(&self.retry, failures) / 2 } else { Duration::ZERO }
    }

    /// Whether the process waits for its end, and there would be no further try before it.
    pub(super) fn is_last_try_in_a_hurry(&self, now: Instant) -> bool {
        let Some(hurry) = &self.hurry else { return false };
        let limit = hurry.hope.unwrap_or(hurry.until);
        hurry.last_try || limit.checked_sub(LAST_TRY).is_none_or(|last| last <= now)
    }

    /// Whether the backend is failing.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// Pauses while the process waits for its end.
const IN_A_HURRY: Retry = Retry {
    initial: Duration::from_millis(50),
    max: Duration::from_millis(500),
    max_elapsed: Duration::ZERO, // Not looked at.
};

/// How long the end of a process waits for a backend that never answered; and how long one must have failed already
/// that is tried only once.
const SHORT_HOPE: Duration = Duration::from_secs(1);

/// How long before the time is over the last try begins.
const LAST_TRY: Duration = Duration::from_millis(250);

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
        assert_eq!(circuit.enter(now), Gate::Pass);
        let (pause, _) = circuit.failed(now, None, false);
        assert_eq!(circuit.enter(now), Gate::Closed(Some(now + pause)));
        assert_eq!(circuit.enter(now + pause), Gate::Probe);
        assert_eq!(circuit.enter(now + pause), Gate::Closed(None));
        circuit.leave();
        for (wish, gate) in [(30, Gate::Probe), (1, Gate::Closed(Some(now + SECOND)))] {
            circuit.failed(now, Some(Duration::from_secs(wish)), true);
            circuit.leave();
            circuit.hurry(now + 4 * SECOND, true);
            assert_eq!(circuit.enter(now), gate, "in a hurry no pause, but what the server wished for");
        }
        assert!(circuit.answered(now + pause).is_some());
        assert_eq!(circuit.enter(now), Gate::Pass);
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// The moments after `now` at which a backend is tried that never takes anything, in a hurry of four seconds.
    fn tries_in_a_hurry(circuit: &mut Circuit, mut now: Instant, wish: Option<Duration>) -> Vec<Duration> {
        let began = now;
        let mut tries = Vec::new();
        circuit.hurry(now + 4 * SECOND, true);
        while !circuit.is_hopeless() {
            match circuit.enter(now) {
                Gate::Closed(until) => now = until.unwrap(),
                gate => {
                    tries.push(now - began);
                    circuit.leave();
                    circuit.failed(now, wish, gate == Gate::Probe);
                }
            }
        }
        tries
    }

    #[test]
    fn in_a_hurry_a_backend_that_was_well_is_tried_to_the_end_of_the_time() {
        let mut circuit = Circuit::new(RETRY);
        circuit.answered(Instant::now());
        let tries = tries_in_a_hurry(&mut circuit, Instant::now(), None);
        assert!(tries.len() > 6 && tries[1] <= Duration::from_millis(50), "{tries:?}");
        assert!(tries.last().is_some_and(|last| *last >= 3 * SECOND && *last < 4 * SECOND), "{tries:?}");
    }

    #[test]
    fn in_a_hurry_a_backend_that_was_never_met_is_tried_for_a_second() {
        let tries = tries_in_a_hurry(&mut Circuit::new(RETRY), Instant::now(), None);
        assert!(tries.len() > 3 && tries.iter().all(|at| *at < SECOND), "{tries:?}");
    }

    #[test]
    fn in_a_hurry_that_does_not_insist_one_failure_is_enough() {
        for wish in [None, Some(Duration::from_millis(100))] {
            let (mut circuit, now) = (Circuit::new(RETRY), Instant::now());
            circuit.answered(now);
            circuit.hurry(now + 4 * SECOND, false);
            assert_eq!(circuit.enter(now), Gate::Pass);
            circuit.failed(now, wish, false);
            assert!(circuit.is_hopeless());
        }
    }

    #[test]
    fn a_second_hurry_tries_what_the_first_has_given_up_once() {
        let (mut circuit, now) = (Circuit::new(RETRY), Instant::now());
        assert!(tries_in_a_hurry(&mut circuit, now, None).len() > 3);
        circuit.relax();
        assert_eq!(tries_in_a_hurry(&mut circuit, now + SECOND / 2, None), [Duration::ZERO]);
        circuit.answered(now + SECOND);
        assert!(tries_in_a_hurry(&mut circuit, now + SECOND, None).len() > 3);
    }

    #[test]
    fn in_a_hurry_a_backend_that_has_failed_for_long_is_tried_once() {
        for was_well in [false, true] {
            let mut circuit = Circuit::new(RETRY);
            let now = Instant::now();
            if was_well {
                circuit.answered(now);
            }
            circuit.failed(now, None, false);
            assert_eq!(tries_in_a_hurry(&mut circuit, now + SECOND, None), [Duration::ZERO], "{was_well}");
        }
    }

    #[test]
    fn in_a_hurry_a_server_s_wish_is_kept_while_it_fits_and_else_it_is_tried_just_before_the_end() {
        let wish = Duration::from_millis(1500);
        let mut circuit = Circuit::new(RETRY);
        let tries = tries_in_a_hurry(&mut circuit, Instant::now(), Some(wish));
        assert_eq!(tries, [Duration::ZERO, wish, 2 * wish]);
        circuit.answered(Instant::now());
        let tries = tries_in_a_hurry(&mut circuit, Instant::now(), Some(wish));
        assert_eq!(tries, [Duration::ZERO, wish, 2 * wish, Duration::from_millis(3750)]);
        let mut circuit = Circuit::new(RETRY);
        for last in [750, 3750].map(Duration::from_millis) {
            let tries = tries_in_a_hurry(&mut circuit, Instant::now(), Some(Duration::from_secs(30)));
            assert_eq!(tries, [Duration::ZERO, last]);
            circuit.answered(Instant::now());
        }
    }

    #[test]
    fn when_the_process_lives_on_the_pauses_are_as_before() {
        let mut circuit = Circuit::new(RETRY);
        let now = Instant::now();
        tries_in_a_hurry(&mut circuit, now, None);
        circuit.relax();
        assert!(!circuit.is_hopeless());
        let (pause, _) = circuit.failed(now, None, true);
        assert!(pause >= RETRY.max / 2, "{pause:?}");
    }
}
