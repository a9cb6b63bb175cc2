//! The one thread between Kafka's threads and the backends: drains, encodes, seals.

use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::handovers::{CLAIM_WINDOW, Handovers};
use super::lane::{Lane, LaneBackends, LaneBuffer};
use super::leaving::Leave;
use super::pipeline::{Pipeline, Speaker};
use super::record::{FinishedSpan, SpanFlags};
use crate::clock;
use crate::interceptor::Route;

/// How often the watchdogs of the backends are looked at while there is work.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct BatchThread {
    pipeline: &'static Pipeline,
    /// By lane index; lanes of other resolvers in between.
    buffers: Vec<Option<LaneBuffer>>,
    last_tick: Instant,
    /// Routes of clients that are gone, and since when. They stay while a message that such a client handed over may
    /// still be given to a processing guard, whose span would else be a second one.
    retiring: Vec<(Instant, Arc<Route>)>,
    speakers: Vec<Weak<dyn Speaker>>,
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
                speakers: Vec::new(),
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
                crate::report::error("a round of the batch thread failed; its spans are lost, the next round goes on");
            }
        }
    }

    /// Takes everything that was finished before, encodes it, and sends what is due.
    fn round(&mut self) {
        let (request, sealing) = (self.pipeline.request(), self.pipeline.takes_seal());
        let all = request.is_some() || sealing;
        let mut inbox = std::mem::take(&mut *self.pipeline.inbox());
        let now = Instant::now();
        self.speakers.append(&mut inbox.speakers);
        // A client's routes stay for as long as a guard may still claim what it handed over.
        self.retiring.extend(std::mem::take(&mut inbox.retired_routes).into_iter().map(|route| (now, route)));
        let (gone, retiring): (Vec<_>, Vec<_>) = std::mem::take(&mut self.retiring)
            .into_iter()
            .partition(|(since, _)| now.duration_since(*since) >= CLAIM_WINDOW);
        self.retiring = retiring;
        let gone_routes: HashSet<*const Route> = gone.iter().map(|(_, route)| Arc::as_ptr(route)).collect();
        // Leaked rather than dropped if this round panics: a record may still name them.
        let gone = ManuallyDrop::new(gone);
        let (pipeline, buffers) = (self.pipeline, &mut self.buffers);
        // The sweep comes first: a hand-over of a retired route that another thread is displacing right now ends up in
        // that thread's segment, which is drained after it.
        if let Some(handovers) = pipeline.handovers() {
            let wall_clock = clock::unix_nanos();
            // The clock may be set back: what names a route that is about to go, goes too, however young it seems.
            let flushed = |span: &FinishedSpan| {
                // SAFETY: a waiting hand-over's route is alive: its routes are dropped below, after this sweep.
                unsafe { span.route.as_ref() }
                    .is_some_and(|route| inbox.flushes.iter().any(|flush| flush.concerns(route)))
            };
            let leaves = |span: &FinishedSpan| {
                all || Handovers::is_over(span, wall_clock) || gone_routes.contains(&span.route) || flushed(span)
            };
            handovers.sweep(leaves, |span, extra| {
                if span.trace_flags & 1 == 1 {
                    encode(buffers, span, extra, now);
                }
            });
        }
        pipeline.drain(|span, extra| encode(buffers, span, extra, now));
        for spans in &inbox.application {
            let buffer = buffer(buffers, &spans.lane);
            buffer.add_application(spans.service, &spans.scope, &spans.spans, spans.count, now);
        }
        for buffer in self.buffers.iter_mut().flatten() {
            if all || !inbox.flushes.is_empty() || buffer.due().is_some_and(|due| due <= now) {
                buffer.seal();
            }
        }
        self.tick(now);
        for errand in inbox.errands {
            errand();
        }
        for lane in inbox.retired_lanes {
            if let Some(buffer) = self.buffers.get_mut(lane) {
                if let Some(mut buffer) = buffer.take() {
                    buffer.seal();
                }
            }
        }
        for flush in inbox.flushes {
            flush.complete();
        }
        if let Some(request) = request {
            let destinations = self.destinations();
            destinations.iter().for_each(|backends| backends.begin_leaving(request.deadline, request.leave));
            destinations.iter().for_each(|backends| backends.finish_leaving(request.deadline, request.leave));
            if matches!(request.leave, Leave::OrNot | Leave::Last) {
                self.speakers.iter().filter_map(Weak::upgrade).for_each(|speaker| speaker.say_last_words());
            }
            self.pipeline.meet(request);
        }
        // Only now: every record that refers to them was drained above.
        drop(ManuallyDrop::into_inner(gone));
    }

    fn tick(&mut self, now: Instant) {
        if now.duration_since(self.last_tick) < TICK {
            return;
        }
        self.last_tick = now;
        clock::keep_anchored();
        self.destinations().iter().for_each(|backends| backends.tick(now));
    }

    /// Where the lanes lead that spans were collected for, each once.
    fn destinations(&self) -> Vec<Arc<dyn LaneBackends>> {
        let mut all: Vec<Arc<dyn LaneBackends>> = Vec::new();
        for buffer in self.buffers.iter().flatten() {
            let destinations = buffer.lane().destinations();
            if !all.iter().any(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(destinations))) {
                all.push(Arc::clone(destinations));
            }
        }
        all
    }

    /// Until the next look: short while spans wait for their batch, longer in a quiet process.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        let next = self.buffers.iter().flatten().filter_map(LaneBuffer::due).min();
        next.map_or(TICK, |due| due.saturating_duration_since(now).min(TICK))
    }
}

fn encode(buffers: &mut Vec<Option<LaneBuffer>>, span: &FinishedSpan, extra: &[u8], now: Instant) {
    // SAFETY: a record's route is alive until the drain after its retirement, and this is that drain or an earlier one.
    let Some(route) = (unsafe { span.route.as_ref() }) else { return };
    if let Some(traced) = route.traced() {
        let name = |outcome| route.error_name(outcome);
        buffer(buffers, &traced.lane).add(traced.service, now, |out| traced.templates.encode(out, span, extra, name));
    }
    if span.flags.contains(SpanFlags::OWNS_ROUTE) {
        // SAFETY: the flag says that one strong count travels with the record.
        drop(unsafe { Arc::from_raw(span.route) });
    }
}

/// The lane's buffer, made at its first span.
fn buffer<'a>(buffers: &'a mut Vec<Option<LaneBuffer>>, lane: &Arc<Lane>) -> &'a mut LaneBuffer {
    let index = lane.index();
    if buffers.len() <= index {
        buffers.resize_with(index + 1, || None);
    }
    #[expect(clippy::indexing_slicing, reason = "resized just above")]
    buffers[index].get_or_insert_with(|| LaneBuffer::new(Arc::clone(lane)))
}
