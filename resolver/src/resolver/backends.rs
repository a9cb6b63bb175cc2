//! A resolver's backends: loaded and checked with the configuration, running in this process and anew in every fork.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::Value;

use crate::batch::{Destinations, Leave};
use crate::config::{Backend, Config, Plugins, Problem, Report, Untrusted};
use crate::diagnostics;
use crate::export::{
    BackendCounters, BackendQueue, BackendState, DropReason, EarlyLosses, FinishedBatch, ServiceCounters, Signal,
};
use crate::metric_readers::BackendSeen;
use crate::per_process::{self, PerProcess};
use crate::plugin::{Complaint, Instance, Loader, PluginLibrary, Rebirth, Trust};
use crate::status::{Account, BackendServiceStats, BackendStats, DataPointStats, Moment, Told};

/// See the module.
pub(crate) struct Backends {
    /// In file order; `None` for a backend that cannot work.
    plans: Vec<Option<Plan>>,
    /// All backends, in file order, those that cannot work too: their names and their plugins'.
    names: Vec<(String, String)>,
    services: Vec<String>,
    /// What was lost on its way to each backend, by backend index; made at the first loss of a process.
    early: PerProcess<Box<[EarlyLosses]>>,
    told: Told,
    /// What runs, by how often this process was forked since. A child starts its own at its first use; it never takes a
    /// lock of its parent's, which may be held by a thread that is not there.
    running: [OnceLock<Running>; MAX_FORKS],
}

/// A process that was forked from one that was forked, and so on: further ones trace nothing, and say so.
const MAX_FORKS: usize = 16;

/// What it takes to create a backend, again in every fork.
pub(super) struct Plan {
    pub(super) settings: Backend,
    /// The plugin's settings, references read as the types its schema wants.
    pub(super) config: Value,
    pub(super) library: Arc<PluginLibrary>,
}

struct Running {
    /// By backend index.
    queues: Vec<Option<Arc<BackendQueue>>>,
}

impl Backends {
    /// Loads, checks and creates every backend of `config`. What fails is left out and stands in `report`, at its line.
    ///
    /// Reads files, and runs code of the plugins. The export threads start here.
    pub(super) fn load(config: &Config, strict: bool, report: &mut Report) -> Self {
        let loader = loader(strict);
        let services: Vec<_> = config.services.iter().map(|service| service.name.clone()).collect();
        let plans =
            config.backends.iter().map(|backend| Plan::new(&loader, &config.plugins, backend, report)).collect();
        let mut backends = Self {
            plans,
            names: config.backends.iter().map(|backend| (backend.name.clone(), backend.plugin.clone())).collect(),
            services,
            early: PerProcess::new(),
            told: Told::default(),
            running: [const { OnceLock::new() }; MAX_FORKS],
        };
        let running = backends.start(&mut |backend, complaint| complain(backend, complaint, report));
        // A backend that could not be created will not be in a fork either.
        for (plan, queue) in backends.plans.iter_mut().zip(&running.queues) {
            if queue.is_none() {
                *plan = None;
            }
        }
        if let Some(place) = backends.running.get(per_process::generation()) {
            // Nobody else has seen `backends` yet: the place is empty.
            let _ = place.set(running);
        }
        backends
    }

    /// Names and plugins, for one line in the log.
    pub(super) fn describe(&self) -> String {
        let working: Vec<_> = self
            .plans
            .iter()
            .flatten()
            .map(|plan| format!("{} ({})", plan.settings.name, plan.library.description()))
            .collect();
        if working.is_empty() { "no backend".to_owned() } else { working.join(", ") }
    }

    /// Starts the backends of this process if a fork left them behind. Two atomic loads otherwise.
    pub(crate) fn ensure_running(&self) {
        self.queues();
    }

    /// Waits until everything offered is exported or dropped; `false` when the deadline comes first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.for_all(|queue| queue.flush(deadline))
    }

    /// As `flush`, and then the end.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        self.for_all(|queue| queue.shutdown(deadline))
    }

    /// Of each backend that works, or whose spans are lost because it does not.
    pub(super) fn stats(&self) -> Vec<BackendStats> {
        let all = self.names.iter().enumerate().map(|(index, (name, plugin))| {
            let counters = self.counters(index);
            let services = self.services.iter().zip(&counters.services).filter(|(_, spans)| spans.offered > 0);
            BackendStats {
                name: name.clone(),
                plugin: plugin.clone(),
                state: counters.state,
                retries: counters.retries,
                held_bytes: counters.held_bytes,
                queue_bytes: counters.queue_bytes,
                last_export: counters.last_export.map(|at| at.elapsed()),
                data_points: DataPointStats::of(&counters.data_points),
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
                    })
                    .collect(),
            }
        });
        let works = |index: usize| self.queues().get(index).is_some_and(Option::is_some);
        all.enumerate().filter(|(index, of)| works(*index) || !of.services.is_empty()).map(|(_, of)| of).collect()
    }

    /// Each of them, as its queue sees it.
    pub(super) fn seen(&self) -> Vec<BackendSeen> {
        let all = self.names.iter().enumerate().map(|(index, (name, plugin))| {
            let counters = self.counters(index);
            BackendSeen {
                name: name.clone(),
                plugin: plugin.clone(),
                state: counters.state,
                retries: counters.retries,
                held_bytes: counters.held_bytes,
                queue_bytes: counters.queue_bytes,
                services: counters.services,
                data_points: counters.data_points,
                operations: counters.operations,
            }
        });
        all.collect()
    }

    /// The backends whose plugins take a signal, by index.
    pub(super) fn that_take(&self, signal: Signal) -> impl Iterator<Item = usize> + '_ {
        let takes = move |plan: &Plan| plan.library.accepts(signal);
        self.plans.iter().enumerate().filter(move |(_, plan)| plan.as_ref().is_some_and(takes)).map(|(index, _)| index)
    }

    /// Says in the log what became of the spans of each backend since this was last said. The log may block: not for a
    /// thread of the application's in a callback.
    pub(super) fn tell_sum(&self, moment: Moment) {
        self.told.sum(moment, (0..self.names.len()).map(|index| self.account(index)));
    }

    fn account(&self, index: usize) -> Account<'_> {
        let BackendCounters { services: counters, data_points, state, .. } = self.counters(index);
        let backend = self.names.get(index).map_or("", |(name, _)| name.as_str());
        Account { backend, services: &self.services, counters, data_points, state }
    }

    /// Where the spans of each service went that were to reach this backend.
    fn counters(&self, index: usize) -> BackendCounters {
        let queue = self.queues().get(index).and_then(Option::as_ref);
        let mut counters = queue.map_or_else(
            || BackendCounters { state: BackendState::OutOfService, ..BackendCounters::default() },
            |queue| queue.counters(),
        );
        counters.services.resize(self.services.len(), ServiceCounters::default());
        if let Some(early) = self.early.get().and_then(|early| early.get(index)) {
            early.add_to(&mut counters.services);
        }
        counters
    }

    /// Spans that did not reach this backend, so far.
    fn lost_in_all(&self, index: usize) -> u64 {
        let queue = self.queues().get(index).and_then(Option::as_ref);
        let early = self.early.get().and_then(|early| early.get(index));
        queue.map_or(0, |queue| queue.lost()) + early.map_or(0, EarlyLosses::total)
    }

    /// Every queue at the same time: one slow backend takes nothing of another's deadline.
    fn for_all(&self, action: impl Fn(&BackendQueue) -> bool + Sync) -> bool {
        let queues: Vec<_> = self.queues().iter().flatten().collect();
        match queues.as_slice() {
            [] => true,
            [only] => action(only),
            many => std::thread::scope(|scope| {
                let action = &action;
                let threads: Vec<_> = many.iter().map(|queue| scope.spawn(move || action(queue))).collect();
                // Every one is waited for, whatever the others say.
                let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect();
                ended.into_iter().all(|ended| ended)
            }),
        }
    }

    /// The queues of this process, by backend index.
    fn queues(&self) -> &[Option<Arc<BackendQueue>>] {
        let generation = per_process::generation();
        self.running.get(generation).map_or(&[], |place| &place.get_or_init(|| self.restart(generation)).queues)
    }

    /// Runs in a fork: the plugins' threads and sockets are the parent's, so every backend is created again.
    #[cold]
    fn restart(&self, generation: usize) -> Running {
        let parents = self.running.iter().take(generation).filter_map(OnceLock::get);
        for queue in parents.flat_map(|parent| &parent.queues).flatten() {
            queue.abandon();
        }
        if generation + 1 == MAX_FORKS {
            diagnostics::error(
                "this process is a fork of a fork, and so on, too often: the next one will trace nothing",
            );
        }
        self.start(&mut |backend, complaint| {
            diagnostics::error(&format!(
                "backend `{}` cannot be created in this fork and gets no spans: {}",
                backend.name, complaint.message
            ));
        })
    }

    fn start(&self, fail: &mut dyn FnMut(&Backend, &Complaint)) -> Running {
        let queues = self
            .plans
            .iter()
            .map(|plan| {
                let plan = plan.as_ref()?;
                let library = Arc::clone(&plan.library);
                match Instance::create(library, &plan.settings, &plan.config, Rebirth::default()) {
                    Ok(instance) => Some(BackendQueue::start(
                        &plan.settings,
                        self.services.len(),
                        crate::export::Timing::default(),
                        std::time::Duration::ZERO,
                        || Ok(Box::new(instance)),
                    )),
                    Err(complaint) => {
                        fail(&plan.settings, &complaint);
                        None
                    }
                }
            })
            .collect();
        Running { queues }
    }
}

impl Destinations for Backends {
    fn offer(&self, backends: &[usize], batch: Arc<FinishedBatch>) {
        let queues = self.queues();
        for index in backends {
            match queues.get(*index).and_then(Option::as_ref) {
                Some(queue) => queue.offer(Arc::clone(&batch)),
                None => {
                    for (service, spans) in &batch.per_service {
                        self.lost(&[*index], *service, DropReason::NoBackend, u64::from(*spans));
                    }
                }
            }
        }
    }

    fn lost(&self, backends: &[usize], service: u32, reason: DropReason, spans: u64) {
        let early =
            self.early.get_or_init(|| self.names.iter().map(|_| EarlyLosses::new(self.services.len())).collect());
        for early in backends.iter().filter_map(|index| early.get(*index)) {
            early.count(service, reason, spans);
        }
    }

    fn tick(&self, now: Instant) {
        for queue in self.queues().iter().flatten() {
            queue.tick(now);
        }
        for index in 0..self.names.len() {
            self.told.look(now, index, self.lost_in_all(index), || self.account(index));
        }
    }

    fn begin_leaving(&self, deadline: Instant, leave: Leave) {
        for queue in self.queues().iter().flatten() {
            queue.begin_leaving(deadline, leave != Leave::Unseen);
        }
    }

    fn finish_leaving(&self, deadline: Instant, leave: Leave) {
        for queue in self.queues().iter().flatten() {
            queue.finish_leaving(deadline, leave == Leave::Last);
        }
        if matches!(leave, Leave::OrNot | Leave::Last) {
            self.tell_sum(Moment::End);
        }
    }
}

/// Looks for the plugins of a configuration that is not used, and lets them check their settings: all problems are told
/// in one run. Creates nothing.
pub(super) fn check(untrusted: &Untrusted, strict: bool, report: &mut Report) {
    check_with(&loader(strict), &untrusted.backends, &untrusted.plugins, report);
}

/// The same of any backends.
pub(crate) fn check_with(loader: &Loader, backends: &[Backend], plugins: &Plugins, report: &mut Report) {
    for backend in backends {
        Plan::new(loader, plugins, backend, report);
    }
}

fn loader(strict: bool) -> Loader {
    Loader::new(if strict { Trust::Strict } else { Trust::Lenient })
}

impl Plan {
    pub(super) fn new(loader: &Loader, plugins: &Plugins, backend: &Backend, report: &mut Report) -> Option<Self> {
        let library = match loader.load(&backend.plugin, plugins) {
            Ok(library) => library,
            Err(error) => {
                let message = format!("backend `{}`: {}", backend.name, one_line(&error.message()));
                report.push(
                    Problem::error(error.code(), message)
                        .at(backend.plugin_span.clone(), "named here")
                        .help(error.help()),
                );
                return None;
            }
        };
        let settings = library.typed_settings(&backend.config, &backend.config_references);
        let complaints = library.check(&settings, &backend.config_secrets);
        for complaint in &complaints {
            complain(backend, complaint, report);
        }
        complaints.is_empty().then(|| Self { settings: backend.clone(), config: settings, library })
    }
}

/// A load error's list of places and hashes, as a title can show it.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let rest: Vec<_> = lines.collect();
    if rest.is_empty() { first.to_owned() } else { format!("{first} {}", rest.join("; ")) }
}

/// A plugin's complaint, at the line of the setting that it complains about.
fn complain(backend: &Backend, complaint: &Complaint, report: &mut Report) {
    let place = key_path(&backend.config, &complaint.pointer).map_or(String::new(), |path| format!(" `{path}`"));
    let message =
        format!("backend `{}`: plugin `{}` rejects{place}: {}", backend.name, backend.plugin, complaint.message);
    let value = backend.place_of(&complaint.pointer);
    // An unknown key is wrong itself, and not its value.
    let key = complaint.is_of_key.then(|| key_before(&report.text, &value, &complaint.pointer));
    report.push(Problem::error("P107", message).at(key.flatten().unwrap_or(value), "here"));
}

/// The bytes of the key whose value stands at `value`, if the text has it before an equals sign.
fn key_before(text: &str, value: &Range<usize>, pointer: &str) -> Option<Range<usize>> {
    let key = pointer.rsplit('/').next()?.replace("~1", "/").replace("~0", "~");
    let before = text.get(..value.start)?.trim_end().strip_suffix('=')?.trim_end();
    let bare = before.trim_end_matches(['"', '\'']);
    bare.ends_with(&key).then(|| bare.len() - key.len()..bare.len())
}

/// A JSON pointer into `config` as the file writes keys, `config.headers."x.y"`; an entry of a list has its number.
fn key_path(config: &Value, pointer: &str) -> Option<String> {
    let mut path = "config".to_owned();
    let mut here = Some(config);
    for token in pointer.strip_prefix('/')?.split('/') {
        let key = token.replace("~1", "/").replace("~0", "~");
        let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        match here {
            Some(Value::Array(_)) => path.push_str(&format!("[{key}]")),
            _ if is_bare => path.push_str(&format!(".{key}")),
            _ => path.push_str(&format!(".{key:?}")),
        }
        here = here.and_then(|value| match value {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            Value::Object(members) => members.get(&key),
            _ => None,
        });
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_complaint_is_written_as_the_file_writes_it() {
        let config = serde_json::json!({ "headers": { "x.y/z": 1 }, "hosts": ["a", { "port": 1 }] });
        for (pointer, path) in [
            ("/endpoint", "config.endpoint"),
            ("/headers/x.y~1z", "config.headers.\"x.y/z\""),
            ("/hosts/1/port", "config.hosts[1].port"),
            ("/gone/0/~0", "config.gone.0.\"~\""),
        ] {
            assert_eq!(key_path(&config, pointer).as_deref(), Some(path));
        }
        assert_eq!(key_path(&config, ""), None);
    }

    #[test]
    fn an_unknown_key_is_shown_itself_where_it_is_written_before_its_value() {
        for (text, pointer, shown) in [
            ("config = { compresion = 1 }", "/compresion", Some("compresion")),
            ("config.tls.\"c/a\" =  1", "/tls/c~1a", Some("c/a")),
            ("[backends.b.config.tsl]\nx = 1", "/tsl", None),
        ] {
            let at = text.find('1').unwrap();
            let value = if shown.is_some() { at..at + 1 } else { 0..23 };
            assert_eq!(key_before(text, &value, pointer).map(|span| &text[span]), shown, "{text}");
        }
    }
}
