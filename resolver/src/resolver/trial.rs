//! One backend of a configuration tried by itself, for whoever wants to know whether it works before programs depend on it.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{Plan, Wanted, text_of};
use super::resource::resource;
use crate::batch::{Field, ServiceResource, SpanWriter, own_scope};
use crate::clock;
use crate::config::{Backend, Config, Report};
use crate::export::{BatchFacts, Exporter as _, FinishedBatch, Outcome, Signal, Try};
use crate::plugin::{self, Loader};
use crate::tracer::ids::{new_span_id, new_trace_id};

/// A backend whose plugin was found and whose settings are right. Its span is sent at once, without the queue, the pauses
/// and the repetitions that a program has.
pub struct BackendTrial {
    plan: Arc<Plan>,
}

/// A span that says of itself that it is a test.
#[derive(Clone, Debug)]
pub struct TrialSpan {
    /// Its trace, in 32 digits: by this it is found.
    pub trace_id: String,
    service: String,
    bytes: Vec<u8>,
}

/// What came of a try. Messages hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrialOutcome {
    /// The plugin could not begin: why.
    NotCreated(String),
    /// The backend has the span.
    Exported,
    /// The backend took the request and refused the span in it: why.
    Refused(String),
    /// It did not work now and may work later: why.
    Failed(String),
    /// It does not work: why.
    Rejected(String),
}

impl TrialSpan {
    /// A span of `service`, with what the configuration says of that service's resource. `purpose` is its name.
    pub fn new(config: &Config, service: &str, purpose: &str) -> Self {
        let (trace_id, span_id, now) = (new_trace_id(), new_span_id(), clock::unix_nanos());
        let mut span = Vec::new();
        SpanWriter::new(&mut span).message(Field::SPANS, |span| {
            span.bytes(Field::TRACE_ID, &trace_id);
            span.bytes(Field::SPAN_ID, &span_id);
            span.bytes(Field::NAME, purpose.as_bytes());
            span.varint(Field::KIND, INTERNAL);
            span.fixed64(Field::START, now);
            span.fixed64(Field::END, now + 1_000_000);
            span.string_attribute(Field::ATTRIBUTES, "tracer_resolver.test", purpose);
            span.fixed32(Field::FLAGS, SAMPLED);
        });
        let known = config.services.iter().find(|known| known.name == service);
        let resource = known.map_or_else(|| ServiceResource::new([("service.name", service)], None), resource);
        let mut bytes = Vec::new();
        resource.wrap(&mut bytes, [(own_scope(), span.as_slice())].into_iter());
        Self { trace_id: hex::encode(trace_id), service: service.to_owned(), bytes }
    }

    /// The service that it is of.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl BackendTrial {
    /// See `PluginSearch::trial`.
    pub(crate) fn load(loader: &Loader, config: &Config, backend: &Backend, report: &mut Report) -> Option<Self> {
        match Wanted::new(loader, &config.plugins, backend, &text_of(report)).plan_in_time() {
            Ok(plan) => Some(Self { plan: Arc::new(plan) }),
            Err(problems) => {
                report.problems.extend(problems);
                None
            }
        }
    }

    /// The plugin, its version and its file, in one line.
    pub fn plugin(&self) -> String {
        let library = &self.plan.library;
        format!("`{}` {} from {}", library.type_name(), library.version(), library.path().display())
    }

    /// Sends the span, and says what came of it and how long it took. Waits for the backend's `timeout` at most.
    pub fn send(&self, span: &TrialSpan) -> (TrialOutcome, Duration) {
        let started = Instant::now();
        let settings = &self.plan.settings;
        let plan = Arc::clone(&self.plan);
        let instance = match plugin::within(plugin::PATIENCE, move || plan.create()) {
            Ok(Ok(instance)) => instance,
            Ok(Err(complaint)) => return (TrialOutcome::NotCreated(complaint.message), started.elapsed()),
            Err(failed) => return (TrialOutcome::NotCreated(failed.to_string()), started.elapsed()),
        };
        let batch = FinishedBatch {
            id: 1,
            signal: Signal::Traces,
            body: span.bytes.clone(),
            start: 0,
            item_count: 1,
            per_service: vec![(0, 1)],
            facts: BatchFacts::default(),
        };
        let outcome = match instance.export(&batch, &Try::first(), settings.timeout, &|_, _| ()) {
            Outcome::Exported => TrialOutcome::Exported,
            Outcome::Partial { message, .. } => TrialOutcome::Refused(message),
            Outcome::Retry { message, .. } => TrialOutcome::Failed(message),
            Outcome::Rejected { message } | Outcome::OutOfService { message } => TrialOutcome::Rejected(message),
        };
        let took = started.elapsed();
        let flushed = instance.flush(settings.timeout, &|_, _| ());
        instance.shutdown(settings.timeout);
        match outcome {
            TrialOutcome::Exported if !flushed => {
                (TrialOutcome::Failed("it took the span, and could not pass it on".to_owned()), took)
            }
            outcome => (outcome, took),
        }
    }
}

impl std::fmt::Debug for BackendTrial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendTrial").field("backend", &self.plan.settings).finish_non_exhaustive()
    }
}

/// OTLP's `SPAN_KIND_INTERNAL`.
const INTERNAL: u64 = 1;
/// The flags of a sampled span, whose parent is not remote.
const SAMPLED: u32 = 0x101;
