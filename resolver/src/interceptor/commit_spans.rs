//! A commit of offsets as a span: with links to the spans of the messages that it settles.
//!
//! One span for each topic, since rules are a topic's. Runs on `rdk:main`, once for each commit; nothing of it is on the way
//! of a message but a note of its span.

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::Client;
use super::client_handles::{ClientHandle, lives};
use super::commits::Committed;
use super::route::{Traced, topic_hash};
use super::settled::{Delivered, Links, Settled};
use crate::batch::{FinishedSpan, LinkedSpan, Outcome, Pipeline, Place, SpanKind, TraceStateField, write_links};
use crate::clock;
use crate::per_process::PerProcess;
use crate::propagation::{OtMember, SpanContext, TraceStateBuffer, explicit_randomness, settled_trace_state};
use crate::tracer::ids::{new_span_id, new_trace_id};
use crate::tracer::sampler::ParentSampling;

/// `RD_KAFKA_RESP_ERR__NO_OFFSET`: there was nothing to commit.
const NO_OFFSET: i32 = -168;

/// When a commit was, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Time {
    start: u64,
    end: u64,
}

/// A consumer is there whose commits get spans.
pub(super) fn opened(consumer: ClientHandle) {
    let mut consumers = consumers();
    consumers.retain(|known| lives(known.number()));
    consumers.push(consumer);
}

/// Of this process, not of the one that it was forked from; some may be gone.
pub(super) fn consumers() -> MutexGuard<'static, Vec<ClientHandle>> {
    static CONSUMERS: PerProcess<Mutex<Vec<ClientHandle>>> = PerProcess::new();
    CONSUMERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The span of a message that some consumer was handed is in this context's trace now, with this trace state.
///
/// Called by the application's thread, in no callback.
pub(super) fn changed(place: &Place<'_>, context: SpanContext, trace_state: Option<&[u8]>) {
    let span = Delivered { offset: place.offset, context, ot: OtMember::of(trace_state) };
    // Not held while the clients are asked.
    let consumers = consumers().clone();
    for consumer in consumers {
        consumer.with_client(|client| {
            if let Some(settled) = &client.settled {
                settled.change((place.topic, place.topic_hash), place.partition, span);
            }
        });
    }
}

impl Client {
    /// A commit has ended. `ago`: how long ago it was asked for, in nanoseconds, if that is known; else its span is a point.
    pub(super) fn make_commit_spans(&self, err: i32, ago: Option<u64>, committed: &mut [Committed<'_>]) {
        let Some(settled) = self.settled.as_ref().filter(|_| err != NO_OFFSET && self.is_of_this_process()) else {
            return;
        };
        let end = clock::unix_nanos();
        let time = Time { start: end.saturating_sub(ago.unwrap_or(0)), end };
        committed.sort_unstable_by_key(|one| one.topic);
        for of_topic in committed.chunk_by(|one, other| one.topic == other.topic) {
            let Some(topic) = of_topic.first().map(|one| one.topic) else { continue };
            let Some(route) = self.route_of(topic) else { continue };
            if let Some(traced) = route.traced().filter(|traced| traced.spans && traced.commit_spans) {
                make_span(traced, settled, err, time, route.topic(), of_topic);
            }
        }
    }
}

/// The span of what was committed of one topic.
fn make_span(traced: &Traced, settled: &Settled, err: i32, time: Time, topic: &str, committed: &[Committed<'_>]) {
    let outcome = if err == 0 { committed.iter().map(|one| one.err).find(|err| *err != 0).unwrap_or(0) } else { err };
    let mut links = Links::default();
    for one in committed {
        let is_settled = err == 0 && one.err == 0;
        settled.settle((topic, topic_hash(topic)), one.partition, one.offset, is_settled, &mut links);
    }
    // The conventions' own example has it below the processing; that of several messages can be below none of them.
    let only = match (links.spans.as_slice(), links.left_out, links.unsampled) {
        ([only], 0, 0) => Some(*only),
        // It would be below what is not there. In a trace of its own it would stand for some of those that are.
        ([], 0, 1) => return,
        _ => None,
    };
    let parent = only.map(|one| one.context);
    let given = only.as_ref().and_then(|one| one.ot.as_trace_state());
    let (trace_id, sampling) = match &parent {
        Some(parent) => (parent.trace_id, ParentSampling::of(parent.flags)),
        None => (new_trace_id(), ParentSampling::NoParent),
    };
    let randomness = || explicit_randomness(given);
    let verdict = traced.sampler.judge(&trace_id, parent.as_ref(), sampling, randomness, clock::monotonic_nanos);
    traced.count_shed(verdict);
    if !verdict.is_kept() {
        return;
    }
    let span = FinishedSpan {
        trace_id,
        span_id: new_span_id(),
        parent_span_id: parent.map_or([0; 8], |parent| parent.span_id),
        start: time.start,
        end: time.end,
        offset: only.map_or(-1, |one| one.offset),
        partition: if let [one] = committed { one.partition } else { -1 },
        outcome: Outcome(outcome),
        trace_flags: verdict.flags,
        ..FinishedSpan::blank(traced.origin.address(), SpanKind::Commit)
    };
    let mut extra = Vec::new();
    let mut buffer = TraceStateBuffer::new();
    let kept_by = traced.sampler.kept_by(sampling, verdict);
    if let Some(state) = settled_trace_state(given, &trace_id, kept_by, &mut buffer) {
        extra.extend_from_slice(TraceStateField::new(state).as_slice());
    }
    let spans = links.spans.iter().map(|one| LinkedSpan { context: one.context, is_remote: false });
    write_links(&mut extra, spans, links.left_out);
    Pipeline::push(&span, &extra);
}
