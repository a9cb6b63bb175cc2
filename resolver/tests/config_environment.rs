//! Without a file, the `OTEL_*` variables are resolved; with one, they do not count.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use serde_json::json;
use tracer_resolver::config::{
    Config, Conventions, Loaded, Metrics, Origin, ParentDecision, Pattern, Propagator, Sampler, Severity, Source,
    Trace, Variables, load_with,
};

fn load(variables: &[(&str, &str)]) -> Loaded {
    load_with(Source::Process, &Variables::of(variables.iter().copied()))
}

#[track_caller]
fn config(variables: &[(&str, &str)]) -> Config {
    let loaded = load(variables);
    assert_eq!(loaded.report.problems, [], "{}", loaded.report.render(false));
    loaded.config.unwrap()
}

/// The configuration, and the codes of the problems, none of which may be an error.
#[track_caller]
fn doubtful(variables: &[(&str, &str)]) -> (Config, String) {
    let loaded = load(variables);
    assert!(!loaded.report.has_errors());
    assert!(loaded.report.problems.iter().all(|problem| problem.severity == Severity::Warning));
    let rendered = loaded.report.render(false);
    assert!(!rendered.is_empty(), "no warning");
    (loaded.config.unwrap(), rendered)
}

#[test]
fn nothing_set_is_off_with_one_note() {
    for variables in [&[][..], &[("OTEL_SERVICE_NAME", "")], &[("OTEL_BSP_SCHEDULE_DELAY", "5")]] {
        let loaded = load(variables);
        assert!(loaded.config.is_none());
        assert!(!loaded.report.has_errors());
        let [note] = &loaded.report.problems[..] else { panic!("{:?}", loaded.report.problems) };
        assert_eq!((note.severity, note.code), (Severity::Note, "C400"));
    }
}

#[test]
fn one_service_takes_every_topic_but_the_internal_ones() {
    let config = config(&[("OTEL_SERVICE_NAME", "shop")]);
    assert_eq!(config.origin, Origin::Environment);
    assert_eq!((config.services.len(), config.default_service), (1, Some(0)));
    let service = &config.services[0];
    assert_eq!(service.name, "shop");
    assert!(matches!(&service.exclude[..], [Pattern::Glob(a), Pattern::Glob(b)] if a == "__*" && b == "_confluent-*"));
    assert_eq!(service.settings.trace, Trace::Spans);
    assert_eq!((service.settings.sampler, service.settings.parent), (Sampler::AlwaysOn, ParentDecision::Respect));
    assert_eq!(*service.settings.export, [0]);
    let [backend] = &config.backends[..] else { panic!("one backend") };
    assert_eq!((backend.name.as_str(), backend.plugin.as_str()), ("otlp", "otlp"));
    assert_eq!(backend.config, json!({}));
    assert_eq!(*config.defaults.export, [0]);
}

#[test]
fn the_service_name_wins_over_the_one_of_the_resource() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-resource,team=a%2Cb,team=c%3D,x = y");
    let service = |variables: &[(&str, &str)]| config(variables).services.remove(0);
    assert_eq!(service(&[attributes]).name, "from-resource");
    let named = service(&[attributes, ("OTEL_SERVICE_NAME", "shop")]);
    assert_eq!(named.name, "shop");
    assert_eq!(named.resource, [("team".to_owned(), "c=".to_owned()), ("x".to_owned(), "y".to_owned())]);
    assert_eq!(service(&[("OTEL_TRACES_EXPORTER", "otlp")]).name, "unknown_service");
}

#[test]
fn bad_resource_attributes_are_left_out_with_a_warning() {
    let (config, text) = doubtful(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,oops,=2,b=%zz,c=%f")]);
    assert_eq!(config.services[0].resource, [("a".to_owned(), "1".to_owned())]);
    assert_eq!(text.matches("warning[C402]").count(), 4, "{text}");
}

#[test]
fn every_otlp_variable_reaches_the_plugin() {
    let config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc,x-tenant=7"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/etc/client.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/client.key"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
    ]);
    let backend = &config.backends[0];
    let expected = json!({
        "endpoint": "https://collector:4318", "timeout": 2500, "compression": "gzip",
        "headers": { "authorization": "Bearer abc", "x-tenant": "7" },
        "tls": { "ca_file": "/etc/ca.pem", "cert_file": "/etc/client.pem", "key_file": "/etc/client.key" },
    });
    assert_eq!(backend.config, expected);
    assert_eq!(backend.timeout, Duration::from_millis(2500));
    assert_eq!(config.batch.delay, Duration::from_secs(5));
    assert!(backend.config_secrets.contains(&"/headers/authorization".to_owned()));
}

#[test]
fn the_variables_for_traces_win_and_their_endpoint_is_used_as_it_stands() {
    let config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/ingest"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=all"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=traces"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2"),
    ]);
    let expected =
        json!({ "traces_endpoint": "http://traces:4318/ingest", "headers": { "a": "traces" }, "timeout": 2 });
    assert_eq!(config.backends[0].config, expected);
}

#[test]
fn other_protocols_and_useless_certificates_are_warned_about() {
    let (config, text) = doubtful(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%q,b=2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ]);
    assert_eq!(config.backends[0].config, json!({ "headers": { "b": "2" } }));
    assert_eq!(text.matches("warning[C402]").count(), 5, "{text}");
}

#[test]
fn the_protocol_grpc_is_the_plugin_for_it() {
    let of = |variables: &[(&str, &str)]| {
        let backend = config(&[&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], variables].concat()).backends.remove(0);
        (backend.name.clone(), backend.plugin.clone(), backend.config.clone())
    };
    let is = |config: serde_json::Value| ("otlp".to_owned(), "otlp_grpc".to_owned(), config);
    assert_eq!(of(&[]), is(json!({})));
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317/");
    let (traces, own) = (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4317"), ("OTEL_METRICS_EXPORTER", "otlp"));
    assert_eq!(of(&[all]), is(json!({ "endpoint": "https://c:4317/" })));
    assert_eq!(of(&[all, own]), is(json!({ "endpoint": "https://c:4317/" })));
    assert_eq!(of(&[all, traces]), is(json!({ "endpoint": "http://t:4317" })));
    assert_eq!(of(&[all, traces, own]).2["metrics_endpoint"], "https://c:4317/");
    assert_eq!(of(&[traces, own]).2["metrics_endpoint"], "http://localhost:4317");
    let metrics = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:4317");
    assert_eq!(of(&[all, metrics, own]).2["metrics_endpoint"], "http://m:4317");
    let more = [
        all,
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
    ];
    let expected = json!({
        "endpoint": "https://c:4317/", "headers": { "authorization": "Bearer x" }, "compression": "gzip", "timeout": 2500,
        "tls": { "ca_file": "/etc/ca.pem" },
    });
    assert_eq!(of(&more), is(expected));
    // The protocol of traces wins, in either direction.
    let http = [("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")];
    assert_eq!(of(&http).1, "otlp");
    assert_eq!(config(&[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")]).backends[0].plugin, "otlp_grpc");
}

#[test]
fn an_address_of_grpc_without_a_scheme_is_encrypted_unless_a_variable_says_that_it_is_not() {
    let endpoint = |endpoint: &str, more: &[(&str, &str)]| {
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
        config(&[&grpc, more].concat()).backends.remove(0).config["endpoint"].as_str().unwrap().to_owned()
    };
    assert_eq!(endpoint("c:4317", &[]), "https://c:4317");
    assert_eq!(endpoint(" c:4317 ", &[("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")]), "http://c:4317");
    assert_eq!(endpoint("c:4317", &[("OTEL_EXPORTER_OTLP_INSECURE", "false")]), "https://c:4317");
    let for_traces = [("OTEL_EXPORTER_OTLP_INSECURE", "true"), ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false")];
    assert_eq!(endpoint("c:4317", &for_traces), "https://c:4317");
    assert_eq!(endpoint("https://c:4317", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")]), "https://c:4317");
    assert_eq!(endpoint("unix:///run/o", &[]), "unix:///run/o");
}

#[test]
fn port_4317_without_a_protocol_is_warned_about_with_the_way_out() {
    let (all, grpc) = (("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317/"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"));
    for variables in [all, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4317")] {
        let (config, text) = doubtful(&[variables]);
        assert_eq!(text.matches("warning[C402]").count(), 1, "{text}");
        assert!(text.contains("set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), "{text}");
        assert_eq!(config.backends[0].plugin, "otlp", "nothing is guessed");
    }
    // None of these is warned about.
    config(&[all, grpc]);
    config(&[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]);
}

#[test]
fn a_protocol_for_metrics_that_is_not_that_of_the_spans_has_no_effect_and_says_so() {
    let (metrics, grpc) = (("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"));
    let (_, text) = doubtful(&[metrics, grpc, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]);
    assert!(text.contains("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL has no effect"), "{text}");
    config(&[metrics, grpc, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
}

#[test]
fn every_exporter_name_has_its_plugin() {
    let config = config(&[("OTEL_TRACES_EXPORTER", "otlp, zipkin,jaeger,console,otlp")]);
    let backends: Vec<_> = config.backends.iter().map(|b| (b.name.as_str(), b.plugin.as_str())).collect();
    assert_eq!(backends, [("otlp", "otlp"), ("zipkin", "zipkin"), ("jaeger", "jaeger"), ("console", "file")]);
    assert_eq!(*config.services[0].settings.export, [0, 1, 2, 3]);
    assert_eq!(config.backends[3].config, json!({ "path": "stderr", "format": "text" }));
    assert_eq!(config.backends[2].config, json!({}), "a Jaeger of today takes OTLP");
}

#[test]
fn zipkin_and_jaeger_are_told_where_to_send() {
    let backend = |variables: &[(&str, &str)]| config(variables).backends.remove(0).config;
    let zipkin = [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://z:9411/api/v2/spans")];
    assert_eq!(backend(&zipkin), json!({ "endpoint": "http://z:9411/api/v2/spans" }));
    let jaeger = ("OTEL_TRACES_EXPORTER", "jaeger");
    let collector = [
        jaeger,
        ("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://j:14268/api/traces"),
        ("OTEL_EXPORTER_JAEGER_USER", "jdoe"),
        ("OTEL_EXPORTER_JAEGER_PASSWORD", "password"),
    ];
    let expected = json!({
        "transport": "thrift_http", "endpoint": "http://j:14268/api/traces",
        "headers": { "authorization": "Basic amRvZTpwYXNzd29yZA==" }
    });
    assert_eq!(backend(&collector), expected);
    let agent = [
        jaeger,
        ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "agent"),
        ("OTEL_EXPORTER_JAEGER_AGENT_PORT", "16831"),
        ("OTEL_EXPORTER_JAEGER_USER", "no packet has one"),
        ("OTEL_EXPORTER_JAEGER_PASSWORD", "nor one"),
        ("OTEL_EXPORTER_JAEGER_TIMEOUT", "5"),
    ];
    assert_eq!(backend(&agent), json!({ "transport": "thrift_udp", "endpoint": "agent:16831" }));
    let protocol = [jaeger, ("OTEL_EXPORTER_JAEGER_PROTOCOL", "udp/thrift.compact")];
    assert_eq!(backend(&protocol), json!({ "transport": "thrift_udp", "endpoint": "localhost:6831" }));
}

#[test]
fn no_exporter_passes_context_on_without_spans() {
    let config = config(&[("OTEL_SERVICE_NAME", "s"), ("OTEL_TRACES_EXPORTER", "none")]);
    assert_eq!(config.backends.len(), 0);
    assert_eq!(config.services[0].settings.trace, Trace::Propagate);
}

#[test]
fn an_unknown_exporter_is_a_warning_and_the_default() {
    let (config, text) = doubtful(&[("OTEL_TRACES_EXPORTER", "jeager")]);
    assert_eq!(config.backends[0].plugin, "otlp");
    assert!(text.contains("did you mean `jaeger`? (known: otlp, zipkin, jaeger"), "{text}");
}

#[test]
fn every_sampler_name_is_known() {
    let decision = |name: &str, argument: &str| {
        let variables = [("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        let settings = config(&variables).services.remove(0).settings;
        (settings.sampler, settings.parent)
    };
    assert_eq!(decision("always_on", ""), (Sampler::AlwaysOn, ParentDecision::Ignore));
    assert_eq!(decision("always_off", ""), (Sampler::AlwaysOff, ParentDecision::Ignore));
    assert_eq!(decision("traceidratio", "0.25"), (Sampler::Ratio(0.25), ParentDecision::Ignore));
    assert_eq!(decision("parentbased_always_on", ""), (Sampler::AlwaysOn, ParentDecision::Respect));
    assert_eq!(decision("parentbased_always_off", ""), (Sampler::AlwaysOff, ParentDecision::Respect));
    assert_eq!(decision("parentbased_traceidratio", "0"), (Sampler::Ratio(0.0), ParentDecision::Respect));
    assert_eq!(decision("traceidratio", ""), (Sampler::Ratio(1.0), ParentDecision::Ignore));
    let consistent = |argument| decision("parentbased_consistent_probability", argument);
    assert_eq!(consistent("0.25"), (Sampler::ConsistentProbability(0.25), ParentDecision::Respect));
    assert_eq!(consistent(""), (Sampler::ConsistentProbability(1.0), ParentDecision::Respect));
}

#[test]
fn an_unknown_sampler_or_argument_is_a_warning_and_the_default() {
    let (config, text) = doubtful(&[("OTEL_TRACES_SAMPLER", "jaeger_remote")]);
    assert_eq!(config.services[0].settings.sampler, Sampler::AlwaysOn);
    assert!(text.contains("known: always_on"), "{text}");
    for argument in ["2", "-0.1", "nan", "half"] {
        let (config, _) = doubtful(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        assert_eq!(config.services[0].settings.sampler, Sampler::Ratio(1.0), "{argument}");
    }
}

#[test]
fn propagators_are_written_and_read_alike() {
    let formats = |text: &str| {
        let settings = config(&[("OTEL_PROPAGATORS", text)]).services.remove(0).settings;
        assert_eq!(settings.inject, settings.extract);
        settings.inject.to_vec()
    };
    assert_eq!(formats("b3multi, jaeger,b3multi"), [Propagator::B3Multi, Propagator::Jaeger]);
    assert_eq!(formats("tracecontext,baggage,b3").len(), 3);
    assert_eq!(formats("datadog,xray,elastic"), [Propagator::Datadog, Propagator::XRay, Propagator::Elastic]);
    assert!(formats("none").is_empty());
    let (config, _) = doubtful(&[("OTEL_PROPAGATORS", "ottrace,mine")]);
    assert_eq!(*config.services[0].settings.inject, [Propagator::TraceContext, Propagator::Baggage]);
    let (config, _) = doubtful(&[("OTEL_PROPAGATORS", "ottrace,b3")]);
    assert_eq!(*config.services[0].settings.inject, [Propagator::B3]);
}

#[test]
fn a_format_that_is_only_read_is_read_and_said_not_to_be_written() {
    let (config, text) = doubtful(&[("OTEL_PROPAGATORS", "skywalking,tracecontext")]);
    let settings = &config.services[0].settings;
    assert_eq!(*settings.extract, [Propagator::SkyWalking, Propagator::TraceContext]);
    assert_eq!(*settings.inject, [Propagator::TraceContext]);
    assert!(text.contains("`skywalking`, which is only read"), "{text}");
}

#[test]
fn older_names_of_attributes_are_told_where_the_conventions_variables_ask_for_both() {
    let conventions = |variables: &[(&str, &str)]| {
        let variables = [variables, &[("OTEL_SERVICE_NAME", "shop")]].concat();
        config(&variables).services.remove(0).settings.attributes.conventions
    };
    let (opt_in, preview) = ("OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_SEMCONV_STABILITY_PREVIEW");
    for today in ["", "messaging", "http/dup,database", "messaging/dupe", "dup", "something/else"] {
        assert_eq!(conventions(&[(opt_in, today)]), Conventions::Messaging, "{today}");
    }
    for both in ["messaging/dup", "http, messaging/dup", "messaging,messaging/dup", "MESSAGING/DUP,"] {
        assert_eq!(conventions(&[(opt_in, both)]), Conventions::MessagingDup, "{both}");
        assert_eq!(conventions(&[(preview, both)]), Conventions::MessagingDup, "{both}");
    }
    assert_eq!(conventions(&[(opt_in, "messaging/dup"), (preview, "messaging")]), Conventions::MessagingDup);
}

#[test]
fn a_switch_turns_everything_off() {
    // T11: the old resolver had a switch of its own, which the old interceptors did not survive.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "version = 1\nsurprise = 2\n").unwrap();
    let file = ("INTERCEPTORS_CONFIG_FILE", file.path().to_str().unwrap());
    for (name, value, beside_a_file) in [
        ("OTEL_SDK_DISABLED", "TRUE", false),
        ("INTERCEPTORS_DISABLED", "1", true),
        ("INTERCEPTORS_DISABLED", "True ", true),
        ("TRACERRESOLVER_DISABLED", "1", true),
        ("TRACERRESOLVER_DISABLED", "true", true),
    ] {
        let loaded = load(&[("OTEL_SERVICE_NAME", "shop"), (name, value)]);
        assert!(loaded.config.is_none() && !loaded.report.has_errors());
        assert!(loaded.report.render(false).contains(&format!("tracing is off: {name} says so")));
        // Nothing of a file is looked at, so nothing in it refuses a client.
        let loaded = load(&[file, ("INTERCEPTORS_STRICT", "1"), (name, value)]);
        assert!(loaded.config.is_none() && loaded.report.has_errors() != beside_a_file, "{name}");
    }
    assert!(load(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_SDK_DISABLED", "false")]).config.is_some());
    assert!(load(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_SDK_DISABLED", "1")]).config.is_some(), "only true is true");
}

#[test]
fn a_value_that_is_not_utf8_is_a_warning_and_counts_as_unset() {
    let bytes = OsString::from_vec(vec![0xff]);
    let loaded = load_with(Source::Process, &Variables::of([("OTEL_SERVICE_NAME", bytes)]));
    assert_eq!(loaded.config.unwrap().services[0].name, "unknown_service");
    assert_eq!(loaded.report.problems[0].code, "C402");
}

#[test]
fn a_variable_that_names_no_file_is_an_error_and_not_unset() {
    // R: the original fell silent here, and left out the resolver as well.
    let loaded = load(&[("INTERCEPTORS_CONFIG_FILE", ""), ("OTEL_SERVICE_NAME", "shop")]);
    assert!(loaded.config.is_none());
    assert_eq!(loaded.report.problems[0].code, "C001");
    assert!(loaded.report.has_errors());
}

#[test]
fn a_file_wins_over_the_variables_and_says_which_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    let text = "version = 1\ndefault_service = \"from-file\"\n[services.from-file]\nexport = [\"b\"]\n\
                [backends.b]\nplugin = \"otlp\"\nconfig = { endpoint = \"${env:OTEL_EXPORTER_OTLP_ENDPOINT}\", \
                timeout = \"${env:OTEL_EXPORTER_OTLP_TIMEOUT:-1s}\" }\n";
    std::fs::write(&path, text).unwrap();
    let loaded = load(&[
        ("INTERCEPTORS_CONFIG_FILE", path.to_str().unwrap()),
        ("OTEL_SERVICE_NAME", "from-environment"),
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7"),
    ]);
    let config = loaded.config.unwrap();
    assert_eq!(config.origin, Origin::File(path));
    assert_eq!(config.services[0].name, "from-file");
    let [note] = &loaded.report.problems[..] else { panic!("{}", loaded.report.render(false)) };
    assert_eq!((note.severity, note.code), (Severity::Note, "C403"));
    assert!(note.message.ends_with(": OTEL_SERVICE_NAME, OTEL_SDK_DISABLED"), "{}", note.message);
    assert!(note.help.as_ref().unwrap().ends_with("; INTERCEPTORS_DISABLED=1 turns tracing off"), "{:?}", note.help);
}

#[test]
fn a_path_that_is_not_utf8_is_opened_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(OsString::from_vec(b"caf\xe9.toml".to_vec()));
    std::fs::write(&path, "version = 1\n").unwrap();
    let variables = Variables::of([("INTERCEPTORS_CONFIG_FILE", path.clone().into_os_string())]);
    assert_eq!(load_with(Source::Process, &variables).config.unwrap().origin, Origin::File(path));
}

#[test]
fn a_privileged_process_is_not_configured_by_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    std::fs::write(&path, "version = 1\n").unwrap();
    let variables = Variables::of([("INTERCEPTORS_CONFIG_FILE", path.to_str().unwrap()), ("OTEL_SERVICE_NAME", "s")]);
    let variables = variables.withheld();
    let loaded = load_with(Source::Process, &variables);
    assert!(loaded.config.is_none());
    assert_eq!(loaded.report.problems[0].code, "C009");
    assert!(load_with(Source::File(path), &variables).config.is_some(), "the program itself may name a file");
}

#[test]
fn the_variables_of_a_jaeger_tracer_are_enough_when_there_are_no_others() {
    let jaeger = [
        ("JAEGER_SERVICE_NAME", "Kafka Connect"),
        ("JAEGER_SAMPLER_TYPE", "const"),
        ("JAEGER_SAMPLER_PARAM", "1"),
        ("JAEGER_REPORTER_LOG_SPANS", "true"),
        ("JAEGER_PROPAGATION", "b3"),
        ("JAEGER_TAGS", "team=shop"),
        ("JAEGER_REPORTER_FLUSH_INTERVAL", "50"),
    ];
    let config = config(&jaeger);
    assert_eq!((config.origin, config.default_service), (Origin::Environment, Some(0)));
    let service = &config.services[0];
    assert_eq!(service.name, "Kafka Connect");
    assert_eq!(service.resource, [("team".to_owned(), "shop".to_owned())]);
    assert_eq!(
        (service.settings.sampler, &service.settings.inject[..]),
        (Sampler::AlwaysOn, &[Propagator::B3Multi][..])
    );
    let [Pattern::Glob(ksql), Pattern::Glob(internal)] = &service.exclude[..] else { panic!("{:?}", service.exclude) };
    assert_eq!((ksql.as_str(), internal.as_str()), ("*_confluent-ksql-*", "__*"));
    assert_eq!(*service.settings.export, [0, 1]);
    let configs: Vec<_> = config.backends.iter().map(|backend| backend.config.clone()).collect();
    let agent = json!({ "transport": "thrift_udp", "endpoint": "localhost:6831" });
    assert_eq!(configs, [agent, json!({ "path": "stderr" })]);
    assert_eq!(config.batch.delay, Duration::from_millis(50));
}

#[test]
fn otel_variables_win_over_those_of_a_jaeger_tracer() {
    let config = config(&[("JAEGER_SERVICE_NAME", "old"), ("OTEL_SERVICE_NAME", "new")]);
    assert_eq!(config.services[0].name, "new");
    assert_eq!(config.backends[0].plugin, "otlp");
}

#[test]
fn metrics_are_off_unless_a_variable_asks_for_them() {
    let named = ("OTEL_SERVICE_NAME", "shop");
    assert!(!config(&[named]).measures());
    assert!(!config(&[named, ("OTEL_METRICS_EXPORTER", "none")]).measures());
    let sent = config(&[named, ("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_METRIC_EXPORT_INTERVAL", "5000")]);
    let expected = Metrics { own: true, interval: Duration::from_secs(5), ..Metrics::default() };
    assert_eq!(sent.metrics, expected);
    let asked = config(&[named, ("OTEL_METRICS_EXPORTER", "prometheus")]).metrics;
    assert_eq!(asked.prometheus, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(asked.export, Some(std::sync::Arc::default()), "who asks for them is sent nothing");
    let both = config(&[
        named,
        ("OTEL_METRICS_EXPORTER", "prometheus,otlp"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "9999"),
    ]);
    assert_eq!((both.metrics.prometheus, both.metrics.export), (Some("0.0.0.0:9999".parse().unwrap()), None));
    for (name, value) in [
        ("OTEL_METRICS_EXPORTER", "promtheus"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "metrics.example"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
    ] {
        let (_, text) = doubtful(&[named, ("OTEL_METRICS_EXPORTER", "prometheus"), (name, value)]);
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn the_address_for_metrics_is_opentelemetry_s() {
    let config_of = |variables: &[(&str, &str)]| {
        let all = [&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_METRICS_EXPORTER", "otlp")], variables].concat();
        config(&all).backends[0].config.clone()
    };
    let (base, whole) =
        (("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"), ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/in"));
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/in");
    assert_eq!(config_of(&[base]), json!({ "endpoint": "http://c:4318/" }));
    assert_eq!(config_of(&[base, whole]), json!({ "endpoint": "http://c:4318/", "metrics_endpoint": "http://m/in" }));
    let (own, default) = ("http://c:4318/v1/metrics", "http://localhost:4318/v1/metrics");
    assert_eq!(config_of(&[base, traces]), json!({ "traces_endpoint": "http://t/in", "metrics_endpoint": own }));
    assert_eq!(config_of(&[traces]), json!({ "traces_endpoint": "http://t/in", "metrics_endpoint": default }));
    // Nobody sends metrics: what is said of them means nothing.
    assert_eq!(config(&[("OTEL_SERVICE_NAME", "shop"), whole]).backends[0].config, json!({}));
}
