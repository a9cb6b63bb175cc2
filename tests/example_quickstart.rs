//! Promise: the quickstart is traced by one line and one variable, through a plugin that the library knows nothing of.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::path::PathBuf;
use std::process::{Command, Output};

use tracer_resolver::Resolver;
use tracer_resolver::config::Source;

fn quickstart(file: Option<&str>) -> Output {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.parent().unwrap().with_file_name("examples").join("quickstart");
    assert!(
        program.exists(),
        "{} is not built; `cargo test` without --test, or `cargo build --examples`, does",
        program.display()
    );
    let mut command = Command::new(program);
    // Neither a file nor `OTEL_*` of whoever runs the tests.
    command.env_clear();
    if let Some(file) = file {
        command.env("INTERCEPTORS_CONFIG_FILE", file);
    }
    command.output().unwrap()
}

#[test]
fn every_span_is_a_line_of_one_trace() {
    let output = quickstart(Some(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart.toml")));
    assert!(output.status.success(), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let mut lines: Vec<Vec<_>> = stderr.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    lines.sort_by_key(|words| words[1..4].to_vec());
    let spans: Vec<_> = lines.iter().map(|words| words[1..4].join(" ")).collect();
    assert_eq!(spans, ["orders send orders", "payments process orders", "payments send payments"]);
    assert!(lines.iter().all(|words| words[0] == lines[0][0]), "{stderr}");
    assert!(lines.iter().all(|words| words.contains(&"messaging.kafka.offset=0")), "{stderr}");
}

#[test]
fn without_the_variable_it_runs_untraced() {
    let output = quickstart(None);
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn what_the_plugin_refuses_is_shown_at_its_line_of_the_file() {
    let text = "version = 1
[services.orders]
produces = [\"orders\"]
export = [\"terminal\"]
[backends.terminal]
plugin = \"lines\"
config = { attributes = [\"messaging.kafka.offset\", \" \"] }
";
    let resolver = Resolver::load(Source::Text { name: "tracing.toml".into(), text: text.to_owned() }).unwrap();
    let rendered = resolver.report().render(false);
    assert!(rendered.contains("tracing.toml:7") && rendered.contains("an attribute has a name"), "{rendered}");
}
