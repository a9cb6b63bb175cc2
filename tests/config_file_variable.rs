//! Promise: the one variable and the one line of the README are all a program needs; a file that cannot be trusted stops
//! no program unless it is asked to be strict, and is always told.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;
use std::process::Command;

use rdkafka::producer::{BaseProducer, BaseRecord};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver_rdkafka::instrument;
use words::kafka::{Kafka, assign, next_message};
use words::receivers::OtlpReceiver;
use words::{Ended, LIMIT, LogLines, child, is_child, send};

/// What the child does: sends and receives `orders` and `bills`, traced or not.
#[test]
fn program() {
    if !is_child() {
        return;
    }
    if std::env::var_os("WITH_LOGGER").is_some() {
        LogLines::start();
    }
    let kafka = Kafka::start(&["orders", "bills"]);
    let mut config = kafka.config();
    if let Err(error) = instrument(&mut config) {
        println!("refused: {error}");
        // A refusal is remembered, for whoever asks next.
        assert!(Resolver::global().is_err());
        return;
    }
    let producer: BaseProducer = config.create().unwrap();
    for topic in ["orders", "bills"] {
        send(&producer, BaseRecord::to(topic).key("k").payload("p"));
        let mut config = kafka.consumer_config("g");
        instrument(&mut config).unwrap();
        next_message(&assign(&config, topic));
    }
    println!("messages flowed; on={}", Resolver::global().unwrap().is_on());
    if std::env::var_os("WITH_LOGGER").is_some() {
        let errors = LogLines::start().with(log::Level::Error, "");
        println!("errors logged: {}\n{}", errors.len(), errors.join("\n"));
    }
}

fn run(command: &mut Command) -> Ended {
    let ended = words::run(command);
    ended.expect_success();
    ended
}

fn with_file(path: impl AsRef<Path>) -> Command {
    let mut command = child("program");
    command.env("INTERCEPTORS_CONFIG_FILE", path.as_ref());
    command
}

fn file(folder: &tempfile::TempDir, text: &str) -> std::path::PathBuf {
    let path = folder.path().join("tracing.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn services(endpoint: &str, more: &str) -> String {
    format!(
        "version = 1\n[defaults]\nexport = [\"otlp\"]\n[services.shop]\nproduces = [\"*\"]\n[services.billing]\n\
         consumes = [\"*\"]\n{more}\n[backends.otlp]\nplugin = \"otlp\"\nconfig = {{ endpoint = \"{endpoint}\" }}\n"
    )
}

const BOTH: &str = "shop: send orders\n  billing: receive orders\nshop: send bills\n  billing: receive bills\n";

#[test]
fn the_file_is_found_and_its_services_are_traced_until_the_program_s_end() {
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let finished = run(&mut with_file(file(&folder, &services(&collector.endpoint(), ""))));
    assert!(finished.stdout.contains("messages flowed; on=true"));
    assert_eq!(words::draw_traces(&collector.wait_for(4, LIMIT)), BOTH);
    assert_eq!(collector.faults(), Vec::<String>::new());
}

#[test]
fn a_relative_path_is_relative_to_the_working_directory_and_references_are_the_process_s_own() {
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    file(&folder, &services("${env:COLLECTOR:-http://127.0.0.1:1}", ""));
    run(with_file("tracing.toml").current_dir(folder.path()).env("COLLECTOR", collector.endpoint()));
    assert_eq!(words::draw_traces(&collector.wait_for(4, LIMIT)), BOTH);
}

#[test]
fn otel_variables_do_not_mix_into_a_file() {
    // R5: half-specified blocks of the original were completed by whatever the environment had.
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let mut command = with_file(file(&folder, &services(&collector.endpoint(), "")));
    run(command.env("OTEL_SERVICE_NAME", "other").env("OTEL_TRACES_SAMPLER", "always_off"));
    assert_eq!(words::draw_traces(&collector.wait_for(4, LIMIT)), BOTH);
}

/// Every way in which a file cannot be read at all, and a word of what is said of it.
fn unreadable(folder: &Path) -> Vec<(std::path::PathBuf, &'static str)> {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    vec![
        (folder.join("missing.toml"), "missing.toml"),
        (folder.to_owned(), "a directory"),
        (std::path::PathBuf::new(), "names no file"),
        (write("syntax.toml", b"version = 1\n[services.shop\n"), "syntax.toml:2:"),
        (write("latin1.toml", b"version = 1 # \xe9\n"), "UTF-8"),
        (write("empty.toml", b""), "empty"),
        (write("json.toml", b"{\"services\":[{\"topics\":[1]}]}"), "json.toml:1:"),
        (write("future.toml", b"version = 99\n"), "99"),
    ]
}

#[test]
fn a_file_that_cannot_be_used_lets_the_program_run_untraced_and_says_why_on_stderr() {
    // R1, R2: the original was silent about some of these, and kept the client from starting for the others.
    let folder = tempfile::tempdir().unwrap();
    for (path, word) in unreadable(folder.path()) {
        let finished = run(&mut with_file(&path));
        assert!(finished.stdout.contains("messages flowed; on=false"), "{path:?}: {}", finished.stdout);
        let told: Vec<_> = finished.stderr.lines().filter(|line| line.contains("tracer-resolver: ERROR")).collect();
        assert_eq!(told.len(), 1, "{path:?} is told once: {}", finished.stderr);
        assert!(finished.stderr.contains(word), "{path:?}: {}", finished.stderr);
    }
}

#[test]
fn strict_refuses_the_same_files_with_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    for (path, word) in unreadable(folder.path()) {
        let finished = run(with_file(&path).env("INTERCEPTORS_STRICT", "1"));
        assert!(!finished.stdout.contains("messages flowed"), "{path:?}");
        assert!(
            finished.stdout.contains("refused: ") && finished.stdout.contains(word),
            "{path:?}: {}",
            finished.stdout
        );
    }
}

#[test]
fn strict_takes_a_file_without_errors() {
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let finished = run(with_file(file(&folder, &services(&collector.endpoint(), ""))).env("INTERCEPTORS_STRICT", "1"));
    assert!(finished.stdout.contains("messages flowed; on=true"), "{}", finished.stdout);
    assert_eq!(collector.wait_for(4, LIMIT).len(), 4);
}

/// One service needs what is not there, its topic is `bills`; and so does a backend that only it exports to.
fn half_broken(endpoint: &str) -> String {
    format!(
        r#"
version = 1
[services.shop]
topics = ["orders"]
export = ["otlp"]
[services.bank]
topics = ["bills"]
sampler = {{ ratio = "${{env:NOBODY_SETS_THIS}}" }}
export = ["otlp", "typo"]
[backends.otlp]
plugin = "otlp"
config = {{ endpoint = "{endpoint}" }}
[backends.typo]
plugin = "oltp"
"#
    )
}

#[test]
fn what_can_be_trusted_of_a_file_with_errors_is_traced_and_errors_name_all_of_them() {
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let finished = run(with_file(file(&folder, &half_broken(&collector.endpoint()))).env("WITH_LOGGER", "1"));
    assert!(finished.stdout.contains("messages flowed; on=true"), "{}", finished.stdout);
    assert!(finished.stdout.contains("errors logged: 2\n"), "the file's, and then the plugin's: {}", finished.stdout);
    for word in ["NOBODY_SETS_THIS", "tracing.toml:8:", "oltp", "tracing.toml:14:"] {
        assert!(finished.stdout.contains(word), "{word}: {}", finished.stdout);
    }
    assert!(!finished.stderr.contains("tracer-resolver"), "a program with a logger is told through it only");
    let traces = words::draw_traces(&collector.wait_for(2, LIMIT));
    assert_eq!(traces, "shop: send orders\n  shop: receive orders\n", "and `bills` are untouched");
}

#[test]
fn a_file_that_cannot_be_used_at_all_still_has_its_plugins_looked_for_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
version = 1
[services.shop]
topics = ["orders"]
export = ["typo", "bad"]
sampler = { ratio = 7 }
[backends.typo]
plugin = "oltp"
[backends.bad]
plugin = "zipkin"
config = { endpiont = "http://127.0.0.1:9" }
"#;
    let finished = run(&mut with_file(file(&folder, text)));
    assert!(finished.stdout.contains("on=false"), "{}", finished.stdout);
    for word in ["tracing.toml:6:", "ratio", "tracing.toml:8:", "oltp", "tracing.toml:11:", "endpiont"] {
        assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
    }
    assert!(!finished.stderr.contains('\u{fffd}'), "what cannot be shown is not in a title: {}", finished.stderr);
}

/// A plugin, its `config`, and what is said of it: with the key as the file writes it, and nothing that only a program reads.
const REJECTED: &[(&str, &str, &str)] = &[
    ("otlp", r#"endpoint = "localhost:4318""#, "`config.endpoint`: "),
    ("otlp", r#"endpoint = "localhost:4318""#, "write \"http://localhost:4318\""),
    ("otlp", r#"endpoint = "grpc://collector:4317""#, "`config.endpoint`: "),
    ("otlp", r#"endpoint = "http://c:4318", timeout = "soon""#, "`config.timeout`: takes a time limit such as \"10s\""),
    ("otlp", r#"endpoint = 4318"#, "`config.endpoint`: must be a string, not an integer"),
    ("otlp", r#"headers = { "x y" = "z" }"#, "`config.headers.\"x y\"`: "),
    ("otlp", r#"headers = { a = 1 }"#, "`config.headers.a`: must be a string, not an integer"),
    ("otlp", r#"tls = { cafile = "x" }"#, "`config.tls.cafile`: unknown key `cafile`; did you mean `ca_file`?"),
    ("otlp", r#"compression = "zstd""#, "`config.compression`: must be one of \"none\", \"gzip\""),
    ("zipkin", r#"endpoint = "zipkin:9411""#, "write \"http://zipkin:9411\""),
    ("jaeger", r#"transport = "grpc""#, "`config.transport`: must be one of "),
    ("jaeger", r#"transport = "thrift_udp", endpoint = "agent""#, "`config.endpoint`: "),
    ("file", r#"max_bytes = "100 megabytes""#, "`config.max_bytes`: "),
    ("file", r#"path = """#, "`config.path`: must not be empty"),
];

#[test]
fn what_a_plugin_rejects_is_said_with_the_key_of_the_file_and_without_regular_expressions_or_pointers() {
    for (plugin, config, said) in REJECTED {
        let text = format!(
            "version = 1\n[services.shop]\ntopics = [\"orders\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"{plugin}\"\nconfig = {{ {config} }}\n"
        );
        let resolver = Resolver::load(Source::Text { name: "tracing.toml".into(), text }).unwrap();
        let report = resolver.report().render(false);
        assert!(report.contains(said), "{config}: {report}");
        assert!(report.contains("tracing.toml:7:"), "{config}: {report}");
        for unfit in ["^http", "[0-9]", "`/", "pattern", "expected one of", "invalid type", "u64", "struct "] {
            assert!(!report.contains(unfit), "{unfit}: {config}: {report}");
        }
    }
}

#[test]
fn what_a_plugin_warns_of_is_told_a_program_without_a_logger_too() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that takes no file, whoever asks.
    let text = "version = 1\n[services.shop]\ntopics = [\"*\"]\nexport = [\"audit\"]\n[backends.audit]\nplugin = \"file\"\n\
                config = { path = \"/proc/spans.jsonl\" }\nretry = { max_elapsed = \"1s\" }\n";
    let finished = run(&mut with_file(file(&folder, text)));
    let said = |line: &&str| {
        line.starts_with("tracer-resolver: WARN: backend `audit`: audit: /proc/spans.jsonl cannot be opened")
    };
    assert_eq!(finished.stderr.lines().filter(said).count(), 1, "{}", finished.stderr);
}

#[test]
fn strict_refuses_a_file_of_which_a_part_could_be_used() {
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let finished = run(with_file(file(&folder, &half_broken(&collector.endpoint()))).env("INTERCEPTORS_STRICT", "1"));
    for word in ["refused: ", "NOBODY_SETS_THIS", "oltp"] {
        assert!(finished.stdout.contains(word), "{word}: {}", finished.stdout);
    }
    assert!(collector.spans().is_empty());
}

#[test]
fn a_setting_that_the_plugin_rejects_is_pointed_at_in_the_file_and_turns_off_that_backend_only() {
    let (collector, folder) = (OtlpReceiver::start().unwrap(), tempfile::tempdir().unwrap());
    let more = "export = [\"otlp\", \"bad\"]\n[backends.bad]\nplugin = \"zipkin\"\nconfig = { endpoint = \"http://127.0.0.1:9\", endpiont = 1 }";
    let finished = run(&mut with_file(file(&folder, &services(&collector.endpoint(), more))));
    assert!(finished.stderr.contains("endpiont"), "{}", finished.stderr);
    assert!(finished.stderr.contains("tracing.toml:11:"), "{}", finished.stderr);
    assert_eq!(words::draw_traces(&collector.wait_for(4, LIMIT)), BOTH);
}
