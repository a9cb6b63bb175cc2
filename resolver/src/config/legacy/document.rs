//! The services of the file.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::jaeger_variables::JaegerVariables;
use super::object::Object;
use super::reporter::Reporter;
use super::sampler;
use super::sender::Sender;
use crate::config::code;
use crate::config::defaults::{self, Base};
use crate::config::draft::{BackendDraft, Draft, ServiceDraft};
use crate::config::environment::Reader;
use crate::config::field::Field;
use crate::config::findings::{Broken, Findings};
use crate::config::host_section::HostSettings;
use crate::config::json_text;
use crate::config::layer::Layer;
use crate::config::model::{Backend, Batch, ParentDecision, Pattern, Plugins, Sampler};
use crate::config::node::Node;
use crate::config::pattern::{Spotted, same};
use crate::config::report::Problem;
use crate::config::variables::Variables;

/// Reads the file; `None` when it is not even an object with services.
pub(crate) fn read(text: &str, variables: &Variables, findings: &mut Findings) -> Option<Draft> {
    let root = json_text::parse(text, findings)?;
    let base = defaults::base(findings).ok()?;
    let host = base.host.in_effect().ok()?;
    let root = Object::open(&root, "the file", &["services"], findings).ok()?;
    let Some(services) = root.field("services") else {
        let problem = Problem::error(code::MISSING_KEY, "the file has no `services`");
        findings.refuse(problem.at(root.node.span.start..root.node.span.start + 1, "").help(FORM));
        return None;
    };
    let note = Problem::note(code::OLD_FORMAT, "this is the JSON format of 2019; it is read, and stays as it is");
    let help = "TOML can do more: topics by pattern and by side, several backends, references; \
                see default-config.toml";
    findings.mention(note.at(services.key_span.clone(), "").help(help));
    let environment = JaegerVariables::read(&mut Reader { variables, findings });
    let mut draft = Reading { environment, base, host, services: Vec::new(), backends: Vec::new(), delays: Vec::new() };
    for item in services.items("an array of services", findings).ok()? {
        // What is wrong is reported; the other services are read for their problems.
        let _ = draft.service(item.node, findings);
    }
    Some(draft.finish(findings))
}

/// The services and backends read so far.
struct Reading {
    environment: JaegerVariables,
    base: Base,
    host: HostSettings,
    services: Vec<ServiceDraft>,
    backends: Vec<Backend>,
    delays: Vec<Duration>,
}

impl Reading {
    fn service(&mut self, node: &Node, findings: &mut Findings) -> Result<(), Broken> {
        let known = ["service", "config", "traceConfig", "topics"];
        let object = Object::open(node, "a service", &known, findings)?;
        let name = name(object, findings);
        let topics = topics(object, findings);
        let (sampler, reporter) = config(object, findings)?;
        let (name, topics) = (name?, topics?);
        self.delays.extend(reporter.flush_interval);
        let mut export = vec![self.backend(&reporter.sender)];
        if reporter.log_spans.unwrap_or(self.environment.log_spans) {
            let config = serde_json::json!({ "path": "stderr" });
            export.push(self.backend_of("log", "file", config));
        }
        let layer = self.layer(sampler, export);
        self.add(name, topics, layer, findings);
        Ok(())
    }

    /// The file's sampler, else the variables', else every trace: the original's 0.001 surprised everyone.
    fn layer(&self, sampler: Option<Sampler>, export: Vec<usize>) -> Layer {
        let ksql = Spotted { pattern: Pattern::Glob(KSQL.into()), span: 0..0, shown: Some(KSQL.into()) };
        Layer {
            sampler: Some(Ok(sampler.or(self.environment.sampler).unwrap_or(Sampler::AlwaysOn))),
            export: Some(Ok(export)),
            exclude: Some(Ok(if self.environment.allows_ksql_topics { Vec::new() } else { vec![ksql] })),
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
            inject: Some(Ok(self.environment.inject.clone())),
            extract: Some(Ok(self.environment.extract.clone())),
            resource: self.environment.tags.iter().map(|(name, value)| (name.clone(), Ok(value.clone()))).collect(),
            ..Layer::default()
        }
        .over(&self.base.layer)
    }

    fn backend(&mut self, sender: &Sender) -> usize {
        let config = sender.over(&self.environment.sender).plugin_config();
        self.backend_of("jaeger", "jaeger", config)
    }

    /// Services that send to the same place share one backend.
    fn backend_of(&mut self, name: &str, plugin: &str, config: serde_json::Value) -> usize {
        let same = |backend: &Backend| backend.plugin == plugin && backend.config == config;
        if let Some(index) = self.backends.iter().position(same) {
            return index;
        }
        let namesakes = self.backends.iter().filter(|backend| backend.plugin == plugin).count();
        let name = if namesakes == 0 { name.to_owned() } else { format!("{name}-{}", namesakes + 1) };
        self.backends.push(Backend::named(&name, plugin, config, self.host));
        self.backends.len() - 1
    }

    /// Entries of the same name are one service; each entry's settings hold for its own topics.
    fn add(&mut self, name: (&str, Field<'_>), topics: Vec<Spotted>, layer: Layer, findings: &mut Findings) {
        let (name, field) = name;
        let Some(service) = self.services.iter_mut().find(|service| service.name == name) else {
            self.services.push(ServiceDraft {
                name: name.to_owned(),
                span: field.span(),
                produces: Vec::new(),
                consumes: Vec::new(),
                topics,
                client_ids: Vec::new(),
                group_ids: Vec::new(),
                rules: Ok(()),
                constraints: Ok(()),
                layer,
                overrides: Vec::new(),
            });
            return;
        };
        let problem = Problem::warning(code::SERVICE_REPEATED, format!("service `{name}` stands here twice"));
        let problem = problem.at(field.span(), "again").also(service.span.clone(), "first here");
        findings.mention(problem.help("both are read as one service; each one's config holds for its own topics"));
        for topic in topics {
            if service.topics.iter().any(|other| same(&other.pattern, &topic.pattern)) {
                let message = "a topic stands in both entries of one service";
                let problem = Problem::error(code::TOPIC_CLAIMED_TWICE, message).at(topic.span.clone(), "");
                findings.refuse(problem.help("which config it is to have, is not clear: let it stand in one of them"));
            } else {
                service.overrides.push((topic.clone(), layer.clone()));
                service.topics.push(topic);
            }
        }
    }

    fn finish(self, findings: &mut Findings) -> Draft {
        let shortest = self.delays.iter().min().copied();
        if self.delays.iter().any(|delay| Some(*delay) != shortest) {
            let message = "services differ in `flushIntervalMs`: the shortest counts for all, batches being common";
            findings.mention(Problem::note(code::OLD_FLUSH_INTERVALS, message));
        }
        let delay = shortest.or(self.environment.flush_interval);
        let batch = self.base.batch.settings(&self.base.batch);
        let batch = batch.map(|batch| Batch { delay: delay.unwrap_or(batch.delay), ..batch });
        let export = self.services.first().and_then(|service| service.layer.export.clone());
        let named = |backend: Backend| BackendDraft { name: backend.name.clone(), span: 0..0, backend: Ok(backend) };
        Draft {
            defaults: Layer { export, ..Layer::default() }.over(&self.common()),
            services: self.services,
            // A topic that no service names was left to the global tracer, which was none.
            default_service: None,
            backends: self.backends.into_iter().map(named).collect(),
            plugins: Plugins::default(),
            broken_plugins: Vec::new(),
            batch,
        }
    }
}

fn name<'n>(object: Object<'n>, findings: &mut Findings) -> Result<(&'n str, Field<'n>), Broken> {
    let Some(field) = object.field("service") else {
        let problem = Problem::error(code::MISSING_KEY, "this service has no name: `service` is missing");
        let start = object.node.span.start;
        return Err(findings.refuse(problem.at(start..start + 1, "").help(FORM)));
    };
    let name = field.text("a name", findings)?;
    if name.trim().is_empty() {
        let problem = Problem::error(code::OUT_OF_RANGE, "a service needs a name").at(field.span(), "this is empty");
        return Err(findings.refuse(problem));
    }
    Ok((name, field))
}

/// Exact names, whatever characters they have: this format knows no patterns.
fn topics(object: Object<'_>, findings: &mut Findings) -> Result<Vec<Spotted>, Broken> {
    let Some(field) = object.field("topics") else { return Ok(Vec::new()) };
    let mut topics: Vec<Spotted> = Vec::new();
    let mut outcome = Ok(());
    for item in field.items("an array of names of topics", findings)? {
        match item.text("names of topics", findings) {
            Ok("") => {
                let problem = Problem::error(code::BAD_PATTERN, "a topic needs a name").at(item.span(), "");
                outcome = Err(findings.refuse(problem));
            }
            Ok(name) => {
                let pattern = Pattern::Exact(name.into());
                if topics.iter().any(|other| same(&other.pattern, &pattern)) {
                    let problem = Problem::warning(code::REPEATED_ENTRY, "`topics` lists this twice");
                    findings.mention(problem.at(item.span(), "again"));
                } else {
                    topics.push(Spotted { pattern, span: item.span(), shown: Some(name.into()) });
                }
            }
            Err(broken) => outcome = Err(broken),
        }
    }
    outcome.map(|()| topics)
}

/// `config`, or `traceConfig`, its earliest form.
fn config(object: Object<'_>, findings: &mut Findings) -> Result<(Option<Sampler>, Reporter), Broken> {
    if let Some(earliest) =
        object.object("traceConfig", "`traceConfig`", &["samplerType", "samplerParam", "logSpans"], findings)?
    {
        let sampler = sampler::read(earliest, "samplerType", "samplerParam", findings)?;
        let log_spans = earliest.field("logSpans").map(|field| field.boolean(findings)).transpose()?;
        return Ok((Some(sampler), Reporter { log_spans, ..Reporter::default() }));
    }
    let Some(config) = object.object("config", "`config`", &["sampler", "reporter"], findings)? else {
        return Ok((None, Reporter::default()));
    };
    let sampler = config.object("sampler", "`sampler`", &["type", "param", "managerHostPort"], findings);
    let sampler =
        sampler.and_then(|object| object.map(|object| sampler::read(object, "type", "param", findings)).transpose());
    let reporter = config.object("reporter", "`reporter`", Reporter::KEYS, findings);
    let reporter = reporter.and_then(|object| object.map(|object| Reporter::read(object, findings)).transpose());
    Ok((sampler?, reporter?.unwrap_or_default()))
}

/// Topics that ksqlDB makes for itself.
const KSQL: &str = "*_confluent-ksql-*";
const FORM: &str = "{ \"services\": [ { \"service\": \"NAME\", \"config\": { … }, \"topics\": [ \"TOPIC\" ] } ] }";
