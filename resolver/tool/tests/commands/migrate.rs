//! `migrate` writes TOML that means the same as the JSON of 2019, and is right.

use std::fs;

use proptest::prelude::*;
use tracer_resolver::config::{Config, Service, Source, Variables, load_with};

use crate::installed::{Installed, Said, files};

/// What a configuration means, without places and without the words for it: compared as text.
fn meaning(config: &Config) -> String {
    let names = |export: &[usize]| export.iter().map(|index| config.backends[*index].name.clone()).collect::<Vec<_>>();
    let settings = |settings: &tracer_resolver::config::Settings| {
        format!(
            "{:?} {:?}",
            tracer_resolver::config::Settings { export: Default::default(), ..settings.clone() },
            names(&settings.export)
        )
    };
    let service = |service: &Service| {
        let topics: Vec<_> = service.topics.iter().map(|pattern| format!("{pattern:?}")).collect();
        let overrides: Vec<_> = service
            .topic_settings
            .iter()
            .filter(|(_, own)| *own != service.settings)
            .map(|(pattern, own)| format!("{pattern:?} {}", settings(own)))
            .collect();
        format!(
            "{} {topics:?} {:?} {} {overrides:?} {:?}",
            service.name,
            service.exclude.iter().map(|pattern| format!("{pattern:?}")).collect::<Vec<_>>(),
            settings(&service.settings),
            service.resource
        )
    };
    let services: Vec<_> = config.services.iter().map(service).collect();
    let backends: Vec<_> = config
        .backends
        .iter()
        .map(|backend| {
            format!("{} {} {} {:?} {:?}", backend.name, backend.plugin, backend.config, backend.timeout, backend.retry)
        })
        .collect();
    let sets =
        (services.join("\n"), backends.join("\n"), config.batch, config.default_service, settings(&config.defaults));
    format!("{sets:#?}")
}

fn load(name: &str, text: &str, variables: &[(&str, &str)]) -> Config {
    let source = Source::Text { name: name.to_owned(), text: text.to_owned() };
    let loaded = load_with(source, &Variables::of(variables.iter().copied()));
    assert!(!loaded.report.has_errors(), "{text}\n{}", loaded.report.render(false));
    loaded.config.unwrap()
}

/// The TOML and what was told, after both were seen to mean the same.
fn same(installed: &Installed, json: &str, variables: &[(&str, &str)]) -> Said {
    installed.file("old.json", json);
    let mut command = installed.command();
    let said = Said::of(command.args(["migrate", "old.json"]).envs(variables.iter().copied()).output().unwrap());
    assert_eq!(said.status, 0, "{json}\n{}", said.err);
    let (old, new) = (load("old.json", json, variables), load("new.toml", &said.out, variables));
    assert_eq!(meaning(&old), meaning(&new), "{json}\n{}", said.out);
    said
}

#[test]
fn every_old_file_that_can_be_read_means_the_same_as_its_toml_and_that_is_right() {
    let installed = Installed::new();
    let mut seen = 0;
    for folder in ["docs/command", "resolver/tests/bad_config"] {
        for path in files(folder, ".json") {
            let text = fs::read_to_string(&path).unwrap();
            let source = Source::Text { name: "old.json".to_owned(), text: text.clone() };
            let loaded = load_with(source, &Variables::of::<&str, &str>([]));
            if loaded.report.has_errors() || loaded.config.is_none() {
                continue;
            }
            seen += 1;
            installed.file("old.json", &text);
            let said = installed.run(&["migrate", "old.json"]);
            assert_eq!(said.status, 0, "{}: {}", path.display(), said.err);
            installed.file("new.toml", &said.out);
            let checked = installed.run(&["check", "new.toml"]);
            assert_eq!(checked.status, 0, "{}: {}\n{}", path.display(), said.out, checked.out);
            // Names that TOML does not take are told, and make the only difference.
            if !said.err.contains("dropped: topic") && !said.err.contains("mended: the name") {
                let (old, new) = (load("old.json", &text, &[]), load("new.toml", &said.out, &[]));
                assert_eq!(meaning(&old), meaning(&new), "{}: {}", path.display(), said.out);
            }
        }
    }
    assert!(seen > 2, "{seen} files were tried");
}

#[test]
fn what_did_not_simply_pass_over_is_told_and_stands_in_a_comment() {
    let installed = Installed::new();
    let json = "{\"services\": [{\"service\": \"a\", \"config\": {\"sampler\": {\"type\": \"remote\"}, \"reporter\": {\"maxQueueSize\": 7}},
        \"topics\": [\"orders\", \"refunds.*\"], \"colour\": 1}]}";
    installed.file("old.json", json);
    let said = installed.run(&["migrate", "old.json"]);
    for told in [
        "dropped: line 1: `maxQueueSize`",
        "mended: line 2: unknown key `colour`",
        "dropped: topic \"refunds.*\"",
        "kept: reinject = true",
    ] {
        assert!(
            said.err.contains(told) && said.out.contains(&format!("# {told}")),
            "{told}\n{}\n{}",
            said.err,
            said.out
        );
    }
    assert!(said.err.lines().all(|line| line.starts_with("tracer-interceptors: ")), "{}", said.err);
}

#[test]
fn what_variables_say_stays_and_their_secrets_stay_in_them() {
    let installed = Installed::new();
    let json = "{\"services\": [{\"service\": \"a\", \"topics\": [\"t\"]}]}";
    let said = same(
        &installed,
        json,
        &[
            ("JAEGER_ENDPOINT", "http://j:1/api/traces"),
            ("JAEGER_AUTH_TOKEN", "hunter2"),
            ("JAEGER_TAGS", "team=x"),
            ("JAEGER_PROPAGATION", "b3,w3c"),
        ],
    );
    assert!(said.out.contains("Bearer ${env:JAEGER_AUTH_TOKEN}") && !said.out.contains("hunter2"), "{}", said.out);
    installed.file("old.json", json);
    let mut command = installed.command();
    command.args(["migrate", "old.json"]).envs([
        ("JAEGER_ENDPOINT", "http://j:1/"),
        ("JAEGER_USER", "u"),
        ("JAEGER_PASSWORD", "hunter2"),
    ]);
    let said = Said::of(command.output().unwrap());
    // What `u:hunter2` is in base64.
    assert!(
        !said.out.contains("dTpodW50ZXIy") && said.err.contains("dropped: user and password"),
        "{}\n{}",
        said.out,
        said.err
    );
}

#[test]
fn what_is_no_old_file_is_refused() {
    let installed = Installed::new();
    installed.file("t.toml", "version = 1\n");
    for (file, says) in [("t.toml", "is TOML already"), ("gone.json", "does not exist")] {
        let said = installed.run(&["migrate", file]);
        assert!(said.status == 1 && said.err.contains(says) && said.out.is_empty(), "{said:?}");
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,6}"
}

fn old_file() -> impl Strategy<Value = String> {
    let sampler = prop_oneof![
        Just(String::new()),
        Just("\"sampler\": {\"type\": \"const\", \"param\": 0}".to_owned()),
        (0u8..=100).prop_map(|percent| format!(
            "\"sampler\": {{\"type\": \"probabilistic\", \"param\": {}}}",
            f64::from(percent) / 100.0
        )),
        (1u16..500).prop_map(|limit| format!("\"sampler\": {{\"type\": \"ratelimiting\", \"param\": {limit}}}")),
    ];
    let reporter = prop_oneof![
        Just(String::new()),
        (name(), 1u16..9999).prop_map(|(host, port)| format!("\"reporter\": {{\"sender\": {{\"agentHost\": \"{host}\", \"agentPort\": {port}}}}}")),
        (name(), any::<bool>()).prop_map(|(host, log)| format!(
            "\"reporter\": {{\"logSpans\": {log}, \"flushIntervalMs\": 700, \"sender\": {{\"endpoint\": \"http://{host}/$x\", \"authToken\": \"$t\"}}}}"
        )),
    ];
    let service = (name(), sampler, reporter, prop::collection::btree_set(name(), 1..4));
    prop::collection::vec(service, 1..4).prop_map(|services| {
        let services: Vec<_> = services
            .into_iter()
            .enumerate()
            .map(|(index, (name, sampler, reporter, topics))| {
                let config: Vec<_> = [sampler, reporter].into_iter().filter(|part| !part.is_empty()).collect();
                // Each topic is one service's own; names may repeat.
                let topics: Vec<_> = topics.into_iter().map(|topic| format!("\"{topic}-{index}\"")).collect();
                format!(
                    "{{\"service\": \"{name}\", \"config\": {{{}}}, \"topics\": [{}]}}",
                    config.join(", "),
                    topics.join(", ")
                )
            })
            .collect();
        format!("{{\"services\": [{}]}}", services.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_old_file_means_the_same_as_its_toml(json in old_file()) {
        same(&Installed::new(), &json, &[]);
    }
}
