//! No text makes loading panic, run away, or give a configuration that contradicts its report.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tracer_resolver::config::{Config, DEFAULT_CONFIG, Loaded, Source, Variables, load_with};

const JSON: &str = r#"{"services":[{"service":"S","config":{"sampler":{"type":"const","param":1},
    "reporter":{"logSpans":true,"flushIntervalMs":10,"sender":{"agentHost":"h","agentPort":1}}},"topics":["a","b"]}]}"#;

fn load(text: &str) -> Loaded {
    let variables = Variables::of([("A", "1"), ("DEPLOY_ENV", "x"), ("JAEGER_TAGS", "a=b")]);
    load_with(Source::Text { name: "t".into(), text: text.into() }, &variables)
}

fn assert_consistent(config: &Config) {
    let settings = config.services.iter().flat_map(|s| s.topic_settings.iter().map(|(_, t)| t).chain([&s.settings]));
    for settings in settings.chain([&config.defaults]) {
        assert!(settings.export.iter().all(|index| *index < config.backends.len()));
    }
    assert!(config.default_service.is_none_or(|index| index < config.services.len()));
}

/// One change to a text: a piece taken out, and another put in its place.
fn changed(text: &str, at: usize, length: usize, with: &str) -> String {
    let floor = |mut index: usize| {
        index = index.min(text.len());
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let (start, end) = (floor(at % (text.len() + 1)), floor(at % (text.len() + 1) + length));
    format!("{}{with}{}", &text[..start], &text[end.max(start)..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_file_is_read_or_refused_but_never_a_panic(
        at in any::<usize>(), length in 0usize..40,
        with in prop_oneof![
            "[\\[\\]{}=.,\"'#\n a-z0-9$-]{0,12}", Just("${env:A}".to_owned()), Just("${env:NONE}".to_owned()),
            Just("\u{1b}[2J\u{202e}".to_owned()), Just("[[services]]\n".to_owned()), Just("[plugins.x]\n".to_owned()),
        ],
        json in any::<bool>(),
    ) {
        let loaded = load(&changed(if json { JSON } else { DEFAULT_CONFIG }, at, length, &with));
        let rendered = loaded.report.render(false);
        prop_assert!(!rendered.chars().any(|c| c.is_control() && c != '\n'));
        match &loaded.config {
            Some(config) => assert_consistent(config),
            None => prop_assert!(loaded.report.has_errors(), "off without an error:\n{}", rendered),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
        let loaded = load(&text);
        prop_assert!(loaded.config.is_some() || loaded.report.has_errors());
        let _ = loaded.report.render(true);
    }
}

#[test]
fn a_megabyte_of_services_or_problems_takes_no_age() {
    let services: String =
        (0..15_000).map(|n| format!("[services.s{n}]\ntopics = [\"t{n}.*\", \"topic-{n}\"]\n")).collect();
    let topics: String = (0..60_000).map(|n| format!("\"topic-{n}\",")).collect();
    let unknown: String = (0..60_000).map(|n| format!("key{n} = {n}\n")).collect();
    let texts = [
        format!("version = 1\n{services}"),
        format!("version = 1\n[services.s]\ntopics = [{topics}]\n"),
        format!("version = 1\n[defaults]\n{unknown}"),
        format!("{{\"services\":[{{\"service\":\"s\",\"topics\":[{}]}}]}}", topics.trim_end_matches(',')),
    ];
    for text in texts {
        let begin = Instant::now();
        let loaded = load(&text);
        assert!(loaded.report.render(false).len() < 1 << 20);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?} for {} …", text.get(..60).unwrap());
    }
}
