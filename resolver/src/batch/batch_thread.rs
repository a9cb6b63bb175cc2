//! The one thread between Kafka's threads and the backends: drains, encodes, seals.

use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::backend_set::{BackendSet, BatchBuffer, Destinations};
use super::leaving::{Leave, Leaving, Patience};
use super::outgoing::{Held, OutgoingRules};
use super::pipeline::{EndReporter, Flush, Pipeline};
use super::received_spans::CLAIM_WINDOW;
use super::record::{FinishedSpan, SpanFlags};
use super::span_origin::SpanOrigin;
use super::thread_segment::ThreadSegment;
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
    /// Complete after a round that has looked everywhere.
    flushes: Vec<Arc<Flush>>,
    /// Forgotten after such a round.
    retired_backend_sets: Vec<usize>,
    /// Those that finish spans.
    threads: Vec<Arc<ThreadSegment>>,
    outgoing: OutgoingRules,
    end_reporters: Vec<Weak<dyn EndReporter>>,
}

impl BatchThread {
    /// Starts the thread, with every signal blocked: signals are the application's.
    pub(crate) fn spawn(pipeline: &'static Pipeline) -> std::io::Result<Thread> {
        let thread = crate::quiet_thread::spawn("tr-batch".to_owned(), move || {
            Self::new(pipeline).run();
        })?;
        Ok(thread.thread().clone())
    }

    fn new(pipeline: &'static Pipeline) -> Self {
        Self {
            pipeline,
            buffers: Vec::new(),
            last_tick: Instant::now(),
            retiring: Vec::new(),
            left: Vec::new(),
            flushes: Vec::new(),
            retired_backend_sets: Vec::new(),
            threads: Vec::new(),
            outgoing: OutgoingRules::default(),
            end_reporters: Vec::new(),
        }
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
    ///
    /// Where another thread is at something, and stays, the round goes on without it. Then what a look at everything has to
    /// precede is left for the next one.
    fn round(&mut self) {
        let (request, sealing) = (self.pipeline.request(), self.pipeline.takes_seal());
        let all = request.is_some() || sealing;
        let has_asked = request.is_none_or(|request| Leaving::before(request.leave));
        let mut patience = Patience::default();
        let inbox = self.pipeline.take_inbox(&mut patience);
        let has_inbox = inbox.is_some();
        let mut inbox = inbox.unwrap_or_default();
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
        // Nobody waits for the others any more.
        self.flushes.retain(|flush| Arc::strong_count(flush) > 1);
        self.flushes.append(&mut inbox.flushes);
        self.retired_backend_sets.append(&mut inbox.retired_backend_sets);
        self.outgoing.add(now, &mut inbox.outgoing);
        // What waits for a guard, as far as anybody asks.
        let held = Held::new(!self.left.is_empty() || !self.outgoing.is_empty());
        let (pipeline, buffers, flushes) = (self.pipeline, &mut self.buffers, &self.flushes);
        let mut passed_over = 0;
        // The sweep comes first: a delivery of a retired origin that another thread is displacing right now ends up in
        // that thread's segment, which is drained after it.
        if let Some(received_spans) = pipeline.received_spans() {
            let flushed = |span: &FinishedSpan| {
                // SAFETY: a waiting delivery's origin is alive: origins are dropped below, after this sweep.
                unsafe { SpanOrigin::at(span.origin) }
                    .is_some_and(|origin| flushes.iter().any(|flush| flush.concerns(origin)))
            };
            let leaves = |span: &FinishedSpan, is_over: bool| {
                // What names an origin that is about to go, goes too, however young it is.
                let leaves = all || is_over || gone_origins.contains(&span.origin) || flushed(span);
                if !leaves {
                    // SAFETY: as above.
                    held.note(span.origin, unsafe { SpanOrigin::at(span.origin) });
                }
                leaves
            };
            passed_over = received_spans.sweep(&mut patience, leaves, |span, extra| {
                // SAFETY: alive, as above.
                if let Some(origin) = unsafe { SpanOrigin::at(span.origin) } {
                    origin.measure(span);
                }
                if span.trace_flags & 1 == 1 {
                    encode(buffers, span, extra, now);
                }
            });
        }
        let drained = pipeline.drain(&mut self.threads, &mut patience, |span, extra| encode(buffers, span, extra, now));
        let is_whole = passed_over == 0 && drained;
        for spans in &inbox.application {
            let buffer = buffer(buffers, &spans.backend_set);
            buffer.add_application(spans.service, &spans.scope, &spans.spans, spans.count, now);
        }
        for place in &mut self.buffers {
            let Some(buffer) = place else { continue };
            if all || !self.flushes.is_empty() || buffer.due().is_some_and(|due| due <= now) {
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
        if is_whole {
            let buffers = &mut self.buffers;
            let mut forget = |backend_set: usize| {
                if let Some(mut buffer) = buffers.get_mut(backend_set).and_then(Option::take) {
                    buffer.seal();
                }
            };
            self.retired_backend_sets.drain(..).for_each(&mut forget);
            self.flushes.retain(|flush| !flush.complete(&mut patience));
            self.outgoing.look(now, &held, forget);
        }
        if let Some(request) = request {
            // Before the queues are emptied: what is measured is to be among what leaves.
            self.reporters().for_each(|reporter| reporter.leaving());
            let destinations = self.destinations();
            destinations.iter().for_each(|backends| backends.begin_leaving(request.deadline, request.leave));
            destinations.iter().for_each(|backends| backends.finish_leaving(request.deadline, request.leave));
            if request.leave == Leave::Last && !(is_whole && has_inbox && has_asked) {
                tell_of_an_end_in_the_midst(passed_over);
            }
            if matches!(request.leave, Leave::OrNot | Leave::Last) {
                self.reporters().for_each(|reporter| reporter.report_end());
            }
            self.pipeline.meet(request);
        }
        let gone = ManuallyDrop::into_inner(gone);
        if is_whole {
            // Only now: every record that refers to them was drained above, but for those that wait still.
            self.left.retain(|origin| held.has(origin));
            drop(gone);
        } else {
            self.retiring.extend(gone);
        }
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

/// Spans are left behind with the process, where nobody may look: of so many messages that waited, and maybe of others.
#[cold]
fn tell_of_an_end_in_the_midst(messages: u64) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        crate::diagnostics::warn(&format!(
            "the process ends while one of its threads is in the midst of handing a span over, as where a signal handler calls \
             exit() or _exit(): what is there may be lost (consumed messages: {messages}). Let the handler set a flag only, and \
             the program end when it sees that"
        ));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::received_spans::{Place, Whose};
    use crate::batch::record::SpanKind;
    use crate::batch::span_origin::test_origin;

    const HASH: u64 = 11;

    fn place(offset: i64) -> Place<'static> {
        Place { topic: "orders", topic_hash: HASH, partition: 0, offset }
    }

    /// As in the handler of a signal that comes while its thread is at a delivery, and that ends the process.
    #[test]
    fn a_thread_at_a_delivery_that_waits_for_the_round_loses_nothing_else_and_what_it_looks_at_stays() {
        let pipeline: &'static Pipeline = Box::leak(Box::new(Pipeline::with_room(Duration::from_secs(60), 2 << 20)));
        pipeline.expect_received_spans();
        let received_spans = pipeline.received_spans().unwrap();
        let mut thread = BatchThread::new(pipeline);
        let (gone, left, flush) = (test_origin("orders"), test_origin("orders"), Arc::new(Flush::default()));
        for (origin, offset) in [(&gone, 1), (&gone, 2), (&left, 3)] {
            let now = clock::Moment::now();
            let blank = FinishedSpan::blank(origin.address(), SpanKind::Receive);
            let span = FinishedSpan { start: now.unix_nanos, partition: 0, offset, ..blank };
            received_spans.hold(&span, &[], HASH, 0, now, |_, _| panic!("there is room"));
        }
        let origins = [&gone, &left].map(Arc::downgrade);
        let are_there = || origins.iter().map(|origin| origin.strong_count() > 0).collect::<Vec<_>>();
        thread.retiring.push((Instant::now().checked_sub(CLAIM_WINDOW).unwrap(), gone));
        pipeline.leave_origin(left);
        pipeline.inbox().flushes.push(Arc::clone(&flush));
        let waits = received_spans.change(
            &place(1),
            |_| true,
            |_, _, origin| {
                drop(origin);
                pipeline.leaving().ask(Leave::Last, Duration::from_secs(60), || thread.round());
                assert!(pipeline.request().is_none(), "it was met");
                assert_eq!(are_there(), [true, true]);
                assert_eq!(Arc::strong_count(&flush), 2, "it is not complete");
                Vec::new()
            },
        );
        assert!(waits && received_spans.claim(&place(1), Whose::Anybodys, |_, _| true).is_some(), "it was let alone");
        for offset in [2, 3] {
            assert!(received_spans.claim(&place(offset), Whose::Anybodys, |_, _| true).is_none(), "{offset} has left");
        }
        thread.round();
        assert_eq!((are_there(), Arc::strong_count(&flush)), (vec![false, false], 1), "the next round has seen all");
    }

    #[test]
    fn a_round_goes_on_without_an_inbox_that_a_thread_is_at_and_the_next_one_has_it() {
        let pipeline: &'static Pipeline = Box::leak(Box::new(Pipeline::with_room(Duration::from_secs(60), 2 << 20)));
        let mut thread = BatchThread::new(pipeline);
        let flush = Arc::new(Flush::default());
        let mut inbox = pipeline.inbox();
        inbox.flushes.push(Arc::clone(&flush));
        pipeline.leaving().ask(Leave::Last, Duration::from_secs(60), || thread.round());
        assert!(pipeline.request().is_none(), "it was met");
        drop(inbox);
        assert_eq!(Arc::strong_count(&flush), 2, "it is not complete");
        thread.round();
        assert_eq!(Arc::strong_count(&flush), 1);
    }
}
