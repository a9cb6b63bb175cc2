//! What one call for several messages hands over: a span of the call, `poll TOPIC`, with links to what sent the messages, and
//! above their own spans, where `relation = "batch"` asks for it.
//!
//! A batch is the calling thread's alone, from its call to the return. It has one span for each service that gets messages.
//! Where the program's language asks for each message by itself, on another thread, its layer says afterwards what came together:
//! see [`hand_over`].

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::call_span::CallSpan;
use super::clientless_routes;
use super::commit_spans;
use super::contain_panic::contain_panic;
use super::declared_parents;
use super::incoming::Incoming;
use super::late_messages::{self, Handed};
use super::message::Message;
use super::route::{Route, Traced};
use crate::Resolver;
use crate::batch::{
    Field, FinishedSpan, LinkedSpan, Pipeline, Place, SpanFlags, SpanKind, SpanOrigin, SpanWriter, TraceStateField,
    write_links,
};
use crate::clock;
use crate::host;
use crate::per_process;
use crate::propagation::{SpanContext, TraceStateBuffer, settled_trace_state, told_threshold};
use crate::resolver::{Shared, batches_are_wanted};
use crate::tracer::Verdict;
use crate::tracer::ids::{new_span_id, new_trace_id};
use crate::tracer::sampler::ParentSampling;

/// Links of one span: as many as fit into a record beside everything else.
const MAX_LINKS: usize = 100;

/// See the module.
struct Batch {
    /// The process that called: the child of a fork that a callback makes comes back from the call too.
    generation: usize,
    receives: Vec<Receive>,
}

/// What one service is handed by the call.
struct Receive {
    /// The number of the consumer that hands it over.
    client: u64,
    /// From the first message to the last.
    span: FinishedSpan,
    verdict: Verdict,
    /// Where its span goes: that of the first message.
    origin: Arc<SpanOrigin>,
    trace_state: Option<Box<[u8]>>,
    /// Of what is sampled only.
    links: Vec<LinkedSpan>,
    links_left_out: u64,
    messages: u64,
    /// Where they are in the log: their spans may be asked for when they are gone.
    handed: Vec<Handed>,
}

/// A call for several messages, from its beginning to its end.
pub(super) struct Call {
    /// What the thread's call before had handed over, if this one is made in a callback of it.
    before: Option<Batch>,
}

thread_local!(static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) });

impl Call {
    /// The calling thread asks for several messages; `None` where nobody wants to know. What a reload wants while the thread
    /// waits in its call begins with the next one.
    #[inline]
    pub(super) fn begin() -> Option<Self> {
        batches_are_wanted().then(Self::begin_batch)
    }

    #[cold]
    fn begin_batch() -> Self {
        let batch = Batch { generation: per_process::generation(), receives: Vec::new() };
        Self { before: replace(Some(batch)) }
    }
}

impl Drop for Call {
    /// The call returns, in whatever way: callbacks of C++ programs may throw through it.
    fn drop(&mut self) {
        contain_panic(|| {
            let batch = replace(self.before.take());
            if let Some(batch) = batch.filter(|batch| batch.generation == per_process::generation()) {
                batch.receives.into_iter().for_each(Receive::end);
            }
        });
    }
}

/// One more message of the call that the thread is in; gives the span that it is below.
pub(super) fn add(
    client: u64,
    now: u64,
    of: (&Route, &Traced),
    message: &Message<'_>,
    incoming: &Incoming<'_>,
) -> Option<CallSpan> {
    let add = |batch: &mut Batch| batch.add(client, now, of, message, incoming);
    BATCH.try_with(|batch| batch.borrow_mut().as_mut().and_then(add)).ok().flatten()
}

/// A call has handed over these messages, each with the context that its headers bring: said by the program's layer, before
/// any of them is processed. Their own spans, which wait for that, are below the call's from now on; of a message whose span
/// has left already, what is processed later is.
///
/// Called by the application's thread, and in no callback: it may lock and allocate.
pub(super) fn hand_over<'a>(messages: impl Iterator<Item = (Place<'a>, Option<SpanContext>)>) {
    if !batches_are_wanted() {
        return;
    }
    let Some(shared) = Resolver::loaded().and_then(Resolver::shared) else { return };
    let mut batch = Batch { generation: per_process::generation(), receives: Vec::new() };
    let mut gone = Vec::new();
    for (place, brought) in messages {
        if !batch.adopt(&shared, &place) {
            gone.push((place, brought));
        }
    }
    for (place, brought) in gone {
        batch.add_late(&shared, &place, brought);
    }
    batch.receives.into_iter().for_each(Receive::end);
}

/// Says, once in a process, that `relation` cannot be followed, and why.
#[cold]
pub(super) fn tell_of_unknown(topic: &str, guards: bool) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    let why = match (guards, host::is_node()) {
        (true, _) => "Rust's clients hand over one message at a time",
        (_, true) => {
            "Node.js's clients ask for one message at a time, on a thread of their own, and the package's layer is not there"
        }
        _ => "the program's calls for messages are not seen, or it takes events",
    };
    let what = format!(
        "relation = \"batch\" of the topic {topic} cannot be followed here, and is taken for \"link\": which messages \
         come by one call is not known, since {why}"
    );
    Pipeline::current().tell(log::Level::Warn, what);
}

impl Batch {
    /// One more message; gives the span that it is below.
    fn add(
        &mut self,
        client: u64,
        now: u64,
        (route, traced): (&Route, &Traced),
        message: &Message<'_>,
        incoming: &Incoming<'_>,
    ) -> Option<CallSpan> {
        let is_its = |receive: &Receive| receive.client == client && receive.is_of(&traced.origin);
        let known = self.receives.iter().position(is_its);
        let place = known.unwrap_or_else(|| {
            self.receives.push(Receive::begin(client, traced, now, message.partition()));
            self.receives.len() - 1
        });
        let receive = self.receives.get_mut(place)?;
        let place = Place {
            topic: route.topic(),
            topic_hash: route.topic_hash(),
            partition: message.partition(),
            offset: message.offset(),
        };
        receive.add(now, &place, incoming.context);
        Some(receive.span())
    }

    /// One more message, if its span waits still, which is below that of the call then. What was decided for the first one
    /// goes for all.
    fn adopt(&mut self, shared: &Shared, place: &Place<'_>) -> bool {
        let Some(received_spans) = Pipeline::current().received_spans() else { return false };
        let accept = |origin: &SpanOrigin| origin.backend_set().resolver() == shared.id() && origin.has_batches();
        let mut changed = None;
        let waits = received_spans.change(place, accept, |span, extra, origin| {
            if span.kind != SpanKind::Receive {
                return extra.to_vec();
            }
            let known = self.receives.iter().position(|receive| receive.is_of(&origin));
            let index = known.unwrap_or_else(|| {
                self.receives.push(Receive::of_first(span, extra, Arc::clone(&origin)));
                self.receives.len() - 1
            });
            let Some(receive) = self.receives.get_mut(index) else { return extra.to_vec() };
            let has_sender = span.link_span_id != [0; 8];
            let sender = SpanContext { trace_id: span.link_trace_id, span_id: span.link_span_id, flags: 0 };
            receive.span.start = receive.span.start.min(span.start);
            receive.add(span.start, place, has_sender.then_some(sender));
            (span.trace_id, span.parent_span_id) = (receive.span.trace_id, receive.span.span_id);
            let is_sampled = |flags| flags & SpanContext::SAMPLED != 0;
            origin.decided_anew(is_sampled(span.trace_flags), is_sampled(receive.span.trace_flags));
            span.trace_flags = receive.span.trace_flags;
            let context = SpanContext { span_id: span.span_id, ..receive.context() };
            changed = Some((context, receive.trace_state.clone()));
            // The threshold of a trace that it is not in says for how many nothing stands.
            TraceStateField::replaced(extra, receive.trace_state.as_deref())
        });
        if let Some((context, trace_state)) = changed {
            commit_spans::changed(place, context, trace_state.as_deref());
        }
        waits
    }

    /// One more message, whose own span has left.
    fn add_late(&mut self, shared: &Arc<Shared>, place: &Place<'_>, brought: Option<SpanContext>) {
        let Some(route) = clientless_routes::route(shared, place.topic, None) else { return };
        let Some(traced) = route.traced().filter(|traced| traced.spans && traced.origin.has_batches()) else { return };
        let known = self.receives.iter().position(|receive| receive.is_of(&traced.origin));
        let index = known.unwrap_or_else(|| {
            self.receives.push(Receive::begin(0, traced, clock::unix_nanos(), place.partition));
            self.receives.len() - 1
        });
        if let Some(receive) = self.receives.get_mut(index) {
            receive.add(receive.span.end, place, brought);
        }
    }
}

impl Receive {
    /// The sampler of the first message's topic decides for all.
    fn begin(client: u64, traced: &Traced, start: u64, partition: i32) -> Self {
        let trace_id = new_trace_id();
        let no_parent = ParentSampling::NoParent;
        let verdict = traced.sampler.judge(&trace_id, None, no_parent, || None, clock::monotonic_nanos);
        traced.count_shed(verdict);
        let span = FinishedSpan {
            trace_id,
            span_id: new_span_id(),
            start,
            end: start,
            partition,
            trace_flags: verdict.flags,
            ..FinishedSpan::blank(traced.origin.address(), SpanKind::Poll)
        };
        let kept_by = traced.sampler.kept_by(no_parent, verdict);
        let mut buffer = TraceStateBuffer::new();
        let trace_state = settled_trace_state(None, &trace_id, kept_by, &mut buffer).map(Box::from);
        Self::empty(client, span, verdict, Arc::clone(&traced.origin), trace_state)
    }

    /// The same for messages whose spans wait: in the trace, and with the decision, of the first one.
    fn of_first(first: &FinishedSpan, extra: &[u8], origin: Arc<SpanOrigin>) -> Self {
        let trace_state = TraceStateField::decode(extra).map(str::as_bytes);
        let span = FinishedSpan {
            trace_id: first.trace_id,
            span_id: new_span_id(),
            start: first.start,
            end: first.start,
            partition: first.partition,
            outcome: first.outcome,
            trace_flags: first.trace_flags,
            ..FinishedSpan::blank(first.origin, SpanKind::Poll)
        };
        let verdict = Verdict::of_before(first.trace_flags, told_threshold(trace_state));
        Self::empty(0, span, verdict, origin, trace_state.map(Box::from))
    }

    fn empty(
        client: u64,
        span: FinishedSpan,
        verdict: Verdict,
        origin: Arc<SpanOrigin>,
        trace_state: Option<Box<[u8]>>,
    ) -> Self {
        Self {
            client,
            span,
            verdict,
            origin,
            trace_state,
            links: Vec::new(),
            links_left_out: 0,
            messages: 0,
            handed: Vec::new(),
        }
    }

    fn add(&mut self, now: u64, place: &Place<'_>, sender: Option<SpanContext>) {
        self.messages += 1;
        // Not when the call returns: it may wait for more in vain.
        self.span.end = now.max(self.span.end);
        if self.origin.topic() != place.topic {
            self.span.kind = SpanKind::PollOfTopics;
        }
        if self.span.partition != place.partition || self.span.kind == SpanKind::PollOfTopics {
            self.span.partition = -1;
        }
        Handed::add(&mut self.handed, place.topic_hash, place.partition, place.offset);
        let Some(sender) = sender.filter(|_| self.context().is_sampled()) else { return };
        if self.links.len() < MAX_LINKS {
            self.links.push(LinkedSpan { context: sender, is_remote: true });
        } else {
            self.links_left_out += 1;
        }
    }

    fn end(self) {
        let context = self.context();
        if declared_parents::declares() {
            late_messages::keep(&self.origin, self.span(), self.handed);
        }
        if !context.is_sampled() {
            return;
        }
        let mut extra = Vec::new();
        if let Some(state) = &self.trace_state {
            extra.extend_from_slice(TraceStateField::new(state).as_slice());
        }
        let messages = i64::try_from(self.messages).unwrap_or(i64::MAX);
        SpanWriter::new(&mut extra).int_attribute(Field::ATTRIBUTES, MESSAGE_COUNT, messages);
        write_links(&mut extra, self.links.into_iter(), self.links_left_out);
        let mut span = self.span;
        // A reload may replace the rules before the batch thread has it.
        span.flags.set_if(SpanFlags::OWNS_ORIGIN, true);
        span.origin = self.origin.into_address();
        Pipeline::push(&span, &extra);
    }

    /// Whether it is of the same service of the same resolver.
    fn is_of(&self, origin: &SpanOrigin) -> bool {
        self.origin.service() == origin.service()
            && self.origin.backend_set().resolver() == origin.backend_set().resolver()
    }

    fn span(&self) -> CallSpan {
        CallSpan { context: self.context(), verdict: self.verdict }
    }

    fn context(&self) -> SpanContext {
        SpanContext { trace_id: self.span.trace_id, span_id: self.span.span_id, flags: self.span.trace_flags }
    }
}

const MESSAGE_COUNT: &str = "messaging.batch.message_count";

/// The calling thread's batch; gives the one before.
fn replace(batch: Option<Batch>) -> Option<Batch> {
    BATCH.try_with(|current| current.replace(batch)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Whose;
    use crate::clock::Moment;
    use crate::config::Source;

    #[test]
    fn a_message_for_which_a_call_decides_anew_is_counted_anew() {
        let text = "version = 1\n[services.shop]\ntopics = [\"*\"]\nrelation = \"batch\"\n";
        let source = Source::Text { name: "t.toml".to_owned(), text: text.to_owned() };
        let resolver = Resolver::load(source).unwrap();
        let shared = resolver.shared().unwrap();
        let [orders, audit] = ["orders", "audit"].map(|topic| clientless_routes::route(&shared, topic, None).unwrap());
        Pipeline::current().expect_received_spans();
        let received_spans = Pipeline::current().received_spans().unwrap();
        // As if the sampler of the one kept all, and that of the other nothing.
        let hand_over = |route: &Route, offset| {
            let (traced, is_kept, now) = (route.traced().unwrap(), route.topic() == "orders", Moment::now());
            let mut span = FinishedSpan {
                start: now.unix_nanos,
                partition: 0,
                offset,
                trace_flags: u8::from(is_kept),
                ..FinishedSpan::blank(traced.origin.address(), SpanKind::Receive)
            };
            // So that it waits, however slow the machine is.
            span.flags.set_if(SpanFlags::UNTIL_POLL, true);
            if !is_kept {
                traced.topic.sampled_out.raise();
            }
            received_spans.hold(&span, &[], route.topic_hash(), 0, now, |_, _| panic!("there is room"));
        };
        let place = |route: &Route, offset| {
            let (topic, topic_hash) = (if route.topic() == "orders" { "orders" } else { "audit" }, route.topic_hash());
            Place { topic, topic_hash, partition: 0, offset }
        };
        for (offset, order, counted) in [(1, [&orders, &audit], [0, 0]), (2, [&audit, &orders], [1, 1])] {
            let mut batch = Batch { generation: per_process::generation(), receives: Vec::new() };
            for route in order {
                hand_over(route, offset);
                assert!(batch.adopt(&shared, &place(route, offset)));
            }
            let sampled_out = [&orders, &audit].map(|route| route.traced().unwrap().topic.sampled_out.sum());
            assert_eq!(sampled_out, counted);
            for route in order {
                assert!(received_spans.claim(&place(route, offset), Whose::Anybodys, |_, _| true).is_some());
            }
        }
    }
}
