//! A backend_set: one distinct list of backends, and the spans that are on their way to it.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::leaving::Leave;
use super::service_counters::ServiceCounters;
use super::span_starts::span_starts;
use super::template::{ServiceResource, own_scope};
use crate::config::Batch;
use crate::export::{BatchFacts, DropReason, FinishedBatch, Signal};
use crate::per_process::PerProcess;

/// One distinct list of backends of one resolver. Services that export to the same backends share it, and with it
/// their batches.
pub(crate) struct BackendSet {
    /// Its place in the batch thread's table, its own for as long as it lives.
    index: usize,
    /// The resolver's number.
    resolver: u64,
    /// By the resolver's number for a service; those that its rules had when the backend set was made.
    services: BatchedServices,
    destinations: Arc<dyn Destinations>,
    /// The resolver's numbers for its backends, those that could not be created too: what they do not get is counted.
    backends: Box<[usize]>,
    batch: Batch,
    /// Processings whose spans will come this way.
    works: AtomicUsize,
    /// Its rules are nobody's any more: what still comes, from a thread that was late, leaves at once.
    is_over: AtomicBool,
}

/// See [`BackendSet`].
pub(crate) type BatchedServices = Arc<[Option<Box<BatchedService>>]>;

/// What a backend set needs of a service.
pub(crate) struct BatchedService {
    /// Names the process, so a child of a fork has another.
    resource: PerProcess<ServiceResource>,
    describe: Box<dyn Fn() -> ServiceResource + Send + Sync>,
    counters: Arc<ServiceCounters>,
}

/// Where the batches of a resolver's backend sets go.
pub(crate) trait Destinations: Send + Sync {
    /// Queues `batch` for each of `backends`. Never blocks.
    fn offer(&self, backends: &[usize], batch: Arc<FinishedBatch>);
    /// Counts spans of a service that were lost on their way to `backends`, each of which would have got them. Any thread;
    /// never blocks.
    fn lost(&self, backends: &[usize], service: u32, reason: DropReason, spans: u64);
    /// Called by the batch thread every [`super::batch_thread::TICK`]: the watchdog's clock.
    fn tick(&self, now: Instant);
    /// The process may end: what was offered is to be exported before `deadline`. Waits for nothing.
    fn begin_leaving(&self, deadline: Instant, leave: Leave);
    /// Waits until that is done, or cannot be.
    fn finish_leaving(&self, deadline: Instant, leave: Leave);
}

/// What the batch thread has collected for one backend set.
pub(crate) struct BatchBuffer {
    backend_set: Arc<BackendSet>,
    /// In the order in which services first appeared.
    services: Vec<ServiceSpans>,
    /// Service index → place in `services`, plus one.
    places: Vec<u32>,
    bytes: usize,
    /// What is known of the spans in here; its resources, when they leave.
    facts: BatchFacts,
    since: Option<Instant>,
    /// When the last batch left for being due.
    left: Option<Instant>,
}

#[derive(Default)]
struct ServiceSpans {
    service: u32,
    /// Room for what will wrap them, then encoded `spans` fields of our own scope.
    own: Vec<u8>,
    /// Bytes that `own` had in the last batch: so much room is made at once.
    expected: usize,
    /// The application's own spans: (encoded scope, encoded `spans` fields).
    application: Vec<(Arc<[u8]>, Vec<u8>)>,
    count: u32,
}

impl BatchedService {
    /// `describe` is called once in every process.
    pub(crate) fn new(
        describe: impl Fn() -> ServiceResource + Send + Sync + 'static,
        counters: Arc<ServiceCounters>,
    ) -> Self {
        Self { resource: PerProcess::new(), describe: Box::new(describe), counters }
    }

    fn resource(&self) -> &ServiceResource {
        self.resource.get_or_init(&self.describe)
    }
}

impl BackendSet {
    pub(crate) fn new(
        resolver: u64,
        services: BatchedServices,
        destinations: Arc<dyn Destinations>,
        backends: Box<[usize]>,
        batch: Batch,
    ) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let index = free_indices().pop().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        let (works, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { index, resolver, services, destinations, backends, batch, works, is_over }
    }

    /// A processing has begun whose span will come this way, or one has ended.
    pub(crate) fn work_begins(&self) {
        self.works.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn work_ends(&self) {
        self.works.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a processing is under way whose span will come this way.
    pub(crate) fn is_worked_for(&self) -> bool {
        self.works.load(Ordering::Relaxed) > 0
    }

    /// Nobody's rules lead here any more.
    pub(crate) fn ends(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn service(&self, service: u32) -> Option<&BatchedService> {
        self.services.get(service as usize)?.as_deref()
    }

    pub(crate) fn resolver(&self) -> u64 {
        self.resolver
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn destinations(&self) -> &Arc<dyn Destinations> {
        &self.destinations
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// Counts spans of a service that were lost before they came into a batch of this backend set. Any thread; never blocks.
    #[cold]
    pub(crate) fn lost(&self, service: u32, reason: DropReason, spans: u64) {
        if let Some(known) = self.service(service) {
            known.counters.lost.fetch_add(spans, Ordering::Relaxed);
        }
        self.destinations.lost(&self.backends, service, reason, spans);
    }
}

impl Drop for BackendSet {
    /// Its batches are gone with it: whoever collects them holds the backend set.
    fn drop(&mut self) {
        free_indices().push(self.index);
    }
}

/// Places in the batch thread's table that were backend sets' which are gone: a thousand reloads do not make it grow.
fn free_indices() -> MutexGuard<'static, Vec<usize>> {
    static FREE: PerProcess<Mutex<Vec<usize>>> = PerProcess::new();
    FREE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServiceSpans {
    fn clear(&mut self) {
        self.own.clear();
        self.application.clear();
        self.count = 0;
    }
}

impl std::fmt::Debug for BackendSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendSet")
            .field("index", &self.index)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}

impl BatchBuffer {
    pub(crate) fn new(backend_set: Arc<BackendSet>) -> Self {
        let places = vec![0; backend_set.services.len()];
        Self {
            backend_set,
            services: Vec::new(),
            places,
            bytes: 0,
            facts: BatchFacts::default(),
            since: None,
            left: None,
        }
    }

    pub(crate) fn backend_set(&self) -> &BackendSet {
        &self.backend_set
    }

    /// Lets `encode` append one `spans` field of `service`, which began at `start`; seals the batch when it has grown to
    /// its size.
    pub(crate) fn add(&mut self, service: u32, start: u64, now: Instant, encode: impl FnOnce(&mut Vec<u8>)) {
        let room = self.backend_set.service(service).map_or(0, |known| known.resource().head_room(own_scope()));
        let spans = self.spans_of(service);
        if spans.own.is_empty() {
            spans.own.reserve(spans.expected + spans.expected / 8);
            spans.own.resize(room, 0);
        }
        let before = spans.own.len();
        // A span that cannot be encoded takes no other with it, and leaves no half of itself.
        if catch_unwind(AssertUnwindSafe(|| encode(&mut spans.own))).is_err() {
            spans.own.truncate(before);
            return self.backend_set.lost(service, DropReason::NotEncoded, 1);
        }
        spans.count += 1;
        let grown = spans.own.len() - before;
        self.facts.add_start(start);
        self.grew(grown, now);
    }

    /// Adds spans that the application made itself.
    pub(crate) fn add_application(&mut self, service: u32, scope: &Arc<[u8]>, spans: &[u8], count: u32, now: Instant) {
        span_starts(spans).for_each(|start| self.facts.add_start(start));
        let of_service = self.spans_of(service);
        of_service.count += count;
        match of_service.application.iter_mut().find(|(known, _)| known == scope) {
            Some((_, bytes)) => bytes.extend_from_slice(spans),
            None => of_service.application.push((Arc::clone(scope), spans.to_vec())),
        }
        self.grew(spans.len(), now);
    }

    /// When the oldest span in here must leave. What comes after a quiet time need not wait: it is alone, and a process
    /// that sends little and ends unseen has lost little.
    pub(crate) fn due(&self) -> Option<Instant> {
        let delay = self.backend_set.batch.delay;
        let was_quiet = |since: &Instant| self.left.is_none_or(|left| since.duration_since(left) >= delay);
        self.since.map(|since| if was_quiet(&since) { since } else { since + delay })
    }

    /// Sends what there is.
    pub(crate) fn seal(&mut self) {
        if self.since.take().is_none() {
            return;
        }
        self.left = Some(Instant::now());
        let mut per_service = Vec::with_capacity(self.services.len());
        for spans in self.services.iter().filter(|spans| spans.count > 0) {
            if let Some(service) = self.backend_set.service(spans.service) {
                service.counters.spans.fetch_add(u64::from(spans.count), Ordering::Relaxed);
                per_service.push((spans.service, spans.count));
            }
        }
        let (body, start) = match per_service.as_slice() {
            [(service, _)] => self.body_of_one(*service),
            _ => (self.body_of_all(), 0),
        };
        for spans in &mut self.services {
            spans.clear();
        }
        self.bytes = 0;
        let mut facts = std::mem::take(&mut self.facts);
        let known = per_service.iter().filter_map(|(service, _)| self.backend_set.service(*service));
        facts.add_resources(known.map(|known| known.resource().service_name()));
        let batch = FinishedBatch {
            id: FinishedBatch::next_id(),
            signal: Signal::Traces,
            body,
            start,
            item_count: per_service.iter().map(|(_, count)| count).sum(),
            per_service,
            facts,
        };
        self.backend_set.destinations.offer(&self.backend_set.backends, Arc::new(batch));
    }

    /// The usual case, one service: its spans stay where they were encoded.
    fn body_of_one(&mut self, service: u32) -> (Vec<u8>, usize) {
        let backend_set = Arc::clone(&self.backend_set);
        let Some(known) = backend_set.service(service) else { return (Vec::new(), 0) };
        let spans = self.spans_of(service);
        if !spans.application.is_empty() {
            return (self.body_of_all(), 0);
        }
        let last = spans.own.len();
        let mut body = std::mem::take(&mut spans.own);
        spans.expected = last;
        let start = known.resource().wrap_in_place(&mut body, own_scope());
        (body, start)
    }

    /// One `ResourceSpans` for each service.
    fn body_of_all(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes + self.services.len() * 512);
        for spans in self.services.iter().filter(|spans| spans.count > 0) {
            let Some(service) = self.backend_set.service(spans.service) else { continue };
            let own = spans.own.get(service.resource().head_room(own_scope())..).unwrap_or(&[]);
            let own = std::iter::once((own_scope(), own)).filter(|(_, spans)| !spans.is_empty());
            let application = spans.application.iter().map(|(scope, spans)| (&scope[..], &spans[..]));
            service.resource().wrap(&mut body, own.chain(application));
        }
        body
    }

    fn spans_of(&mut self, service: u32) -> &mut ServiceSpans {
        let place = self.places.get(service as usize).copied().unwrap_or(0) as usize;
        let index = if place > 0 {
            place - 1
        } else {
            self.services.push(ServiceSpans { service, ..ServiceSpans::default() });
            if let Some(place) = self.places.get_mut(service as usize) {
                *place = self.services.len() as u32;
            }
            self.services.len() - 1
        };
        #[expect(clippy::indexing_slicing, reason = "`index` was pushed above, or stored in `places` when it was")]
        &mut self.services[index]
    }

    fn grew(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes;
        self.since.get_or_insert(now);
        if self.bytes >= self.backend_set.batch.max_bytes {
            self.seal();
        }
    }
}

/// One that leads nowhere.
#[cfg(test)]
pub(super) fn test_backend_set() -> Arc<BackendSet> {
    struct Nowhere;
    impl Destinations for Nowhere {
        fn offer(&self, _backends: &[usize], _batch: Arc<FinishedBatch>) {}
        fn lost(&self, _backends: &[usize], _service: u32, _reason: DropReason, _spans: u64) {}
        fn tick(&self, _now: Instant) {}
        fn begin_leaving(&self, _deadline: Instant, _leave: Leave) {}
        fn finish_leaving(&self, _deadline: Instant, _leave: Leave) {}
    }
    let batch = Batch { delay: std::time::Duration::ZERO, max_bytes: 0 };
    Arc::new(BackendSet::new(0, Arc::new([]), Arc::new(Nowhere), Box::new([]), batch))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// Keeps what it is offered, and what it is told was lost.
    #[derive(Default)]
    struct Batches {
        batches: Mutex<Vec<Arc<FinishedBatch>>>,
        lost: Mutex<Vec<(u32, DropReason, u64)>>,
    }

    impl Destinations for Batches {
        fn offer(&self, _backends: &[usize], batch: Arc<FinishedBatch>) {
            self.batches.lock().unwrap().push(batch);
        }

        fn lost(&self, _backends: &[usize], service: u32, reason: DropReason, spans: u64) {
            self.lost.lock().unwrap().push((service, reason, spans));
        }

        fn tick(&self, _now: Instant) {}

        fn begin_leaving(&self, _deadline: Instant, _leave: Leave) {}

        fn finish_leaving(&self, _deadline: Instant, _leave: Leave) {}
    }

    #[test]
    fn what_comes_after_a_quiet_time_leaves_at_once_and_what_follows_waits_for_company() {
        let delay = Duration::from_millis(200);
        let resource = || ServiceResource::new([("service.name", "shop")], None);
        let services = Arc::new([Some(Box::new(BatchedService::new(resource, Arc::default())))]);
        let batches = Arc::new(Batches::default());
        let destinations = Arc::clone(&batches) as Arc<dyn Destinations>;
        let backend_set =
            BackendSet::new(1, services, destinations, Box::new([0]), Batch { delay, max_bytes: 1 << 20 });
        let mut buffer = BatchBuffer::new(Arc::new(backend_set));
        let mut spans_come = |at: Instant| {
            (0..3).for_each(|_| buffer.add(0, 0, at, |out| out.push(0)));
            let due = buffer.due().unwrap();
            buffer.seal();
            due
        };
        let first = Instant::now();
        assert_eq!(spans_come(first), first, "nothing came before");
        let soon = Instant::now();
        assert_eq!(spans_come(soon), soon + delay);
        let later = Instant::now() + delay;
        assert_eq!(spans_come(later), later, "a quiet time came before");
        let counts: Vec<_> = batches.batches.lock().unwrap().iter().map(|batch| batch.item_count).collect();
        assert_eq!(counts, [3, 3, 3]);
    }

    #[test]
    fn a_span_that_cannot_be_encoded_is_counted_and_takes_no_other_with_it() {
        let kept = Arc::new(Batches::default());
        let describe = || ServiceResource::new([("service.name", "shop")], None);
        let services: BatchedServices =
            Arc::new([Some(Box::new(BatchedService::new(describe, Arc::new(ServiceCounters::default()))))]);
        let batch = Batch { delay: Duration::from_secs(1), max_bytes: 1 << 20 };
        let destinations = Arc::clone(&kept) as Arc<dyn Destinations>;
        let backend_set = Arc::new(BackendSet::new(1, services, destinations, Box::new([0]), batch));
        let (mut whole, mut broken) = (BatchBuffer::new(Arc::clone(&backend_set)), BatchBuffer::new(backend_set));
        let now = Instant::now();
        for buffer in [&mut whole, &mut broken] {
            buffer.add(0, 9, now, |out| out.extend_from_slice(b"one"));
        }
        broken.add(0, 1, now, |out| {
            out.extend_from_slice(b"half of it");
            panic!("a defect of ours");
        });
        for buffer in [&mut whole, &mut broken] {
            buffer.add(0, 7, now, |out| out.extend_from_slice(b"two"));
            buffer.seal();
        }
        let batches = kept.batches.lock().unwrap();
        assert_eq!(batches[0].bytes(), batches[1].bytes());
        assert_eq!((batches[1].item_count, &*batches[1].per_service), (2, &[(0, 2)][..]));
        assert_eq!(*kept.lost.lock().unwrap(), [(0, DropReason::NotEncoded, 1)]);
    }
}
