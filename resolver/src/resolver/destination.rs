//! One backend of a resolver, from its first spans to its last: running in this process, and anew in every fork.
//!
//! A reload that changes nothing of it leaves it as it is, queue and all. One that changes it makes another of the same name;
//! this one gets what ends by the rules of before, and closes when nothing follows these any more.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::plan::{Plan, Wanted};
use super::starts::{Answer, Waits};
use crate::config::{Problem, Report};
use crate::diagnostics;
use crate::export::{BackendCounters, BackendQueue, BackendState, EarlyLosses, Exporter, Timing};
use crate::per_process::{self, PerProcess};
use crate::plugin::{Failed, Instance};
use crate::swap::Swap;

/// See the module.
pub(super) struct Destination {
    /// Its name's number and its own: see [`number`].
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) wanted: Wanted,
    /// What came of its start, here or in a process that this one was forked from. The start has it too.
    known: Arc<Swap<Known>>,
    /// What was lost on its way; made at the first loss of a process.
    pub(super) early: PerProcess<EarlyLosses>,
    /// The last rules that name it; those of now, and so all that come, while it is `u64::MAX`.
    last_rules: AtomicU64,
    /// What runs, by how often this process was forked since. A child starts its own at its first use; it never takes a
    /// lock of its parent's, which may be held by a thread that is not there.
    running: [OnceLock<Option<Arc<BackendQueue>>>; MAX_FORKS],
}

/// What is known of a backend.
enum Known {
    /// Its start is under way.
    Nothing,
    /// It cannot work, and will not in a fork either.
    Failed,
    /// It was created by this.
    Plan(Box<Plan>),
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
    /// Starts it, on its own thread, which runs code of the plugin; not before `pause` has passed, unless somebody waits.
    ///
    /// `plan`: what is known of it already.
    pub(super) fn start(number: usize, wanted: Wanted, plan: Option<Plan>, pause: Duration, answer: Answer) -> Self {
        let known = Arc::new(Swap::new(Arc::new(plan.map_or(Known::Nothing, |plan| Known::Plan(Box::new(plan))))));
        let destination = Self::with(number, wanted, Arc::clone(&known));
        let wanted = destination.wanted.clone();
        let mut answer = answer;
        let queue = BackendQueue::start(&destination.wanted.settings, Timing::default(), pause, move || {
            made(&wanted, &known).map_err(|problems| {
                let first = problems.first().map_or_else(String::new, |problem| problem.message.clone());
                answer.complain(problems);
                first
            })
        });
        if let Some(place) = destination.running.get(per_process::generation()) {
            // Nobody else has seen it yet: the place is empty.
            let _ = place.set(Some(queue));
        }
        destination
    }

    /// One that cannot work.
    pub(super) fn failed(number: usize, wanted: Wanted) -> Self {
        let destination = Self::with(number, wanted, Arc::new(Swap::new(Arc::new(Known::Failed))));
        if let Some(place) = destination.running.get(per_process::generation()) {
            // As above.
            let _ = place.set(None);
        }
        destination
    }

    fn with(number: usize, wanted: Wanted, known: Arc<Swap<Known>>) -> Self {
        Self {
            number,
            name: wanted.settings.name.clone(),
            wanted,
            known,
            early: PerProcess::new(),
            last_rules: AtomicU64::new(u64::MAX),
            running: [const { OnceLock::new() }; MAX_FORKS],
        }
    }

    /// What `look` sees in its plan, if it was created.
    pub(super) fn of_plan<T>(&self, look: impl FnOnce(&Plan) -> T) -> Option<T> {
        if self.is_starting() { None } else { self.of_known_plan(look) }
    }

    /// The same, also while it is being created: who says that it answers does so before it is ready for others.
    pub(super) fn of_known_plan<T>(&self, look: impl FnOnce(&Plan) -> T) -> Option<T> {
        match &*self.known.load() {
            Known::Plan(plan) => Some(look(plan)),
            _ => None,
        }
    }

    /// Whether it was created as this plan would have it.
    pub(super) fn is_by(&self, plan: &Plan) -> bool {
        self.of_plan(|known| known.is_same(plan)).unwrap_or(false)
    }

    /// Whether it works, or may still come to.
    pub(super) fn works(&self) -> bool {
        self.running().is_some_and(|queue| !queue.has_failed_to_start())
    }

    pub(super) fn is_starting(&self) -> bool {
        self.running().is_some_and(|queue| queue.is_starting())
    }

    /// From here on it sends what others have left in its spool, or does not: only while rules lead to it, so that nothing goes
    /// where a configuration says that is refused.
    pub(super) fn takes_over(&self, does: bool) {
        if let Some(queue) = self.running() {
            queue.takes_over(does);
        }
    }

    /// Whether it sends what `other`, which is closed, has left in the spool.
    pub(super) fn takes_over_from(&self, other: &Self) -> bool {
        fn folder(of: &Destination) -> Option<&Path> {
            of.wanted.settings.spool.as_ref().map(|spool| spool.folder.as_path())
        }
        name_of(self.number) == name_of(other.number)
            && folder(self) == folder(other)
            && self.works()
            && other.running().is_some_and(|queue| queue.has_left_its_spool())
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
        // One that was replaced before the fork gets nothing here, and one that could not be created neither.
        if self.last_rules() != u64::MAX || matches!(*self.known.load(), Known::Failed) {
            return None;
        }
        let (wanted, known) = (self.wanted.clone(), Arc::clone(&self.known));
        let queue = BackendQueue::start(&self.wanted.settings, Timing::default(), Duration::ZERO, move || {
            made(&wanted, &known).map_err(|problems| {
                let first = problems.first().map_or_else(String::new, |problem| problem.message.clone());
                let name = &wanted.settings.name;
                diagnostics::error(&format!(
                    "backend `{name}` cannot be created in this fork and gets no spans: {first}"
                ));
                first
            })
        });
        queue.takes_over(true);
        Some(queue)
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

/// Loads the plugin, if that is not done, and creates the backend. Runs on the backend's own thread.
fn made(wanted: &Wanted, known: &Swap<Known>) -> Result<Box<dyn Exporter>, Vec<Problem>> {
    let result = planned(wanted, known).map(|(planned, instance)| {
        known.store(planned);
        Box::new(instance) as Box<dyn Exporter>
    });
    if result.is_err() {
        known.store(Arc::new(Known::Failed));
    }
    result
}

fn planned(wanted: &Wanted, known: &Swap<Known>) -> Result<(Arc<Known>, Instance), Vec<Problem>> {
    let mut now = known.load();
    if !matches!(*now, Known::Plan(_)) {
        now = Arc::new(Known::Plan(Box::new(wanted.plan()?)));
    }
    let Known::Plan(plan) = &*now else { return Err(Vec::new()) };
    wanted.is_ready(&plan.library)?;
    let instance = plan.create().map_err(|complaint| vec![wanted.complaint(&complaint)])?;
    Ok((Arc::clone(&now), instance))
}

/// Waits for backends that start; who has not answered then goes on by itself, or is an error.
pub(super) fn wait(fresh: &[Arc<Destination>], waits: Waits, report: &mut Report) {
    let (Waits::For(patience) | Waits::ForAll(patience)) = waits else { return };
    let deadline = Instant::now() + patience;
    for destination in fresh {
        let has_answered = destination.running().is_none_or(|queue| queue.wait_for_start(deadline));
        if !has_answered && matches!(waits, Waits::ForAll(_)) {
            report.push(destination.wanted.late(&Failed::Late));
        }
    }
}
