//! Promise: where the file asks for metrics they leave beside the spans, to every backend that takes them, to Prometheus and
//! into a file, also when the process ends; where it does not, nothing is collected and no port is open.
//!
//! Without `leaving` in `resolver/src/batch/batch_thread.rs` the process that ends has sent none. Without `destinations`
//! there, one that never met a message has sent none either.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::metrics_messages::{Data, ExportMetricsServiceRequest};
use words::receivers::OtlpReceiver;
use words::{LIMIT, Traced, child, run};

/// `self = "on"`, and one service.
fn measured(more: &str) -> String {
    format!("default_service = \"app\"\n[metrics]\nself = \"on\"\n{more}\n[services.app]\n")
}

fn send(traced: &Traced, count: usize) {
    let producer = traced.producer();
    send_by(&producer, count);
}

fn send_by(producer: &BaseProducer, count: usize) {
    for _ in 0..count {
        producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

/// Every collection that came, oldest first.
fn collections(collector: &OtlpReceiver) -> Vec<ExportMetricsServiceRequest> {
    let requests = collector.server().requests();
    let metrics = requests.iter().filter(|request| request.path == "/v1/metrics");
    metrics.map(|request| ExportMetricsServiceRequest::decode(request.body.as_slice()).unwrap()).collect()
}

fn text(attributes: &[KeyValue]) -> String {
    let pair = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => format!("{}={text}", pair.key),
        other => format!("{}={other:?}", pair.key),
    };
    attributes.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// The whole numbers of a collection: `service metric attributes` and value.
fn numbers(collection: &ExportMetricsServiceRequest) -> BTreeMap<String, i64> {
    let mut numbers = BTreeMap::new();
    for of in &collection.resource_metrics {
        let resource = &of.resource.as_ref().unwrap().attributes;
        let service =
            resource.iter().find(|pair| pair.key == "service.name").map(|pair| text(std::slice::from_ref(pair)));
        for metric in of.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let points = match metric.data.as_ref().unwrap() {
                Data::Sum(numbers) | Data::Gauge(numbers) => &numbers.data_points,
                Data::Histogram(_) => continue,
            };
            for point in points {
                let value = point.as_int.unwrap();
                let key = format!("{} {} {}", service.as_deref().unwrap(), metric.name, text(&point.attributes));
                assert_eq!(numbers.insert(key.clone(), value), None, "twice: {key}");
            }
        }
    }
    numbers
}

#[test]
fn the_library_tells_how_it_is_beside_the_spans() {
    let traced = Traced::start(&["orders"], &measured(""));
    send(&traced, 3);
    assert!(traced.resolver().flush(LIMIT));
    send(&traced, 2);
    assert!(traced.resolver().flush(LIMIT));
    let collections = collections(&traced.collector);
    let last = numbers(collections.last().unwrap());
    let exporter = "otel.component.name=otlp otel.component.type=otlp_http_span_exporter";
    for (name, value) in [
        ("otel.sdk.span.started otel.span.sampling_result=RECORD_AND_SAMPLE".to_owned(), 5),
        ("otel.sdk.span.started otel.span.sampling_result=DROP".to_owned(), 0),
        ("otel.sdk.span.live otel.span.sampling_result=RECORD_AND_SAMPLE".to_owned(), 0),
        ("tracer_resolver.backend.state otel.component.name=otlp tracer_resolver.backend.state=healthy".to_owned(), 1),
    ] {
        assert_eq!(last.get(&format!("service.name=app {name}")), Some(&value), "{name} {last:#?}");
    }
    // At the second collection the spans of the first had arrived, and the data points of the first collection too.
    let exported = last.get(&format!("service.name=app otel.sdk.exporter.span.exported {exporter}")).unwrap();
    assert!((3..=5).contains(exported), "{last:#?}");
    let points = "service.name=app otel.sdk.exporter.metric_data_point.exported otel.component.name=otlp \
                  otel.component.type=otlp_http_metric_exporter";
    assert_eq!(last.get(points), Some(&i64::try_from(points_of(&collections[0])).unwrap()), "{last:#?}");
    let stats = traced.resolver().stats();
    let sent: usize = collections.iter().map(points_of).sum();
    assert_eq!(stats.backends[0].data_points.exported, sent as u64);
    assert_eq!(traced.spans().len(), 5, "and the spans came as ever");
    let durations: Vec<_> = collections[1]
        .resource_metrics
        .iter()
        .flat_map(|of| &of.scope_metrics[0].metrics)
        .filter(|metric| metric.name == "otel.sdk.exporter.operation.duration")
        .collect();
    let Some(Data::Histogram(histogram)) = &durations[0].data else { panic!("{durations:?}") };
    assert!(histogram.data_points.iter().all(|point| point.count >= 1 && point.explicit_bounds.len() == 14));
}

fn points_of(collection: &ExportMetricsServiceRequest) -> usize {
    let metrics =
        collection.resource_metrics.iter().flat_map(|of| of.scope_metrics.iter().flat_map(|scope| &scope.metrics));
    metrics
        .map(|metric| match metric.data.as_ref().unwrap() {
            Data::Sum(numbers) | Data::Gauge(numbers) => numbers.data_points.len(),
            Data::Histogram(histogram) => histogram.data_points.len(),
        })
        .sum()
}

#[test]
fn what_a_service_measures_of_its_messages_leaves_by_every_way_with_the_ids_of_its_spans() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.prom");
    let two = format!(
        "[metrics]\ntextfile = \"{}\"\n[services.shop]\nproduces = [\"orders\"]\nmeasure = \"on\"\n[services.billing]\n\
         produces = [\"bills\"]\n",
        file.display()
    );
    let traced = Traced::start(&["orders"], &two);
    send(&traced, 4);
    assert!(traced.resolver().flush(LIMIT));
    let collections = collections(&traced.collector);
    let numbers = numbers(collections.last().unwrap());
    assert!(numbers.keys().all(|key| key.starts_with("service.name=shop messaging.")), "{numbers:#?}");
    let sent: i64 = numbers.iter().filter(|(key, _)| key.contains(".sent.messages ")).map(|(_, count)| count).sum();
    assert_eq!(sent, 4, "{numbers:#?}");

    let ids: Vec<_> = traced.spans().into_iter().map(|span| (span.trace_id, span.span_id)).collect();
    let exemplars = exemplars(&collections);
    assert!(!exemplars.is_empty() && exemplars.iter().all(|ids_of_one| ids.contains(ids_of_one)), "{exemplars:?}");

    let written = std::fs::read_to_string(&file).unwrap();
    let line = written.lines().find(|line| line.starts_with("messaging_client_sent_messages_total{")).unwrap();
    assert!(line.contains("service_name=\"shop\"") && line.ends_with("} 4"), "{line}");
}

/// The trace and the span of every exemplar that came.
fn exemplars(collections: &[ExportMetricsServiceRequest]) -> Vec<(String, String)> {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    collections
        .iter()
        .flat_map(|collection| &collection.resource_metrics)
        .flat_map(|of| of.scope_metrics.iter().flat_map(|scope| &scope.metrics))
        .filter_map(|metric| match metric.data.as_ref().unwrap() {
            Data::Histogram(histogram) => Some(&histogram.data_points),
            _ => None,
        })
        .flatten()
        .flat_map(|point| &point.exemplars)
        .map(|exemplar| (hex(&exemplar.trace_id), hex(&exemplar.span_id)))
        .collect()
}

#[test]
fn every_backend_has_each_exemplar_once_whoever_else_reads_the_metrics() {
    let (other, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let two_backends = format!(
        "[services.shop]\nproduces = [\"orders\"]\nexport = [\"otlp\", \"other\"]\nmeasure = \"on\"\n\
         [metrics]\ntextfile = \"{}\"\n[backends.other]\nplugin = \"otlp\"\nconfig = {{ endpoint = \"{}\" }}\n",
        folder.path().join("metrics.prom").display(),
        other.endpoint()
    );
    let traced = Traced::start(&["orders"], &two_backends);
    let mut sent = Vec::new();
    for _ in 0..2 {
        send(&traced, 1);
        let of_the_program = |resolver: &tracer_resolver::Resolver| {
            let measured = resolver.measurements();
            let found: Vec<_> = measured.iter().flat_map(|one| one.exemplars.iter()).cloned().collect();
            found.into_iter().map(|one| (one.trace_id, one.span_id)).collect::<Vec<_>>()
        };
        // One before the backends, one after them.
        let before = of_the_program(traced.resolver());
        assert!(traced.resolver().flush(LIMIT) && traced.resolver().flush(LIMIT));
        assert_eq!(before, of_the_program(traced.resolver()));
        sent = traced.spans().into_iter().map(|span| (span.trace_id, span.span_id)).collect();
        assert!(before.contains(sent.last().unwrap()), "{before:?} {sent:?}");
        for collector in [&traced.collector, &other] {
            assert_eq!(exemplars(&collections(collector)), sent);
        }
    }
    assert_eq!(sent.len(), 2);
}

#[test]
fn each_service_is_a_resource_of_its_own_and_the_process_another() {
    let two = "[metrics]\nself = \"on\"\n[services.shop]\nproduces = [\"orders\"]\n[services.billing]\nproduces = [\"bills\"]\n";
    let traced = Traced::start(&["orders"], two);
    send(&traced, 4);
    assert!(traced.resolver().flush(LIMIT));
    let numbers = numbers(collections(&traced.collector).last().unwrap());
    let started = "otel.sdk.span.started otel.span.sampling_result=RECORD_AND_SAMPLE";
    assert_eq!(numbers.get(&format!("service.name=shop {started}")), Some(&4));
    assert_eq!(numbers.get(&format!("service.name=billing {started}")), Some(&0));
    assert!(
        numbers.contains_key("service.name=tracer-resolver tracer_resolver.backend.retries otel.component.name=otlp")
    );
}

#[test]
fn they_leave_at_the_interval_by_themselves() {
    let traced = Traced::start(&["orders"], &measured("interval = \"1s\""));
    send(&traced, 1);
    let until = Instant::now() + LIMIT;
    while collections(&traced.collector).len() < 2 {
        assert!(Instant::now() < until, "{} came", collections(&traced.collector).len());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_process_that_ends_sends_a_last_collection() {
    if let Some(resolver) = child::resolver() {
        let producer: BaseProducer = words::traced_by(&resolver, child::kafka()).create().unwrap();
        send_by(&producer, 2);
        std::process::exit(0);
    }
    let traced = Traced::start(&["orders"], &measured("interval = \"1h\""));
    run(&mut traced.again("a_process_that_ends_sends_a_last_collection")).expect_success();
    let collections = collections(&traced.collector);
    let last = numbers(collections.last().expect("no collection came"));
    let started = "service.name=app otel.sdk.span.started otel.span.sampling_result=RECORD_AND_SAMPLE";
    assert_eq!(last.get(started), Some(&2));
    assert_eq!(traced.spans().len(), 2);
}

#[test]
fn a_process_that_met_no_message_tells_that_too() {
    if let Some(resolver) = child::resolver() {
        let producer: BaseProducer = words::traced_by(&resolver, child::kafka()).create().unwrap();
        drop(producer);
        std::process::exit(0);
    }
    let traced = Traced::start(&[], &measured("interval = \"1h\""));
    run(&mut traced.again("a_process_that_met_no_message_tells_that_too")).expect_success();
    let last = numbers(collections(&traced.collector).last().expect("no collection came"));
    assert_eq!(last["service.name=app otel.sdk.span.started otel.span.sampling_result=RECORD_AND_SAMPLE"], 0);
}

#[test]
fn metrics_that_nobody_sees_are_told_of_once_and_not_where_the_program_reads_them() {
    const READS: &str = "THE_PROGRAM_READS_THEM";
    if let Some(resolver) = child::resolver() {
        if std::env::var_os(READS).is_some() {
            let _ = resolver.measurements();
        }
        assert!(resolver.flush(LIMIT) && resolver.shutdown(LIMIT));
        std::process::exit(0);
    }
    let traced = Traced::start(&[], &measured("export = []"));
    for (reads, told) in [(false, 1), (true, 0)] {
        let mut child = traced.again("metrics_that_nobody_sees_are_told_of_once_and_not_where_the_program_reads_them");
        if reads {
            child.env(READS, "1");
        }
        let ended = run(&mut child);
        ended.expect_success();
        let lines = ended.stderr.lines().filter(|line| line.contains("metrics are on, and leave nowhere"));
        assert_eq!(lines.count(), told, "{}", ended.stderr);
    }
}

#[test]
fn a_shutdown_sends_a_last_collection_loses_none_and_closes_the_port() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let traced = Traced::start(&["orders"], &measured(&format!("prometheus = \"127.0.0.1:{port}\"")));
    send(&traced, 2);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(traced.resolver().shutdown(LIMIT));
    let last = numbers(collections(&traced.collector).last().unwrap());
    assert_eq!(last["service.name=app otel.sdk.span.started otel.span.sampling_result=RECORD_AND_SAMPLE"], 2);
    let sent = collections(&traced.collector).len();
    let until = Instant::now() + LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < until, "the port is still open");
        std::thread::sleep(Duration::from_millis(10));
    }
    traced.resolver().flush(LIMIT);
    let points = &traced.resolver().stats().backends[0].data_points;
    assert_eq!((points.offered, points.dropped.as_slice()), (points.exported, &[][..]));
    assert_eq!(collections(&traced.collector).len(), sent);
}

#[test]
fn prometheus_asks_at_the_port_and_finds_the_same_in_the_file() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app-{pid}.prom");
    let traced = Traced::start(
        &["orders"],
        &measured(&format!("prometheus = \"127.0.0.1:{port}\"\ntextfile = \"{}\"\nexport = []", file.display())),
    );
    send(&traced, 7);
    assert!(traced.resolver().flush(LIMIT));
    let answer = scrape(port).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let written = folder.path().join(format!("app-{}.prom", std::process::id()));
    let written = std::fs::read_to_string(written).unwrap();
    for text in [answer, written] {
        let started: Vec<_> = text.lines().filter(|line| line.starts_with("otel_sdk_span_started_total{")).collect();
        assert!(
            started.iter().any(|line| line.contains("RECORD_AND_SAMPLE") && line.ends_with("\"app\"} 7")),
            "{text}"
        );
        assert!(text.contains("# TYPE otel_sdk_exporter_operation_duration_seconds histogram"), "{text}");
    }
    assert_eq!(collections(&traced.collector).len(), 0, "`export = []`: no backend gets them");
    traced.resolver().shutdown(LIMIT);
}

/// The answer at the port; an error where nobody listens.
fn scrape(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Without the looks of `OwnDescriptor` in `resolver/src/metric_readers/port.rs` the port is closed from then on, and a connection
/// that was in service closes the program's socket.
#[test]
fn a_program_that_closes_the_port_s_sockets_keeps_those_that_it_opens_and_the_port_is_opened_again() {
    let name = "a_program_that_closes_the_port_s_sockets_keeps_those_that_it_opens_and_the_port_is_opened_again";
    if !words::is_child() {
        return run(&mut child(name)).expect_success();
    }
    // Those of the test's Kafka that the child was begun with.
    drop(child::take_over_sockets());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = measured(&format!("prometheus = \"127.0.0.1:{port}\"\nexport = []"));
    let resolver = words::load(format!("version = 1\n{file}"));
    let until = Instant::now() + LIMIT;
    let wait_until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    for in_service in [0, 1] {
        wait_until(&|| scrape(port).is_ok());
        // The connection is closed when it was answered.
        wait_until(&|| sockets() == 1);
        let asks = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET /met' >&3; cat");
        let mut asker = Command::new("bash");
        asker.args(["-c", if in_service == 1 { &asks } else { "cat" }]);
        let mut asker = asker.stdin(Stdio::piped()).spawn().unwrap();
        wait_until(&|| sockets() == 1 + in_service && waits("tr-prometheus"));
        let programs = child::take_over_sockets();
        assert_eq!(programs.len(), 1 + in_service);
        drop(asker.stdin.take());
        asker.wait().unwrap();
        // The first may be heard by the thread that still waits at the socket of before.
        for _ in 0..2 {
            wait_until(&|| scrape(port).is_ok());
        }
        programs.into_iter().for_each(child::ProgramsSocket::assert_untouched);
    }
    resolver.shutdown(LIMIT);
}

/// How many sockets this process has open.
fn sockets() -> usize {
    let open =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    open.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
}

/// Whether the thread of this name waits for something.
fn waits(name: &str) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
        .any(|stat| stat.contains(&format!("({name}) S")))
}

/// Whether Prometheus's own tool is content; `None`: it is not there, which is said.
fn promtool_is_content(text: &str) -> Option<bool> {
    let child = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: there is no promtool (Debian: prometheus)");
        return None;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait().unwrap().success())
}

#[test]
fn the_files_of_two_processes_of_one_service_have_no_sample_in_common_and_prometheus_s_own_tool_is_content() {
    const TEST: &str =
        "the_files_of_two_processes_of_one_service_have_no_sample_in_common_and_prometheus_s_own_tool_is_content";
    if let Some(resolver) = child::resolver() {
        let producer: BaseProducer = words::traced_by(&resolver, child::kafka()).create().unwrap();
        send_by(&producer, 2);
        std::process::exit(0);
    }
    let folder = tempfile::tempdir().unwrap();
    // What tells processes apart by itself is set to one text for all.
    let file = format!(
        "default_service = \"app\"\n[metrics]\nself = \"on\"\ntextfile = \"{}/app-{{pid}}.prom\"\n[services.app]\n\
         measure = \"on\"\nresource = {{ \"service.instance.id\" = \"one\", \"process.pid\" = \"7\" }}\n",
        folder.path().display()
    );
    let traced = Traced::start(&["orders"], &file);
    for _ in 0..2 {
        run(&mut traced.again(TEST)).expect_success();
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    let texts: Vec<_> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert_eq!(texts.len(), 2);
    let samples = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<BTreeSet<_>>()
    };
    let (one, other) = (samples(&texts[0]), samples(&texts[1]));
    assert!(one.len() > 20 && one.iter().any(|line| line.starts_with("messaging_client_sent_messages_total{")));
    assert_eq!(one.intersection(&other).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(texts.iter().all(|text| promtool_is_content(text) != Some(false)));
}

#[test]
fn where_nothing_is_measured_nothing_leaves_and_no_port_is_open() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let off = format!(
        "default_service = \"app\"\n[metrics]\ninterval = \"1s\"\nprometheus = \"127.0.0.1:{port}\"\ntextfile = \"{}\"\n\
         [services.app]\n",
        folder.path().join("app.prom").display()
    );
    let traced = Traced::start(&["orders"], &off);
    send(&traced, 1);
    assert!(traced.resolver().flush(LIMIT));
    assert_eq!(traced.spans().len(), 1);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(collections(&traced.collector).len(), 0);
}

const PAGE: &str = include_str!("../docs/metrics.md");

/// The first block of this language behind `mark`.
fn block<'a>(mark: &str, language: &str) -> &'a str {
    let (_, behind) = PAGE.split_once(mark).unwrap();
    let (_, block) = behind.split_once(&format!("```{language}\n")).unwrap();
    block.split("```").next().unwrap()
}

#[test]
fn the_page_shows_what_really_leaves() {
    let file = words_of_the_page();
    let (config, report) = (file.config, file.report);
    assert!(report.problems.is_empty(), "{}", report.render(false));
    assert!(config.unwrap().measures());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let spool = tempfile::tempdir().unwrap();
    let shop = format!(
        "default_service = \"shop\"\n[metrics]\nself = \"on\"\nprometheus = \"127.0.0.1:{port}\"\n[services.shop]\n\
         [backends.otlp]\nspool = {:?}\n",
        spool.path()
    );
    let traced = Traced::start(&["orders"], &shop);
    send(&traced, 3);
    assert!(traced.resolver().flush(LIMIT));
    assert!(traced.resolver().flush(LIMIT));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    for line in block("<!-- prometheus -->", "text").lines() {
        let line = line.replace("\"collector\"", "\"otlp\"").replace("0.1.0", env!("CARGO_PKG_VERSION"));
        // How many exports there were depends on how fast the machine is, and the queue's bound on its memory.
        let bound = |line: &str| {
            line.rsplit_once(' ').filter(|(name, _)| name.contains("queue_limit_bytes{")).map(|of| of.0.len())
        };
        let is_there = |known: &str| {
            known == line
                || line.contains("_bucket{") && known.starts_with(line.trim_end_matches('1'))
                || bound(&line).is_some_and(|end| known.get(..end) == line.get(..end))
        };
        assert!(text.lines().any(is_there), "{line}\nis not in\n{text}");
    }
    let told: Vec<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split('`').next())
        .filter(|name| name.contains('.'))
        .collect();
    let collections = collections(&traced.collector);
    let metrics = collections.iter().flat_map(|of| &of.resource_metrics).flat_map(|of| &of.scope_metrics);
    let mut sent: Vec<&str> = metrics.flat_map(|scope| &scope.metrics).map(|metric| metric.name.as_str()).collect();
    sent.sort_unstable();
    sent.dedup();
    for name in &sent {
        assert!(told.contains(name), "{name} leaves, and the page does not tell");
    }
    for name in told {
        assert!(sent.contains(&name), "the page tells of {name}, which never left: {sent:?}");
    }
    traced.resolver().shutdown(LIMIT);
}

fn words_of_the_page() -> tracer_resolver::config::Loaded {
    let text = block("# Metrics", "toml").to_owned();
    tracer_resolver::config::load(tracer_resolver::config::Source::Text { name: "tracing.toml".into(), text })
}

#[test]
fn a_fork_counts_for_itself_from_zero() {
    if let Some(resolver) = child::resolver() {
        let producer: BaseProducer = words::traced_by(&resolver, child::kafka()).create().unwrap();
        send_by(&producer, 3);
        assert!(resolver.flush(LIMIT));
        // SAFETY: the child goes on with one thread, and only what the library lets a child do.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            let own: BaseProducer = words::traced_by(&resolver, child::kafka()).create().unwrap();
            send_by(&own, 2);
            assert!(resolver.flush(LIMIT));
            // SAFETY: ends the child at once, without the parent's handlers.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: our own child, and a place for its status.
        unsafe { libc::waitpid(forked, &mut status, 0) };
        assert_eq!(status, 0);
        std::process::exit(0);
    }
    let traced = Traced::start(&["orders"], &measured("interval = \"1h\""));
    run(&mut traced.again("a_fork_counts_for_itself_from_zero")).expect_success();
    let started = "service.name=app otel.sdk.span.started otel.span.sampling_result=RECORD_AND_SAMPLE";
    let mut by_process: BTreeMap<String, i64> = BTreeMap::new();
    for collection in collections(&traced.collector) {
        let resource = collection.resource_metrics[0].resource.as_ref().unwrap();
        let pid = resource.attributes.iter().find(|pair| pair.key == "process.pid").unwrap();
        by_process.insert(text(std::slice::from_ref(pid)), numbers(&collection)[started]);
    }
    let mut counts: Vec<_> = by_process.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
}
