//! What has been read of the old format so far: its services, and the backends that they turn out to need.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::time::Duration;

use super::jaeger_variables::JaegerVariables;
use super::reporter::Reporter;
use super::sender::Sender;
use crate::config::draft::backend::{BackendDraft, implied};
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::defaults::Defaults;
use crate::config::draft::layer::Layer;
use crate::config::draft::sending::SendingSettings;
use crate::config::draft::service::ServiceDraft;
use crate::config::model::{Backend, Batch, Metrics, ParentDecision, Plugins, Reload, Sampler};
use crate::config::reading::field::Field;
use crate::config::reading::pattern::{self, PlacedPattern, identity};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// The services and backends read so far.
pub(super) struct DraftBuilder {
    environment: JaegerVariables,
    defaults: Defaults,
    sending: SendingSettings,
    services: Vec<ServiceDraft>,
    backends: Vec<Backend>,
    delays: Vec<Duration>,
}

impl DraftBuilder {
    /// Nothing yet; `None` only if the embedded defaults were broken.
    pub(super) fn new(environment: JaegerVariables, defaults: Defaults) -> Option<Self> {
        let sending = defaults.sending.in_effect().ok()?;
        Some(Self { environment, defaults, sending, services: Vec::new(), backends: Vec::new(), delays: Vec::new() })
    }

    /// The settings of one service, which `span` names. The file's sampler counts, else the variables', else every
    /// trace is kept: the original's 0.001 surprised everyone.
    pub(super) fn layer(&mut self, sampler: Option<Sampler>, reporter: &Reporter, span: &Range<usize>) -> Layer {
        self.delays.extend(reporter.flush_interval);
        let mut export = vec![self.backend(&reporter.sender, span)];
        if reporter.log_spans.unwrap_or(self.environment.log_spans) {
            export.push(self.backend_of("log", "file", serde_json::json!({ "path": "stderr" }), span));
        }
        let excluded = if self.environment.allows_ksql_topics { Vec::new() } else { vec![nowhere(KSQL)] };
        Layer {
            sampler: Some(Ok(sampler.or(self.environment.sampler).unwrap_or(Sampler::AlwaysOn))),
            export: Some(Ok(export.into())),
            exclude: Some(Ok(excluded.into())),
            ..Layer::default()
        }
        .over(&self.common())
    }

    /// What holds for every service of this format.
    fn common(&self) -> Layer {
        Layer {
            parent: Some(Ok(ParentDecision::Respect)),
            // Programs of that time read the consumer's context from the record.
            reinject: Some(Ok(true)),
            inject: Some(Ok(self.environment.inject.as_slice().into())),
            extract: Some(Ok(self.environment.extract.as_slice().into())),
            resource: self.environment.tags.iter().map(|(name, value)| (name.clone(), Ok(value.clone()))).collect(),
            ..Layer::default()
        }
        .over(&self.defaults.layer)
    }

    fn backend(&mut self, sender: &Sender, span: &Range<usize>) -> usize {
        let config = sender.over(&self.environment.sender).plugin_config();
        self.backend_of("jaeger", "jaeger", config, span)
    }

    /// Services that send to the same place share one backend.
    fn backend_of(&mut self, name: &str, plugin: &str, config: serde_json::Value, span: &Range<usize>) -> usize {
        let same = |backend: &Backend| backend.plugin == plugin && backend.config == config;
        if let Some(index) = self.backends.iter().position(same) {
            return index;
        }
        let namesakes = self.backends.iter().filter(|backend| backend.plugin == plugin).count();
        let name = if namesakes == 0 { name.to_owned() } else { format!("{name}-{}", namesakes + 1) };
        self.backends.push(implied(&name, plugin, config, self.sending, span.clone()));
        self.backends.len() - 1
    }

    /// Entries of the same name are one service; each entry's settings hold for its own topics.
    pub(super) fn add(
        &mut self,
        name: (&str, Field<'_>),
        topics: Vec<PlacedPattern>,
        layer: Layer,
        findings: &mut Findings,
    ) {
        let (name, field) = name;
        let Some(service) = self.services.iter_mut().find(|service| service.name == name) else {
            let service = ServiceDraft::without_rules(name.to_owned(), field.span(), layer);
            self.services.push(ServiceDraft { topics, ..service });
            return;
        };
        let problem = Problem::warning(code::SERVICE_REPEATED, format!("service `{name}` stands here twice"));
        let problem = problem.at(field.span(), "again").also(service.span.clone(), "first here");
        findings.mention(problem.help("both are read as one service; each one's config holds for its own topics"));
        for topic in topics {
            if service.topics.iter().any(|other| identity(&other.pattern) == identity(&topic.pattern)) {
                let message = "a topic stands in both entries of one service";
                let problem = Problem::error(code::TOPIC_CLAIMED_TWICE, message).at(topic.span.clone(), "");
                findings.refuse(problem.help("which config it is to have, is not clear: let it stand in one of them"));
            } else {
                service.overrides.push((topic.clone(), layer.clone()));
                service.topics.push(topic);
            }
        }
    }

    pub(super) fn finish(self, findings: &mut Findings) -> ConfigDraft {
        let shortest = self.delays.iter().min().copied();
        if self.delays.iter().any(|delay| Some(*delay) != shortest) {
            let message = "services differ in `flushIntervalMs`: the shortest counts for all, batches being common";
            findings.mention(Problem::note(code::OLD_FLUSH_INTERVALS, message));
        }
        let delay = shortest.or(self.environment.flush_interval);
        let batch = self.defaults.batch.in_effect();
        let batch = batch.map(|batch| Batch { delay: delay.unwrap_or(batch.delay), ..batch });
        let export = self.services.first().and_then(|service| service.layer.export.clone());
        ConfigDraft {
            reload: Reload::OFF,
            defaults: Layer { export, ..Layer::default() }.over(&self.common()),
            services: self.services,
            // A topic that no service names was left to the global tracer, which was none.
            default_service: None,
            backends: self.backends.into_iter().map(BackendDraft::from).collect(),
            plugins: Plugins::default(),
            broken_plugins: Vec::new(),
            batch,
            metrics: Ok(Metrics::default()),
        }
    }
}

/// A pattern that no file contains.
pub(super) fn nowhere(text: &str) -> PlacedPattern {
    PlacedPattern { pattern: pattern::from_text(text), span: 0..0, shown: Some(text.to_owned()) }
}

/// Topics that ksqlDB makes for itself.
const KSQL: &str = "*_confluent-ksql-*";
