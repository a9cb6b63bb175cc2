//! The application's own OpenTelemetry spans, on their way to the same backends.

#![forbid(unsafe_code)]

mod encode;

use std::fmt;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, Span, SpanData, SpanProcessor,
};

use crate::Resolver;
use crate::batch::{ApplicationSpans, BackendSet, Pipeline, ServiceCounters};
use crate::clock;
use crate::export::DropReason;
use crate::propagation::{TraceStateBuffer, explicit_randomness, settled_trace_state};
use crate::resolver::{Rules, Shared};
use crate::tracer::sampler::{KeptBy, ParentSampling, Sampler};

/// The configuration names no such service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownService {
    /// As it was asked for.
    pub service: String,
    /// The services that there are.
    pub known: Vec<String>,
}

impl Resolver {
    /// An OpenTelemetry provider for the application's own spans of `service`.
    ///
    /// They are sampled as the service's messages are, carry the service's resource, and leave through its backends,
    /// in the same batches. A span started under a [`crate::Processing`]'s context continues that message's trace.
    /// The application keeps the provider, or makes it the global one; its shutdown flushes and ends nothing but itself.
    /// When tracing is off the provider records nothing, and neither does it while a reload has taken the service out.
    ///
    /// # Errors
    ///
    /// [`UnknownService`], when the configuration has no service of this name.
    pub fn tracer_provider(&self, service: &str) -> Result<SdkTracerProvider, UnknownService> {
        let Some(shared) = self.shared() else {
            let off = opentelemetry_sdk::trace::Sampler::AlwaysOff;
            return Ok(SdkTracerProvider::builder().with_sampler(off).build());
        };
        let known = || self.service_names().collect();
        let unknown = || UnknownService { service: service.to_owned(), known: known() };
        let seat = self.service(service).and_then(|number| Seat::new(&shared, number)).ok_or_else(unknown)?;
        shared.report_at_end();
        let seat = Arc::new(seat);
        let sampler = BridgeSampler { seat: Arc::clone(&seat) };
        let processor = BridgeProcessor { seat, scopes: Mutex::default() };
        Ok(SdkTracerProvider::builder()
            .with_resource(
                Resource::builder_empty().with_attribute(KeyValue::new("service.name", service.to_owned())).build(),
            )
            .with_sampler(sampler)
            .with_span_processor(processor)
            .build())
    }
}

impl fmt::Display for UnknownService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has no service {:?} (it has: {})", self.service, self.known.join(", "))
    }
}

impl std::error::Error for UnknownService {}

/// A service, as the rules of now have it.
struct Seat {
    resolver: Arc<Shared>,
    /// The service's number.
    service: usize,
    there: Mutex<There>,
}

/// What the rules of one moment say of a service.
#[derive(Clone)]
struct There {
    rules: u64,
    backend_set: Arc<BackendSet>,
    /// `None`: they have no such service.
    sampler: Option<Sampler>,
    counters: Arc<ServiceCounters>,
}

impl Seat {
    fn new(resolver: &Arc<Shared>, service: usize) -> Option<Self> {
        let there = Mutex::new(There::by(&resolver.rules(), service)?);
        Some(Self { resolver: Arc::clone(resolver), service, there })
    }

    fn there(&self) -> There {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if there.rules != self.resolver.generation() {
            let rules = self.resolver.rules();
            // Spans of a service that is gone, which began before, go where they would have gone.
            *there = There::by(&rules, self.service).unwrap_or_else(|| There {
                rules: rules.generation(),
                sampler: None,
                ..there.clone()
            });
        }
        there.clone()
    }
}

impl There {
    fn by(rules: &Rules, service: usize) -> Option<Self> {
        let index = rules.service_with(service)?;
        let slot = rules.service_slot(index)?;
        Some(Self {
            rules: rules.generation(),
            backend_set: rules.backend_set(slot)?,
            sampler: Some(rules.sampler(slot)?.clone()),
            counters: rules.service_counters(index)?,
        })
    }
}

/// Encodes each span as it ends, on the thread that ended it, and leaves the bytes to the batch thread.
struct BridgeProcessor {
    seat: Arc<Seat>,
    /// Encoded scopes: few, and the same instances again and again.
    scopes: Mutex<Vec<(InstrumentationScope, Arc<[u8]>)>>,
}

impl BridgeProcessor {
    fn scope(&self, scope: &InstrumentationScope) -> Arc<[u8]> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoded)) = scopes.iter().find(|(known, _)| known == scope) {
            return Arc::clone(encoded);
        }
        let encoded: Arc<[u8]> = encode::scope(scope).into();
        if scopes.len() < 256 {
            scopes.push((scope.clone(), Arc::clone(&encoded)));
        }
        encoded
    }
}

impl SpanProcessor for BridgeProcessor {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let There { backend_set, .. } = self.seat.there();
        let Ok(service) = u32::try_from(self.seat.service) else { return };
        if backend_set.is_empty() {
            return;
        }
        let scope = self.scope(&span.instrumentation_scope);
        let mut spans = Vec::with_capacity(512);
        encode::span(&mut spans, &span);
        self.seat.resolver.ensure_running();
        let own = Arc::clone(&backend_set);
        if !Pipeline::current().submit(ApplicationSpans { backend_set, service, scope, spans, count: 1 }) {
            own.lost(service, DropReason::BufferFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        let deadline = Instant::now() + crate::EXIT_DEADLINE;
        if self.seat.resolver.flush(deadline) { Ok(()) } else { Err(OTelSdkError::Timeout(crate::EXIT_DEADLINE)) }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if Pipeline::current().seal_all(Some(self.seat.resolver.id()), Instant::now() + timeout) {
            Ok(())
        } else {
            Err(OTelSdkError::Timeout(timeout))
        }
    }
}

impl fmt::Debug for BridgeProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeProcessor").field("service", &self.seat.service).finish_non_exhaustive()
    }
}

/// The service's own sampler, as the SDK asks it.
#[derive(Clone)]
struct BridgeSampler {
    seat: Arc<Seat>,
}

impl fmt::Debug for BridgeSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeSampler").field("service", &self.seat.service).finish_non_exhaustive()
    }
}

impl ShouldSample for BridgeSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _span_kind: &opentelemetry::trace::SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let parent = parent_context.filter(|context| context.has_active_span()).map(|context| context.span());
        let parent = parent.as_ref().map(|span| span.span_context()).filter(|parent| parent.is_valid());
        let sampling = match parent {
            None => ParentSampling::NoParent,
            Some(parent) if parent.is_sampled() => ParentSampling::Sampled,
            Some(_) => ParentSampling::NotSampled,
        };
        let there = self.seat.there();
        let given = parent.map(SpanContext::trace_state).filter(|state| **state != TraceState::NONE);
        let header = given.map(TraceState::header);
        let header = header.as_deref().map(str::as_bytes);
        let id = trace_id.to_bytes();
        let randomness = || explicit_randomness(header);
        let judge = |sampler: &Sampler| {
            let verdict = sampler.judge(&id, None, sampling, randomness, clock::monotonic_nanos);
            (verdict, sampler.kept_by(sampling, verdict))
        };
        let (verdict, kept_by) = there.sampler.as_ref().map(judge).unzip();
        let decision = match verdict {
            Some(verdict) if verdict.is_kept() => SamplingDecision::RecordAndSample,
            _ => {
                there.counters.sampled_out.raise();
                SamplingDecision::Drop
            }
        };
        if verdict.is_some_and(|verdict| verdict.is_shed) {
            there.counters.shed.raise();
        }
        let mut buffer = TraceStateBuffer::new();
        let kept_by = kept_by.unwrap_or(KeptBy::Unknown);
        let settled = settled_trace_state(header, &id, kept_by, &mut buffer);
        let trace_state = if settled == header {
            given.cloned()
        } else {
            let text = settled.and_then(|state| std::str::from_utf8(state).ok());
            text.and_then(|state| TraceState::from_str(state).ok())
        };
        let trace_state = trace_state.unwrap_or_default();
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}
