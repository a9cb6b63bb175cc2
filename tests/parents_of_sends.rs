//! Promise: a sent message continues the span that is current on its thread, else the context in its own headers, else
//! it begins a trace; and what it carries afterwards is its own span's context, once.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use words::kafka::{assign, header_of, headers_of, next_message, with_headers};
use words::receivers::ReceivedSpan;
use words::{LIMIT, TRACEPARENT, Traced, block_on, send};

const SHOP: &str = "[services.shop]\nproduces = [\"*\"]\n";
const HEADER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const HEADER_SPAN: &str = "b7ad6b7169203331";

/// A context under which a span of somebody else is current.
fn current(trace: u128, span: u64) -> Context {
    let (trace, span) = (TraceId::from(trace), SpanId::from(span));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE))
}

/// The trace and the parent of the only span.
fn only(traced: &Traced) -> (String, String) {
    let spans = traced.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    (spans[0].trace_id.clone(), spans[0].parent_span_id.clone())
}

fn sent<'a>(record: &'a [(&'a str, &'a str)]) -> BaseRecord<'a, str, str> {
    BaseRecord::to("orders").key("k").payload("p").headers(with_headers(record))
}

#[test]
fn the_current_span_wins_over_the_record_s_headers_and_replaces_them() {
    let traced = Traced::start(&["orders"], SHOP);
    let attached = current(0xaa, 0xbb).attach();
    send(&traced.producer(), sent(&[("traceparent", TRACEPARENT), ("tracestate", "old=1"), ("mine", "kept")]));
    drop(attached);
    assert_eq!(only(&traced), (format!("{:032x}", 0xaa), format!("{:016x}", 0xbb)));
    let message = traced.read_untraced("orders");
    let span = traced.collector.spans().remove(0);
    assert_eq!(
        headers_of(&message),
        [
            ("mine".to_owned(), "kept".to_owned()),
            ("traceparent".to_owned(), format!("00-{}-{}-01", span.trace_id, span.span_id))
        ],
        "the other trace's state does not travel with this trace"
    );
}

#[test]
fn the_record_s_headers_are_the_parent_when_no_span_is_current() {
    let traced = Traced::start(&["orders"], SHOP);
    send(&traced.producer(), sent(&[("traceparent", TRACEPARENT)]));
    assert_eq!(only(&traced), (HEADER_TRACE.to_owned(), HEADER_SPAN.to_owned()));
    let carried = header_of(&traced.read_untraced("orders"), "traceparent").unwrap();
    assert_eq!(carried, format!("00-{HEADER_TRACE}-{}-01", traced.collector.spans()[0].span_id));
}

#[test]
fn without_either_a_send_begins_a_trace() {
    let traced = Traced::start(&["orders"], SHOP);
    let producer = traced.producer();
    send(&producer, sent(&[("mine", "1")]));
    send(&producer, sent(&[]));
    let spans = traced.spans();
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty()));
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
}

#[test]
fn a_detached_context_is_no_parent_and_an_outer_one_is_again() {
    let traced = Traced::start(&["orders"], SHOP);
    let producer = traced.producer();
    let outer = current(0xaa, 1).attach();
    let inner = current(0xaa, 2).attach();
    send(&producer, sent(&[]));
    drop(inner);
    send(&producer, sent(&[]));
    drop(outer);
    send(&producer, sent(&[]));
    let parents: Vec<_> = traced.spans().into_iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [format!("{:016x}", 2), format!("{:016x}", 1), String::new()]);
}

#[test]
fn another_thread_s_span_is_no_parent_unless_its_context_is_attached_there() {
    let traced = Traced::start(&["orders"], SHOP);
    let producer = traced.producer();
    let attached = current(0xaa, 1).attach();
    let context = Context::current();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&producer, sent(&[]))).join().unwrap();
        scope
            .spawn(|| {
                let _handed_over = context.attach();
                send(&producer, sent(&[]));
            })
            .join()
            .unwrap();
    });
    drop(attached);
    let parents: Vec<_> = traced.spans().into_iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [String::new(), format!("{:016x}", 1)]);
}

#[test]
fn an_explicit_parent_is_a_context_around_the_send() {
    // K18: `send(record, parent)` of old is this.
    let traced = Traced::start(&["messages"], "[services.shop]\ntopics = [\"*\"]\n");
    let provider = traced.resolver().tracer_provider("shop").unwrap();
    let tracer = provider.tracer("test");
    let parent = tracer.start("parent");
    let context = Context::new().with_span(parent);
    let producer = traced.producer();
    for _ in 0..2 {
        let _explicit = context.clone().attach();
        send(&producer, BaseRecord::to("messages").key("k").payload("p"));
    }
    context.span().end();
    let consumer = traced.consumer("messages");
    next_message(&consumer);
    next_message(&consumer);
    assert_eq!(
        traced.traces(),
        "shop: parent\n  shop: send messages\n    shop: receive messages\n  shop: send messages\n    shop: receive messages\n"
    );
}

#[test]
fn a_future_with_a_context_gives_it_to_its_sends_at_every_poll_and_to_no_one_else() {
    let traced = Traced::start(&["orders"], SHOP);
    let producer = traced.producer();
    let work = async {
        producer.send(sent(&[])).map_err(|(error, _)| error).unwrap();
        yield_once().await;
        producer.send(sent(&[])).map_err(|(error, _)| error).unwrap();
    };
    let interleaved = async {
        yield_once().await;
        producer.send(sent(&[])).map_err(|(error, _)| error).unwrap();
    };
    block_on(both(work.with_context(current(0xaa, 7)), interleaved));
    producer.flush(LIMIT).unwrap();
    let mut parents: Vec<_> = traced.spans().into_iter().map(|span| span.parent_span_id).collect();
    parents.sort();
    assert_eq!(parents, [String::new(), format!("{:016x}", 7), format!("{:016x}", 7)]);
}

#[test]
fn a_context_without_a_valid_span_is_no_parent() {
    let traced = Traced::start(&["orders"], SHOP);
    let producer = traced.producer();
    let nothing = Context::new().with_remote_span_context(SpanContext::NONE).attach();
    send(&producer, sent(&[("traceparent", TRACEPARENT)]));
    drop(nothing);
    assert_eq!(only(&traced).1, HEADER_SPAN, "the headers are asked");
}

#[test]
fn of_several_headers_of_one_name_the_last_is_the_parent_and_one_is_left() {
    // K4: A is injected, then B, a child of A, beside it.
    let traced = Traced::start(&["orders"], SHOP);
    let older = "00-0af7651916cd43dd8448eb211c80319c-00000000000000aa-01";
    send(&traced.producer(), sent(&[("traceparent", older), ("Traceparent", older), ("traceparent", TRACEPARENT)]));
    assert_eq!(only(&traced).1, HEADER_SPAN);
    assert_eq!(headers_of(&traced.read_untraced("orders")).len(), 1);
}

#[test]
fn headers_do_not_grow_however_many_hops_a_message_makes() {
    let traced = Traced::start(&["hops"], "[services.shop]\ntopics = [\"*\"]\n");
    let producer = traced.producer();
    let consumer = traced.consumer("hops");
    send(&producer, BaseRecord::to("hops").key("k").payload("p").headers(with_headers(&[("mine", "1")])));
    for _ in 0..10 {
        let message = next_message(&consumer);
        let _processing = tracer_resolver_rdkafka::Processing::start_for(traced.resolver(), None, &message);
        // As programs do that pass on what they got.
        let headers = message.headers().unwrap().clone();
        send(&producer, BaseRecord::to("hops").key("k").payload("p").headers(headers));
    }
    let last = next_message(&consumer);
    assert_eq!(headers_of(&last).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["mine", "traceparent"]);
    let spans = traced.spans();
    let traces: std::collections::HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!((spans.len(), traces.len()), (22, 1), "{spans:#?}");
    assert_eq!(depth(&spans), 22, "each hop is a child of the one before");
}

#[test]
fn the_same_record_sent_twice_makes_siblings() {
    // D4: the second send of the original was a child of the first.
    let traced = Traced::start(&["orders"], SHOP);
    let producer = traced.producer();
    let record = || sent(&[("traceparent", TRACEPARENT)]);
    send(&producer, record());
    send(&producer, record());
    let parents: Vec<_> = traced.spans().into_iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [HEADER_SPAN, HEADER_SPAN]);
}

#[test]
fn a_header_without_a_value_or_with_a_broken_one_is_no_parent_and_no_crash() {
    // K6, D12.
    let traced = Traced::start(&["orders"], SHOP);
    let producer: BaseProducer = traced.producer();
    let broken = ["", "00", "00-0-0-0", "\u{1}\u{2}", "00-00000000000000000000000000000000-b7ad6b7169203331-01"];
    for value in broken {
        send(&producer, sent(&[("traceparent", value)]));
    }
    let null = rdkafka::message::OwnedHeaders::new()
        .insert(rdkafka::message::Header { key: "traceparent", value: None::<&str> })
        .insert(rdkafka::message::Header { key: "mine", value: None::<&str> });
    send(&producer, BaseRecord::to("orders").key("k").payload("p").headers(null));
    let spans = traced.spans();
    assert_eq!(spans.len(), broken.len() + 1);
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty()), "{spans:#?}");
    let consumer = assign(&traced.kafka.consumer_config("untraced"), "orders");
    let last = (0..spans.len()).map(|_| next_message(&consumer)).reduce(|_, later| later).unwrap();
    assert_eq!(headers_of(&last)[0], ("mine".to_owned(), "NULL".to_owned()), "a null stays a null");
    assert!(header_of(&last, "traceparent").is_some_and(|value| value.contains(&spans.last().unwrap().span_id)));
}

/// Spans from the root to the deepest.
fn depth(spans: &[ReceivedSpan]) -> usize {
    let parent = |span: &ReceivedSpan| spans.iter().position(|other| other.span_id == span.parent_span_id);
    let of = |mut at: usize| {
        let mut depth = 1;
        while let Some(above) = parent(&spans[at]) {
            (at, depth) = (above, depth + 1);
        }
        depth
    };
    (0..spans.len()).map(of).max().unwrap_or(0)
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Both, polled in turns.
async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (Box::pin(one), Box::pin(other));
    let (mut one_done, mut other_done) = (false, false);
    std::future::poll_fn(move |context| {
        one_done = one_done || one.as_mut().poll(context).is_ready();
        other_done = other_done || other.as_mut().poll(context).is_ready();
        if one_done && other_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn all_messages_of_a_queue_without_a_limit_find_their_own_parents() {
    const SENDS: usize = 3000;
    let traced = Traced::start(&["orders"], SHOP);
    let mut config = traced.config(None);
    // 0 is "no limit", in librdkafka's words. None is acknowledged before the last is sent.
    config.set("queue.buffering.max.messages", "0").set("linger.ms", "1000");
    let producer: BaseProducer = config.create().unwrap();
    let parents: Vec<_> = (1..=SENDS).map(|number| format!("{number:016x}")).collect();
    for parent in &parents {
        let header = format!("00-{HEADER_TRACE}-{parent}-01");
        producer.send(sent(&[("traceparent", &header)])).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let mut found: Vec<_> = traced.spans().into_iter().map(|span| span.parent_span_id).collect();
    found.sort();
    assert!(
        found == parents,
        "{} spans, {} of them with a parent",
        found.len(),
        found.iter().filter(|p| !p.is_empty()).count()
    );
}
