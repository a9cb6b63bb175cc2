//! A good file becomes the configuration that it describes.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracer_resolver::config::{
    Ambient, Config, Loaded, Measuring, Origin, ParentDecision, Pattern, Propagator, QueueBytes, Relation, Sampler,
    Source, Trace, Variables, load_with, strict,
};

/// As `<(…)` of a shell, and as a FIFO that has a name.
#[test]
fn a_configuration_comes_through_a_pipe_and_is_read_once() {
    let text = "version = 1\n[reload]\n[services.shop]\ntopics = [\"orders\"]\n";
    let variables = Variables::of::<&str, &str>([]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let slow = std::thread::spawn(move || {
        for line in text.lines() {
            std::thread::sleep(Duration::from_millis(20));
            std::io::Write::write_all(&mut writer, format!("{line}\n").as_bytes()).unwrap();
        }
    });
    let path = PathBuf::from(format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader)));
    let loaded = load_with(Source::File(path.clone()), &variables);
    slow.join().unwrap();
    let config = loaded.config.unwrap();
    assert_eq!((config.services.len(), config.origin), (1, Origin::Once(path.clone())));
    assert!(!config.reload.enabled);
    let codes: Vec<_> = loaded.report.problems.iter().map(|problem| problem.code).collect();
    assert!(codes.contains(&"C011"), "{}", loaded.report.render(false));
    // Whoever comes later finds nothing, and does not wait for it.
    let again = load_with(Source::File(path), &variables);
    assert!(again.config.is_none() && again.report.problems[0].code == "C008", "{}", again.report.render(false));

    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().unwrap().success());
    let named = fifo.clone();
    let writer = std::thread::spawn(move || std::fs::write(named, text).unwrap());
    let loaded = load_with(Source::File(fifo), &variables);
    writer.join().unwrap();
    assert_eq!(loaded.config.unwrap().services.len(), 1, "{}", loaded.report.render(false));
}

/// `3< tracing.toml`: the program may close the descriptor, and its number is another file's then.
#[test]
fn a_configuration_that_comes_by_a_descriptor_is_read_once_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracing.toml");
    std::fs::write(&file, "version = 1\n[reload]\n[services.shop]\ntopics = [\"orders\"]\n").unwrap();
    let open = std::fs::File::open(&file).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(format!("/dev/fd/{number}"), &link).unwrap();
    for path in [PathBuf::from(format!("/dev/fd/{number}")), format!("/proc/self/fd/{number}").into(), link] {
        let loaded = load_with(Source::File(path.clone()), &Variables::of::<&str, &str>([]));
        let config = loaded.config.unwrap();
        assert_eq!((config.origin, config.reload.enabled), (Origin::Once(path.clone()), false));
        assert!(loaded.report.problems.iter().any(|problem| problem.code == "C011"), "{}", path.display());
    }
    // A link to a file is no descriptor.
    let links = folder.path().join("links");
    std::os::unix::fs::symlink(&file, &links).unwrap();
    let loaded = load_with(Source::File(links.clone()), &Variables::of::<&str, &str>([]));
    assert_eq!(loaded.config.unwrap().origin, Origin::File(links));
}

/// The example of the design, every key of it, and the keys that it leaves out.
const EVERY_KEY: &str = r#"
version = 1
default_service = "checkout"

[defaults]
export      = ["collector"]
sampler     = { ratio = 0.25 }
parent      = "respect"
propagators = { inject = ["tracecontext", "baggage"], extract = ["tracecontext", "baggage", "b3", "jaeger"] }
exclude     = ["__*", "_confluent-*"]
resource    = { "deployment.environment.name" = "${env:DEPLOY_ENV:-dev}", "team" = "shop" }

[services.checkout]
produces = ["orders"]

[services.payments]
consumes = ["orders"]
produces = ["payments.*", { regex = 'refunds-\d+' }]
export   = ["collector", "legacy"]
resource = { "service.version" = "2.1.0", "team" = "pay" }
relation = "link"
ambient = "off"
measure = "on"
reinject = true
propagators.inject = ["b3"]
exclude  = []

[services.payments.topic."payments.heartbeat"]
trace = "propagate"

[services.payments.topic."payments.bulk-*"]
sampler = { rate_limit = 0.5 }
parent = "ignore"
export = ["legacy"]
propagators.extract = ["none"]

[services.inventory]
topics     = ["stock.*"]
client_ids = ["inventory-*", "scanner"]
group_ids  = []
sampler    = "always_on"

[backends.collector]
plugin = "otlp"
config = { endpoint = "${env:OTEL_EXPORTER_OTLP_ENDPOINT:-http://localhost:4318}", headers = { "x/y~z" = "Bearer ${env:TOKEN}" } }

[backends.legacy]
plugin      = "zipkin"
timeout     = 2500
concurrency = "${env:CONCURRENCY}"
queue_bytes = "1MiB"
retry       = { initial = "100ms", max = "1m" }

[backends.legacy.config]
endpoint = "http://localhost:9411/api/v2/spans"
limits = [1, 2.5, true]

[batch]
delay = "250ms"
max_bytes = 65536

[plugins]
dirs = ["/usr/lib/tracer-resolver", "plugins"]
[plugins.zipkin]
file = "libother.so"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
"#;

fn variables() -> Variables {
    Variables::of([("TOKEN", "s3cret"), ("CONCURRENCY", "4"), ("RATIO", "0.5"), ("YES", "true"), ("DELAY", "250")])
}

fn load(text: &str) -> Loaded {
    load_with(Source::Text { name: "/etc/app/tracing.toml".into(), text: text.into() }, &variables())
}

#[track_caller]
fn loaded(text: &str) -> Config {
    let loaded = load(text);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(false));
    loaded.config.unwrap()
}

fn shown(patterns: &[Pattern]) -> Vec<String> {
    let text = |pattern: &Pattern| match pattern {
        Pattern::Exact(text) => text.clone(),
        Pattern::Glob(text) => format!("glob {text}"),
        Pattern::Regex(regex) => format!("regex {regex}"),
    };
    patterns.iter().map(text).collect()
}

#[test]
fn services_keep_the_order_of_the_file_and_their_rules() {
    let config = loaded(EVERY_KEY);
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["checkout", "payments", "inventory"]);
    assert_eq!(config.default_service, Some(0));
    assert_eq!(config.origin, Origin::File(PathBuf::from("/etc/app/tracing.toml")));
    let payments = &config.services[1];
    assert_eq!(shown(&payments.consumes), ["orders"]);
    assert_eq!(shown(&payments.produces), ["glob payments.*", r"regex ^(?:refunds-\d+)$"]);
    let inventory = &config.services[2];
    assert_eq!(shown(&inventory.topics), ["glob stock.*"]);
    assert_eq!(shown(&inventory.client_ids), ["glob inventory-*", "scanner"]);
    assert_eq!(shown(&inventory.group_ids), [""; 0]);
    assert_eq!(&EVERY_KEY[payments.span.clone()], "payments");
}

#[test]
fn tables_merge_by_precedence_and_arrays_replace() {
    let config = loaded(EVERY_KEY);
    let [checkout, payments, inventory] = &config.services[..] else { panic!("three services") };
    assert_eq!(checkout.settings.sampler, Sampler::Ratio(0.25));
    assert_eq!(*checkout.settings.export, [0]);
    assert_eq!(shown(&checkout.exclude), ["glob __*", "glob _confluent-*"]);
    assert_eq!(inventory.settings.sampler, Sampler::AlwaysOn);
    assert_eq!(payments.settings.sampler, Sampler::Ratio(0.25));
    assert_eq!(payments.settings.relation, Relation::Link);
    assert_eq!(payments.settings.ambient, Ambient::Off);
    assert_eq!((payments.settings.measure, checkout.settings.measure), (Measuring::On, Measuring::Off));
    assert!(payments.settings.reinject);
    assert_eq!(*payments.settings.export, [0, 1]);
    assert_eq!(*payments.settings.inject, [Propagator::B3]);
    assert_eq!(payments.settings.extract, checkout.settings.extract, "the other key of the table stays");
    assert_eq!(shown(&payments.exclude), [""; 0]);
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(checkout.resource, [attribute("deployment.environment.name", "dev"), attribute("team", "shop")]);
    let resource = [
        attribute("deployment.environment.name", "dev"),
        attribute("team", "pay"),
        attribute("service.version", "2.1.0"),
    ];
    assert_eq!(payments.resource, resource);
}

#[test]
fn settings_of_a_topic_start_from_those_of_its_service() {
    let config = loaded(EVERY_KEY);
    let payments = &config.services[1];
    let [(heartbeat, quiet), (bulk, limited)] = &payments.topic_settings[..] else { panic!("two of them") };
    assert_eq!(shown(std::slice::from_ref(heartbeat)), ["payments.heartbeat"]);
    assert_eq!(quiet.trace, Trace::Propagate);
    assert_eq!((quiet.relation, &quiet.export), (payments.settings.relation, &payments.settings.export));
    assert_eq!(shown(std::slice::from_ref(bulk)), ["glob payments.bulk-*"]);
    assert_eq!((limited.sampler, limited.parent), (Sampler::RateLimit(0.5), ParentDecision::Ignore));
    assert_eq!(*limited.export, [1]);
    assert_eq!((&limited.inject[..], &limited.extract[..]), (&[Propagator::B3][..], &[][..]));
}

#[test]
fn backends_carry_the_settings_of_their_plugin_with_places_and_secrets() {
    let config = loaded(EVERY_KEY);
    let [collector, legacy] = &config.backends[..] else { panic!("two backends") };
    let expected = serde_json::json!({
        "endpoint": "http://localhost:4318", "headers": { "x/y~z": "Bearer s3cret" }
    });
    assert_eq!(collector.config, expected);
    assert_eq!(collector.config_references, ["/endpoint"]);
    assert_eq!(collector.config_secrets, ["/endpoint", "/headers/x~1y~0z"]);
    assert_eq!(&EVERY_KEY[collector.plugin_span.clone()], "\"otlp\"");
    let place = |pointer: &str| {
        let (_, span) = collector.config_spans.iter().find(|(other, _)| other == pointer).unwrap();
        &EVERY_KEY[span.clone()]
    };
    assert_eq!(place("/headers/x~1y~0z"), "\"Bearer ${env:TOKEN}\"");
    assert!(place("").starts_with("{ endpoint"));
    assert_eq!(collector.config.pointer("/headers/x~1y~0z").unwrap(), "Bearer s3cret", "pointers are RFC 6901");
    assert_eq!(&EVERY_KEY[collector.place_of("/headers/x~1y~0z")], "\"Bearer ${env:TOKEN}\"");
    assert!(EVERY_KEY[collector.place_of("/headers/missing/deeper")].starts_with("{ \"x/y~z\""), "the table around it");
    assert!(EVERY_KEY[collector.place_of("/missing")].starts_with("{ endpoint"));
    assert!(EVERY_KEY[collector.place_of("")].starts_with("{ endpoint"));
    assert_eq!(legacy.config.pointer("/limits").unwrap(), &serde_json::json!([1, 2.5, true]));
    assert_eq!((legacy.timeout, legacy.concurrency), (Duration::from_millis(2500), 4));
    assert_eq!(legacy.queue_bytes, QueueBytes::Fixed(1 << 20));
    assert_eq!((legacy.retry.initial, legacy.retry.max), (Duration::from_millis(100), Duration::from_secs(60)));
    assert_eq!(legacy.retry.max_elapsed, Duration::from_secs(120), "the key that is not said keeps its default");
    assert_eq!((config.batch.delay, config.batch.max_bytes), (Duration::from_millis(250), 65536));
}

#[test]
fn plugin_directories_are_relative_to_the_folder_of_the_file() {
    let config = loaded(EVERY_KEY);
    assert_eq!(config.plugins.dirs, [Path::new("/usr/lib/tracer-resolver"), Path::new("/etc/app/plugins")]);
    let entry = &config.plugins.entries[0];
    assert_eq!((entry.name.as_str(), entry.file.as_deref()), ("zipkin", Some(Path::new("libother.so"))));
    assert_eq!(entry.sha256.unwrap()[..4], [0x00, 0x11, 0x22, 0x33]);
    assert_eq!(entry.sha256.unwrap()[31], 0xff);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    std::fs::write(&path, "version = 1\n[plugins]\ndirs = [\"p\"]\n").unwrap();
    let loaded = load_with(Source::File(path), &variables());
    assert_eq!(loaded.config.unwrap().plugins.dirs, [folder.path().join("p")]);
}

#[test]
fn a_whole_reference_is_read_as_the_type_of_its_key() {
    let text = r#"
version = 1
[services.s]
topics = ["t"]
export = ["b"]
sampler = { ratio = "${env:RATIO}" }
reinject = "${env:YES}"
[backends.b]
plugin = "otlp"
timeout = "${env:NONE:-3s}"
concurrency = "${env:NONE:-7}"
queue_bytes = "${env:NONE:-1048576}"
retry.initial = "${env:DELAY}ms"
config = { account = "${env:NONE:-0012}" }
[batch]
delay = "${env:DELAY}"
"#;
    let config = loaded(text);
    assert_eq!(config.services[0].settings.sampler, Sampler::Ratio(0.5));
    assert!(config.services[0].settings.reinject);
    let backend = &config.backends[0];
    assert_eq!((backend.timeout, backend.concurrency), (Duration::from_secs(3), 7));
    assert_eq!((backend.queue_bytes, backend.retry.initial), (QueueBytes::Fixed(1 << 20), Duration::from_millis(250)));
    assert_eq!(config.batch.delay, Duration::from_millis(250));
    assert_eq!(backend.config, serde_json::json!({ "account": "0012" }), "an account number stays a string");
}

#[test]
fn a_reference_that_leads_nowhere_switches_off_only_what_uses_it() {
    let text = r#"
version = 1
[defaults]
export = ["good"]
resource = { region = "${env:REGION}" }
[services.hides_it]
topics = ["a"]
resource = { region = "eu" }
export = ["good", "broken"]
[services.uses_it]
topics = ["b"]
[services.has_only_the_broken_backend]
topics = ["c"]
resource = { region = "eu" }
export = ["broken"]
[services.lost_a_constraint]
topics = ["hides.*"]
resource = { region = "eu" }
client_ids = ["${env:CLIENT}"]
[services.broken_topic]
topics = ["d", "e"]
resource = { region = "eu" }
[services.broken_topic.topic.e]
parent = "${env:PARENT}"
[backends.broken]
plugin = "zipkin"
config = { endpoint = "${env:ENDPOINT}" }
[backends.good]
plugin = "otlp"
[backends.lost_its_pin]
plugin = "jaeger"
[plugins.jaeger]
sha256 = "${env:PIN}"
"#;
    let loaded = load(text);
    assert!(loaded.report.has_errors());
    let config = loaded.config.unwrap();
    let names: Vec<&str> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["good"], "a plugin whose pin is lost is not loaded without one");
    let traces: Vec<Trace> = config.services.iter().map(|service| service.settings.trace).collect();
    assert_eq!(traces, [Trace::Spans, Trace::Off, Trace::Off, Trace::Off, Trace::Spans]);
    assert_eq!(*config.services[0].settings.export, [0], "indices follow the backends that are left");
    assert_eq!(shown(&config.services[1].topics), ["b"], "its messages are kept from other services");
    assert_eq!(shown(&config.services[3].topics), [""; 0], "without its constraint it would claim too much");
    let override_of = &config.services[4].topic_settings[0].1;
    assert_eq!(override_of.trace, Trace::Off);
    let off: Vec<&str> =
        loaded.report.problems.iter().filter(|p| p.code == "C114").map(|p| p.message.as_str()).collect();
    assert_eq!(off.len(), 6, "{off:#?}");
}

#[test]
fn the_same_topic_may_have_two_services_when_sides_or_clients_differ() {
    let config = loaded(
        r#"
version = 1
[services.a]
produces = ["orders"]
[services.b]
consumes = ["orders"]
[services.c]
consumes = ["orders"]
client_ids = ["c-*"]
[services.d]
topics = ["orders"]
"#,
    );
    assert_eq!(config.services.len(), 4);
}

#[test]
fn constraints_in_another_order_are_the_same_constraints() {
    let text = "version = 1\n[services.a]\ntopics = [\"t\"]\nclient_ids = [\"x\", \"y\"]\n\
                [services.b]\ntopics = [\"t\"]\nclient_ids = [\"y\", \"x\"]\n";
    assert!(load(text).report.problems.iter().any(|problem| problem.code == "C201"));
}

#[test]
fn strict_is_asked_for_by_one_or_true() {
    for (value, expected) in [("1", true), ("true", true), ("TRUE", true), ("0", false), ("", false), ("yes", false)] {
        assert_eq!(strict(&Variables::of([("INTERCEPTORS_STRICT", value)])), expected, "{value:?}");
    }
    assert!(!strict(&Variables::of::<&str, &str>([])));
}

#[test]
fn a_reference_that_leads_nowhere_where_everything_depends_on_it_stops_everything() {
    let rest = "[services.s]\ntopics = [\"t\"]\n";
    for text in [
        format!("version = \"${{env:NONE}}\"\n{rest}"),
        format!("version = 1\ndefault_service = \"${{env:NONE}}\"\n{rest}"),
        format!("version = 1\n{rest}[batch]\ndelay = \"${{env:NONE}}\"\n"),
        format!("version = 1\n{rest}[plugins]\ndirs = [\"/a\", \"${{env:NONE}}\"]\n"),
    ] {
        let loaded = load(&text);
        assert!(loaded.config.is_none(), "{text}");
        assert!(loaded.report.has_errors());
        let replaced = text
            .replace("${env:NONE}", "${env:NONE:-1}")
            .replace("default_service = \"${env:NONE:-1}", "default_service = \"${env:NONE:-s}");
        assert!(load(&replaced).config.is_some(), "{replaced}");
    }
}

#[test]
fn a_backend_without_config_has_its_own_name_as_its_place() {
    let text = "version = 1\n[backends.b]\nplugin = \"otlp\"\n";
    let config = loaded(text);
    assert_eq!(&text[config.backends[0].place_of("/endpoint")], "b");
    assert_eq!(config.backends[0].config, serde_json::json!({}));
}

#[test]
fn printing_a_configuration_shows_no_secret() {
    let config = loaded(EVERY_KEY);
    assert_eq!(config.backends[0].redacted_config().pointer("/headers/x~1y~0z").unwrap(), "(not shown)");
    let printed = format!("{config:?}");
    assert!(!printed.contains("s3cret"), "{printed}");
    assert!(printed.contains("http://localhost:9411/api/v2/spans"), "what the file says is shown: {printed}");
}
