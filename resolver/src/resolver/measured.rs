//! The way of a resolver's metrics out: whose they are, which backends get them, and where else they can be read.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::backends::Backends;
use super::resource::Resource;
use super::rules::Rules;
use crate::batch::{Destinations as _, own_scope};
use crate::config::Service;
use crate::diagnostics;
use crate::export::{BatchFacts, FinishedBatch, Signal};
use crate::metric_readers::{Reader, Span, Target, metric_fields, text};
use crate::metrics::{Collected, Exemplars, Metric};
use crate::status::StatusFile;
use crate::swap::Swap;

/// See the module. It stays whatever a reload brings, and so do the values; nothing leaves while the rules measure nothing.
pub(super) struct Measured {
    reader: Reader,
    /// By number, all services that there ever were: what was measured for one goes on being told.
    services: Swap<Vec<Described>>,
    file: Swap<Option<TextFile>>,
    /// Whether the program itself has asked for them.
    is_read: AtomicBool,
    /// Of the rules of now.
    told_that_they_leave_nowhere: AtomicBool,
}

/// A service, as the latest rules that have it describe it: its name and the attributes of its resource.
type Described = (String, Vec<(String, String)>);

struct TextFile {
    path: PathBuf,
    file: StatusFile,
}

/// The process itself, in the place of a service's number.
const PROCESS: usize = usize::MAX;

impl Measured {
    pub(super) fn new(rules: &Rules) -> Self {
        let measured = Self {
            reader: Reader::new(rules.config().metrics.clone()),
            services: Swap::new(Arc::default()),
            file: Swap::new(Arc::default()),
            is_read: AtomicBool::new(false),
            told_that_they_leave_nowhere: AtomicBool::new(false),
        };
        measured.follow(rules);
        measured
    }

    /// These are the rules from here on. One thread at a time.
    pub(super) fn follow(&self, rules: &Rules) {
        let config = rules.config();
        let mut services = Vec::clone(&self.services.load());
        for (service, number) in config.services.iter().zip(rules.numbers()) {
            if services.len() <= *number {
                services.resize_with(number + 1, Described::default);
            }
            if let Some(place) = services.get_mut(*number) {
                *place = (service.name.clone(), service.resource.clone());
            }
        }
        self.services.store(Arc::new(services));
        if !rules.measures() {
            // The rules of before tell what they measured last, and where they said.
            return;
        }
        self.told_that_they_leave_nowhere.store(false, Ordering::Relaxed);
        self.reader.follow(&config.metrics);
        let wanted = config.metrics.textfile.as_ref();
        if self.file.load().as_ref().as_ref().map(|known| &known.path) != wanted {
            let file =
                wanted.map(|path| TextFile { path: path.clone(), file: StatusFile::for_prometheus(path.clone()) });
            self.file.store(Arc::new(file));
        }
    }

    /// The program itself reads them, or has its own provider do so.
    pub(super) fn is_read_by_the_program(&self) {
        // Relaxed: nothing is read because of it.
        self.is_read.store(true, Ordering::Relaxed);
    }

    /// Says so once if nobody sees them: at a collection, for until then the program may ask for them.
    fn tell_if_they_leave_nowhere(&self, rules: &Rules, backends: &Backends) {
        let metrics = &rules.config().metrics;
        let has_a_way = metrics.textfile.is_some() || metrics.prometheus.is_some() || go_to_backends(rules, backends);
        let is_read = has_a_way || self.is_read.load(Ordering::Relaxed);
        if !is_read && !self.told_that_they_leave_nowhere.swap(true, Ordering::Relaxed) {
            diagnostics::warn(
                "metrics are on, and leave nowhere: no backend that gets them takes metrics (otlp, otlp_grpc, kafka and file \
                 do), and neither `prometheus` nor `textfile` is set",
            );
        }
    }

    /// Lets Prometheus ask in this process, if it is to; nobody can ask any more where nothing is measured.
    pub(super) fn open_port(&self, is_wanted: bool, text: impl Fn() -> Option<String> + Send + 'static) {
        self.reader.open_port(is_wanted, text);
    }

    /// Nothing leaves any more in this process: the backends take nothing. The port is closed.
    pub(super) fn end(&self) {
        self.reader.end();
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.reader.is_due(now)
    }

    /// Sends what there is to every backend that is to have it, and writes the file.
    pub(super) fn leave(&self, rules: &Rules, backends: &Backends, collect: impl FnOnce(Exemplars) -> Vec<Collected>) {
        if self.reader.has_ended() {
            return;
        }
        self.tell_if_they_leave_nowhere(rules, backends);
        self.reader.collect(|time| {
            let collected = self.by_resource(rules, collect(Exemplars::New));
            if let Some(text) = self.file.load().as_ref() {
                // Files of several processes are read as one.
                let process = text.file.is_of_one_process().then(std::process::id);
                text.file.write(|| text_of(&collected, process));
            }
            send(rules, backends, &collected, time);
        });
    }

    /// What there is, as Prometheus reads it.
    pub(super) fn text(&self, rules: &Rules, collect: impl FnOnce(Exemplars) -> Vec<Collected>) -> String {
        self.reader.collect(|_| text_of(&self.by_resource(rules, collect(Exemplars::Unread)), None))
    }

    /// What belongs to one resource together, each with the number of its service. The process itself is its one service, or,
    /// where it is several, none of them.
    fn by_resource(&self, rules: &Rules, collected: Vec<Collected>) -> Vec<(usize, Resource, Vec<Metric>)> {
        let process = if let [only] = rules.numbers() { *only } else { PROCESS };
        let services = self.services.load();
        let resource = |number: usize| match services.get(number) {
            Some((name, attributes)) => Resource::of(name, attributes),
            None => Resource::of("tracer-resolver", &[]),
        };
        let mut by_resource: Vec<(usize, Resource, Vec<Metric>)> = Vec::new();
        for of in collected {
            let number = of.service.unwrap_or(process);
            match by_resource.iter_mut().find(|(known, ..)| *known == number) {
                Some((.., metrics)) => metrics.extend(of.metrics),
                None => by_resource.push((number, resource(number), of.metrics)),
            }
        }
        by_resource
    }
}

fn text_of(collected: &[(usize, Resource, Vec<Metric>)], process: Option<u32>) -> String {
    let targets = collected.iter().map(|(_, resource, metrics)| Target {
        resource: &resource.attributes,
        process,
        metrics: metrics.iter().collect(),
    });
    text(&targets.collect::<Vec<_>>())
}

/// One batch for each backend: what it has not taken when the next one comes, that one says too.
fn send(rules: &Rules, backends: &Backends, collected: &[(usize, Resource, Vec<Metric>)], time: Span) {
    let encoded: Vec<_> = collected
        .iter()
        .map(|(number, resource, metrics)| {
            let points: usize = metrics.iter().map(|metric| metric.points.count()).sum();
            (*number, resource, metric_fields(metrics, time), points)
        })
        .filter(|(.., points)| *points > 0)
        .collect();
    for (backend, destination) in that_take_metrics(rules, backends) {
        let (mut body, mut item_count, mut facts) = (Vec::new(), 0, BatchFacts::default());
        let its = || encoded.iter().filter(|(number, ..)| gets(rules, backend, *number));
        for (_, resource, fields, points) in its() {
            resource.encoded.wrap(&mut body, std::iter::once((own_scope(), fields.as_slice())));
            item_count += points;
        }
        facts.add_resources(its().map(|(_, resource, ..)| resource.encoded.service_name()));
        if item_count > 0 {
            facts.add_start(time.began);
            let batch = FinishedBatch {
                id: FinishedBatch::next_id(),
                signal: Signal::Metrics,
                body,
                start: 0,
                item_count: u32::try_from(item_count).unwrap_or(u32::MAX),
                per_service: Vec::new(),
                facts,
            };
            backends.offer(&[destination], Arc::new(batch));
        }
    }
}

/// The backends whose plugins take metrics: their place in the file, and their number.
fn that_take_metrics<'r>(rules: &'r Rules, backends: &'r Backends) -> impl Iterator<Item = (usize, usize)> + 'r {
    let all = (0..rules.config().backends.len()).filter_map(|backend| Some((backend, rules.destination(backend)?)));
    all.filter(|(_, destination)| backends.takes(*destination, Signal::Metrics))
}

/// Whether any backend gets any of them.
fn go_to_backends(rules: &Rules, backends: &Backends) -> bool {
    let gets_any = |backend: usize| rules.numbers().iter().chain([&PROCESS]).any(|of| gets(rules, backend, *of));
    that_take_metrics(rules, backends).any(|(backend, _)| gets_any(backend))
}

/// Whether a backend is to have the metrics of a service: as the file says; else where the spans of the service go. Those of
/// the process, and of a service that there is not any more, go wherever any spans go.
fn gets(rules: &Rules, backend: usize, number: usize) -> bool {
    let config = rules.config();
    if let Some(export) = &config.metrics.export {
        return export.contains(&backend);
    }
    let goes_there = |service: &Service| {
        let of_topics = service.topic_settings.iter().map(|(_, settings)| settings);
        std::iter::once(&service.settings).chain(of_topics).any(|settings| settings.export.contains(&backend))
    };
    let service = rules.service_with(number).and_then(|index| config.services.get(index));
    service.map_or_else(|| config.services.iter().any(goes_there), goes_there)
}
