//! The way of a resolver's metrics out: whose they are, which backends get them, and where else they can be read.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::backends::Backends;
use crate::batch::{Destinations as _, ServiceResource, own_scope};
use crate::config::{Config, Service};
use crate::export::{BatchFacts, FinishedBatch, Signal};
use crate::host;
use crate::metric_readers::{Reader, Span, Target, metric_fields, text};
use crate::metrics::{Collected, Exemplars, Metric};
use crate::per_process::PerProcess;
use crate::status::StatusFile;

/// See the module. Only where something is measured.
pub(super) struct Measured {
    reader: Reader,
    /// By service index; then, if no service stands for the process, its own. They name the process, so a fork has others.
    resources: PerProcess<Vec<Resource>>,
    file: Option<StatusFile>,
}

/// Whom metrics are of.
struct Resource {
    attributes: Vec<(String, String)>,
    encoded: ServiceResource,
}

impl Measured {
    /// `None`: nothing is measured.
    pub(super) fn new(config: &Config) -> Option<Self> {
        if !config.measures() {
            return None;
        }
        let file = config.metrics.textfile.clone().map(StatusFile::for_prometheus);
        Some(Self { reader: Reader::new(config.metrics.clone()), resources: PerProcess::new(), file })
    }

    /// Whether nobody will ever see them.
    pub(super) fn leave_nowhere(&self, config: &Config, backends: &Backends) -> bool {
        self.file.is_none() && config.metrics.prometheus.is_none() && !go_to_backends(config, backends)
    }

    /// Lets Prometheus ask in this process. Once in each.
    pub(super) fn open_port(&self, text: impl Fn() -> Option<String> + Send + 'static) {
        self.reader.open_port(text);
    }

    /// Nothing leaves any more in this process: the backends take nothing. The port is closed.
    pub(super) fn end(&self) {
        self.reader.end();
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.reader.is_due(now)
    }

    /// Sends what there is to every backend that is to have it, and writes the file.
    pub(super) fn leave(
        &self,
        config: &Config,
        backends: &Backends,
        collect: impl FnOnce(Exemplars) -> Vec<Collected>,
    ) {
        if self.reader.has_ended() {
            return;
        }
        self.reader.collect(|time| {
            // The text has none: without a backend they are left to the application.
            let exemplars = if go_to_backends(config, backends) { Exemplars::Taken } else { Exemplars::Left };
            let collected = by_resource(config, collect(exemplars));
            if let Some(file) = &self.file {
                file.write(|| self.text_of(config, &collected));
            }
            self.send(config, backends, &collected, time);
        });
    }

    /// What there is, as Prometheus reads it.
    pub(super) fn text(&self, config: &Config, collect: impl FnOnce(Exemplars) -> Vec<Collected>) -> String {
        self.reader.collect(|_| self.text_of(config, &by_resource(config, collect(Exemplars::Left))))
    }

    fn text_of(&self, config: &Config, collected: &[(usize, Vec<Metric>)]) -> String {
        let resources = self.resources(config);
        let targets: Vec<_> = collected
            .iter()
            .filter_map(|(index, metrics)| {
                let resource = resources.get(*index)?;
                Some(Target { resource: &resource.attributes, metrics: metrics.iter().collect() })
            })
            .collect();
        text(&targets)
    }

    /// One batch for each backend: what it has not taken when the next one comes, that one says too.
    fn send(&self, config: &Config, backends: &Backends, collected: &[(usize, Vec<Metric>)], time: Span) {
        let resources = self.resources(config);
        let encoded: Vec<_> = collected
            .iter()
            .map(|(index, metrics)| {
                let points: usize = metrics.iter().map(|metric| metric.points.count()).sum();
                (*index, metric_fields(metrics, time), points)
            })
            .filter(|(_, _, points)| *points > 0)
            .collect();
        for backend in backends.that_take(Signal::Metrics) {
            let (mut body, mut item_count, mut facts) = (Vec::new(), 0, BatchFacts::default());
            for (index, fields, points) in encoded.iter().filter(|(index, ..)| gets(config, backend, *index)) {
                if let Some(resource) = resources.get(*index) {
                    resource.encoded.wrap(&mut body, std::iter::once((own_scope(), fields.as_slice())));
                    item_count += points;
                    facts.add_resource(resource.encoded.service_name());
                }
            }
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
                backends.offer(&[backend], Arc::new(batch));
            }
        }
    }

    fn resources(&self, config: &Config) -> &[Resource] {
        self.resources.get_or_init(|| {
            let services = config.services.iter().map(|service| Resource::of(&service.name, &service.resource));
            services.chain(std::iter::once(Resource::of("tracer-resolver", &[]))).collect()
        })
    }
}

impl Resource {
    fn of(name: &str, from_file: &[(String, String)]) -> Self {
        let (strings, pid) = attributes(name, from_file);
        let borrowed = strings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let encoded = ServiceResource::new(borrowed, pid.map(|pid| (PID, pid)));
        let attributes = strings.into_iter().chain(pid.map(|pid| (PID.to_owned(), pid.to_string()))).collect();
        Self { attributes, encoded }
    }
}

const PID: &str = "process.pid";

/// What identifies a service instance to its backends: OpenTelemetry's resource conventions, and what the file adds.
pub(super) fn resource(service: &Service) -> ServiceResource {
    Resource::of(&service.name, &service.resource).encoded
}

/// Its resource's texts, and `process.pid`, unless the file says another.
fn attributes(name: &str, from_file: &[(String, String)]) -> (Vec<(String, String)>, Option<i64>) {
    let executable = std::env::current_exe().ok();
    let executable = executable.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    let detected = [
        ("service.name", name),
        ("service.instance.id", host::instance_id()),
        ("telemetry.sdk.name", "tracer-resolver"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("host.name", host::host_name()),
        ("process.executable.name", executable.as_deref().unwrap_or_default()),
    ];
    let says = |key: &str| from_file.iter().any(|(known, _)| known == key);
    let detected = detected.into_iter().filter(|(key, value)| !value.is_empty() && !says(key));
    let detected = detected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pid = (!says(PID)).then(|| i64::from(std::process::id()));
    (detected.chain(from_file.iter().cloned()).collect(), pid)
}

/// What belongs to one resource together. The process itself is its one service, or, where it is several, none of them.
fn by_resource(config: &Config, collected: Vec<Collected>) -> Vec<(usize, Vec<Metric>)> {
    let process = if config.services.len() == 1 { 0 } else { config.services.len() };
    let mut by_resource: Vec<(usize, Vec<Metric>)> = Vec::new();
    for of in collected {
        let index = of.service.unwrap_or(process);
        match by_resource.iter_mut().find(|(known, _)| *known == index) {
            Some((_, metrics)) => metrics.extend(of.metrics),
            None => by_resource.push((index, of.metrics)),
        }
    }
    by_resource
}

/// Whether any backend gets any of them.
fn go_to_backends(config: &Config, backends: &Backends) -> bool {
    let resources = 0..=config.services.len();
    let gets_any = |backend: usize| resources.clone().any(|resource| gets(config, backend, resource));
    backends.that_take(Signal::Metrics).any(gets_any)
}

/// Whether a backend is to have the metrics of a resource: as the file says; else where the spans of the service go, and
/// those of the process wherever any spans go.
fn gets(config: &Config, backend: usize, resource: usize) -> bool {
    if let Some(export) = &config.metrics.export {
        return export.contains(&backend);
    }
    let goes_there = |service: &Service| {
        let of_topics = service.topic_settings.iter().map(|(_, settings)| settings);
        std::iter::once(&service.settings).chain(of_topics).any(|settings| settings.export.contains(&backend))
    };
    config.services.get(resource).map_or_else(|| config.services.iter().any(goes_there), goes_there)
}
