//! A send that librdkafka refuses at once, because its queue is full, the message too large or the producer in no state to send: no
//! interceptor is called for it. An integration that sees the application's call tells of it, and it has a failed span.
//!
//! Nothing that a later send depends on is changed by it: the program may try again, and then that send has the parent that
//! this one had.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::Client;
use super::client_handles::{ClientHandle, lives};
use super::contain_panic::contain_panic;
use super::current_message::with_ambient_of_refused;
use super::declared_parents;
use super::incoming::{Incoming, with_current_span};
use super::kafka_api::RdKafkaError;
use super::message::one_more_send;
use super::refused_spans::SPANS_A_SECOND;
use super::route::{Traced, error_name};
use super::settled::TurnedAway;
use crate::batch::{FinishedSpan, Outcome, Pipeline, SpanFlags, SpanKind, TraceStateField};
use crate::clock;
use crate::per_process::PerProcess;
use crate::propagation::{SpanContext, TraceStateBuffer, explicit_randomness, settled_trace_state};
use crate::tracer::ids::{new_span_id, new_trace_id};
use crate::tracer::shedding;

/// A message that librdkafka did not take.
#[derive(Clone, Copy, Debug)]
pub struct RefusedSend<'a> {
    /// Why not; not zero.
    pub error: RdKafkaError,
    /// Where it was to go; -1: that was for the partitioner to say.
    pub partition: i32,
    /// Its key, where it is known.
    pub key: Option<&'a [u8]>,
    /// A key without a value.
    pub is_tombstone: bool,
}

/// Topic handles of producers that live, known at a time; further ones are not.
const MAX_TOPICS: usize = 20_000;

static HAS_PRODUCERS: AtomicBool = AtomicBool::new(false);

#[derive(Default)]
struct Known {
    /// By the address of the `rd_kafka_t`; some are gone.
    producers: HashMap<usize, ClientHandle>,
    /// The address of the `rd_kafka_t` that an `rd_kafka_topic_t` was last made for.
    topics: HashMap<usize, usize>,
    turned_away: TurnedAway,
}

impl Known {
    fn topic_made(&mut self, client: usize, topic: usize, lives: impl Fn(u64) -> bool) {
        let Self { producers, topics, turned_away } = self;
        let is_traced = |client: &usize| producers.get(client).is_some_and(|handle| lives(handle.number()));
        if !is_traced(&client) {
            // Its address may have been that of a traced producer's.
            topics.remove(&topic);
            return;
        }
        if topics.len() >= MAX_TOPICS && !topics.contains_key(&topic) && turned_away.looks() {
            topics.retain(|_, client| is_traced(client));
        }
        if topics.len() < MAX_TOPICS || topics.contains_key(&topic) {
            topics.insert(topic, client);
        }
    }
}

/// A producer is there.
pub(super) fn opened(client: usize, handle: ClientHandle) {
    let mut known = known();
    if known.producers.len() == known.producers.capacity() {
        known.producers.retain(|_, handle| lives(handle.number()));
    }
    // What had this address before is gone, or could not be created.
    known.producers.insert(client, handle);
    HAS_PRODUCERS.store(true, Ordering::Relaxed);
}

/// Whether any producer was ever traced.
#[inline]
pub fn has_producers() -> bool {
    HAS_PRODUCERS.load(Ordering::Relaxed)
}

/// The producer `client` gave the application this handle of a topic. Both are addresses, and never followed.
pub fn topic_made(client: usize, topic: usize) {
    contain_panic(|| known().topic_made(client, topic, lives));
}

/// The producer that the application was given this handle of a topic by.
pub fn client_of_topic(topic: usize) -> Option<usize> {
    known().topics.get(&topic).copied()
}

/// The producer whose `rd_kafka_t` is at `client` refused these on the calling thread, which no interceptor was called for; one
/// that is not traced is none of ours.
pub fn refused<'a>(client: usize, topic: &CStr, sends: impl Iterator<Item = RefusedSend<'a>>) {
    contain_panic(|| {
        // Not held while the client is asked.
        let handle = known().producers.get(&client).copied();
        if let Some(handle) = handle {
            handle.with_client(|of| {
                if of.address == client {
                    of.refuse(handle.number(), topic, sends)
                }
            });
        }
    });
}

/// The same of the producer with this number, see [`latest_sender`](super::latest_sender); one that is gone refuses nothing.
pub fn refused_by<'a>(sender: u64, topic: &CStr, sends: impl Iterator<Item = RefusedSend<'a>>) {
    contain_panic(|| {
        let handle = ClientHandle::from_number(sender);
        handle.with_client(|of| of.refuse(sender, topic, sends));
    });
}

/// Of this process, not of the one that it was forked from.
fn known() -> MutexGuard<'static, Known> {
    static KNOWN: PerProcess<Mutex<Known>> = PerProcess::new();
    KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    fn refuse<'a>(&self, number: u64, topic: &CStr, sends: impl Iterator<Item = RefusedSend<'a>>) {
        let Some(route) = self.route_of(topic) else { return };
        for send in sends {
            // Another integration that sees the same call need not tell of it again.
            one_more_send(number);
            match route.traced() {
                Some(traced) if traced.spans => self.refuse_one(traced, topic, &send),
                Some(_) | None => route.counters().without_span.raise(),
            }
        }
    }

    fn refuse_one(&self, traced: &Traced, topic: &CStr, send: &RefusedSend<'_>) {
        if !traced.refused.has_room(clock::monotonic_nanos()) {
            traced.topic.without_span.raise();
            if traced.refused.is_first_to_tell() {
                let what = format!(
                    "sends to topic {:?} are refused at once ({}) more than {SPANS_A_SECOND} times a second: further ones of the \
                     same second get no span, and are only counted",
                    topic.to_string_lossy(),
                    error_name(self.api.err2name, send.error)
                );
                Pipeline::current().tell(log::Level::Warn, what);
            }
            return;
        }
        let make = |incoming: &Incoming<'_>| make_span(traced, send, incoming);
        if self.sees_context && with_current_span(make).is_some() {
            return;
        }
        let declared = declared_parents::of_refused_send(topic);
        if declared.with_parent(None, make).or_else(|| with_ambient_of_refused(make)).is_none() {
            make(&Incoming::NOTHING);
        }
    }
}

/// A point in time: the call came back at once.
fn make_span(traced: &Traced, send: &RefusedSend<'_>, incoming: &Incoming<'_>) {
    // Not the ids that a thread's next trace is to have.
    let trace_id = incoming.context.map_or_else(new_trace_id, |context| context.trace_id);
    let randomness = || explicit_randomness(incoming.trace_state);
    let (continued, sampling) = (incoming.context.as_ref(), incoming.sampling);
    let verdict = traced.sampler.judge(&trace_id, continued, sampling, randomness, clock::monotonic_nanos);
    let mut trace_flags = verdict.flags;
    let mut is_rescued = false;
    if !verdict.is_kept() {
        traced.is_not_kept(verdict);
        // As a send that fails later.
        is_rescued = verdict.is_shed && continued.is_none() && shedding::has_room_for_failures();
        if !is_rescued {
            return;
        }
        trace_flags |= SpanContext::SAMPLED;
    }
    let now = clock::unix_nanos();
    let mut flags = SpanFlags::default();
    flags.set_if(SpanFlags::PARENT_REMOTE, continued.is_some() && incoming.remote);
    flags.set_if(SpanFlags::PARENT_GUESSED, continued.is_some() && incoming.guessed);
    flags.set_if(SpanFlags::TOMBSTONE, send.is_tombstone);
    let span = FinishedSpan {
        trace_id,
        span_id: new_span_id(),
        parent_span_id: continued.map_or([0; 8], |parent| parent.span_id),
        start: now,
        end: now,
        partition: send.partition,
        outcome: Outcome(send.error),
        flags,
        trace_flags,
        ..FinishedSpan::blank(traced.origin.address(), SpanKind::Send)
    };
    let mut buffer = TraceStateBuffer::new();
    let state = if is_rescued {
        Some(shedding::COUNTS_FOR_ITSELF)
    } else if incoming.trace_state.is_none() && !verdict.has_threshold() {
        None
    } else {
        let kept_by = traced.sampler.kept_by(sampling, verdict);
        settled_trace_state(incoming.trace_state, &trace_id, kept_by, &mut buffer)
    };
    match (traced.captured.as_deref(), state) {
        (Some(captured), state) => {
            captured.with_fields(state, std::iter::empty(), send.key, |fields| Pipeline::push(&span, fields));
        }
        (None, Some(state)) => Pipeline::push(&span, TraceStateField::new(state).as_slice()),
        (None, None) => Pipeline::push(&span, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: what is known is the process's.
    #[test]
    fn producers_that_are_gone_are_forgotten() {
        let gone = ClientHandle::from_number(u64::MAX);
        topic_made(0x1000, 0x10);
        assert_eq!(client_of_topic(0x10), None);
        // A program that makes a producer for each message.
        (1..10_000).for_each(|number| opened(number << 12, gone));
        assert!(known().producers.len() < 100);
    }

    #[test]
    fn topics_are_known_of_traced_producers_that_live_and_bounded() {
        let mut known = Known::default();
        known.producers.extend((1..=3).map(|number| (number << 12, ClientHandle::from_number(number as u64))));
        let all = |_| true;
        (0..=MAX_TOPICS).for_each(|topic| known.topic_made(0x1000, topic, all));
        assert_eq!((known.topics.get(&(MAX_TOPICS - 1)), known.topics.get(&MAX_TOPICS)), (Some(&0x1000), None));
        // Its address is another's now.
        known.topic_made(0x2000, 7, all);
        assert_eq!(known.topics.get(&7), Some(&0x2000));
        // And now that of a producer that is not traced.
        known.topic_made(0x9000, 7, all);
        assert_eq!(known.topics.get(&7), None);
        known.topic_made(0x2000, 7, all);
        // While all live, most of those without room look at nothing.
        let asked = std::cell::Cell::new(0);
        for topic in MAX_TOPICS..MAX_TOPICS + TurnedAway::A_LOOK as usize {
            known.topic_made(0x1000, topic, |_| {
                asked.set(asked.get() + 1);
                true
            });
        }
        assert!(asked.get() < 2 * MAX_TOPICS, "{}", asked.get());
        // The first producer is gone: its topics make room, at a look.
        (0..TurnedAway::A_LOOK).for_each(|_| known.topic_made(0x3000, MAX_TOPICS, |number| number != 1));
        assert_eq!((known.topics.get(&MAX_TOPICS), known.topics.get(&7)), (Some(&0x3000), Some(&0x2000)));
        assert_eq!(known.topics.len(), 2);
    }
}
