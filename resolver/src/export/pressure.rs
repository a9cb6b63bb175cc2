//! How many of the new traces a queue wants to begin: all, until its bound is near; then fewer, the nearer it is.
//!
//! `resolver/src/tracer/RATIONALE.md`: "How does a queue know what share of traces to ask for?"

use std::time::{Duration, Instant};

/// What a queue wants of those who begin traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) halvings: Halvings,
    /// Whether the backend takes batches at the moment, as far as is known: what has room for none gains nothing by fewer.
    pub(crate) is_heard: bool,
    /// What waits, and how much may.
    pub(crate) held: u64,
    pub(crate) bound: u64,
}

/// How often the share of traces that begins is halved, in parts of [`ONE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Halvings(u64);

/// See the module. Rises at once, and falls with what leaves, so that it neither follows each batch up and down nor swings
/// where spans come long after their traces began.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    halvings: Halvings,
    /// Bytes that came in each eighth of the last second.
    came: [u64; EIGHTHS],
    /// When the youngest of these began, and which it is.
    since: Option<Instant>,
    youngest: usize,
}

impl Halvings {
    /// The share of new traces that begins, 0.0 to 1.0.
    pub(crate) fn share(self) -> f64 {
        (-(self.0 as f64) / ONE as f64).exp2()
    }

    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// What so full a place asks for, of which so much is for what has begun: nothing until that part is reached, a
    /// sixteenth of the traces in its middle, and none at the bound.
    pub(crate) fn of(held: u64, bound: u64, reserve: u64) -> Self {
        let (over, left) = (held.saturating_sub(bound.saturating_sub(reserve)), bound.saturating_sub(held));
        let halvings = u128::from(over) * u128::from(STEEP * ONE) / u128::from(left.max(1));
        Self(u64::try_from(halvings).unwrap_or(MOST).min(MOST))
    }
}

impl Pressure {
    /// So many bytes have come, and so many wait.
    pub(super) fn came(&mut self, bytes: u64, held: u64, bound: u64, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let eighths = now.saturating_duration_since(since).as_nanos() / EIGHTH.as_nanos();
        for _ in 0..eighths.min(EIGHTHS as u128) {
            self.youngest = (self.youngest + 1) % EIGHTHS;
            self.set_youngest(0);
        }
        if eighths > 0 {
            self.since = Some(now);
        }
        let so_far = self.came.get(self.youngest).copied().unwrap_or(0);
        self.set_youngest(so_far.saturating_add(bytes));
        self.halvings = self.halvings.max(Halvings::of(held, bound, self.reserve(bound)));
    }

    /// So many bytes have left, and so many still wait.
    pub(super) fn left(&mut self, bytes: u64, held: u64, bound: u64) {
        if held < bound / 2 {
            self.halvings = Halvings::default();
            return;
        }
        let fall = u128::from(bytes) * u128::from(FALL * ONE) / u128::from(bound.max(1));
        let fallen = self.halvings.0.saturating_sub(u64::try_from(fall).unwrap_or(MOST));
        self.halvings = Halvings(fallen).max(Halvings::of(held, bound, self.reserve(bound)));
    }

    pub(super) fn halvings(&self) -> Halvings {
        self.halvings
    }

    /// Room for the spans to come of traces that have begun: as many as came in a second, a quarter of the queue at the
    /// least and half of it at the most.
    fn reserve(&self, bound: u64) -> u64 {
        let came = self.came.iter().fold(0, |sum: u64, came| sum.saturating_add(*came));
        came.clamp(bound / 4, bound / 2)
    }

    fn set_youngest(&mut self, bytes: u64) {
        if let Some(place) = self.came.get_mut(self.youngest) {
            *place = bytes;
        }
    }
}

const EIGHTHS: usize = 8;
const EIGHTH: Duration = Duration::from_millis(125);
/// One halving.
const ONE: u64 = 1 << 16;
/// Nothing of what a process can send reaches so small a share.
const MOST: u64 = 40 * ONE;
const STEEP: u64 = 4;
/// Halvings that are taken back while a whole queue leaves.
const FALL: u64 = 16;
