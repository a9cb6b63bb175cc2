//! What one configuration means: whose a message is, whether it is kept, and where its spans go. A reload makes others.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::backends::Backends;
use super::ledger::{Ledger, Listed};
use super::resource::resource;
use crate::batch::{BackendSet, BatchedService, BatchedServices, Destinations, ServiceCounters, TopicCounters};
use crate::config::{Config, Pattern, Relation, Settings, Trace};
use crate::metrics::Instruments;
use crate::services::{Candidate, Selection, ServiceMap};
use crate::status::{self, Belongs, CountedTopic, Owner, TopicsSeen, Who};
use crate::tracer::sampler::Sampler;

/// Immutable once built, but for counters. Clients keep what they make of them for each topic; these routes are good for
/// as long as [`epoch`] says what it said before they were made.
pub(crate) struct Rules {
    /// How often the resolver's were replaced before them.
    generation: u64,
    config: Config,
    services: ServiceMap,
    /// By slot of the service map, as are `backend_sets`.
    samplers: Vec<Sampler>,
    backend_sets: Vec<Arc<BackendSet>>,
    /// By index into the configuration's services.
    listed: Vec<Listed>,
    /// Theirs.
    numbers: Vec<usize>,
    /// By index into the configuration's backends: their numbers.
    destinations: Vec<usize>,
    /// Whether anything is measured.
    measures: bool,
    /// What is measured, whatever a reload brings.
    instruments: Arc<Instruments>,
    /// What the clients of this process have met.
    pub(super) seen: TopicsSeen,
}

/// What a resolver has whatever its rules are, for those who make them.
pub(super) struct Lasting<'a> {
    pub(super) resolver: u64,
    pub(super) ledger: &'a Ledger,
    pub(super) backends: &'a Arc<Backends>,
    pub(super) instruments: &'a Arc<Instruments>,
}

/// Grows with every reload of any resolver of this process, when its new rules are in their place. Kafka's threads look at
/// it for every message.
static EPOCH: AtomicU64 = AtomicU64::new(0);
/// Whether any rules of this process ever had a topic whose batches get spans.
static BATCHES: AtomicBool = AtomicBool::new(false);

/// See [`Rules`].
#[inline]
pub(crate) fn epoch() -> u64 {
    // Acquire: pairs with the release in `next_epoch`; who sees the number finds the rules.
    EPOCH.load(Ordering::Acquire)
}

/// See [`BATCHES`]: else no call for messages has to look.
#[inline]
pub(crate) fn batches_are_wanted() -> bool {
    BATCHES.load(Ordering::Relaxed)
}

/// From here on nobody goes on with what was made of other rules.
pub(super) fn next_epoch() {
    EPOCH.fetch_add(1, Ordering::Release);
}

impl Rules {
    /// `destinations`: the numbers of the configuration's backends. `before`: the rules that these replace.
    pub(super) fn new(
        config: Config,
        seen: TopicsSeen,
        lasting: &Lasting<'_>,
        destinations: Vec<usize>,
        before: Option<&Self>,
    ) -> Self {
        let &Lasting { resolver, ledger, backends, instruments } = lasting;
        let services = ServiceMap::new(&config);
        let listed = ledger.list(config.services.iter().map(|service| service.name.as_str()));
        let mut batched_services: Vec<Option<Box<BatchedService>>> = Vec::new();
        for (service, listed) in config.services.iter().zip(&listed) {
            if batched_services.len() <= listed.number {
                batched_services.resize_with(listed.number + 1, || None);
            }
            if let Some(place) = batched_services.get_mut(listed.number) {
                let service = service.clone();
                *place = Some(Box::new(BatchedService::new(move || resource(&service), Arc::clone(&listed.counters))));
            }
        }
        let batched_services: BatchedServices = batched_services.into();
        let mut by_export: HashMap<Vec<usize>, Arc<BackendSet>> = HashMap::new();
        let backend_sets = services
            .slots()
            .map(|(_, settings)| {
                let export = backends_of(settings, &destinations);
                let backend_set = by_export.entry(export).or_insert_with_key(|export| {
                    let backends = Arc::clone(backends) as Arc<dyn Destinations>;
                    let export = export.clone().into_boxed_slice();
                    Arc::new(BackendSet::new(resolver, Arc::clone(&batched_services), backends, export, config.batch))
                });
                Arc::clone(backend_set)
            })
            .collect();
        seen.counted().make_room(batched_services.len());
        if services.slots().any(|(_, settings)| settings.relation == Relation::Batch) {
            BATCHES.store(true, Ordering::Relaxed);
        }
        let samplers = samplers(&services, &config, before);
        Self {
            generation: before.map_or(0, |before| before.generation + 1),
            services,
            samplers,
            backend_sets,
            numbers: listed.iter().map(|listed| listed.number).collect(),
            measures: config.measures(),
            listed,
            destinations,
            instruments: Arc::clone(instruments),
            config,
            seen,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whose a topic's messages are.
    pub(crate) fn belongs(&self, topic: &str, who: &Who) -> Belongs {
        let candidate = Candidate {
            side: who.side,
            topic,
            client_id: &who.client_id,
            group_id: who.group_id.as_deref(),
            // A service that there is not any more claims nothing.
            bound: who.bound.map(|number| self.service_with(number).unwrap_or(usize::MAX)),
        };
        match self.services.select(&candidate) {
            Selection::Service { service, settings, .. } if settings.trace == Trace::Off => Belongs::Untraced(service),
            Selection::Service { service, slot, .. } => Belongs::Traced { service, slot },
            Selection::Excluded => Belongs::Excluded,
            Selection::Unmatched => Belongs::Nobody,
        }
    }

    /// The same, in the words of all rules.
    pub(crate) fn owner(&self, belongs: Belongs) -> Owner {
        let number = |service| self.number_of(service).unwrap_or(usize::MAX);
        match belongs {
            Belongs::Traced { service, .. } => Owner::Traced(number(service)),
            Belongs::Untraced(service) => Owner::Untraced(number(service)),
            Belongs::Excluded => Owner::Excluded,
            Belongs::Nobody => Owner::Nobody,
        }
    }

    /// What the messages of a topic are traced with, if they are.
    pub(crate) fn settings_of(&self, belongs: Belongs) -> Option<&Settings> {
        let Belongs::Traced { slot, .. } = belongs else { return None };
        self.services.slots().nth(slot).map(|(_, settings)| settings)
    }

    /// Whether commits get spans, of any topic.
    pub(crate) fn have_commit_spans(&self) -> bool {
        self.services.slots().any(|(_, settings)| settings.commit_spans)
    }

    /// Where the messages of a topic are counted: by these rules and by those before and after, while it is the same one's.
    pub(crate) fn topic_counters(&self, topic: &str, who: &Who, belongs: Belongs) -> Arc<TopicCounters> {
        self.seen.counted().of(topic, who, self.owner(belongs), self.generation)
    }

    /// Why a topic is whose it is; nothing of one that these rules give to another.
    pub(super) fn reason(&self, topic: &CountedTopic) -> Option<String> {
        topic.why(self.generation, |who| {
            let belongs = self.belongs(&topic.name, who);
            let is_its_own = self.owner(belongs) == topic.owner;
            is_its_own.then(|| self.in_words().reason(&topic.name, who, belongs, self.settings_of(belongs)))
        })
    }

    /// As whoever wrote the file has to see them.
    pub(super) fn in_words(&self) -> status::Rules<'_> {
        self.seen.rules(&self.config, &self.services)
    }

    /// What is measured of messages.
    pub(crate) fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// The number of the backend that stands there in the file.
    pub(super) fn destination(&self, backend: usize) -> Option<usize> {
        self.destinations.get(backend).copied()
    }

    pub(crate) fn sampler(&self, slot: usize) -> Option<&Sampler> {
        self.samplers.get(slot)
    }

    pub(crate) fn backend_set(&self, slot: usize) -> Option<Arc<BackendSet>> {
        self.backend_sets.get(slot).map(Arc::clone)
    }

    /// Each once.
    pub(super) fn backend_sets(&self) -> Vec<Arc<BackendSet>> {
        let mut backend_sets = self.backend_sets.clone();
        backend_sets.sort_unstable_by_key(|backend_set| backend_set.index());
        backend_sets.dedup_by_key(|backend_set| backend_set.index());
        backend_sets
    }

    /// The slot of a service's own settings, whatever the topic.
    pub(crate) fn service_slot(&self, service: usize) -> Option<usize> {
        self.services.slots().position(|(of, _)| of == service)
    }

    pub(crate) fn service_counters(&self, service: usize) -> Option<Arc<ServiceCounters>> {
        self.listed.get(service).map(|listed| Arc::clone(&listed.counters))
    }

    /// The number that a service has whatever a reload brings.
    pub(crate) fn number_of(&self, service: usize) -> Option<usize> {
        self.listed.get(service).map(|listed| listed.number)
    }

    /// The index of the service with that number, if these rules have it.
    pub(crate) fn service_with(&self, number: usize) -> Option<usize> {
        self.listed.iter().position(|listed| listed.number == number)
    }

    /// The numbers of all services, in file order.
    pub(super) fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// Whether anything at all is measured by them.
    pub(super) fn measures(&self) -> bool {
        self.measures
    }

    /// Whether messages are in flight that were sent by these rules, in this process.
    pub(super) fn are_awaited(&self) -> bool {
        self.listed.iter().any(|listed| listed.counters.unacknowledged.sum() > 0)
    }
}

/// A rate limit that is what it was goes on where it is, wherever it stands in the file: a reload gives no second helping.
fn samplers(services: &ServiceMap, config: &Config, before: Option<&Rules>) -> Vec<Sampler> {
    let mut samplers = Sampler::for_slots(services);
    let Some(before) = before else { return samplers };
    let slots_before: HashMap<_, _> = named_slots(&before.config).zip(&before.samplers).collect();
    let mut own: Option<Sampler> = None;
    for (((service, topic), sampler), (_, settings)) in named_slots(config).zip(&mut samplers).zip(services.slots()) {
        let limited = |known: &&Sampler| known.has_limit_of(settings);
        // A topic that is limited as its service is draws from the service's bucket: `Sampler::for_topic`.
        let of_service = own.as_ref().filter(|_| topic.is_some()).filter(limited);
        let kept = of_service.or_else(|| slots_before.get(&(service, topic)).copied().filter(limited));
        if let Some(kept) = kept {
            *sampler = kept.for_topic(settings);
        }
        if topic.is_none() {
            own = Some(sampler.clone());
        }
    }
    samplers
}

/// What each slot of the service map is about, in their order: a service, and one of its topics if it is that one's.
fn named_slots(config: &Config) -> impl Iterator<Item = (&str, Option<(Discriminant<Pattern>, &str)>)> {
    config.services.iter().flat_map(|service| {
        let topics = service.topic_settings.iter().map(|(pattern, _)| Some((discriminant(pattern), pattern.text())));
        std::iter::once(None).chain(topics).map(|topic| (service.name.as_str(), topic))
    })
}

/// The backends of a slot.
fn backends_of(settings: &Settings, destinations: &[usize]) -> Vec<usize> {
    let mut export: Vec<_> = settings.export.iter().filter_map(|index| destinations.get(*index).copied()).collect();
    export.sort_unstable();
    export.dedup();
    export
}
