//! What each message costs before there is a span: its service, sampling, ids and headers.
//!
//! `cargo bench -p tracer-resolver --bench rules` prints nanoseconds per call, the least of many rounds, since whatever
//! else the machine does can only add to it. With `-- --quick` it only shows that everything runs.

#![expect(clippy::print_stdout, reason = "a bench is there to print")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tracer_resolver::config::{
    Ambient, Batch, Config, Measuring, Metrics, Origin, ParentDecision, Pattern, Plugins, Propagator, Relation, Reload,
    Sampler as SamplerSetting, Service, Settings, Trace,
};
use tracer_resolver::propagation::{Injection, TraceStateBuffer, extract, parse_traceparent, write_traceparent};
use tracer_resolver::services::{Candidate, ServiceMap, Side};
use tracer_resolver::tracer::SpanContext;
use tracer_resolver::tracer::ids::{new_span_id, new_trace_id};
use tracer_resolver::tracer::sampler::{ParentSampling, Sampler};

fn main() {
    // `cargo test --benches` calls without `--bench`; then, too, running at all is what counts.
    let arguments: Vec<String> = std::env::args().collect();
    let measured = arguments.iter().any(|argument| argument == "--bench") && !arguments.contains(&"--quick".to_owned());
    let bench = if measured { Bench { rounds: 20, calls: 100_000 } } else { Bench { rounds: 1, calls: 10 } };
    ids_and_sampling(&bench);
    headers(&bench);
    services(&bench);
}

fn ids_and_sampling(bench: &Bench) {
    bench.run("ids: a trace id and a span id", || (new_trace_id(), new_span_id()));
    let trace_id = new_trace_id();
    for sampler in [
        SamplerSetting::AlwaysOn,
        SamplerSetting::Ratio(0.3),
        SamplerSetting::RateLimit(100.0),
        SamplerSetting::RateLimit(1e12),
    ] {
        let name = format!("sampler: {sampler:?}");
        let sampler = Sampler::new(&settings(sampler));
        let mut now = 0;
        bench.run(&name, || {
            now += 100;
            sampler.decide(black_box(ParentSampling::NoParent), &trace_id, || now)
        });
    }
}

fn headers(bench: &Bench) {
    let context = SpanContext { trace_id: new_trace_id(), span_id: new_span_id(), flags: SpanContext::SAMPLED };
    let traceparent = write_traceparent(&context);
    bench.run("headers: write a traceparent", || write_traceparent(black_box(&context)));
    bench.run("headers: read our own traceparent", || parse_traceparent(black_box(&traceparent)));
    let order = [Propagator::TraceContext, Propagator::Baggage, Propagator::B3, Propagator::Jaeger];
    let foreign: [&[u8]; 10] = [
        b"order-id",
        b"content-type",
        b"x-tenant",
        b"__TypeId__",
        b"correlation-id",
        b"ce_type",
        b"ce_source",
        b"retry-count",
        b"x-request-id",
        b"schema-ver",
    ];
    let mut buffer = TraceStateBuffer::new();
    for format in [Propagator::TraceContext, Propagator::B3, Propagator::B3Multi, Propagator::Jaeger] {
        let injection = Injection::new(&[format, Propagator::Baggage]);
        let mut written = Vec::new();
        injection.headers(&context).for_each(|name, value| written.push((name, value.to_vec())));
        bench.run(&format!("headers: write {format:?}"), || {
            black_box(&injection).headers(black_box(&context)).for_each(|name, value| {
                black_box((name, value));
            });
        });
        let ours: Vec<(&[u8], Option<&[u8]>)> =
            written.iter().map(|(name, value)| (name.to_bytes(), Some(value.as_slice()))).collect();
        bench.run(&format!("headers: extract {format:?}"), || {
            black_box(extract(black_box(&ours).iter().copied(), &order, &mut buffer));
        });
        let all: Vec<(&[u8], Option<&[u8]>)> =
            foreign.iter().map(|&name| (name, Some(&b"value"[..]))).chain(ours.iter().copied()).collect();
        bench.run(&format!("headers: extract {format:?} among ten foreign"), || {
            black_box(extract(black_box(&all).iter().copied(), &order, &mut buffer));
        });
    }
}

fn services(bench: &Bench) {
    for count in [3, 1_000] {
        let map = ServiceMap::new(&config(count));
        let last = count - 1;
        for topic in [format!("orders.{last}"), format!("payments.{last}.card"), "unmatched".to_owned()] {
            let candidate =
                Candidate { side: Side::Produce, topic: &topic, client_id: "rdkafka", group_id: None, bound: None };
            // A thousand times the work, a hundredth of the calls.
            let bench = Bench { calls: bench.calls.div_ceil(100), ..*bench };
            bench.run(&format!("services: {topic} among {count}"), || map.select(black_box(&candidate)));
        }
    }
}

#[derive(Clone, Copy)]
struct Bench {
    rounds: u32,
    calls: u32,
}

impl Bench {
    fn run<T>(&self, name: &str, mut call: impl FnMut() -> T) {
        let round = |_| {
            let start = Instant::now();
            for _ in 0..self.calls {
                black_box(call());
            }
            start.elapsed()
        };
        let least = (0..self.rounds).map(round).min().unwrap_or_default();
        println!("{name:50} {:10.1} ns", least.as_nanos() as f64 / f64::from(self.calls));
    }
}

/// `count` services of an exact topic and a glob each, with the usual excludes.
fn config(count: usize) -> Config {
    let service = |index: usize| Service {
        name: format!("service-{index}"),
        span: 0..0,
        produces: vec![Pattern::Exact(format!("orders.{index}")), Pattern::Glob(format!("payments.{index}.*"))],
        consumes: vec![Pattern::Exact(format!("orders.{index}"))],
        topics: Vec::new(),
        client_ids: Vec::new(),
        group_ids: Vec::new(),
        exclude: vec![Pattern::Glob("__*".to_owned()), Pattern::Glob("_confluent-*".to_owned())],
        settings: settings(SamplerSetting::AlwaysOn),
        topic_settings: Vec::new(),
        resource: Vec::new(),
    };
    Config {
        origin: Origin::Environment,
        services: (0..count).map(service).collect(),
        default_service: None,
        defaults: settings(SamplerSetting::AlwaysOn),
        backends: Vec::new(),
        plugins: Plugins::default(),
        batch: Batch { delay: Duration::from_secs(1), max_bytes: 1 << 20 },
        metrics: Metrics::default(),
        reload: Reload::OFF,
    }
}

fn settings(sampler: SamplerSetting) -> Settings {
    Settings {
        trace: Trace::Spans,
        measure: Measuring::Off,
        sampler,
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
