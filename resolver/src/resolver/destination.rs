//! One backend of a resolver, from its first spans to its last: running in this process, and anew in every fork.
//!
//! A reload that changes nothing of it leaves it as it is, queue and all. One that changes it makes another of the same name;
//! this one gets what ends by the rules of before, and closes when nothing follows these any more.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::plan::Plan;
use crate::diagnostics;
use crate::export::{BackendCounters, BackendQueue, BackendState, EarlyLosses};
use crate::per_process::{self, PerProcess};
use crate::plugin::Complaint;

/// See the module.
pub(super) struct Destination {
    /// Its name's number and its own: see [`number`].
    pub(super) number: usize,
    pub(super) name: String,
    /// `None` for a backend that cannot work.
    pub(super) plan: Option<Plan>,
    /// What was lost on its way; made at the first loss of a process.
    pub(super) early: PerProcess<EarlyLosses>,
    /// The last rules that name it; those of now, and so all that come, while it is `u64::MAX`.
    last_rules: AtomicU64,
    /// What runs, by how often this process was forked since. A child starts its own at its first use; it never takes a
    /// lock of its parent's, which may be held by a thread that is not there.
    running: [OnceLock<Option<Arc<BackendQueue>>>; MAX_FORKS],
}

/// A process that was forked from one that was forked, and so on: further ones trace nothing, and say so.
const MAX_FORKS: usize = 16;

/// What backend_sets name a backend by: the number of its name, so that another of that name can stand in for it, and its own.
pub(super) fn number(name: usize, instance: usize) -> usize {
    name << 32 | instance & 0xffff_ffff
}

/// The number of the name in a [`number`].
pub(super) fn name_of(number: usize) -> usize {
    number >> 32
}

impl Destination {
    /// `complain` is told what the plugin says when it cannot be created.
    ///
    /// Runs code of the plugin. The export threads start here.
    pub(super) fn start(
        number: usize,
        name: String,
        plan: Option<Plan>,
        complain: impl FnOnce(&Plan, &Complaint),
    ) -> Self {
        let queue = plan.as_ref().and_then(|plan| match plan.create() {
            Ok(instance) => Some(BackendQueue::start(&plan.settings, instance)),
            Err(complaint) => {
                complain(plan, &complaint);
                None
            }
        });
        let destination = Self {
            number,
            name,
            // A backend that could not be created will not be in a fork either.
            plan: plan.filter(|_| queue.is_some()),
            early: PerProcess::new(),
            last_rules: AtomicU64::new(u64::MAX),
            running: [const { OnceLock::new() }; MAX_FORKS],
        };
        if let Some(place) = destination.running.get(per_process::generation()) {
            // Nobody else has seen it yet: the place is empty.
            let _ = place.set(queue);
        }
        destination
    }

    /// No rules name it any more but these, and those before. Said again later it changes nothing.
    pub(super) fn is_replaced_after(&self, rules: u64) {
        let _ = self.last_rules.compare_exchange(u64::MAX, rules, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn last_rules(&self) -> u64 {
        self.last_rules.load(Ordering::Relaxed)
    }

    /// Its queue in this process; started here if a fork left it behind. Two atomic loads otherwise.
    pub(super) fn queue(&self) -> Option<&Arc<BackendQueue>> {
        let generation = per_process::generation();
        self.running.get(generation)?.get_or_init(|| self.restart(generation)).as_ref()
    }

    /// The same, if it runs.
    pub(super) fn running(&self) -> Option<&Arc<BackendQueue>> {
        self.running.get(per_process::generation())?.get()?.as_ref()
    }

    /// Runs in a fork: the plugin's threads and sockets are the parent's, so it is created again.
    #[cold]
    fn restart(&self, generation: usize) -> Option<Arc<BackendQueue>> {
        self.abandon(generation);
        static TOLD: AtomicBool = AtomicBool::new(false);
        if generation + 1 == MAX_FORKS && !TOLD.swap(true, Ordering::Relaxed) {
            diagnostics::error(
                "this process is a fork of a fork, and so on, too often: the next one will trace nothing",
            );
        }
        // One that was replaced before the fork gets nothing here.
        let plan = self.plan.as_ref().filter(|_| self.last_rules() == u64::MAX)?;
        match plan.create() {
            Ok(instance) => Some(BackendQueue::start(&plan.settings, instance)),
            Err(complaint) => {
                diagnostics::error(&format!(
                    "backend `{}` cannot be created in this fork and gets no spans: {}",
                    self.name, complaint.message
                ));
                None
            }
        }
    }

    /// The queues of processes before this one are theirs.
    fn abandon(&self, generation: usize) {
        self.running.iter().take(generation).filter_map(OnceLock::get).flatten().for_each(|queue| queue.abandon());
    }

    /// Where the spans went that were to reach it.
    pub(super) fn counters(&self) -> BackendCounters {
        let mut counters = self.running().map_or_else(
            || BackendCounters { state: BackendState::OutOfService, ..BackendCounters::default() },
            |queue| queue.counters(),
        );
        if let Some(early) = self.early.get() {
            early.add_to(&mut counters.services);
        }
        counters
    }

    /// Spans that did not reach it, so far.
    pub(super) fn lost(&self) -> u64 {
        self.running().map_or(0, |queue| queue.lost()) + self.early.get().map_or(0, EarlyLosses::total)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.abandon(per_process::generation());
    }
}
