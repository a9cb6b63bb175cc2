//! Any `SpanExporter` is a backend: what it gets equals what the SDK would have given it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::collections::HashMap;
use std::ptr;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use prost::Message;
use tracer_plugin_api::abi::*;
use tracer_plugin_api::adapter::{Adapted, ExporterArgs, ExporterBackend};
use tracer_plugin_api::testing::TestHost;
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, ErrorKind, LogLevel, Signal, plugin_table};

const AMPLE: Duration = Duration::from_secs(60);

#[test]
fn a_span_comes_out_of_the_adapter_as_it_went_into_otlp() {
    let backend = adapted("round trip");
    let resource = Resource::builder_empty()
        .with_schema_url(
            [KeyValue::new("service.name", "payments"), KeyValue::new("shards", Value::Array(Array::I64(vec![1, 2])))],
            "https://opentelemetry.io/schemas/1.44.0",
        )
        .build();
    let spans = vec![full_span(), bare_span(2), bare_span(3)];
    export(&backend, 1, &[(&resource, &spans)]).unwrap();

    let seen = seen("round trip");
    assert_eq!(seen.len(), 1, "one exporter, since there was one resource");
    assert_eq!(seen[0].resource, Some(resource));
    assert_eq!(seen[0].spans, spans);
}

#[test]
fn every_kind_and_status_comes_out_as_it_went_in() {
    let backend = adapted("kinds");
    let kinds = [SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer, SpanKind::Internal];
    let statuses = [Status::Unset, Status::Ok, Status::error("no"), Status::error("")];
    let spans: Vec<SpanData> = kinds
        .into_iter()
        .flat_map(|span_kind| {
            statuses.clone().map(|status| SpanData { span_kind: span_kind.clone(), status, ..bare_span(9) })
        })
        .collect();
    export(&backend, 1, &[(&resource("a"), &spans)]).unwrap();
    assert_eq!(seen("kinds")[0].spans, spans);
}

#[test]
fn each_resource_has_an_exporter_of_its_own_and_keeps_it() {
    let backend = adapted("per resource");
    let (orders, payments) = (resource("orders"), resource("payments"));
    export(&backend, 1, &[(&orders, &[bare_span(1)]), (&payments, &[bare_span(2)]), (&orders, &[bare_span(3)])])
        .unwrap();
    export(&backend, 2, &[(&payments, &[bare_span(4)])]).unwrap();
    assert_eq!(drawn("per resource"), ["orders: 1 3", "payments: 2 4"]);
}

#[test]
fn beyond_the_bound_the_exporter_idle_longest_is_shut_down() {
    let backend = adapted("bound");
    for (id, name) in [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "a"), (6, "b")] {
        export(&backend, id, &[(&resource(name), &[bare_span(id)])]).unwrap();
    }
    // At most two live: "b" made room for "c", then "c" for a new "b".
    assert_eq!(drawn("bound"), ["a: 1 3 5", "b: 2 (shut down)", "c: 4 (shut down)", "b: 6"]);
}

#[test]
fn a_retry_sends_only_what_did_not_go_through() {
    let backend = adapted("retry");
    let (good, bad) = (resource("good"), resource("fails twice"));
    let parts: &[(&Resource, &[SpanData])] = &[(&good, &[bare_span(1)]), (&bad, &[bare_span(2)])];
    let body = encode(parts);
    let mut cookie = 0;
    let again = |retry_cookie| backend.export(&Batch { retry_cookie, ..batch(7, 2, &body) }, AMPLE);
    for _ in 0..2 {
        let why = again(cookie).unwrap_err();
        assert_eq!((why.kind(), why.message()), (ErrorKind::Retryable, "not yet"));
        cookie = why.retry_cookie();
    }
    again(cookie).unwrap();
    assert_eq!(drawn("retry"), ["good: 1", "fails twice: 2"]);
    // What is finished is forgotten: another batch of the same content is sent whole.
    export(&backend, 8, parts).unwrap();
    assert_eq!(drawn("retry"), ["good: 1 1", "fails twice: 2 2"]);
}

#[test]
fn one_service_s_failure_is_not_the_others() {
    let backend = adapted("others");
    let (bad, ended, good) = (resource("fails twice"), resource("is shut down"), resource("good"));
    let body = encode(&[(&bad, &[bare_span(1)]), (&good, &[bare_span(2)])]);
    let mut cookie = 0;
    let mut again = |attempt| {
        let result = backend.export(&Batch { retry_cookie: cookie, attempt, ..batch(1, 2, &body) }, AMPLE);
        result.inspect_err(|why| cookie = why.retry_cookie())
    };
    assert_eq!(again(1).unwrap_err().kind(), ErrorKind::Retryable);
    assert_eq!(drawn("others"), ["fails twice:", "good: 2"]);
    assert!(again(2).is_err() && again(3).is_ok());
    assert_eq!(drawn("others"), ["fails twice: 1", "good: 2"]);

    let why = export(&backend, 2, &[(&ended, &[bare_span(3), bare_span(4)]), (&good, &[bare_span(5)])]).unwrap_err();
    assert_eq!((why.kind(), why.rejected_items()), (ErrorKind::Partial, 2));
    let why = export(&backend, 3, &[(&ended, &[bare_span(6)])]).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Shutdown, "of a batch that is one service's all is lost");
}

#[test]
fn a_service_that_takes_all_the_time_is_not_the_first_at_each_try() {
    let backend = adapted("first");
    let body = encode(&[(&resource("never"), &[bare_span(1)]), (&resource("good"), &[bare_span(2)])]);
    for (attempt, good) in [(1, "good:"), (2, "good: 2")] {
        let why = backend.export(&Batch { attempt, ..batch(1, 2, &body) }, Duration::from_secs(2)).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::Timeout);
        assert_eq!(drawn("first").contains(&good.to_owned()), attempt == 2);
    }
}

#[test]
fn an_exporter_s_own_error_is_heard_although_it_comes_a_moment_late() {
    let backend = adapted("late word");
    let body = encode(&[(&resource("fails late"), &[bare_span(1)])]);
    let why = backend.export(&batch(1, 1, &body), Duration::from_millis(5)).unwrap_err();
    assert_eq!((why.kind(), why.message()), (ErrorKind::Retryable, "the broker said no"));
}

#[test]
fn an_exporter_gets_the_way_to_the_log_and_the_backend_s_name() {
    let host = TestHost::new();
    let args = CreateArgs { host: host.host(), ..CreateArgs::detached("east", "with a host") };
    let _backend = Adapted::<Recorder>::create(&args).unwrap();
    let lines = host.lines();
    assert_eq!((lines.len(), &*lines[0].target, &*lines[0].message), (1, "recorder", "east"));
}

#[test]
fn an_exporter_that_is_never_done_ends_at_the_timeout() {
    let backend = adapted("pending");
    let body = encode(&[(&resource("never"), &[bare_span(1)])]);
    let start = Instant::now();
    let why = backend.export(&batch(1, 1, &body), Duration::from_millis(50)).unwrap_err();
    assert_eq!((why.kind(), why.message()), (ErrorKind::Timeout, "the exporter did not finish in time"));
    assert!((Duration::from_millis(50)..Duration::from_secs(10)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn counters_are_served_while_an_export_waits() {
    let backend = adapted("counters");
    let body = encode(&[(&resource("never"), &[bare_span(1)])]);
    thread::scope(|scope| {
        let export = scope.spawn(|| backend.export(&batch(1, 1, &body), Duration::from_millis(900)));
        let start = Instant::now();
        while backend.stats().unwrap().in_flight == 0 {
            assert!(start.elapsed() < Duration::from_millis(800), "stats waited for the export or does not see it");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!export.is_finished());
    });
    assert_eq!((backend.stats().unwrap().in_flight, backend.stats().unwrap().batches_failed), (0, 1));
}

#[test]
fn nothing_is_begun_when_there_is_no_time_left() {
    let backend = adapted("no time");
    let body = encode(&[(&resource("a"), &[bare_span(1)])]);
    let why = backend.export(&batch(1, 1, &body), Duration::ZERO).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Timeout);
    assert_eq!(drawn("no time"), ["(none):"]);
}

#[test]
fn an_exporter_that_another_thread_completes_is_waited_for() {
    let backend = adapted("other thread");
    export(&backend, 1, &[(&resource("slow"), &[bare_span(1)])]).unwrap();
    assert_eq!(drawn("other thread"), ["slow: 1"]);
}

#[test]
fn bytes_that_are_not_otlp_are_a_permanent_error() {
    let backend = adapted("garbage");
    let why = backend.export(&batch(1, 5, b"\xff\xff\xff"), AMPLE).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Permanent);
    assert!(why.message().starts_with("the batch is not OTLP: "), "{why}");
    assert_eq!(backend.stats().unwrap().items_rejected, 5);
}

#[test]
fn spans_without_valid_ids_are_rejected_and_the_others_exported() {
    let backend = adapted("malformed");
    let mut request = ExportTraceServiceRequest::decode(
        &encode(&[(&resource("a"), &[bare_span(1), bare_span(2), bare_span(3), bare_span(4)])])[..],
    )
    .unwrap();
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[0].trace_id.pop();
    spans[1].span_id = vec![0; 8];
    spans[2].trace_id.clear();
    let why = backend.export(&batch(1, 4, &request.encode_to_vec()), AMPLE).unwrap_err();
    assert_eq!((why.kind(), why.rejected_items()), (ErrorKind::Partial, 3));
    assert_eq!(drawn("malformed"), ["a: 4"]);
    let stats = backend.stats().unwrap();
    assert_eq!((stats.items_sent, stats.items_rejected, stats.batches_sent, stats.batches_failed), (1, 3, 1, 0));
}

#[test]
fn a_configuration_no_exporter_can_be_made_of_is_refused_at_creation() {
    let result = Adapted::<Recorder>::create(&CreateArgs::detached("b", "impossible"));
    let why = result.err().unwrap();
    assert_eq!((why.kind(), why.pointer(), why.message()), (ErrorKind::Config, "/endpoint", "no such place"));
}

#[test]
fn errors_of_the_sdk_keep_their_meaning() {
    let kinds: Vec<ErrorKind> = [
        OTelSdkError::AlreadyShutdown,
        OTelSdkError::Timeout(AMPLE),
        OTelSdkError::InternalFailure("connection refused".into()),
    ]
    .iter()
    .map(|why| Recorder::classify(why).kind())
    .collect();
    assert_eq!(kinds, [ErrorKind::Shutdown, ErrorKind::Timeout, ErrorKind::Retryable]);
}

#[test]
fn a_panic_in_an_exporter_stops_at_the_plugins_boundary() {
    static PLUGIN: tracer_plugin = plugin_table::<Adapted<Recorder>>();
    let body = encode(&[(&resource("panics"), &[bare_span(1)])]);
    let batch = tracer_batch::first_try(TRACER_SIGNAL_TRACES, &body, 1, 1);
    let args = tracer_create_args {
        struct_size: size_of::<tracer_create_args>() as u32,
        max_concurrency: 1,
        host: ptr::null(),
        backend_name: tracer_str::new("b"),
        config_json: tracer_str::new("panics"),
        timeout_ms: 1000,
        reserved: 0,
    };
    let (mut instance, mut error) = (ptr::null_mut(), tracer_error::new());
    // SAFETY: the header's order of calls, with structs of ours that outlive each.
    unsafe {
        assert_eq!(PLUGIN.create.unwrap()(&args, &mut instance, &mut error), TRACER_OK);
        for _ in 0..2 {
            assert_eq!(PLUGIN.export_batch.unwrap()(instance, &batch, 1000, &mut error), TRACER_ERR_PANIC);
        }
        PLUGIN.destroy.unwrap()(instance);
    }
    let message = error.message.split(|byte| *byte == 0).next().unwrap();
    assert_eq!(message, b"an earlier call panicked: of an exporter");
}

#[test]
fn flush_and_shutdown_reach_every_exporter_and_report_the_first_error() {
    let backend = adapted("shut down");
    export(&backend, 1, &[(&resource("a"), &[bare_span(1)]), (&resource("refuses"), &[bare_span(2)])]).unwrap();
    assert_eq!(backend.flush(AMPLE).unwrap_err().message(), "cannot flush");
    assert_eq!(backend.shutdown(AMPLE).unwrap_err().message(), "cannot shut down");
    assert_eq!(drawn("shut down"), ["a: 1 (shut down)", "refuses: 2 (shut down)"]);
}

/// An exporter that writes down what it gets, under the text of its configuration, and does what its resource says.
#[derive(Debug)]
struct Recorder {
    config: String,
    place: usize,
    service: String,
}

#[derive(Clone, Default)]
struct Seen {
    resource: Option<Resource>,
    spans: Vec<SpanData>,
    failures: u32,
    shut_down: bool,
}

static SEEN: LazyLock<Mutex<HashMap<String, Vec<Seen>>>> = LazyLock::new(Mutex::default);

impl ExporterBackend for Recorder {
    const TYPE_NAME: &'static str = "recorder";
    const VERSION: &'static str = "1.0.0";
    const CONFIG_SCHEMA: &'static str = "{}";
    const MAX_RESOURCES: usize = 2;
    type Exporter = Self;

    fn exporter(args: &ExporterArgs<'_>) -> Result<Self, BackendError> {
        let config_json = args.config_json;
        args.host.log(LogLevel::Info, "recorder", args.backend_name);
        if config_json == "impossible" {
            return Err(BackendError::config("/endpoint", "no such place"));
        }
        let mut seen = SEEN.lock().unwrap();
        let places = seen.entry(config_json.to_owned()).or_default();
        places.push(Seen::default());
        Ok(Self { config: config_json.to_owned(), place: places.len() - 1, service: String::new() })
    }
}

impl Recorder {
    fn note<R>(&self, note: impl FnOnce(&mut Seen) -> R) -> R {
        note(&mut SEEN.lock().unwrap().get_mut(&self.config).unwrap()[self.place])
    }
}

impl SpanExporter for Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        match self.service.as_str() {
            "never" => std::future::pending().await,
            "panics" => panic!("of an exporter"),
            "fails late" => {
                SleepElsewhere::default().await;
                return Err(OTelSdkError::InternalFailure("the broker said no".into()));
            }
            "is shut down" => return Err(OTelSdkError::AlreadyShutdown),
            "slow" => SleepElsewhere::default().await,
            "fails twice" if self.note(|seen| seen.failures) < 2 => {
                self.note(|seen| seen.failures += 1);
                return Err(OTelSdkError::InternalFailure("not yet".into()));
            }
            _ => {}
        }
        self.note(|seen| seen.spans.extend(batch));
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        if self.service == "refuses" { Err(OTelSdkError::InternalFailure("cannot flush".into())) } else { Ok(()) }
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.note(|seen| seen.shut_down = true);
        if self.service == "refuses" { Err(OTelSdkError::InternalFailure("cannot shut down".into())) } else { Ok(()) }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.service = service_of(resource);
        self.note(|seen| seen.resource = Some(resource.clone()));
    }
}

/// Ready once a thread of its own has woken it.
#[derive(Default)]
struct SleepElsewhere {
    started: bool,
}

impl Future for SleepElsewhere {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if std::mem::replace(&mut self.started, true) {
            return std::task::Poll::Ready(());
        }
        let waker = context.waker().clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        std::task::Poll::Pending
    }
}

fn adapted(test: &str) -> Adapted<Recorder> {
    Adapted::create(&CreateArgs::detached("b", test)).unwrap()
}

fn export(backend: &impl Backend, batch_id: u64, parts: &[(&Resource, &[SpanData])]) -> Result<(), BackendError> {
    let spans = parts.iter().map(|(_, spans)| spans.len() as u32).sum();
    backend.export(&batch(batch_id, spans, &encode(parts)), AMPLE)
}

fn batch(batch_id: u64, item_count: u32, body: &[u8]) -> Batch<'_> {
    Batch::first_try(Signal::Traces, body, item_count, batch_id)
}

/// What an OTLP exporter of the SDK would send.
fn encode(parts: &[(&Resource, &[SpanData])]) -> Vec<u8> {
    let resource_spans = parts
        .iter()
        .flat_map(|(resource, spans)| {
            group_spans_by_resource_and_scope(spans.to_vec(), &ResourceAttributesWithSchema::from(*resource))
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn seen(test: &str) -> Vec<Seen> {
    SEEN.lock().unwrap()[test].clone()
}

/// One line an exporter, in the order they were made: its service, the span ids it got, how it ended.
fn drawn(test: &str) -> Vec<String> {
    let line = |seen: &Seen| {
        let mut line = format!("{}:", seen.resource.as_ref().map_or("(none)".to_owned(), service_of));
        for span in &seen.spans {
            line += &format!(" {}", u64::from_be_bytes(span.span_context.span_id().to_bytes()));
        }
        line + if seen.shut_down { " (shut down)" } else { "" }
    };
    seen(test).iter().map(line).collect()
}

fn service_of(resource: &Resource) -> String {
    resource.iter().find(|(key, _)| key.as_str() == "service.name").unwrap().1.to_string()
}

fn resource(service: &'static str) -> Resource {
    Resource::builder_empty().with_attribute(KeyValue::new("service.name", service)).build()
}

fn bare_span(id: u64) -> SpanData {
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(1),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "bare".into(),
        start_time: at(1),
        end_time: at(2),
        attributes: vec![],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("s").build(),
    }
}

/// A span that uses all there is.
fn full_span() -> SpanData {
    let state = TraceState::from_key_value([("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE")]).unwrap();
    let mut events = SpanEvents::default();
    events.events = vec![
        Event::new("first", at(3), vec![KeyValue::new("n", 1)], 4),
        Event::new("", SystemTime::UNIX_EPOCH, vec![], 0),
    ];
    events.dropped_count = 5;
    let mut links = SpanLinks::default();
    let linked = |is_remote, flags| {
        SpanContext::new(TraceId::from(77), SpanId::from(78), TraceFlags::new(flags), is_remote, state.clone())
    };
    links.links = vec![
        Link::new(linked(true, 1), vec![KeyValue::new("why", "batch")], 6),
        Link::new(linked(false, 0), vec![], 0),
    ];
    links.dropped_count = 7;
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(u128::MAX - 1),
            SpanId::from(u64::MAX - 2),
            TraceFlags::new(0x03),
            false,
            state.clone(),
        ),
        parent_span_id: SpanId::from(99),
        parent_span_is_remote: true,
        span_kind: SpanKind::Producer,
        name: "send orders é".into(),
        start_time: at(1_700_000_000_123_456_789),
        end_time: at(1_700_000_000_123_456_790),
        attributes: vec![
            KeyValue::new("text", "é\0\n"),
            KeyValue::new("empty", ""),
            KeyValue::new("yes", true),
            KeyValue::new("least", i64::MIN),
            KeyValue::new("pi", 3.25),
            KeyValue::new("texts", Value::Array(Array::String(vec!["a".into(), "".into()]))),
            KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
            KeyValue::new("integers", Value::Array(Array::I64(vec![0, -1]))),
            KeyValue::new("doubles", Value::Array(Array::F64(vec![0.5, f64::MAX]))),
            KeyValue::new("twice", 1),
            KeyValue::new("twice", 2),
        ],
        dropped_attributes_count: 3,
        events,
        links,
        status: Status::error("broker: message too large"),
        instrumentation_scope: InstrumentationScope::builder("tracer-resolver")
            .with_version("0.1.0")
            .with_schema_url("https://example.com/schema")
            .with_attributes([KeyValue::new("language", "rust")])
            .build(),
    }
}

fn at(unix_nano: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_nano)
}
