//! Rules that a reload has replaced, and what still follows them.
//!
//! A message that was sent by them ends by them, and so does a processing that they began. The batch thread looks from round
//! to round: when nothing is under way any more, what it keeps for their backend_sets goes, and whoever they are is told.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend_set::BackendSet;
use super::record::OriginAddress;
use super::span_origin::SpanOrigin;

/// See the module.
pub(crate) trait Outgoing: Send {
    /// Where their spans go.
    fn backend_sets(&self) -> &[Arc<BackendSet>];
    /// Whether messages are in flight that were sent by them.
    fn are_awaited(&self) -> bool;
    /// Nothing follows them any more. Called on the batch thread, once.
    fn over(self: Box<Self>);
}

/// All of them, and since when each is replaced.
#[derive(Default)]
pub(super) struct OutgoingRules(Vec<(Instant, Box<dyn Outgoing>)>);

/// Whose deliveries wait, as one sweep saw them.
#[derive(Default)]
pub(super) struct Held {
    wanted: bool,
    origins: RefCell<HashSet<OriginAddress>>,
    backend_sets: RefCell<HashSet<usize>>,
}

/// A thread that was in a callback when they were replaced is through with it by then, as a rule. One that is not harms
/// nothing: its span leaves by itself, later.
const LEAST: Duration = Duration::from_secs(1);
/// Messages are acknowledged within `message.timeout.ms`, five minutes unless it is set; some never are.
const LONGEST: Duration = Duration::from_secs(600);

impl OutgoingRules {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, now: Instant, more: &mut Vec<Box<dyn Outgoing>>) {
        self.0.extend(more.drain(..).map(|rules| (now, rules)));
    }

    /// Lets those go that nothing follows any more; `forget` what is kept for a backend_set.
    pub(super) fn look(&mut self, now: Instant, held: &Held, mut forget: impl FnMut(usize)) {
        let is_over = |(since, rules): &mut (Instant, Box<dyn Outgoing>)| {
            let age = now.duration_since(*since);
            let is_idle = || {
                let backend_sets = held.backend_sets.borrow();
                !rules.are_awaited()
                    && !rules
                        .backend_sets()
                        .iter()
                        .any(|backend_set| backend_sets.contains(&backend_set.index()) || backend_set.is_worked_for())
            };
            age >= LONGEST || age >= LEAST && is_idle()
        };
        for (_, rules) in self.0.extract_if(.., is_over) {
            for backend_set in rules.backend_sets() {
                backend_set.ends();
                forget(backend_set.index());
            }
            rules.over();
        }
    }
}

impl Held {
    /// `wanted`: whether anybody will ask.
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, ..Self::default() }
    }

    pub(super) fn note(&self, address: OriginAddress, origin: Option<&SpanOrigin>) {
        if let (Some(origin), true) = (origin, self.wanted) {
            self.origins.borrow_mut().insert(address);
            self.backend_sets.borrow_mut().insert(origin.backend_set().index());
        }
    }

    pub(super) fn has(&self, origin: &Arc<SpanOrigin>) -> bool {
        self.origins.borrow().contains(&origin.address())
    }
}
