//! What all clients of a resolver share.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::backends::Backends;
use super::measured::{Measured, resource};
use crate::batch::{BackendSet, BatchedService, Destinations, EndReporter, Pipeline, ServiceCounters, TopicCounters};
use crate::config::{Config, Report, Settings};
use crate::counted::counted;
use crate::diagnostics;
use crate::metric_readers::own;
use crate::metrics::{Collected, Exemplars, Instruments};
use crate::services::ServiceMap;
use crate::status::{
    About, Belongs, ClientsMet, Look, Meant, Moment, Rules, ServiceStats, Stats, StatusFile, TopicsCounted, TopicsSeen,
    Who, document,
};
use crate::tracer::sampler::Sampler;

/// Immutable once built, but for counters and what a fork starts anew.
pub(crate) struct Shared {
    id: u64,
    config: Config,
    services: ServiceMap,
    /// By slot of the service map, as are `backend_sets`.
    samplers: Vec<Sampler>,
    backend_sets: Vec<Arc<BackendSet>>,
    counters: Vec<Arc<ServiceCounters>>,
    backends: Arc<Backends>,
    instruments: Instruments,
    told_topic_limit: AtomicBool,
    /// What the clients of this process have met.
    seen: TopicsSeen,
    counted: TopicsCounted,
    clients: ClientsMet,
    /// `None`: nothing is measured.
    measured: Option<Measured>,
    /// What it was made of, and where it says how it is, if it is to.
    about: OnceLock<(About, Option<StatusFile>)>,
}

impl Shared {
    /// Builds the tracers, and loads and creates the backends; what fails is off and stands in `report`.
    pub(super) fn new(config: Config, strict: bool, report: &mut Report) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let services = ServiceMap::new(&config);
        let seen = TopicsSeen::new(&config, report);
        let backends = Arc::new(Backends::load(&config, strict, report));
        let counters: Vec<_> = config.services.iter().map(|_| Arc::new(ServiceCounters::default())).collect();
        let batched_services: Arc<[BatchedService]> = config
            .services
            .iter()
            .zip(&counters)
            .map(|(service, counters)| {
                let service = service.clone();
                BatchedService::new(move || resource(&service), Arc::clone(counters))
            })
            .collect();
        let mut by_export: HashMap<Vec<usize>, Arc<BackendSet>> = HashMap::new();
        let backend_sets = services
            .slots()
            .map(|(_, settings)| {
                let export = backends_of(settings);
                let backend_set = by_export.entry(export).or_insert_with_key(|export| {
                    let destinations = Arc::clone(&backends) as Arc<dyn Destinations>;
                    let export = export.clone().into_boxed_slice();
                    Arc::new(BackendSet::new(id, Arc::clone(&batched_services), destinations, export, config.batch))
                });
                Arc::clone(backend_set)
            })
            .collect();
        Arc::new(Self {
            id,
            samplers: Sampler::for_slots(&services),
            services,
            backend_sets,
            counters,
            backends,
            instruments: Instruments::default(),
            told_topic_limit: AtomicBool::new(false),
            counted: TopicsCounted::new(config.services.len()),
            seen,
            clients: ClientsMet::default(),
            about: OnceLock::new(),
            measured: Measured::new(&config),
            config,
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn services(&self) -> &ServiceMap {
        &self.services
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.backends
    }

    /// What this process has measured.
    pub(crate) fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    pub(crate) fn sampler(&self, slot: usize) -> Option<&Sampler> {
        self.samplers.get(slot)
    }

    pub(crate) fn backend_set(&self, slot: usize) -> Option<Arc<BackendSet>> {
        self.backend_sets.get(slot).map(Arc::clone)
    }

    pub(crate) fn backend_set_indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.backend_sets.iter().map(|backend_set| backend_set.index())
    }

    /// The slot of a service's own settings, whatever the topic.
    pub(crate) fn service_slot(&self, service: usize) -> Option<usize> {
        self.services.slots().position(|(of, _)| of == service)
    }

    pub(crate) fn service_counters(&self, service: usize) -> Option<Arc<ServiceCounters>> {
        self.counters.get(service).map(Arc::clone)
    }

    /// Starts the backends of this process if a fork left them behind.
    pub(crate) fn ensure_running(self: &Arc<Self>) {
        Pipeline::current().ensure_batch_thread();
        if self.status_file().is_some() || self.measured.is_some() {
            self.report_at_end();
        }
        self.backends.ensure_running();
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
        self.backends.tell_sum(moment);
        self.seen.tell_sum(&self.config, &self.counters, &self.counted, moment);
        self.tell_topics(TopicsSeen::tell_if_nothing_matched);
        if moment != Moment::Seen {
            self.tell_topics(|seen, look| seen.tell_misspelt(look, None));
        }
    }

    /// Says something of the topics that were met. The log may block, as above.
    fn tell_topics(&self, tell: impl FnOnce(&TopicsSeen, &Look<'_>)) {
        let place = |meant: &Meant<'_>| self.about.get()?.0.place_of(&self.config, meant);
        tell(&self.seen, &Look { rules: self.rules(), counted: &self.counted, place: &place });
    }

    /// Lets the end of the process ask for what is to be said then. Once in each process.
    pub(crate) fn report_at_end(self: &Arc<Self>) {
        if self.seen.is_first_here() {
            let this = Arc::downgrade(self);
            if let Some(measured) = &self.measured {
                let asked = this.clone();
                measured.open_port(move || asked.upgrade().map(|shared| shared.metrics_text()));
            }
            Pipeline::current().report_at_end(this);
        }
    }

    /// A client has met a topic. Any thread; what is to be said is left to the batch thread.
    pub(crate) fn met_topic(self: &Arc<Self>, topic: &str, who: &Who, belongs: Belongs) {
        self.report_at_end();
        if let Some(told) = self.seen.topic(topic, who, belongs) {
            let (shared, topic, who) = (Arc::clone(self), topic.to_owned(), who.clone());
            Pipeline::current().errand(move || {
                let settings = shared.settings_of(belongs);
                diagnostics::info(&shared.seen.line(&shared.rules(), told, &topic, &who, belongs, settings));
            });
        }
    }

    /// Where the messages of a topic are counted.
    pub(crate) fn topic_counters(&self, topic: &str, who: Who, belongs: Belongs) -> Arc<TopicCounters> {
        self.counted.of(topic, who, belongs)
    }

    /// A client is there.
    pub(crate) fn client_opened(&self, number: u64, who: Who) {
        self.clients.opened(number, who);
        self.seen.client_opened();
    }

    /// A client is gone. Runs on the application's thread: what is to be said is left to the batch thread.
    ///
    /// `unseen`: the process may now end without telling anybody. Then the last client waits a moment for its words.
    pub(crate) fn client_closed(self: &Arc<Self>, number: u64, unseen: bool) {
        self.clients.closed(number);
        let is_last = self.seen.client_closed();
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
        let (clients, clients_beyond, clients_closed) = self.clients.stats();
        Stats {
            services: self.service_stats(),
            backends: self.backends.stats(),
            topics: self.counted.stats(&self.rules(), |belongs| self.settings_of(belongs)),
            topics_beyond: self.counted.beyond_stats(),
            clients,
            clients_beyond,
            clients_closed,
        }
    }

    fn service_stats(&self) -> Vec<ServiceStats> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.config
            .services
            .iter()
            .zip(&self.counters)
            .enumerate()
            .map(|(index, (service, counters))| ServiceStats {
                name: service.name.clone(),
                spans: read(&counters.spans),
                dropped_buffer_full: read(&counters.lost),
                sampled_out: counters.sampled_out.sum() + self.counted.sampled_out(index),
                unacknowledged: counters.unacknowledged.sum(),
                not_injected: read(&counters.not_injected),
                parents_lost: read(&counters.parents_lost),
            })
            .collect()
    }

    /// The program itself has what is measured, or its own provider has. `false`: nothing is.
    pub(crate) fn is_read_by_the_program(&self) -> bool {
        self.measured.as_ref().map(Measured::is_read_by_the_program).is_some()
    }

    /// All that is measured, now.
    pub(crate) fn collected(&self, exemplars: Exemplars) -> Vec<Collected> {
        let mut collected = self.instruments.collect(exemplars);
        if self.config.metrics.own {
            collected.extend(own(&self.service_stats(), &self.backends.seen()));
        }
        collected
    }

    /// Collects, and lets it leave.
    fn export_metrics(&self) {
        if let Some(measured) = &self.measured {
            measured.leave(&self.config, &self.backends, |exemplars| self.collected(exemplars));
        }
    }

    /// A last collection leaves, and none follows.
    pub(super) fn end_metrics(&self) {
        self.export_metrics();
        if let Some(measured) = &self.measured {
            measured.end();
        }
    }

    fn metrics_text(&self) -> String {
        self.measured
            .as_ref()
            .map_or_else(String::new, |measured| measured.text(&self.config, |exemplars| self.collected(exemplars)))
    }

    /// How it is, as `docs/status.md` has it.
    pub(super) fn status(&self, ended: bool) -> String {
        document(self.about.get().map(|(about, _)| about), &self.stats(), ended)
    }

    /// Says what it was made of, and where it is to say how it is. Once, before clients have it.
    pub(super) fn describe(&self, about: About, file: Option<StatusFile>) {
        // Nobody else does.
        let _ = self.about.set((about, file));
        SPEAKER.store(self.id, Ordering::Relaxed);
    }

    fn write_status(&self, ended: bool) {
        if let Some(file) = self.status_file() {
            file.write(|| self.status(ended));
        }
    }

    /// Where it says how it is; the latest resolver of a process speaks for it.
    fn status_file(&self) -> Option<&StatusFile> {
        self.about.get()?.1.as_ref().filter(|_| SPEAKER.load(Ordering::Relaxed) == self.id)
    }

    fn rules(&self) -> Rules<'_> {
        self.seen.rules(&self.config, &self.services)
    }

    fn settings_of(&self, belongs: Belongs) -> Option<&Settings> {
        let Belongs::Traced { slot, .. } = belongs else { return None };
        self.services.slots().nth(slot).map(|(_, settings)| settings)
    }

    /// One line that says what is on.
    pub(super) fn announce(&self) {
        let services: Vec<_> = self.config.services.iter().map(|service| service.name.as_str()).collect();
        diagnostics::info(&format!(
            "tracing {} ({}) to {}",
            counted(services.len() as u64, "service"),
            services.join(", "),
            self.backends.describe()
        ));
    }
}

impl EndReporter for Shared {
    fn report_end(&self) {
        self.tell_sum(Moment::End);
        self.write_status(true);
    }

    fn leaving(&self) {
        self.export_metrics();
    }

    fn destinations(&self) -> Option<Arc<dyn Destinations>> {
        self.measured.as_ref().map(|_| Arc::clone(&self.backends) as Arc<dyn Destinations>)
    }

    fn look(&self, now: Instant) {
        if self.measured.as_ref().is_some_and(|measured| measured.is_due(now)) {
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

/// The backends of a slot.
fn backends_of(settings: &Settings) -> Vec<usize> {
    let mut export = settings.export.clone();
    export.sort_unstable();
    export.dedup();
    export
}
