//! The one thread between Kafka's threads and the backends: drains, encodes, seals.

use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::backend_set::{BackendSet, BatchBuffer, Destinations};
use super::leaving::{Leave, Leaving};
use super::outgoing::{Held, OutgoingRules};
use super::pipeline::{EndReporter, Pipeline};
use super::received_spans::{CLAIM_WINDOW, ReceivedSpans};
use super::record::{FinishedSpan, SpanFlags};
use super::span_origin::SpanOrigin;
use crate::clock;

/// How often the watchdogs of the backends are looked at while there is work.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct BatchThread {
    pipeline: &'static Pipeline,
    /// By backend set index; backend sets of other resolvers in between.
    buffers: Vec<Option<BatchBuffer>>,
    last_tick: Instant,
    /// Origins of clients that are gone, and since when. They stay while a message that such a client handed over may
    /// still be given to a processing guard, whose span would else be a second one.
    retiring: Vec<(Instant, Arc<SpanOrigin>)>,
    /// Origins that only records name any more.
    left: Vec<Arc<SpanOrigin>>,
    outgoing: OutgoingRules,
    end_reporters: Vec<Weak<dyn EndReporter>>,
}

impl BatchThread {
    /// Starts the thread, with every signal blocked: signals are the application's.
    pub(crate) fn spawn(pipeline: &'static Pipeline) -> std::io::Result<Thread> {
        let thread = crate::quiet_thread::spawn("tr-batch".to_owned(), move || {
            Self {
                pipeline,
                buffers: Vec::new(),
                last_tick: Instant::now(),
                retiring: Vec::new(),
                left: Vec::new(),
                outgoing: OutgoingRules::default(),
                end_reporters: Vec::new(),
            }
            .run();
        })?;
        Ok(thread.thread().clone())
    }

    fn run(mut self) {
        loop {
            std::thread::park_timeout(self.pause());
            self.pipeline.looking();
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.round())).is_err();
            if panicked {
                crate::diagnostics::error(
                    "a round of the batch thread failed; its spans are lost, the next round goes on",
                );
            }
        }
    }

    /// Takes everything that was finished before, encodes it, and sends what is due.
    fn round(&mut self) {
        let (request, sealing) = (self.pipeline.request(), self.pipeline.takes_seal());
        let all = request.is_some() || sealing;
        if let Some(request) = request {
            Leaving::before(request.leave);
        }
        let mut inbox = std::mem::take(&mut *self.pipeline.inbox());
        let now = Instant::now();
        self.end_reporters.append(&mut inbox.end_reporters);
        // A client's origins stay for as long as a guard may still claim what it handed over.
        self.retiring.extend(std::mem::take(&mut inbox.retired_origins).into_iter().map(|origin| (now, origin)));
        let (gone, retiring): (Vec<_>, Vec<_>) = std::mem::take(&mut self.retiring)
            .into_iter()
            .partition(|(since, _)| now.duration_since(*since) >= CLAIM_WINDOW);
        self.retiring = retiring;
        let gone_origins: HashSet<_> = gone.iter().map(|(_, origin)| origin.address()).collect();
        // Leaked rather than dropped if this round panics: a record may still name them.
        let gone = ManuallyDrop::new(gone);
        self.left.append(&mut inbox.left_origins);
        self.outgoing.add(now, &mut inbox.outgoing);
        // What waits for a guard, as far as anybody asks.
        let held = Held::new(!self.left.is_empty() || !self.outgoing.is_empty());
        let (pipeline, buffers) = (self.pipeline, &mut self.buffers);
        // The sweep comes first: a delivery of a retired origin that another thread is displacing right now ends up in
        // that thread's segment, which is drained after it.
        if let Some(received_spans) = pipeline.received_spans() {
            let wall_clock = clock::unix_nanos();
            // The clock may be set back: what names an origin that is about to go, goes too, however young it seems.
            let flushed = |span: &FinishedSpan| {
                // SAFETY: a waiting delivery's origin is alive: origins are dropped below, after this sweep.
                unsafe { SpanOrigin::at(span.origin) }
                    .is_some_and(|origin| inbox.flushes.iter().any(|flush| flush.concerns(origin)))
            };
            let leaves = |span: &FinishedSpan| {
                let leaves = all
                    || ReceivedSpans::is_over(span, wall_clock)
                    || gone_origins.contains(&span.origin)
                    || flushed(span);
                if !leaves {
                    // SAFETY: as above.
                    held.note(span.origin, unsafe { SpanOrigin::at(span.origin) });
                }
                leaves
            };
            received_spans.sweep(leaves, |span, extra| {
                // SAFETY: alive, as above.
                if let Some(origin) = unsafe { SpanOrigin::at(span.origin) } {
                    origin.measure(span);
                }
                if span.trace_flags & 1 == 1 {
                    encode(buffers, span, extra, now);
                }
            });
        }
        pipeline.drain(|span, extra| encode(buffers, span, extra, now));
        for spans in &inbox.application {
            let buffer = buffer(buffers, &spans.backend_set);
            buffer.add_application(spans.service, &spans.scope, &spans.spans, spans.count, now);
        }
        for place in &mut self.buffers {
            let Some(buffer) = place else { continue };
            if all || !inbox.flushes.is_empty() || buffer.due().is_some_and(|due| due <= now) {
                buffer.seal();
            }
            if buffer.backend_set().is_over() {
                buffer.seal();
                *place = None;
            }
        }
        self.tick(now);
        for errand in inbox.errands {
            errand();
        }
        for backend_set in inbox.retired_backend_sets {
            if let Some(buffer) = self.buffers.get_mut(backend_set) {
                if let Some(mut buffer) = buffer.take() {
                    buffer.seal();
                }
            }
        }
        for flush in inbox.flushes {
            flush.complete();
        }
        let buffers = &mut self.buffers;
        self.outgoing.look(now, &held, |backend_set| {
            if let Some(mut buffer) = buffers.get_mut(backend_set).and_then(Option::take) {
                buffer.seal();
            }
        });
        if let Some(request) = request {
            // Before the queues are emptied: what is measured is to be among what leaves.
            self.reporters().for_each(|reporter| reporter.leaving());
            let destinations = self.destinations();
            destinations.iter().for_each(|backends| backends.begin_leaving(request.deadline, request.leave));
            destinations.iter().for_each(|backends| backends.finish_leaving(request.deadline, request.leave));
            if matches!(request.leave, Leave::OrNot | Leave::Last) {
                self.reporters().for_each(|reporter| reporter.report_end());
            }
            self.pipeline.meet(request);
        }
        // Only now: every record that refers to them was drained above, but for those that wait still.
        self.left.retain(|origin| held.has(origin));
        drop(ManuallyDrop::into_inner(gone));
    }

    fn tick(&mut self, now: Instant) {
        if now.duration_since(self.last_tick) < TICK {
            return;
        }
        self.last_tick = now;
        clock::keep_anchored();
        self.destinations().iter().for_each(|backends| backends.tick(now));
        self.reporters().for_each(|reporter| reporter.look(now));
    }

    fn reporters(&self) -> impl Iterator<Item = Arc<dyn EndReporter>> {
        self.end_reporters.iter().filter_map(Weak::upgrade)
    }

    /// Where the backend sets lead that spans were collected for, and the metrics, each once.
    fn destinations(&self) -> Vec<Arc<dyn Destinations>> {
        let mut all: Vec<Arc<dyn Destinations>> = Vec::new();
        let of_spans = self.buffers.iter().flatten().map(|buffer| Arc::clone(buffer.backend_set().destinations()));
        let of_metrics = self.reporters().filter_map(|reporter| reporter.destinations());
        for destinations in of_spans.chain(of_metrics) {
            if !all.iter().any(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(&destinations))) {
                all.push(destinations);
            }
        }
        all
    }

    /// Until the next look: short while spans wait for their batch, longer in a quiet process.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        let next = self.buffers.iter().flatten().filter_map(BatchBuffer::due).min();
        next.map_or(TICK, |due| due.saturating_duration_since(now).min(TICK))
    }
}

fn encode(buffers: &mut Vec<Option<BatchBuffer>>, span: &FinishedSpan, extra: &[u8], now: Instant) {
    // SAFETY: a record's origin is alive until the drain after its retirement, and this is that drain or an earlier one.
    let Some(origin) = (unsafe { SpanOrigin::at(span.origin) }) else { return };
    buffer(buffers, origin.backend_set()).add(origin.service(), span.start, now, |out| origin.encode(out, span, extra));
    if span.flags.contains(SpanFlags::OWNS_ORIGIN) {
        // SAFETY: the flag says that one strong count travels with the record.
        drop(unsafe { SpanOrigin::from_address(span.origin) });
    }
}

/// The backend set's buffer, made at its first span.
fn buffer<'a>(buffers: &'a mut Vec<Option<BatchBuffer>>, backend_set: &Arc<BackendSet>) -> &'a mut BatchBuffer {
    let index = backend_set.index();
    if buffers.len() <= index {
        buffers.resize_with(index + 1, || None);
    }
    #[expect(clippy::indexing_slicing, reason = "resized just above")]
    buffers[index].get_or_insert_with(|| BatchBuffer::new(Arc::clone(backend_set)))
}
