//! What all clients of a resolver share, whatever a reload brings.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::backends::Backends;
use super::ledger::Ledger;
use super::measured::Measured;
use super::reloading::Reloading;
use super::rules::{Lasting, Rules, next_epoch};
use super::starts::{Starts, Waits};
use super::tell;
use crate::batch::{BackendSet, Destinations, EndReporter, Outgoing, Pipeline};
use crate::config::{Config, Problem, Report};
use crate::counted::counted;
use crate::diagnostics;
use crate::ends;
use crate::metric_readers::own;
use crate::metrics::{Collected, Exemplars, Instruments};
use crate::per_process::PerProcess;
use crate::plugin::PATIENCE;
use crate::status::{
    About, Belongs, ClientsMet, Look, Meant, Moment, ServiceStats, Stats, StatusFile, TopicsSeen, Who, document,
};
use crate::swap::Swap;

/// See the module.
pub(crate) struct Shared {
    id: u64,
    rules: Swap<Rules>,
    /// Of `rules`, a little later.
    generation: AtomicU64,
    /// Rules that were replaced, and that something follows still, by generation.
    followed: PerProcess<Mutex<BTreeSet<u64>>>,
    ledger: Arc<Ledger>,
    backends: Arc<Backends>,
    instruments: Arc<Instruments>,
    /// How what is measured leaves.
    measured: Measured,
    pub(super) reloading: Reloading,
    told_topic_limit: AtomicBool,
    clients: ClientsMet,
    /// What the rules of now were made of.
    about: Swap<Option<About>>,
    /// Where it says how it is, if it is to.
    status_file: OnceLock<StatusFile>,
}

impl Shared {
    /// Builds the tracers, and starts the backends; what fails is off and stands in `report`, as far as it was waited for.
    pub(super) fn new(
        config: Config,
        strict: bool,
        waits: Waits,
        reloading: Reloading,
        report: &mut Report,
    ) -> (Arc<Self>, Arc<Starts>) {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let ledger = Arc::new(Ledger::new());
        let backends = Arc::new(Backends::new(Arc::clone(&ledger)));
        let seen = TopicsSeen::new(&config, report);
        let prepared = backends.prepare(&config, strict, waits, report);
        let starts = Arc::clone(&prepared.starts);
        let instruments = Arc::<Instruments>::default();
        let numbers = prepared.numbers.clone();
        let lasting = Lasting { resolver: id, ledger: &ledger, backends: &backends, instruments: &instruments };
        let rules = Rules::new(config, seen, &lasting, numbers, None);
        let measured = Measured::new(&rules);
        // Nobody can have ended it yet.
        let _ = backends.take_over(prepared);
        let shared = Self {
            id,
            rules: Swap::new(Arc::new(rules)),
            generation: AtomicU64::new(0),
            followed: PerProcess::new(),
            ledger,
            backends,
            instruments,
            measured,
            reloading,
            told_topic_limit: AtomicBool::new(false),
            clients: ClientsMet::default(),
            about: Swap::new(Arc::new(None)),
            status_file: OnceLock::new(),
        };
        (Arc::new(shared), starts)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Those of now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load()
    }

    /// The generation of the rules of now.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The generation of the oldest rules that a message of this process may still follow.
    #[cold]
    pub(crate) fn oldest_followed(&self) -> u64 {
        let generation = self.generation();
        // In a child nothing follows what its parent had replaced.
        let Some(followed) = self.followed.get() else { return generation };
        followed.lock().unwrap_or_else(PoisonError::into_inner).first().copied().unwrap_or(generation)
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The number of a service of this name, if there is one now.
    pub(super) fn service(&self, name: &str) -> Option<usize> {
        let number = self.ledger.number_of(name)?;
        self.rules().service_with(number).map(|_| number)
    }

    /// Other rules are in effect from here on. Gives the names of the backends that are new. One thread at a time.
    pub(super) fn replace_rules(
        self: &Arc<Self>,
        config: Config,
        strict: bool,
        report: &mut Report,
    ) -> Option<Vec<String>> {
        let before = self.rules();
        let prepared = self.backends.prepare(&config, strict, Waits::ForAll(PATIENCE), report);
        if report.has_errors() {
            Backends::give_up(prepared);
            return None;
        }
        let seen = before.seen.under(&config, report);
        let numbers = prepared.numbers.clone();
        let Self { id: resolver, ledger, backends, instruments, .. } = &**self;
        let lasting = Lasting { resolver: *resolver, ledger, backends, instruments };
        let rules = Rules::new(config, seen, &lasting, numbers, Some(&before));
        let generation = rules.generation();
        let followed = self.followed.get_or_init(Mutex::default);
        followed.lock().unwrap_or_else(PoisonError::into_inner).insert(before.generation());
        // New backend sets lead to new backends, so these come first.
        let fresh = self.backends.take_over(prepared)?;
        self.rules.store(Arc::new(rules));
        // Release: pairs with the acquire in `generation`.
        self.generation.store(generation, Ordering::Release);
        // Only now: a fork before this goes on with the rules and the backends of before.
        self.backends.are_replaced_after(before.generation());
        next_epoch();
        self.measured.follow(&self.rules());
        self.open_port();
        let backend_sets = before.backend_sets();
        Pipeline::current().replaced(Box::new(Replaced { shared: Arc::clone(self), rules: before, backend_sets }));
        Some(fresh)
    }

    /// Nothing follows these rules any more.
    fn are_over(&self, generation: u64) {
        let Some(followed) = self.followed.get() else { return };
        followed.lock().unwrap_or_else(PoisonError::into_inner).remove(&generation);
        self.backends.close_before(self.oldest_followed());
    }

    /// Starts the backends of this process if a fork left them behind.
    pub(crate) fn ensure_running(self: &Arc<Self>) {
        Pipeline::current().ensure_batch_thread();
        self.backends.ensure_running();
        if self.status_file().is_some() || self.rules().measures() || self.backends.are_starting() {
            self.report_at_end();
        }
        self.watch();
    }

    /// It was shut down: no reload brings it back.
    pub(super) fn end(&self) {
        self.backends.end();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.backends.have_ended()
    }

    #[cold]
    pub(crate) fn count_topic_over_limit(&self, limit: usize) {
        if !self.told_topic_limit.swap(true, Ordering::Relaxed) {
            let text = format!("a client has met more than {limit} topics; messages of further ones are untraced");
            Pipeline::current().errand(move || diagnostics::warn(&text));
        }
    }

    /// Sends everything that is finished, and waits until the backends have it, until `deadline` at most.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let sealed = Pipeline::current().seal_all(Some(self.id), deadline);
        self.export_metrics();
        sealed && self.backends.flush(deadline)
    }

    /// Says in the log what became of all spans, as far as it was not said before: what was lost, as a warning. The log may
    /// block: not for a thread of the application's in a callback.
    pub(super) fn tell_sum(&self, moment: Moment) {
        let rules = self.rules();
        self.backends.tell_sum(moment);
        rules.seen.tell_sum(&self.service_stats(&rules), moment);
        self.tell_topics(TopicsSeen::tell_if_nothing_matched);
        if moment != Moment::Seen {
            self.tell_topics(|seen, look| seen.tell_misspelt(look, None));
        }
    }

    /// Says something of the topics that were met. The log may block, as above.
    fn tell_topics(&self, tell: impl FnOnce(&TopicsSeen, &Look<'_>)) {
        let (rules, about) = (self.rules(), self.about.load());
        let place = |meant: &Meant<'_>| about.as_ref().as_ref()?.place_of(rules.config(), meant);
        tell(&rules.seen, &Look { rules: rules.in_words(), place: &place });
    }

    /// Lets the end of the process ask for what is to be said then. Once in each process.
    pub(crate) fn report_at_end(self: &Arc<Self>) {
        if self.rules().seen.is_first_here() {
            self.open_port();
            Pipeline::current().report_at_end(Arc::downgrade(self) as Weak<dyn EndReporter>);
        }
    }

    /// A client has met a topic, under these rules; `again`: not for the first time. Any thread; what is to be said is left to
    /// the batch thread.
    pub(crate) fn met_topic(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        topic: &str,
        who: &Who,
        belongs: Belongs,
        again: bool,
    ) {
        self.report_at_end();
        if !rules.seen.topic(topic, who, belongs) {
            return;
        }
        let (rules, topic, who) = (Arc::clone(rules), topic.to_owned(), who.clone());
        Pipeline::current().errand(move || {
            let treated = (belongs, rules.settings_of(belongs));
            if let Some(line) = rules.seen.line(&rules.in_words(), &topic, &who, treated, again) {
                diagnostics::info(&line);
            }
        });
    }

    /// A client is there.
    pub(crate) fn client_opened(&self, number: u64, who: Who) {
        self.clients.opened(number, who);
        self.rules().seen.client_opened();
    }

    /// A client is gone. Runs on the application's thread: what is to be said is left to the batch thread.
    ///
    /// `unseen`: the process may now end without telling anybody. Then the last client waits a moment for its words.
    pub(crate) fn client_closed(self: &Arc<Self>, number: u64, unseen: bool) {
        self.clients.closed(number);
        let is_last = self.rules().seen.client_closed();
        if !Pipeline::is_running() {
            return; // It met no message, and neither did any other of this process.
        }
        let shared = Arc::clone(self);
        Pipeline::current().errand(move || {
            shared.tell_topics(TopicsSeen::tell_if_nothing_matched);
            if is_last {
                shared.tell_sum(if unseen { Moment::LastSeen } else { Moment::Seen });
                shared.write_status(false);
            }
        });
        if is_last && unseen {
            Pipeline::current().seal_all(Some(self.id), Instant::now() + END_REPORT);
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let rules = self.rules();
        let counted = rules.seen.counted();
        let (clients, clients_beyond, clients_closed) = self.clients.stats();
        Stats {
            services: self.service_stats(&rules),
            backends: self.backends.stats(),
            topics: counted.stats(&self.ledger.names(), |topic| rules.reason(topic)),
            topics_beyond: counted.beyond_stats(),
            clients,
            clients_beyond,
            clients_closed,
            reloads: self.reloading.stats(rules.generation()),
        }
    }

    fn service_stats(&self, rules: &Rules) -> Vec<ServiceStats> {
        self.numbered_stats(rules).into_iter().map(|(_, stats)| stats).collect()
    }

    /// The same, each with the service's number.
    fn numbered_stats(&self, rules: &Rules) -> Vec<(usize, ServiceStats)> {
        let counted = rules.seen.counted();
        self.ledger.stats(rules.numbers(), |service| counted.sampled_out(service))
    }

    /// Whether anything is measured, now.
    #[cfg(feature = "application-metrics")]
    pub(crate) fn measures(&self) -> bool {
        self.rules().measures()
    }

    /// All that is measured, now, for the program's own provider; and the services' names, by number.
    #[cfg(feature = "application-metrics")]
    pub(crate) fn collected_for_the_program(&self) -> (Vec<Collected>, Vec<String>) {
        self.measured.is_read_by_the_program();
        (self.collected(&self.rules(), Exemplars::Unread), self.ledger.names())
    }

    /// All that is measured, now.
    fn collected(&self, rules: &Rules, exemplars: Exemplars) -> Vec<Collected> {
        let mut collected = self.instruments.collect(exemplars);
        if rules.config().metrics.own {
            collected.extend(own(&self.numbered_stats(rules), &self.backends.seen()));
        }
        collected
    }

    /// Collects, and lets it leave.
    fn export_metrics(&self) {
        self.export_metrics_by(&self.rules());
    }

    /// The same, as these rules have it.
    fn export_metrics_by(&self, rules: &Rules) {
        if rules.measures() {
            self.measured.leave(rules, &self.backends, |exemplars| self.collected(rules, exemplars));
        }
    }

    /// A last collection leaves, and none follows.
    pub(super) fn end_metrics(&self) {
        self.export_metrics();
        self.measured.end();
    }

    fn metrics_text(&self) -> String {
        let rules = self.rules();
        if !rules.measures() {
            return String::new();
        }
        self.measured.text(&rules, |exemplars| self.collected(&rules, exemplars))
    }

    /// What the messages of services have measured, for the program itself; and the services' names, by number.
    pub(super) fn measurements(&self) -> (Vec<Collected>, Vec<String>) {
        self.measured.is_read_by_the_program();
        (self.instruments.collect(Exemplars::Kept), self.ledger.names())
    }

    /// Lets Prometheus ask this process, if it is to; nothing where it can already.
    fn open_port(self: &Arc<Self>) {
        let asked = Arc::downgrade(self);
        self.measured.open_port(self.rules().measures(), move || asked.upgrade().map(|shared| shared.metrics_text()));
    }

    /// How it is, as `docs/status.md` has it.
    pub(super) fn status(&self, ended: bool) -> String {
        document(self.about.load().as_ref().as_ref(), &self.stats(), ended)
    }

    /// Says where it is to say how it is. Once, before clients have it.
    pub(super) fn writes_status(&self, file: Option<StatusFile>) {
        if let Some(file) = file {
            // Nobody else does.
            let _ = self.status_file.set(file);
        }
        SPEAKER.store(self.id, Ordering::Relaxed);
    }

    /// Says what the rules of now were made of.
    pub(super) fn is_made_of(&self, report: Arc<Report>) {
        let origin = self.rules().config().origin.clone();
        self.about.store(Arc::new(Some(About::new(report, Some(origin)))));
    }

    fn write_status(&self, ended: bool) {
        if let Some(file) = self.status_file() {
            file.write(|| self.status(ended));
        }
    }

    /// Where it says how it is; the latest resolver of a process speaks for it.
    fn status_file(&self) -> Option<&StatusFile> {
        self.status_file.get().filter(|_| SPEAKER.load(Ordering::Relaxed) == self.id)
    }

    /// Backends have answered that nobody waited for: all of them, or with something wrong. The log may block: on a thread of
    /// theirs.
    pub(super) fn have_answered(&self, problems: Vec<Problem>, are_all: bool) {
        if !problems.is_empty() {
            if let Some(made_of) = self.about.load().as_ref().as_ref().map(About::report) {
                let mut all = Report::clone(made_of);
                all.problems.extend(problems.iter().cloned());
                let only_new = Report { problems, ..Report::clone(made_of) };
                self.is_made_of(Arc::new(all));
                tell::tell(&only_new, true);
            }
        }
        if are_all {
            diagnostics::info(&format!("tracing {}", self.describe()));
        }
    }

    /// What is on, for one line in the log.
    pub(super) fn describe(&self) -> String {
        let rules = self.rules();
        let services: Vec<_> = rules.config().services.iter().map(|service| service.name.as_str()).collect();
        let count = counted(services.len() as u64, "service");
        format!("{count} ({}) to {}", services.join(", "), self.backends.describe())
    }
}

/// Rules that a reload has replaced, for as long as something follows them.
struct Replaced {
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    backend_sets: Vec<Arc<BackendSet>>,
}

impl Outgoing for Replaced {
    fn backend_sets(&self) -> &[Arc<BackendSet>] {
        &self.backend_sets
    }

    fn are_awaited(&self) -> bool {
        self.rules.are_awaited()
    }

    fn over(self: Box<Self>) {
        // What was measured last by them would be seen by nobody: those of now measure nothing.
        if !self.shared.rules().measures() {
            self.shared.export_metrics_by(&self.rules);
        }
        self.shared.are_over(self.rules.generation());
    }
}

impl EndReporter for Shared {
    fn report_end(&self) {
        ends::tell_which_plugin_ends_it();
        self.tell_sum(Moment::End);
        self.write_status(true);
    }

    fn leaving(&self) {
        self.export_metrics();
    }

    fn destinations(&self) -> Option<Arc<dyn Destinations>> {
        (self.rules().measures() || self.backends.are_starting())
            .then(|| Arc::clone(&self.backends) as Arc<dyn Destinations>)
    }

    fn look(&self, now: Instant) {
        if self.rules().measures() && self.measured.is_due(now) {
            self.export_metrics();
        }
        self.tell_topics(|seen, look| seen.tell_misspelt(look, Some(now)));
        if let Some(file) = self.status_file() {
            file.keep(now, || self.status(false));
        }
    }
}

/// The resolver that says how the process is.
static SPEAKER: AtomicU64 = AtomicU64::new(0);

/// How long the end of the last client waits for what is to be said, where nobody may see the end of the process.
const END_REPORT: Duration = Duration::from_millis(100);
