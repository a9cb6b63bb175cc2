//! The JSON Schema takes every file that is right, and refuses what a schema can refuse.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Map, Value as Json};
use tracer_resolver::config::{DEFAULT_CONFIG, Outline, Source, Variables, load_with};
use words::foreign::skip;

use crate::installed::{Installed, files, repository};

fn schema(installed: &Installed) -> Json {
    installed.run(&["schema"]).json()
}

fn validator(schema: &Json) -> Validator {
    jsonschema::draft202012::meta::validate(schema).unwrap();
    jsonschema::draft202012::new(schema).unwrap()
}

/// The file as a value, as a TOML language server hands it to a validator; `None` if it is not TOML.
fn value(text: &str) -> Option<Json> {
    let outline = Outline::of(text);
    let top = outline.written.iter().filter(|written| written.path.len() == 1);
    let value: Map<String, Json> = top.map(|written| (written.path[0].clone(), written.value.clone())).collect();
    (!value.is_empty()).then_some(Json::Object(value))
}

#[test]
fn it_takes_the_manual_and_every_example() {
    let installed = Installed::new();
    let validator = validator(&schema(&installed));
    let all = [
        files("examples", ".toml"),
        files("resolver/librdkafka/docs", ".toml"),
        files("docs/command", "tracing.toml"),
        files("docs/command", "drifted.toml"),
        vec![repository("resolver/default-config.toml")],
    ];
    for path in all.concat() {
        let value = value(&fs::read_to_string(&path).unwrap()).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

/// Whatever its keys and its types show. What a schema cannot know is passed over: names that are defined elsewhere, text
/// that is a language of its own, and what only a reference stands for.
#[test]
fn it_refuses_the_broken_files_of_the_golden_tests_where_keys_and_types_show_it() {
    let installed = Installed::new();
    let validator = validator(&schema(&installed));
    let (mut refused, mut taken) = (0, Vec::new());
    for path in files("resolver/tests/bad_config", ".toml") {
        let text = fs::read_to_string(&path).unwrap();
        let Some(value) = value(&text) else { continue };
        let expected = fs::read_to_string(format!("{}.expected", path.display())).unwrap();
        let shows =
            ["C101", "C102", "C103", "C105", "C106"].iter().any(|code| expected.contains(&format!("error[{code}]")));
        if !validator.is_valid(&value) {
            refused += 1;
        // To JSON Schema 1.0 is the number 1.
        } else if shows && !path.ends_with("version_as_float.toml") {
            taken.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(refused > 25, "{refused}");
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn it_refuses_no_file_that_the_library_takes() {
    let installed = Installed::new();
    let validator = validator(&schema(&installed));
    for path in files("resolver/tests/bad_config", ".toml") {
        let text = fs::read_to_string(&path).unwrap();
        let source = Source::Text { name: "t.toml".into(), text: text.clone() };
        let loaded = load_with(source, &Variables::of([("SECRET", "x")]));
        if loaded.report.has_errors() {
            continue;
        }
        let value = value(&text).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn the_settings_of_each_plugin_are_checked_and_references_may_stand_for_them() {
    let installed = Installed::new();
    let with = validator(&schema(&installed));
    let without = validator(&installed.run(&["schema", "--no-plugins"]).json());
    let file =
        |config: &str| value(&format!("version = 1\n[backends.b]\nplugin = \"otlp\"\nconfig = {config}\n")).unwrap();
    for right in [
        "{}",
        "{ compression = \"gzip\" }",
        "{ compression = \"${env:C}\" }",
        "{ timeout = \"${env:T:-5s}\" }",
        "{ headers = { a = \"b\" } }",
    ] {
        assert!(with.is_valid(&file(right)) && without.is_valid(&file(right)), "{right}");
    }
    for wrong in
        ["{ compresion = \"gzip\" }", "{ compression = \"zip\" }", "{ headers = { a = 1 } }", "{ endpoint = 1 }"]
    {
        assert!(!with.is_valid(&file(wrong)), "{wrong}");
        assert!(without.is_valid(&file(wrong)), "{wrong}");
    }
    // Of a plugin that is not there nothing is known.
    assert!(with.is_valid(&value("version = 1\n[backends.b]\nplugin = \"own\"\nconfig = { x = 1 }\n").unwrap()));
}

/// The schema is written by hand: each key that the engine names as known is in it, and no other.
#[test]
fn its_keys_are_those_that_the_engine_reads() {
    let installed = Installed::new();
    let schema = schema(&installed);
    let known = |text: &str| -> BTreeSet<String> {
        let source = Source::Text { name: "t.toml".into(), text: text.into() };
        let report = load_with(source, &Variables::of::<&str, &str>([])).report;
        let help = report.problems.iter().find(|problem| problem.code == "C101").unwrap().help.clone().unwrap();
        help.rsplit("known here: ").next().unwrap().split(", ").map(str::to_owned).collect()
    };
    for (pointer, text) in [
        ("", "x = 1\nversion = 1"),
        ("/$defs/defaults", "version = 1\n[defaults]\nx = 1"),
        ("/$defs/service", "version = 1\n[services.a]\nx = 1"),
        ("/$defs/topic", "version = 1\n[services.a.topic.b]\nx = 1"),
        ("/$defs/propagators", "version = 1\n[defaults]\npropagators = { x = 1 }"),
        ("/$defs/backend", "version = 1\n[backends.a]\nplugin = \"p\"\nx = 1"),
        ("/$defs/backend/properties/retry", "version = 1\n[backends.a]\nplugin = \"p\"\nretry = { x = 1 }"),
        ("/properties/batch", "version = 1\n[batch]\nx = 1"),
        ("/properties/reload", "version = 1\n[reload]\nx = 1"),
        ("/properties/trust", "version = 1\n[trust]\nx = 1"),
        ("/properties/plugins/additionalProperties", "version = 1\n[plugins.a]\nx = 1"),
    ] {
        let properties = schema.pointer(&format!("{pointer}/properties")).unwrap().as_object().unwrap();
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), known(text), "{pointer}");
    }
}

/// The defaults that an editor shows are those of the manual.
#[test]
fn its_defaults_are_those_of_the_manual() {
    let installed = Installed::new();
    let schema = schema(&installed);
    let manual = Outline::of(DEFAULT_CONFIG);
    let default = |pointer: &str| schema.pointer(&format!("{pointer}/default")).cloned().unwrap();
    for key in [
        "trace",
        "measure",
        "sampler",
        "parent",
        "relation",
        "ambient",
        "reinject",
        "commit_spans",
        "exclude",
        "capture_headers",
        "redact_headers",
        "redact_values",
        "message_key",
        "conventions",
    ] {
        assert_eq!(default(&format!("/$defs/{key}")), manual.at(&["defaults", key]).unwrap().value, "{key}");
    }
    for key in ["inject", "extract"] {
        let written = manual.at(&["defaults", "propagators", key]).unwrap();
        assert_eq!(default(&format!("/$defs/propagators/properties/{key}")), written.value, "{key}");
    }
    for key in ["timeout", "concurrency", "queue_bytes", "shed_traces", "spool_limit"] {
        assert_eq!(
            default(&format!("/$defs/backend/properties/{key}")),
            manual.at(&["backends", "NAME", key]).unwrap().value
        );
    }
    for key in ["initial", "max", "max_elapsed"] {
        let written = manual.at(&["backends", "NAME", "retry", key]).unwrap();
        assert_eq!(default(&format!("/$defs/backend/properties/retry/properties/{key}")), written.value);
    }
    for (section, key) in [
        ("batch", "delay"),
        ("batch", "max_bytes"),
        ("reload", "enabled"),
        ("reload", "interval"),
        ("trust", "allow_world_writable"),
    ] {
        let written = manual.at(&[section, key]).unwrap();
        assert_eq!(default(&format!("/properties/{section}/properties/{key}")), written.value, "{section}.{key}");
    }
}

/// taplo is what editors have. `npm install --global @taplo/cli` brings it; where it is not, this is skipped, and said so.
#[test]
fn a_toml_language_server_finds_a_file_right_and_another_wrong_by_it() {
    let taplo = std::env::var_os("TAPLO").unwrap_or_else(|| "taplo".into());
    if Command::new(&taplo).arg("--version").output().is_err() {
        skip("taplo is not in the PATH, and TAPLO does not name it (npm install --global @taplo/cli)");
        return;
    }
    let installed = Installed::new();
    installed.file("tracing.schema.json", &schema(&installed).to_string());
    let lint = |name: &str, text: &str| {
        let file = installed.file(name, text);
        let mut command = Command::new(&taplo);
        let schema = format!("file://{}", installed.work().join("tracing.schema.json").display());
        command.args(["lint", "--schema", &schema]).arg(file).current_dir(installed.work());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_right, said) = lint("right.toml", &fs::read_to_string(repository("docs/command/tracing.toml")).unwrap());
    assert!(is_right, "{said}");
    let (is_right, said) =
        lint("wrong.toml", "version = 1\n[backends.b]\nplugin = \"otlp\"\nconfig = { compresion = \"gzip\" }\n");
    assert!(!is_right && said.contains("compresion"), "{said}");
}
