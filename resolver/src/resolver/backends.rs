//! A resolver's backends: those that its rules name now, and those that some of its spans still go to.
//!
//! They are known by numbers that mean the same whatever a reload brings, and what was counted for one stays its name's.

#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::destination::{self, Destination};
use super::ledger::Ledger;
use super::plan::{self, Plan, Wanted};
use super::shedder::Shedder;
use super::starts::{Starts, Waits};
use crate::batch::{Destinations, Leave};
use crate::config::{Config, Report};
use crate::diagnostics;
use crate::export::{
    BackendCounters, BackendQueue, BackendState, DropReason, EarlyLosses, FinishedBatch, ServiceCounters, Signal,
};
use crate::metric_readers::BackendSeen;
use crate::per_process::PerProcess;
use crate::quiet_thread;
use crate::status::{Account, BackendServiceStats, BackendStats, DataPointStats, Moment, Told};
use crate::swap::Swap;

/// See the module.
pub(crate) struct Backends {
    table: Swap<Table>,
    services: Arc<Ledger>,
    told: Told,
    shedder: Shedder,
    ended: AtomicBool,
    /// By name's number: what those had counted that are closed. Held while one of them moves from the table to here, and
    /// while they are added up.
    closed: PerProcess<Mutex<Vec<Closed>>>,
}

/// All backends of one moment.
#[derive(Clone, Default)]
struct Table {
    /// Every name that there ever was, and its plugin; a place in here is the name's number.
    names: Vec<(String, String)>,
    /// In file order.
    current: Vec<Arc<Destination>>,
    /// Replaced or taken out by a reload; rules of before it still lead to them.
    leaving: Vec<Arc<Destination>>,
    /// What they have in hand goes out.
    closing: Vec<Arc<Destination>>,
}

#[derive(Default)]
struct Closed {
    counters: BackendCounters,
    lost: u64,
}

/// Backends that were made for new rules and that nobody uses yet.
pub(super) struct Prepared {
    table: Table,
    fresh: Vec<Arc<Destination>>,
    /// What comes of those that start.
    pub(super) starts: Arc<Starts>,
    /// By the configuration's index: what backend sets name them by.
    pub(super) numbers: Vec<usize>,
}

/// How long a backend that a reload took away may take for what it has in hand, at the most: its `max_elapsed`, and no
/// longer than this.
const LONGEST_FAREWELL: Duration = Duration::from_secs(60);
/// Between the wish for a backend and the load of its plugin, which holds the lock of the dynamic linker: librdkafka waits for
/// it when a process creates its first client.
const PAUSE: Duration = Duration::from_millis(50);
/// And then, for the end itself.
const CLOSING: Duration = Duration::from_secs(5);

impl Backends {
    pub(super) fn new(services: Arc<Ledger>) -> Self {
        Self {
            table: Swap::new(Arc::default()),
            services,
            told: Told::default(),
            shedder: Shedder::new(),
            ended: AtomicBool::new(false),
            closed: PerProcess::new(),
        }
    }

    /// Starts every backend of `config` that does not run already, each on its own thread. What fails stands in `report`, at
    /// its line, as far as somebody waits, and gets no spans; what comes later is in `Prepared::starts`.
    ///
    /// Reads files, if backends run already. One thread at a time.
    pub(super) fn prepare(&self, config: &Config, strict: bool, waits: Waits, report: &mut Report) -> Prepared {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let loader = plan::loader(strict);
        let (text, starts) = (plan::text_of(report), Starts::new());
        let before = self.table.load();
        let mut table = Table { current: Vec::new(), ..Table::clone(&before) };
        let mut fresh = Vec::new();
        for (place, backend) in config.backends.iter().enumerate() {
            let wanted = Wanted::new(&loader, &config.plugins, backend, &text);
            let mut number = || {
                let name = table.name(&backend.name, &backend.plugin);
                destination::number(name, NEXT.fetch_add(1, Ordering::Relaxed))
            };
            let answer = starts.expect(place);
            // Only whoever replaces others has to know whether they are the same.
            let plan = if before.current.is_empty() { None } else { Some(wanted.plan_in_time()) };
            let destination = match plan {
                Some(Ok(plan)) => match before.current.iter().find(|known| known.is_by(&plan)) {
                    Some(running) => Arc::clone(running),
                    None => Arc::new(Destination::start(number(), wanted, Some(plan), PAUSE, answer)),
                },
                Some(Err(problems)) => {
                    report.problems.extend(problems);
                    Arc::new(Destination::failed(number(), wanted))
                }
                None => Arc::new(Destination::start(number(), wanted, None, PAUSE, answer)),
            };
            if !before.current.iter().any(|known| Arc::ptr_eq(known, &destination)) {
                fresh.push(Arc::clone(&destination));
            }
            table.current.push(destination);
        }
        destination::wait(&fresh, waits, report);
        report.problems.extend(starts.problems());
        let numbers = table.current.iter().map(|destination| destination.number).collect();
        Prepared { table, fresh, starts, numbers }
    }

    /// The new ones take the place of those of now, which only rules of before will lead to. Gives the names of those that
    /// are new; nothing where all have ended meanwhile.
    pub(super) fn take_over(&self, prepared: Prepared) -> Option<Vec<String>> {
        let closed = self.closed();
        if self.have_ended() {
            drop(closed);
            Self::give_up(prepared);
            return None;
        }
        let Prepared { mut table, fresh, .. } = prepared;
        let before = self.table.load();
        table.leaving.clone_from(&before.leaving);
        table.closing.clone_from(&before.closing);
        for destination in &before.current {
            if !table.current.iter().any(|kept| Arc::ptr_eq(kept, destination)) {
                table.leaving.push(Arc::clone(destination));
            }
        }
        for destination in &table.leaving {
            destination.takes_over(false);
        }
        for destination in &table.current {
            destination.takes_over(true);
        }
        self.table.store(Arc::new(table));
        drop(closed);
        Some(fresh.iter().map(|destination| destination.name.clone()).collect())
    }

    /// Those of now lead to others than `rules` and the ones before it did. A fork that came in between has them leaving, and
    /// says so with its own next reload.
    pub(super) fn are_replaced_after(&self, rules: u64) {
        self.table.load().leaving.iter().for_each(|destination| destination.is_replaced_after(rules));
    }

    /// All of them end: no others come. To be called before `shutdown`.
    pub(super) fn end(&self) {
        // Held, so that those of a reload are among them, or are not at all.
        let _closed = self.closed();
        self.ended.store(true, Ordering::Relaxed);
        self.shedder.end();
    }

    pub(super) fn have_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The rules that they were made for are not used after all.
    pub(super) fn give_up(prepared: Prepared) {
        for destination in prepared.fresh {
            on_a_thread(&destination.name.clone(), move || {
                if let Some(queue) = destination.running() {
                    queue.shutdown(Instant::now() + CLOSING);
                }
            });
        }
    }

    /// No rules older than `oldest` are followed any more: what only these led to closes, each on a thread of its own.
    pub(super) fn close_before(self: &Arc<Self>, oldest: u64) {
        let closed = self.closed();
        let mut table = Table::clone(&self.table.load());
        let leaving = std::mem::take(&mut table.leaving);
        let (over, leaving): (Vec<_>, Vec<_>) =
            leaving.into_iter().partition(|destination| destination.last_rules() < oldest);
        table.leaving = leaving;
        if over.is_empty() {
            return;
        }
        table.closing.extend(over.iter().cloned());
        self.table.store(Arc::new(table));
        drop(closed);
        for destination in over {
            let this = Arc::clone(self);
            on_a_thread(&destination.name.clone(), move || this.close(&destination));
        }
    }

    /// Waits until the backend has all that it was given, and ends it.
    fn close(&self, destination: &Arc<Destination>) {
        if let Some(queue) = destination.running() {
            let patience = destination.wanted.settings.retry.max_elapsed;
            let clean =
                queue.flush(Instant::now() + patience.min(LONGEST_FAREWELL)) & queue.shutdown(Instant::now() + CLOSING);
            diagnostics::say(
                diagnostics::TARGET,
                if clean { log::Level::Debug } else { log::Level::Warn },
                &format!(
                    "backend `{}` as it was before a reload is closed{}",
                    destination.name,
                    if clean { "" } else { ", and did not end cleanly" }
                ),
            );
        }
        let mut closed = self.closed();
        let mut table = Table::clone(&self.table.load());
        table.closing.retain(|known| !Arc::ptr_eq(known, destination));
        let place = of_name(&mut closed, destination::name_of(destination.number));
        let mut counters = destination.counters();
        if table.current.iter().any(|heir| heir.takes_over_from(destination)) {
            counters.forget_the_spooled();
        }
        place.counters.add(&counters);
        // There is no queue any more.
        (place.counters.held_bytes, place.counters.queue_bytes, place.counters.spool) = (0, 0, None);
        place.lost += destination.lost();
        self.table.store(Arc::new(table));
    }

    /// Names and plugins, for one line in the log.
    pub(super) fn describe(&self) -> String {
        let table = self.table.load();
        let working: Vec<_> = table.current.iter().filter_map(|known| known.of_known_plan(Plan::describe)).collect();
        if working.is_empty() { "no backend".to_owned() } else { working.join(", ") }
    }

    /// Starts the backends of this process if a fork left them behind. A few atomic loads for each otherwise.
    pub(crate) fn ensure_running(&self) {
        self.table.load().current.iter().for_each(|destination| _ = destination.queue());
    }

    /// Whether one of them has not answered yet.
    pub(super) fn are_starting(&self) -> bool {
        self.table.load().current.iter().any(|destination| destination.is_starting())
    }

    /// Waits until everything offered is exported or dropped; `false` when the deadline comes first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.for_all(|queue| queue.flush(deadline))
    }

    /// As `flush`, and then the end.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        self.for_all(|queue| queue.shutdown(deadline))
    }

    /// Of each backend that works, or whose spans are lost because it does not; then of those that there were before.
    pub(super) fn stats(&self) -> Vec<BackendStats> {
        // One that a fork left behind has counted nothing yet, and is there all the same.
        self.ensure_running();
        let services = self.services.names();
        let accounts = self.accounts();
        let all = accounts.names().map(|(number, name, plugin)| {
            let counters = accounts.counters(number);
            let services = services.iter().zip(&counters.services).filter(|(_, spans)| spans.offered > 0);
            BackendStats {
                name: name.to_owned(),
                plugin: plugin.to_owned(),
                state: counters.state,
                retries: counters.retries,
                held_bytes: counters.held_bytes,
                queue_bytes: counters.queue_bytes,
                share_of_traces: counters.halvings.share(),
                last_export: counters.last_export.map(|at| at.elapsed()),
                spool: counters.spool,
                data_points: DataPointStats::of(&counters.data_points),
                counted: counters.counted,
                last_error: counters.last_error.map(|(message, at)| (message, at.elapsed())),
                services: services
                    .map(|(service, spans)| BackendServiceStats {
                        service: service.clone(),
                        offered: spans.offered,
                        exported: spans.exported,
                        rejected: spans.rejected,
                        dropped: DropReason::ALL
                            .into_iter()
                            .map(|reason| (reason, spans.dropped_for(reason)))
                            .filter(|(_, lost)| *lost > 0)
                            .collect(),
                        waiting: spans.waiting,
                        spooled: spans.spooled,
                    })
                    .collect(),
            }
        });
        let works = |name: &str| accounts.table.current.iter().any(|known| known.name == name && known.works());
        all.filter(|of| works(&of.name) || !of.services.is_empty()).collect()
    }

    /// Each name, as its queues see it; services are known by their numbers there.
    pub(super) fn seen(&self) -> Vec<BackendSeen> {
        self.ensure_running();
        let accounts = self.accounts();
        let all = accounts.names().map(|(number, name, plugin)| {
            let counters = accounts.counters(number);
            BackendSeen {
                name: name.to_owned(),
                plugin: plugin.to_owned(),
                state: counters.state,
                retries: counters.retries,
                held_bytes: counters.held_bytes,
                queue_bytes: counters.queue_bytes,
                services: counters.services,
                data_points: counters.data_points,
                spool: counters.spool,
                counted: counters.counted,
                operations: counters.operations,
            }
        });
        all.collect()
    }

    /// Whether the plugin of the backend with this number takes a signal.
    pub(super) fn takes(&self, number: usize, signal: Signal) -> bool {
        let table = self.table.load();
        table.open(number).and_then(|known| known.of_plan(|plan| plan.library.accepts(signal))).unwrap_or(false)
    }

    /// Says in the log what became of the spans of each backend since this was last said. The log may block: not for a
    /// thread of the application's in a callback.
    pub(super) fn tell_sum(&self, moment: Moment) {
        let services = self.services.names();
        let accounts = self.accounts();
        let mut all: Vec<_> =
            (0..accounts.table.names.len()).map(|number| accounts.account(number, &services)).collect();
        let names = Arc::clone(&accounts.table);
        // The log may block: nobody is to wait for it with us.
        drop(accounts);
        let told = all.drain(..).zip(&names.names).map(|(counted, (backend, _))| counted.account(backend, &services));
        self.told.sum(moment, told);
    }

    fn accounts(&self) -> Accounts<'_> {
        Accounts { closed: self.closed(), table: self.table.load() }
    }

    fn closed(&self) -> MutexGuard<'_, Vec<Closed>> {
        self.closed.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every queue at the same time: one slow backend takes nothing of another's deadline.
    fn for_all(&self, action: impl Fn(&BackendQueue) -> bool + Sync) -> bool {
        let table = self.table.load();
        table.current.iter().for_each(|destination| _ = destination.queue());
        let queues: Vec<_> = table.all().filter_map(|destination| destination.running()).collect();
        quiet_thread::all_at_once("tr-wait", &queues, |queue| action(queue))
    }
}

impl Table {
    /// The number of a name, which it has from its first use on.
    fn name(&mut self, name: &str, plugin: &str) -> usize {
        if let Some(number) = self.names.iter().position(|(known, _)| known == name) {
            if let Some((_, known)) = self.names.get_mut(number) {
                plugin.clone_into(known);
            }
            return number;
        }
        self.names.push((name.to_owned(), plugin.to_owned()));
        self.names.len() - 1
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Destination>> {
        self.current.iter().chain(&self.leaving).chain(&self.closing)
    }

    /// The backend of this number; another of its name where it is gone: what comes too late for the one is the other's.
    fn open(&self, number: usize) -> Option<&Arc<Destination>> {
        let same = |known: &&Arc<Destination>| known.number == number;
        let heir = |known: &&Arc<Destination>| destination::name_of(known.number) == destination::name_of(number);
        self.current
            .iter()
            .find(same)
            .or_else(|| self.leaving.iter().find(same))
            .or_else(|| self.current.iter().find(heir))
    }
}

/// What was counted for each name, at one moment.
struct Accounts<'a> {
    closed: MutexGuard<'a, Vec<Closed>>,
    table: Arc<Table>,
}

impl Accounts<'_> {
    /// Those of now in file order, then those of before.
    fn names(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let current: Vec<_> =
            self.table.current.iter().map(|destination| destination::name_of(destination.number)).collect();
        let before: Vec<_> = (0..self.table.names.len()).filter(|number| !current.contains(number)).collect();
        let named = |number: usize| {
            let (name, plugin) = self.table.names.get(number)?;
            Some((number, name.as_str(), plugin.as_str()))
        };
        current.into_iter().chain(before).filter_map(named)
    }

    fn counters(&self, name: usize) -> BackendCounters {
        let mut sum = BackendCounters { state: BackendState::Removed, ..BackendCounters::default() };
        self.closed.get(name).into_iter().for_each(|closed| sum.add(&closed.counters));
        // That of now comes last: what the name is doing is what it does.
        for destination in self.table.closing.iter().chain(&self.table.leaving).chain(&self.table.current) {
            if destination::name_of(destination.number) == name {
                let counters = destination.counters();
                sum.add(&counters);
                sum.state = counters.state;
            }
        }
        sum
    }

    fn account(&self, name: usize, services: &[String]) -> Counted {
        let BackendCounters { services: mut counters, data_points, taken_over, state, .. } = self.counters(name);
        counters.resize(services.len(), ServiceCounters::default());
        Counted { counters, data_points, taken_over, state }
    }

    fn lost(&self, name: usize) -> u64 {
        let of_name = |known: &&Arc<Destination>| destination::name_of(known.number) == name;
        let running: u64 = self.table.all().filter(of_name).map(|known| known.lost()).sum();
        running + self.closed.get(name).map_or(0, |closed| closed.lost)
    }
}

/// What is said of one name, without the lock.
struct Counted {
    counters: Vec<ServiceCounters>,
    data_points: ServiceCounters,
    taken_over: ServiceCounters,
    state: BackendState,
}

impl Counted {
    fn account<'a>(self, backend: &'a str, services: &'a [String]) -> Account<'a> {
        let Self { counters, data_points, taken_over, state } = self;
        Account { backend, services, counters, data_points, taken_over, state }
    }
}

fn of_name(closed: &mut Vec<Closed>, name: usize) -> &mut Closed {
    if closed.len() <= name {
        closed.resize_with(name + 1, Closed::default);
    }
    #[expect(clippy::indexing_slicing, reason = "resized just above")]
    &mut closed[name]
}

/// A backend that closes may take its time.
fn on_a_thread(name: &str, body: impl FnOnce() + Send + 'static) {
    if let Err(error) = quiet_thread::spawn(format!("tr-end-{name}"), body) {
        diagnostics::error(&format!("backend `{name}` cannot be closed, because the system gives no thread: {error}"));
    }
}

impl Destinations for Backends {
    fn offer(&self, backends: &[usize], batch: Arc<FinishedBatch>) {
        let table = self.table.load();
        for number in backends {
            match table.open(*number).and_then(|destination| destination.queue()) {
                Some(queue) => queue.offer(Arc::clone(&batch)),
                None => {
                    for (service, spans) in &batch.per_service {
                        self.lost(&[*number], *service, DropReason::NoBackend, u64::from(*spans));
                    }
                }
            }
        }
        self.shedder.follow(Instant::now(), &table.current, &self.services);
    }

    fn lost(&self, backends: &[usize], service: u32, reason: DropReason, spans: u64) {
        let table = self.table.load();
        for number in backends {
            match table.open(*number) {
                Some(destination) => destination.early.get_or_init(EarlyLosses::default).count(service, reason, spans),
                None => {
                    let mut closed = self.closed();
                    let place = of_name(&mut closed, destination::name_of(*number));
                    place.lost += spans;
                    place.counters.count_lost(service, reason, spans);
                }
            }
        }
    }

    fn tick(&self, now: Instant) {
        let table = self.table.load();
        table.all().filter_map(|destination| destination.running()).for_each(|queue| queue.tick(now));
        self.shedder.follow(now, &table.current, &self.services);
        let services = OnceCell::new();
        for (index, (backend, _)) in table.names.iter().enumerate() {
            let lost = self.accounts().lost(index);
            self.told.look(now, index, lost, || {
                let services = services.get_or_init(|| self.services.names());
                self.accounts().account(index, services).account(backend, services)
            });
        }
    }

    fn begin_leaving(&self, deadline: Instant, leave: Leave) {
        for queue in self.table.load().all().filter_map(|destination| destination.running()) {
            queue.begin_leaving(deadline, leave != Leave::Unseen);
        }
    }

    fn finish_leaving(&self, deadline: Instant, leave: Leave) {
        for queue in self.table.load().all().filter_map(|destination| destination.running()) {
            queue.finish_leaving(deadline, leave == Leave::Last);
        }
        if matches!(leave, Leave::OrNot | Leave::Last) {
            self.tell_sum(Moment::End);
        }
    }
}

#[cfg(test)]
mod tests;
