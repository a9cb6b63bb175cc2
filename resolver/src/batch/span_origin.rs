//! What a record names: all that the finished spans of one client and topic have in common.

use std::fmt;
use std::sync::Arc;

use super::backend_set::BackendSet;
use super::record::{FinishedSpan, OriginAddress, Outcome, SpanKind};
use super::template::{SpanFacts, SpanTemplates};
use super::topic_counters::TopicCounters;
use crate::export::DropReason;
use crate::metrics::Series;

/// Made when a client meets a topic, and never changed. It knows nothing of clients, messages or resolvers: they know it.
pub(crate) struct SpanOrigin {
    topic: Box<str>,
    /// Index into the configuration's services.
    service: u32,
    backend_set: Arc<BackendSet>,
    counters: Arc<TopicCounters>,
    templates: SpanTemplates,
    /// Whether a guard that takes over a delivery from here has the message's baggage current.
    takes_baggage: bool,
    /// Where processings are measured, if they are.
    measured: Option<Arc<Series>>,
    error_type: ErrorType,
}

/// Names a failed outcome. Asked on the batch thread, for failed spans only.
pub(crate) type ErrorType = Box<dyn Fn(Outcome) -> String + Send + Sync>;

impl SpanOrigin {
    pub(crate) fn new(
        topic: &str,
        facts: SpanFacts,
        service: u32,
        backend_set: Arc<BackendSet>,
        counters: Arc<TopicCounters>,
        takes_baggage: bool,
        error_type: ErrorType,
    ) -> Self {
        let (templates, topic) = (SpanTemplates::new(facts), topic.into());
        Self { topic, service, backend_set, counters, templates, takes_baggage, measured: None, error_type }
    }

    /// The same, whose processings are measured there.
    pub(crate) fn measured_by(self, measured: Option<Arc<Series>>) -> Self {
        Self { measured, ..self }
    }

    /// What a record names it by. Counts nothing: whoever pushes the record says who keeps the origin alive.
    pub(crate) fn address(self: &Arc<Self>) -> OriginAddress {
        OriginAddress(Arc::as_ptr(self).cast())
    }

    /// The address, with one strong count that travels with it: see [`SpanOrigin::from_address`].
    pub(crate) fn into_address(self: Arc<Self>) -> OriginAddress {
        OriginAddress(Arc::into_raw(self).cast())
    }

    /// The origin at an address; none at that of a record that names none.
    ///
    /// # Safety
    ///
    /// The address is null or came from an origin that lives for `'a`.
    #[inline]
    pub(super) unsafe fn at<'a>(address: OriginAddress) -> Option<&'a Self> {
        // SAFETY: as the caller says; only `address` and `into_address` make one that is not null.
        unsafe { address.0.cast::<Self>().as_ref() }
    }

    /// One more handle of the origin at an address.
    ///
    /// # Safety
    ///
    /// The address came from an origin that lives during the call.
    pub(super) unsafe fn shared(address: OriginAddress) -> Arc<Self> {
        let origin = address.0.cast::<Self>();
        // SAFETY: made by `Arc::as_ptr` or `Arc::into_raw`, and alive.
        unsafe {
            Arc::increment_strong_count(origin);
            Arc::from_raw(origin)
        }
    }

    /// Takes the strong count that travels with the address back.
    ///
    /// # Safety
    ///
    /// The address came from [`SpanOrigin::into_address`], and is taken back once.
    pub(super) unsafe fn from_address(address: OriginAddress) -> Arc<Self> {
        // SAFETY: as the caller says.
        unsafe { Arc::from_raw(address.0.cast()) }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn service(&self) -> u32 {
        self.service
    }

    pub(crate) fn backend_set(&self) -> &Arc<BackendSet> {
        &self.backend_set
    }

    pub(crate) fn takes_baggage(&self) -> bool {
        self.takes_baggage
    }

    /// Whether messages that come together are below a span of the call that hands them over.
    pub(crate) fn has_batches(&self) -> bool {
        self.templates.has_batches()
    }

    /// Where processings are measured, if they are.
    pub(crate) fn measured(&self) -> Option<&Series> {
        self.measured.as_deref()
    }

    /// Counts the processing that a received message's span, which leaves, turned out to be.
    #[inline]
    pub(super) fn measure(&self, span: &FinishedSpan) {
        if let (SpanKind::Process, Some(measured)) = (span.kind, self.measured()) {
            measured.processed(span.end.saturating_sub(span.start), None, || span.in_span());
        }
    }

    /// Whether a span from here is recorded was decided anew before it has left: one that is not is counted.
    pub(crate) fn decided_anew(&self, was_recorded: bool, is_recorded: bool) {
        match (was_recorded, is_recorded) {
            (true, false) => self.counters.sampled_out.raise(),
            (false, true) => self.counters.sampled_out.lower(),
            _ => {}
        }
    }

    /// Spans from here were lost before the batch thread had them. Any thread; never blocks.
    #[cold]
    pub(crate) fn count_lost(&self, reason: DropReason) {
        self.backend_set.lost(self.service, reason, 1);
    }

    /// Appends one `spans` field of `ScopeSpans`, and counts it for its topic. Allocates only when `out` has to grow, or the
    /// span has failed, or is the first of its kind. For the batch thread.
    pub(super) fn encode(&self, out: &mut Vec<u8>, span: &FinishedSpan, extra: &[u8]) {
        self.counters.count_span();
        self.templates.encode(&self.topic, out, span, extra, &self.error_type);
    }
}

impl fmt::Debug for SpanOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanOrigin")
            .field("topic", &self.topic)
            .field("backend_set", &self.backend_set)
            .finish_non_exhaustive()
    }
}

/// An origin whose spans go nowhere.
#[cfg(test)]
pub(super) fn test_origin(topic: &str) -> Arc<SpanOrigin> {
    let facts = SpanFacts { client: Arc::default(), older_names: false, batches: false };
    let backend_set = super::backend_set::test_backend_set();
    Arc::new(SpanOrigin::new(
        topic,
        facts,
        0,
        backend_set,
        Arc::default(),
        false,
        Box::new(|outcome| format!("ERROR_{}", outcome.0)),
    ))
}
