//! `default-config.toml` is the manual and the defaults at once, so it cannot lie.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use tracer_resolver::config::{
    Ambient, Config, Conventions, DEFAULT_CONFIG, Loaded, Measuring, MessageKey, Metrics, ParentDecision, Pattern,
    Propagator, QueueBytes, Relation, Sampler, Severity, Source, Trace, Variables, load_with,
};

fn load(text: &str) -> Loaded {
    let source = Source::Text { name: "default-config.toml".into(), text: text.into() };
    load_with(source, &Variables::of::<&str, &str>([]))
}

#[track_caller]
fn loaded(text: &str) -> Config {
    let loaded = load(text);
    let errors = loaded.report.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    assert_eq!(errors, 0, "{}", loaded.report.render(false));
    loaded.config.unwrap()
}

/// Lines such as `# key = value` and `# [section]` are examples, not prose.
fn is_example(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("# ") else { return false };
    let key = rest.split_once('=').map(|(key, _)| key.trim_end());
    rest.starts_with('[')
        || key.is_some_and(|key| key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
}

#[test]
fn the_manual_is_a_valid_file() {
    let config = loaded(DEFAULT_CONFIG);
    assert_eq!(config.services.len(), 1);
    assert_eq!(config.backends.len(), 1);
}

#[test]
fn every_example_in_the_manual_is_valid_too() {
    let mut sections: Vec<String> = vec![String::new()];
    // An example of a key may stand beside its default, so each is tried alone, under its section.
    let mut section = String::new();
    let mut examples = 0;
    for line in DEFAULT_CONFIG.lines() {
        if line.starts_with('[') {
            section = line.split('#').next().unwrap().trim().to_owned();
        }
        if is_example(line) {
            let bare = line.trim_start_matches("# ");
            if bare.starts_with('[') {
                section = bare.trim().to_owned();
                continue;
            }
            examples += 1;
            let backend = "[backends.NAME]\nplugin = \"otlp\"\n";
            let service = "[services.NAME]\ntopics = [\"heartbeat.*\"]\n";
            let text = match section.as_str() {
                "" => format!("version = 1\n{bare}\n{backend}{service}"),
                "[services.NAME]" => format!("version = 1\n{backend}{service}{bare}\n"),
                "[backends.NAME]" => format!("version = 1\n{service}{backend}{bare}\n"),
                other => format!("version = 1\n{backend}{service}{other}\n{bare}\n"),
            };
            loaded(&text);
            sections.push(section.clone());
        }
    }
    assert!(examples >= 8, "only {examples} examples were found");
    assert!(sections.iter().any(|section| section.starts_with("[plugins.")));
}

#[test]
fn every_known_key_appears_in_the_manual_with_its_words() {
    let keys = [
        "version",
        "default_service",
        "trace",
        "measure",
        "sampler",
        "parent",
        "relation",
        "ambient",
        "propagators",
        "reinject",
        "commit_spans",
        "capture_headers",
        "redact_headers",
        "redact_values",
        "message_key",
        "conventions",
        "export",
        "exclude",
        "resource",
        "produces",
        "consumes",
        "topics",
        "client_ids",
        "group_ids",
        "plugin",
        "config",
        "timeout",
        "concurrency",
        "queue_bytes",
        "shed_traces",
        "spool",
        "spool_limit",
        "retry",
        "delay",
        "max_bytes",
        "self",
        "interval",
        "prometheus",
        "prometheus_open",
        "textfile",
        "dirs",
        "file",
        "sha256",
        "enabled",
        "interval",
        "allow_world_writable",
    ];
    for key in keys {
        let line = DEFAULT_CONFIG
            .lines()
            .find(|line| line.trim_start_matches("# ").split_once('=').is_some_and(|(name, _)| name.trim() == key));
        assert!(line.is_some(), "`{key}` is missing");
    }
    for part in [
        "inject",
        "extract",
        "ratio",
        "consistent_probability",
        "rate_limit",
        "regex",
        "initial",
        "max",
        "max_elapsed",
        ".topic.",
    ] {
        assert!(DEFAULT_CONFIG.contains(part), "`{part}` is missing");
    }
}

/// The other half of "every known key": what the messages name as known is what the test above looks for.
#[test]
fn the_keys_that_messages_name_as_known_all_appear_in_the_manual() {
    let sections = [
        ("x = 1\nversion = 1", 11),
        ("version = 1\n[defaults]\nx = 1", 17),
        ("version = 1\n[services.a]\nx = 1", 23),
        ("version = 1\n[services.a.topic.b]\nx = 1", 15),
        ("version = 1\n[defaults]\npropagators = { x = 1 }", 2),
        ("version = 1\n[defaults]\nsampler = { x = 1 }", 3),
        ("version = 1\n[defaults]\nexclude = [{ x = 1 }]", 1),
        ("version = 1\n[backends.a]\nplugin = \"p\"\nx = 1", 9),
        ("version = 1\n[backends.a]\nplugin = \"p\"\nretry = { x = 1 }", 3),
        ("version = 1\n[batch]\nx = 1", 2),
        ("version = 1\n[metrics]\nx = 1", 6),
        ("version = 1\n[plugins.a]\nx = 1", 2),
        ("version = 1\n[reload]\nx = 1", 2),
        ("version = 1\n[trust]\nx = 1", 1),
    ];
    for (text, count) in sections {
        let report = load(text).report;
        let help = report.problems.iter().find(|problem| problem.code == "C101").unwrap().help.clone().unwrap();
        let keys: Vec<&str> = help.strip_prefix("known here: ").unwrap().split(", ").collect();
        assert_eq!(keys.len(), count, "{help}");
        for key in keys {
            let is_there = |line: &str| {
                let line = line.trim_start_matches("# ");
                line.contains(&format!("{key} "))
                    || line.starts_with(&format!("[[{key}"))
                    || line.starts_with(&format!("[{key}"))
                    || line.contains(&format!(".{key}."))
            };
            assert!(DEFAULT_CONFIG.lines().any(is_there), "`{key}` is missing");
        }
    }
}

#[test]
fn an_empty_file_has_the_defaults_that_the_manual_promises() {
    let config = loaded("version = 1\n[services.s]\ntopics = [\"t\"]\n[backends.b]\nplugin = \"otlp\"\n");
    let settings = &config.services[0].settings;
    assert_eq!(settings, &config.defaults);
    assert_eq!(settings.trace, Trace::Spans);
    assert_eq!(settings.measure, Measuring::Off);
    assert_eq!(settings.sampler, Sampler::AlwaysOn);
    assert_eq!(settings.parent, ParentDecision::Respect);
    assert_eq!(settings.relation, Relation::Parent);
    assert_eq!(settings.ambient, Ambient::Thread);
    assert!(!settings.reinject);
    assert!(!settings.commit_spans);
    assert!(settings.export.is_empty());
    assert!(settings.attributes.capture_headers.is_empty(), "no header is told by itself");
    assert_eq!(settings.attributes.message_key, MessageKey::Off);
    assert_eq!(settings.attributes.conventions, Conventions::Messaging);
    for secret in ["*auth*", "*token*", "*cookie*", "*password*", "*secret*"] {
        assert!(settings.attributes.redact_headers.iter().any(|glob| glob == secret), "{secret}");
    }
    assert_eq!(*settings.attributes.redact_values, ["Bearer *", "Basic *", "eyJ*"]);
    assert_eq!(*settings.inject, [Propagator::TraceContext, Propagator::Baggage]);
    let extract = [Propagator::TraceContext, Propagator::Baggage, Propagator::B3, Propagator::Jaeger];
    assert_eq!(*settings.extract, extract);
    let excluded: Vec<&str> = config.services[0].exclude.iter().filter_map(glob).collect();
    assert_eq!(excluded, ["__*", "_confluent-*"]);
    let backend = &config.backends[0];
    assert_eq!((backend.timeout, backend.concurrency), (Duration::from_secs(10), 2));
    assert_eq!((backend.queue_bytes, backend.shed_traces), (QueueBytes::Auto, true));
    assert_eq!(backend.spool, None);
    assert_eq!(backend.retry.initial, Duration::from_millis(500));
    assert_eq!(backend.retry.max, Duration::from_secs(5));
    assert_eq!(backend.retry.max_elapsed, Duration::from_secs(120));
    assert_eq!((config.batch.delay, config.batch.max_bytes), (Duration::from_millis(200), 512 << 10));
    assert!(config.plugins.dirs.is_empty() && !config.plugins.allow_world_writable);
    assert_eq!(config.metrics, Metrics::default());
    assert!(!config.measures());
    assert_eq!((config.reload.enabled, config.reload.interval), (false, Duration::from_secs(5)));
}

fn glob(pattern: &Pattern) -> Option<&str> {
    match pattern {
        Pattern::Glob(text) => Some(text),
        _ => None,
    }
}
