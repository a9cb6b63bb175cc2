//! Promise: without a file the `OTEL_*` variables configure one service for everything; with nothing, tracing is off and
//! says so once; and a program asks for its resolver only once, from any thread.

use std::process::Command;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord};
use tracer_resolver::Resolver;
use tracer_resolver_rdkafka::instrument;
use words::kafka::{Kafka, assign, header_of, next_message};
use words::receivers::{JaegerReceiver, OtlpReceiver, ZipkinReceiver};
use words::{LIMIT, LogLines, child, draw_traces, is_child, send};

/// What the child does: the one line of the README, one message out and in, and what it sees of it on stdout.
#[test]
fn program() {
    if !is_child() {
        return;
    }
    let kafka = Kafka::start(&["orders", "__internal"]);
    let mut config = kafka.config();
    instrument(&mut config).unwrap();
    let producer: BaseProducer = config.create().unwrap();
    send(&producer, BaseRecord::to("orders").key("k").payload("p"));
    let mut config = kafka.consumer_config("g");
    instrument(&mut config).unwrap();
    let message = next_message(&assign(&config, "orders"));
    println!("on={}", Resolver::global().unwrap().is_on());
    for name in ["traceparent", "b3"] {
        println!("{name}={}", header_of(&message, name).unwrap_or_default());
    }
    // And it ends: what it has in hand is exported at its exit.
}

/// Runs the program with these variables; its stdout, and its stderr.
fn run(variables: &[(&str, &str)]) -> (String, String) {
    finished(child("program").envs(variables.iter().copied()))
}

fn finished(command: &mut Command) -> (String, String) {
    let ended = words::run(command);
    ended.expect_success();
    (ended.stdout, ended.stderr)
}

#[test]
fn a_service_name_and_an_endpoint_are_enough() {
    let collector = OtlpReceiver::start().unwrap();
    let (stdout, _) = run(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    let spans = collector.wait_for(2, LIMIT);
    assert_eq!(draw_traces(&spans), "shop: send orders\n  shop: receive orders\n");
    assert!(stdout.contains("on=true"), "{stdout}");
}

#[test]
fn resource_attributes_and_the_endpoint_for_traces_alone_are_taken() {
    let collector = OtlpReceiver::start().unwrap();
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    run(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-attributes,deployment.environment.name=te%20st"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
    ]);
    let spans = collector.wait_for(2, LIMIT);
    assert_eq!(draw_traces(&spans), "from-attributes: send orders\n  from-attributes: receive orders\n");
    assert_eq!(spans[0].resource["deployment.environment.name"], "te st");
}

#[test]
fn the_exporter_can_be_any_of_the_backends_or_several() {
    let (zipkin, jaeger) = (ZipkinReceiver::start().unwrap(), JaegerReceiver::start().unwrap());
    run(&[
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_TRACES_EXPORTER", "zipkin,jaeger"),
        ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", &zipkin.endpoint()),
        ("OTEL_EXPORTER_JAEGER_ENDPOINT", &jaeger.collector_endpoint()),
    ]);
    let expected = "shop: send orders\n  shop: receive orders\n";
    assert_eq!(draw_traces(&zipkin.wait_for(2, LIMIT)), expected);
    assert_eq!(draw_traces(&jaeger.wait_for(2, LIMIT)), expected);
}

#[test]
fn on_the_console_each_span_is_a_line_and_stdout_stays_the_applications() {
    for name in ["console", "logging"] {
        let (stdout, stderr) = run(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_EXPORTER", name)]);
        let spans: Vec<_> = stderr.lines().filter(|line| line.contains(" ms ")).collect();
        assert_eq!(spans.len(), 2, "{stderr}");
        assert!(spans[0].contains(" shop           send orders "), "{stderr}");
        assert!(spans.iter().all(|line| line.contains(" messaging.kafka.offset=0")), "{stderr}");
        assert!(spans.iter().all(|line| line.len() < 200), "{stderr}");
        assert!(stdout.contains("on=true") && !stdout.contains("send orders"), "{stdout}");
    }
}

#[test]
fn without_an_exporter_the_context_passes_on_and_no_span_is_made() {
    let (stdout, _) = run(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_EXPORTER", "none")]);
    assert!(stdout.contains("on=true") && stdout.contains("traceparent=\n"), "nothing began a trace: {stdout}");
}

#[test]
fn sampler_and_propagators_are_taken() {
    let collector = OtlpReceiver::start().unwrap();
    let endpoint = collector.endpoint();
    let variables = |sampler, argument| {
        [
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
            ("OTEL_PROPAGATORS", "b3"),
        ]
    };
    let (stdout, _) = run(&variables("parentbased_always_off", ""));
    let b3 = |stdout: &str| stdout.lines().find_map(|line| line.strip_prefix("b3=").map(str::to_owned)).unwrap();
    assert!(b3(&stdout).ends_with("-0") && stdout.contains("traceparent=\n"), "{stdout}");
    let (stdout, _) = run(&variables("traceidratio", "1.0"));
    assert!(b3(&stdout).ends_with("-1"), "{stdout}");
    assert_eq!(collector.wait_for(2, LIMIT).len(), 2, "only those of the second run");
}

#[test]
fn with_nothing_configured_the_program_runs_untraced_and_nothing_is_said_at_the_level_of_a_warning() {
    let (stdout, stderr) = run(&[]);
    assert!(stdout.contains("on=false") && stdout.contains("traceparent=\n"), "{stdout}");
    assert!(!stderr.contains("tracer-resolver"), "{stderr}");
}

#[test]
fn it_can_be_switched_off_by_the_new_variable_and_by_the_old_one() {
    // T11, R8: the original's own switch crashed the clients.
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("INTERCEPTORS_DISABLED", "true"),
        ("TRACERRESOLVER_DISABLED", "1"),
        ("TRACERRESOLVER_DISABLED", "TRUE"),
    ] {
        let (stdout, _) = run(&[("OTEL_SERVICE_NAME", "shop"), (name, value)]);
        assert!(stdout.contains("on=false") && stdout.contains("traceparent=\n"), "{name}: {stdout}");
    }
}

/// What a program has that names its file itself.
#[test]
fn named_in_code() {
    if is_child() {
        println!("on={}", Resolver::from_file(std::env::var_os("FILE").unwrap()).unwrap().is_on());
    }
}

#[test]
fn whoever_runs_a_program_turns_off_the_file_that_it_names_itself() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text =
        "version = 1\ndefault_service = \"shop\"\n[services.shop]\nexport = [\"b\"]\n[backends.b]\nplugin = \"otlp\"\n";
    std::fs::write(&file, text).unwrap();
    for (value, on) in [("0", "on=true"), ("1", "on=false")] {
        let mut program = child("named_in_code");
        let (stdout, _) = finished(program.env("FILE", file.path()).env("INTERCEPTORS_DISABLED", value));
        assert!(stdout.contains(on), "{value}: {stdout}");
    }
}

#[test]
fn a_collector_that_is_not_there_costs_the_program_nothing_but_the_spans() {
    let started = std::time::Instant::now();
    let (stdout, stderr) = run(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    assert!(stdout.contains("on=true"), "{stdout}");
    assert!(stderr.contains("tracer-resolver"), "and it is told: {stderr}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// What ten threads of one process get when they ask at the same time, and what is logged of it.
#[test]
fn ten_threads() {
    if !is_child() {
        return;
    }
    let log = LogLines::start();
    let ids: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(|| Resolver::global().unwrap().id())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]) && ids[0] > 0, "{ids:?}");
    // It is told when its plugins have started, on a thread of theirs.
    let told = || log.with(log::Level::Info, "tracing 1 service (shop)").len();
    let began = std::time::Instant::now();
    while told() == 0 && began.elapsed() < std::time::Duration::from_secs(20) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(told(), 1, "built once, told once");
    println!("all ten got the same");
}

#[test]
fn ten_threads_that_ask_at_once_get_the_one_resolver() {
    // G: ten concurrent registrations, exactly one wins; and P2's race.
    let mut command = child("ten_threads");
    let (stdout, _) = finished(command.env("OTEL_SERVICE_NAME", "shop"));
    assert!(stdout.contains("all ten got the same"), "{stdout}");
}

/// Says what is logged when nothing is configured.
#[test]
fn quiet() {
    if !is_child() {
        return;
    }
    let log = LogLines::start();
    assert!(!Resolver::global().unwrap().is_on());
    assert_eq!(log.with(log::Level::Info, "nothing configures it").len(), 1);
    assert_eq!(log.with(log::Level::Warn, "").len() + log.with(log::Level::Error, "").len(), 0);
    println!("one line of INFO");
}

#[test]
fn with_nothing_configured_one_line_of_info_says_so() {
    let (stdout, _) = finished(&mut child("quiet"));
    assert!(stdout.contains("one line of INFO"), "{stdout}");
}
