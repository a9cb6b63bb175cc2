//! Promise: no message costs a heap allocation of ours, sampled or not, measured or not, whatever its parent.
//!
//! The callbacks run on this thread over a fake librdkafka that never allocates; the allocator counts what this thread
//! asks it for.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "support/fake_kafka.rs"]
mod fake_kafka;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use fake_kafka::{FakeClient, FakeMessage};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::Integration;

struct Counting;

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGES: usize = 20_000;

fn resolver(sampler: &str) -> Resolver {
    let text = format!("version = 1\n[defaults]\nsampler = {sampler}\n[services.shop]\ntopics = [\"orders\"]\n");
    Resolver::load(Source::Text { name: "allocations.toml".into(), text }).unwrap()
}

/// Allocations of this thread while `messages` go their whole way, after as many to warm up.
fn allocations(producer: &FakeClient, consumer: &FakeClient, prepare: impl Fn(&FakeMessage)) -> usize {
    let mut message = FakeMessage::new("orders");
    message.set_key(b"customer-7");
    let mut counted = 0;
    for round in 0..2 {
        let before = COUNT.get();
        for index in 0..MESSAGES {
            message.clear();
            message.place(0, 3, index as i64);
            prepare(&message);
            producer.send(&message);
            producer.acknowledge(&message);
            consumer.consume(&message);
        }
        counted = COUNT.get() - before;
        let _ = round;
    }
    counted
}

#[test]
fn a_counted_allocation_is_seen() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![1_u8]));
    assert_eq!(COUNT.get() - before, 1);
}

#[test]
fn no_message_costs_an_allocation_sampled_or_not() {
    for sampler in [
        "\"always_on\"",
        "\"always_off\"",
        "{ ratio = 0.5 }",
        "{ consistent_probability = 0.5 }",
        "{ rate_limit = 10 }",
        "\"always_on\"\nmeasure = \"on\"",
        "\"always_off\"\nmeasure = \"on\"",
        "\"always_on\"\nmeasure = \"only\"",
    ] {
        let resolver = resolver(sampler);
        for integration in [Integration::Rust, Integration::Plugin] {
            let (producer, consumer) = (FakeClient::producer(&resolver), FakeClient::consumer(&resolver, integration));
            assert_eq!(allocations(&producer, &consumer, |_| {}), 0, "{sampler}, {integration:?}");
        }
        resolver.flush(std::time::Duration::from_secs(20));
        if sampler == "\"always_on\"" {
            let stats = resolver.stats();
            let spans = stats.services[0].spans + stats.services[0].dropped_buffer_full;
            assert_eq!(spans, 2 * 2 * 2 * MESSAGES as u64, "the messages did go the whole way");
        }
    }
}

#[test]
fn no_message_whose_headers_and_key_are_told_costs_an_allocation() {
    for key in ["plain", "hash"] {
        let text = format!(
            "version = 1\n[services.shop]\ntopics = [\"orders\"]\ncapture_headers = [\"tenant\", \"auth\", \"note\"]\n\
             message_key = \"{key}\"\nconventions = \"messaging/dup\"\n"
        );
        let resolver = Resolver::load(Source::Text { name: "told.toml".into(), text }).unwrap();
        for integration in [Integration::Rust, Integration::Plugin] {
            let (producer, consumer) = (FakeClient::producer(&resolver), FakeClient::consumer(&resolver, integration));
            let count = allocations(&producer, &consumer, |message| {
                message.add_header(c"tenant", b"blue");
                message.add_header(c"tenant", b"\xff\xfe");
                message.add_header(c"auth", b"secret");
                message.add_header(c"note", &[b'x'; 240]);
                message.add_header(c"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            });
            assert_eq!(count, 0, "{key}, {integration:?}");
        }
    }
}

#[test]
fn no_message_with_a_parent_costs_an_allocation() {
    let resolver = resolver("\"always_on\"");
    let (producer, consumer) = (FakeClient::producer(&resolver), FakeClient::consumer(&resolver, Integration::Rust));
    let from_headers = allocations(&producer, &consumer, |message| {
        message.add_header(c"tenant", b"blue");
        message.add_header(c"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    });
    assert_eq!(from_headers, 0, "parent from the record's headers");

    let parent = SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        SpanId::from(0xb7ad_6b71_6920_3331),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let _current = Context::current().with_remote_span_context(parent).attach();
    assert_eq!(allocations(&producer, &consumer, |_| {}), 0, "parent from the current context");
}
