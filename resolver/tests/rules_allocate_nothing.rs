//! What runs per message before there is a span allocates nothing: services, sampling, ids, headers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use tracer_resolver::config::{
    Ambient, Batch, Config, Measuring, Metrics, Origin, ParentDecision, Pattern, Plugins, Propagator, Relation, Reload,
    Sampler as SamplerSetting, Service, Settings, Trace,
};
use tracer_resolver::propagation::{Extracted, Injection, TraceStateBuffer, extract, read_baggage, write_baggage};
use tracer_resolver::services::{Candidate, Selection, ServiceMap, Side};
use tracer_resolver::tracer::SpanContext;
use tracer_resolver::tracer::ids::{new_span_id, new_trace_id, reseed};
use tracer_resolver::tracer::sampler::{Decision, ParentSampling, Sampler};

#[test]
fn the_counter_sees_an_allocation() {
    assert_eq!(allocations(|| std::hint::black_box(Box::new(1))), 1);
}

#[test]
fn finding_the_service_of_a_message_allocates_nothing() {
    let map = ServiceMap::new(&config());
    let select =
        |topic| map.select(&Candidate { side: Side::Produce, topic, client_id: "c", group_id: None, bound: None });
    for topic in ["orders", "payments.card", "__offsets", "other"] {
        assert_eq!(allocations(|| std::hint::black_box(select(topic))), 0, "{topic}");
    }
    // All ways through were measured, not one of them four times.
    assert!(matches!(select("orders"), Selection::Service { slot: 0, .. }));
    assert!(matches!(select("payments.card"), Selection::Service { slot: 1, .. }));
    assert_eq!(select("__offsets"), Selection::Excluded);
    assert_eq!(select("other"), Selection::Unmatched);
}

#[test]
fn sampling_and_ids_allocate_nothing_from_a_threads_first_call_on() {
    let samplers = [
        SamplerSetting::AlwaysOn,
        SamplerSetting::AlwaysOff,
        SamplerSetting::Ratio(0.5),
        SamplerSetting::RateLimit(10.0),
    ]
    .map(|sampler| Sampler::new(&Settings { sampler, ..settings() }));
    let thread = std::thread::spawn(move || {
        assert_eq!(allocations(|| (new_trace_id(), new_span_id())), 0);
        assert_eq!(allocations(reseed), 0);
        assert_eq!(allocations(new_span_id), 0);
        for sampler in &samplers {
            let keep = |now| sampler.decide(ParentSampling::NoParent, &new_trace_id(), || now) == Decision::Keep;
            assert_eq!(allocations(|| (0..100).filter(|&now| keep(now)).count()), 0, "{sampler:?}");
            assert_eq!(
                allocations(|| sampler.judge(&new_trace_id(), None, ParentSampling::NoParent, || None, || 0)),
                0,
                "{sampler:?}"
            );
        }
    });
    thread.join().unwrap();
}

#[test]
fn reading_headers_allocates_nothing() {
    let headers: [(&[u8], Option<&[u8]>); 13] = [
        (b"order-id", Some(b"7")),
        (b"tracestate", Some(b"a=1")),
        (b"tracestate", Some(b"b=2")),
        (b"traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        (b"b3", Some(b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")),
        (b"uber-trace-id", Some(b"4bf9%3Af0%3A0%3A1")),
        (b"baggage", Some(b"a=1,b=2")),
        (b"nothing", None),
        (b"x-datadog-trace-id", Some(b"11803532876627986230")),
        (b"x-datadog-parent-id", Some(b"67667974448284343")),
        (b"X-Amzn-Trace-Id", Some(b"Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7")),
        (b"elastic-apm-traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        (
            b"sw8",
            Some(
                b"1-NjRkOGNkNGE5MmFjNDA2NzhjOWEzOWMyZmE3ZDg2NjU=-ZWRkMGQxN2FiYzk2NDU2Yzk2NTI5NzJkNjZmZDc4ODA=-0-a-b-c-d",
            ),
        ),
    ];
    let mut buffer = TraceStateBuffer::new();
    for format in [
        Propagator::TraceContext,
        Propagator::B3,
        Propagator::Jaeger,
        Propagator::Datadog,
        Propagator::XRay,
        Propagator::Elastic,
        Propagator::SkyWalking,
    ] {
        let mut found = false;
        let count = allocations(|| found = matches!(extract(headers, &[format], &mut buffer), Extracted::Parent(_)));
        assert_eq!((count, found), (0, true), "{format:?}");
    }
    let mut entries = 0;
    assert_eq!(
        allocations(|| entries = read_baggage([&b"a=1,b=2"[..]]).filter(|entry| entry.value() != "").count()),
        0
    );
    assert_eq!(entries, 2);
}

#[test]
fn writing_headers_and_reading_our_own_allocates_nothing() {
    let all = [
        Propagator::TraceContext,
        Propagator::Baggage,
        Propagator::B3,
        Propagator::B3Multi,
        Propagator::Jaeger,
        Propagator::Datadog,
        Propagator::XRay,
        Propagator::Elastic,
    ];
    let injection = Injection::new(&all);
    let context = SpanContext { trace_id: new_trace_id(), span_id: new_span_id(), flags: SpanContext::SAMPLED };
    let mut room = [0; 128];
    let (mut written, mut own) = (0, None);
    let count = allocations(|| {
        let baggage = write_baggage([("user", "é", "")], &mut room);
        let baggage = room.get(..baggage.length);
        let headers = injection.headers(&context).with_trace_state(Some(b"a=1")).with_baggage(baggage);
        assert!(headers.replaces(b"x-b3-flags"));
        headers.for_each(|_, value| written += value.len());
        own = injection.own_context(|_| Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    });
    assert_eq!(count, 0);
    let low = u128::from_be_bytes(context.trace_id) as u64;
    let datadog = format!("{low}{}1_dd.p.tid=0123456789abcdef", u64::from_be_bytes(context.span_id));
    assert_eq!(written, 55 + 3 + "user=%C3%A9".len() + 51 + 32 + 16 + 1 + 53 + datadog.len() + 74 + 55);
    assert!(own.is_some());
}

/// Allocations of this thread while `work` runs.
fn allocations<T>(work: impl FnOnce() -> T) -> usize {
    let before = COUNT.get();
    let result = std::hint::black_box(work());
    let count = COUNT.get() - before;
    drop(result);
    count
}

fn config() -> Config {
    let glob = |pattern: &str| Pattern::Glob(pattern.to_owned());
    Config {
        origin: Origin::Environment,
        services: vec![Service {
            name: "shop".to_owned(),
            span: 0..0,
            produces: vec![Pattern::Exact("orders".to_owned()), glob("payments.*"), glob("__*")],
            consumes: Vec::new(),
            topics: Vec::new(),
            client_ids: vec![glob("*")],
            group_ids: Vec::new(),
            exclude: vec![glob("__*")],
            settings: settings(),
            topic_settings: vec![(glob("payments.c*"), settings())],
            resource: Vec::new(),
        }],
        default_service: None,
        defaults: settings(),
        backends: Vec::new(),
        plugins: Plugins::default(),
        batch: Batch { delay: Duration::from_secs(1), max_bytes: 1 << 20 },
        metrics: Metrics::default(),
        reload: Reload::OFF,
    }
}

fn settings() -> Settings {
    Settings {
        trace: Trace::Spans,
        measure: Measuring::Off,
        sampler: SamplerSetting::AlwaysOn,
        parent: ParentDecision::Respect,
        relation: Relation::Parent,
        ambient: Ambient::Thread,
        inject: Default::default(),
        extract: Default::default(),
        reinject: false,
        commit_spans: false,
        export: Default::default(),
        attributes: Default::default(),
    }
}

thread_local! {
    /// Per thread, so that tests that run at the same time do not count each other.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
