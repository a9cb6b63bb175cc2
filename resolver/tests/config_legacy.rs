//! The JSON of 2019 keeps working, with the meaning its documentation gave it. R-cases: what its reader did with it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tracer_resolver::config::{
    Config, Loaded, Origin, ParentDecision, Pattern, Propagator, Relation, Sampler, Severity, Source, Trace, Variables,
    load_with,
};

const README: &str = r#"{ "services":[
  { "service":"CustomerService",
    "config":{ "sampler":{"type":"const","param":1},
               "reporter":{"logSpans":true,"flushIntervalMs":1000,"maxQueueSize":10} },
    "topics":["Topic-1","Topic-2","Topic-3"] },
  { "service":"ProductService",
    "config":{ "reporter":{"logSpans":false,"maxQueueSize":100} },
    "topics":["Topic-4","Topic-5"] } ] }"#;

const KSQL: &str = r#"{"services":[{"service":"KSQL Server","config":{"sampler":{"type":"const","param":1},
  "reporter":{"logSpans":true}},"topics":["GUESSES","GUESSES_WRAPPER","GUESSES_STAGE_1","GUESSES_STAGE_2",
  "GUESSES_STAGE_3","GUESSES_STAGE_4","GUESSES_STAGE_5","WINNERS"]}]}"#;

const CONNECT: &str = r#"{"services":[{"service":"Kafka Connect","config":{"sampler":{"type":"const","param":1},
  "reporter":{"logSpans":true}},"topics":["WINNERS"]}]}"#;

const REST_PROXY: &str = r#"{"services":[{"service":"REST Proxy","config":{"sampler":{"type":"const","param":1},
  "reporter":{"logSpans":true}},"topics":["INPUTS","GUESSES"]}]}"#;

const SPRING: &str = r#"{"services":[{"service":"Spring Boot","config":{"sampler":{"type":"const","param":1},
  "reporter":{"logSpans":true}},"topics":["TWEETS","GUESSES"]}]}"#;

const TRACE_CONFIG: &str = r#"{"services":[{"service":"CustomerService",
  "traceConfig":{"samplerType":"const","samplerParam":1,"logSpans":true},"topics":["Topic-1"]}]}"#;

fn load_in(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let source = Source::Text { name: "/etc/jaeger/ext/interceptorsConfig.json".into(), text: text.into() };
    load_with(source, &Variables::of(variables.iter().copied()))
}

#[track_caller]
fn config_in(text: &str, variables: &[(&str, &str)]) -> Config {
    let loaded = load_in(text, variables);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(false));
    loaded.config.unwrap()
}

#[track_caller]
fn config(text: &str) -> Config {
    config_in(text, &[])
}

/// One service with this `config`, on one topic.
fn one(config: &str) -> String {
    format!(r#"{{"services":[{{"service":"S","config":{config},"topics":["t"]}}]}}"#)
}

#[track_caller]
fn sampler(text: &str) -> Sampler {
    config(&one(&format!(r#"{{"sampler":{text}}}"#))).services[0].settings.sampler
}

#[track_caller]
fn sender_in(reporter: &str, variables: &[(&str, &str)]) -> serde_json::Value {
    let config = config_in(&one(&format!(r#"{{"reporter":{reporter}}}"#)), variables);
    assert_eq!(config.backends[0].plugin, "jaeger");
    config.backends[0].config.clone()
}

fn topics(config: &Config, service: usize) -> Vec<&str> {
    let name = |pattern: &'_ Pattern| matches!(pattern, Pattern::Exact(_));
    assert!(config.services[service].topics.iter().all(name));
    config.services[service].topics.iter().map(|p| if let Pattern::Exact(t) = p { t.as_str() } else { "" }).collect()
}

#[test]
fn r_samples_all_six_files_are_read() {
    for (text, names) in [
        (README, &["CustomerService", "ProductService"][..]),
        (KSQL, &["KSQL Server"]),
        (CONNECT, &["Kafka Connect"]),
        (REST_PROXY, &["REST Proxy"]),
        (SPRING, &["Spring Boot"]),
        (TRACE_CONFIG, &["CustomerService"]),
    ] {
        let loaded = load_in(text, &[]);
        assert!(loaded.report.problems.iter().all(|p| p.severity == Severity::Note), "{}", loaded.report.render(false));
        let old = loaded.report.problems.iter().filter(|problem| problem.code == "C500").count();
        assert_eq!(old, 1, "one note about the format");
        let config = loaded.config.unwrap();
        assert_eq!(config.services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), names);
        assert!(matches!(&config.origin, Origin::LegacyFile(path) if path.ends_with("interceptorsConfig.json")));
        assert!(config.services.iter().all(|service| service.settings.sampler == Sampler::AlwaysOn));
    }
}

#[test]
fn r_mapped_topic_uses_its_own_service() {
    let config = config(README);
    assert_eq!(topics(&config, 0), ["Topic-1", "Topic-2", "Topic-3"]);
    assert_eq!(topics(&config, 1), ["Topic-4", "Topic-5"]);
    assert_eq!(&README[config.services[1].span.clone()], "\"ProductService\"");
}

#[test]
fn r_unmapped_topic_is_untouched() {
    assert_eq!(config(README).default_service, None);
}

#[test]
fn r_topics_are_exact_names_even_with_a_star() {
    assert_eq!(topics(&config(r#"{"services":[{"service":"S","topics":["a*"]}]}"#), 0), ["a*"]);
}

#[test]
fn r_trace_config_form_is_read() {
    let text = r#"{"services":[{"service":"S","traceConfig":{"samplerType":"probabilistic","samplerParam":0.5,
                   "logSpans":false},"topics":["t"]}]}"#;
    let config = config(text);
    assert_eq!(config.services[0].settings.sampler, Sampler::Ratio(0.5));
    assert_eq!(config.backends.len(), 1, "no log");
}

#[test]
fn r_samplers_have_their_documented_meaning() {
    assert_eq!(sampler(r#"{"type":"const","param":1}"#), Sampler::AlwaysOn);
    assert_eq!(sampler(r#"{"type":"const","param":0}"#), Sampler::AlwaysOff);
    assert_eq!(sampler(r#"{"type":"probabilistic","param":0.001}"#), Sampler::Ratio(0.001));
    assert_eq!(sampler(r#"{"type":"ratelimiting","param":2}"#), Sampler::RateLimit(2.0));
    assert_eq!(sampler(r#"{"type":"ratelimiting","param":0}"#), Sampler::AlwaysOff);
    assert_eq!(config(README).services[0].settings.parent, ParentDecision::Respect, "Jaeger decides at the root only");
}

#[test]
fn r_sampler_block_without_fields_is_const_1() {
    assert_eq!(sampler("{}"), Sampler::AlwaysOn);
    // R12: const without a parameter kept nothing.
    assert_eq!(sampler(r#"{"type":"const"}"#), Sampler::AlwaysOn);
    assert_eq!(sampler(r#"{"type":"const","param":null}"#), Sampler::AlwaysOn);
}

#[test]
fn r12_fractions_per_second_are_not_cut_to_never() {
    assert_eq!(sampler(r#"{"type":"ratelimiting","param":0.5}"#), Sampler::RateLimit(0.5));
}

#[test]
fn r4_missing_sampler_keeps_every_trace_and_not_one_in_a_thousand() {
    assert_eq!(config(README).services[1].settings.sampler, Sampler::AlwaysOn);
}

#[test]
fn r_missing_sampler_is_taken_from_the_environment_first() {
    let settings = |variables: &[(&str, &str)]| config_in(&one("{}"), variables).services[0].settings.sampler;
    assert_eq!(
        settings(&[("JAEGER_SAMPLER_TYPE", "probabilistic"), ("JAEGER_SAMPLER_PARAM", "0.25")]),
        Sampler::Ratio(0.25)
    );
    assert_eq!(settings(&[("JAEGER_SAMPLER_TYPE", "const")]), Sampler::AlwaysOn);
    assert_eq!(settings(&[("JAEGER_SAMPLER_TYPE", "probabilistic")]), Sampler::Ratio(0.001));
    assert_eq!(settings(&[("JAEGER_SAMPLER_TYPE", "probablistic")]), Sampler::AlwaysOn);
    assert_eq!(settings(&[("JAEGER_SAMPLER_TYPE", "probabilistic"), ("JAEGER_SAMPLER_PARAM", "7")]), Sampler::AlwaysOn);
    let text = one(r#"{"sampler":{"type":"const","param":0}}"#);
    let config = config_in(&text, &[("JAEGER_SAMPLER_TYPE", "const"), ("JAEGER_SAMPLER_PARAM", "1")]);
    assert_eq!(config.services[0].settings.sampler, Sampler::AlwaysOff, "the file wins");
}

#[test]
fn r_remote_sampler_is_a_warning_and_keeps_every_trace() {
    let loaded = load_in(&one(r#"{"sampler":{"type":"remote","param":0.5,"managerHostPort":"h:5778"}}"#), &[]);
    assert!(loaded.report.problems.iter().any(|p| p.code == "C502" && p.severity == Severity::Warning));
    assert_eq!(loaded.config.unwrap().services[0].settings.sampler, Sampler::AlwaysOn);
}

#[test]
fn r_bad_samplers_and_sizes_are_errors_that_leave_the_program_running() {
    for bad in [
        r#"{"sampler":{"type":"sometimes"}}"#,
        r#"{"sampler":{"type":"probabilistic","param":1.5}}"#,
        r#"{"sampler":{"type":"probabilistic","param":-0.1}}"#,
        r#"{"sampler":{"type":"const","param":-1}}"#,
        r#"{"sampler":{"param":"1"}}"#,
        r#"{"reporter":{"maxQueueSize":0}}"#,
        r#"{"reporter":{"flushIntervalMs":0}}"#,
        r#"{"reporter":{"sender":{"agentPort":70000}}}"#,
    ] {
        let loaded = load_in(&one(bad), &[]);
        assert!(loaded.report.has_errors(), "{bad}");
        assert!(loaded.config.is_none(), "{bad}");
    }
}

#[test]
fn r2_broken_files_are_errors_with_a_place_and_no_panic() {
    for bad in ["{", "{}", "{\"services\":{}}", "{\"services\":[{}]}", "{\"services\":[{\"service\":\"\"}]}", "{]"] {
        let loaded = load_in(bad, &[]);
        assert!(loaded.config.is_none());
        let error = loaded.report.problems.iter().find(|p| p.severity == Severity::Error).unwrap();
        assert!(error.span.is_some(), "{bad}");
    }
}

#[test]
fn r_leniency_of_the_first_reader_is_named_in_the_error() {
    for bad in ["{'services':[]}", "{services:[]}", "{\"services\":[abc]}", "{# c\n}", "{\"services\":[/* c */]}"] {
        let text = load_in(bad, &[]).report.render(false);
        assert!(text.contains("comments, single quotes and words without quotes"), "{text}");
    }
}

#[test]
fn r_null_config_counts_as_none() {
    let config = config(r#"{"services":[{"service":"S","config":null,"topics":["t"]}]}"#);
    assert_eq!(config.services[0].settings.sampler, Sampler::AlwaysOn);
}

#[test]
fn r_no_topics_is_a_warning() {
    let loaded = load_in(r#"{"services":[{"service":"S"}]}"#, &[]);
    assert!(loaded.report.problems.iter().any(|p| p.code == "C303"));
    assert_eq!(loaded.config.unwrap().services.len(), 1);
}

#[test]
fn r6_topic_in_two_services_is_an_error_that_shows_both_places() {
    let text = r#"{"services":[{"service":"A","topics":["t"]},{"service":"B","topics":["t"]}]}"#;
    let loaded = load_in(text, &[]);
    assert!(loaded.config.is_none());
    let problem = loaded.report.problems.iter().find(|p| p.code == "C201").unwrap();
    assert_eq!(&text[problem.span.clone().unwrap()], "\"t\"");
    assert_eq!(problem.also.len(), 1);
}

#[test]
fn r6_unknown_keys_are_warnings() {
    let text = one(r#"{"samplers":{"type":"const"}}"#);
    let loaded = load_in(&text, &[]);
    let warning = loaded.report.problems.iter().find(|p| p.code == "C501").unwrap();
    assert_eq!(warning.severity, Severity::Warning);
    assert_eq!(warning.label, "did you mean `sampler`?");
    assert!(loaded.config.is_some());
}

#[test]
fn r_same_service_twice_is_one_service_with_settings_per_topic() {
    let text = r#"{"services":[
        {"service":"S","config":{"sampler":{"type":"const","param":1}},"topics":["a"]},
        {"service":"S","config":{"sampler":{"type":"const","param":0}},"topics":["b"]}]}"#;
    let loaded = load_in(text, &[]);
    assert!(loaded.report.problems.iter().any(|p| p.code == "C206"));
    let config = loaded.config.unwrap();
    assert_eq!(config.services.len(), 1);
    assert_eq!(topics(&config, 0), ["a", "b"]);
    assert_eq!(config.services[0].settings.sampler, Sampler::AlwaysOn);
    let [(pattern, settings)] = &config.services[0].topic_settings[..] else { panic!("one topic differs") };
    assert!(matches!(pattern, Pattern::Exact(topic) if topic == "b"));
    assert_eq!(settings.sampler, Sampler::AlwaysOff);
}

#[test]
fn r_same_service_and_topic_twice_is_an_error() {
    let text = r#"{"services":[{"service":"S","topics":["a"]},{"service":"S","topics":["a"]}]}"#;
    assert!(load_in(text, &[]).config.is_none());
}

#[test]
fn r_no_sender_is_the_agent_on_localhost() {
    let agent = json!({ "transport": "thrift_udp", "endpoint": "localhost:6831" });
    assert_eq!(config(README).backends[0].config, agent);
    assert_eq!(sender_in("{}", &[("JAEGER_AGENT_HOST", "agent")])["endpoint"], "agent:6831");
    assert_eq!(sender_in("{}", &[("JAEGER_AGENT_PORT", "16831")])["endpoint"], "localhost:16831");
    assert_eq!(sender_in(r#"{"sender":{"agentHost":"h","agentPort":0}}"#, &[])["endpoint"], "h:6831");
}

#[test]
fn r3_sender_is_read_from_the_sender() {
    let sender = r#"{"sender":{"endpoint":"http://j:14268/api/traces","authToken":"tok"}}"#;
    let expected = json!({
        "transport": "thrift_http", "endpoint": "http://j:14268/api/traces",
        "headers": { "authorization": "Bearer tok" }
    });
    assert_eq!(sender_in(sender, &[]), expected);
    let agent = r#"{"sender":{"agentHost":"h","agentPort":1234}}"#;
    assert_eq!(sender_in(agent, &[]), json!({ "transport": "thrift_udp", "endpoint": "h:1234" }));
}

#[test]
fn r3_misplaced_sender_fields_are_accepted_with_a_warning() {
    let text = one(r#"{"reporter":{"endpoint":"http://j:14268/api/traces","sender":{}}}"#);
    let loaded = load_in(&text, &[]);
    assert!(loaded.report.problems.iter().any(|p| p.code == "C503" && p.severity == Severity::Warning));
    assert_eq!(loaded.config.unwrap().backends[0].config["endpoint"], "http://j:14268/api/traces");
    let both = r#"{"endpoint":"http://wrong","sender":{"endpoint":"http://right"}}"#;
    assert_eq!(sender_in(both, &[])["endpoint"], "http://right");
}

#[test]
fn r3_an_empty_sender_does_not_wipe_the_endpoint_of_the_environment() {
    let variables = [("JAEGER_ENDPOINT", "http://env:14268/api/traces"), ("JAEGER_AGENT_HOST", "agent")];
    let sent = sender_in(r#"{"sender":{}}"#, &variables);
    assert_eq!(sent, json!({ "transport": "thrift_http", "endpoint": "http://env:14268/api/traces" }));
    let named = sender_in(r#"{"sender":{"agentHost":"h"}}"#, &variables);
    assert_eq!(named, json!({ "transport": "thrift_udp", "endpoint": "h:6831" }), "the file wins as a whole");
}

#[test]
fn r5_credentials_may_come_from_the_environment_and_basic_wins_over_a_token() {
    let sender = r#"{"sender":{"endpoint":"http://j"}}"#;
    let variables = [("JAEGER_USER", "jdoe"), ("JAEGER_PASSWORD", "password"), ("JAEGER_AUTH_TOKEN", "tok")];
    assert_eq!(sender_in(sender, &variables)["headers"]["authorization"], "Basic amRvZTpwYXNzd29yZA==");
    assert_eq!(sender_in(sender, &[("JAEGER_AUTH_TOKEN", "tok")])["headers"]["authorization"], "Bearer tok");
    assert_eq!(sender_in(sender, &[("JAEGER_USER", "jdoe")]).get("headers"), None, "half of it is nothing");
}

#[test]
fn r_services_that_send_to_the_same_place_share_a_backend() {
    let text = r#"{"services":[
        {"service":"A","topics":["a"]},
        {"service":"B","config":{"reporter":{"sender":{"agentHost":"other"}}},"topics":["b"]},
        {"service":"C","config":{"reporter":{"sender":{"agentHost":"localhost"}}},"topics":["c"]}]}"#;
    let config = config(text);
    let names: Vec<&str> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["jaeger", "jaeger-2"]);
    assert_eq!(&text[config.backends[1].place_of("/endpoint")], "\"B\"", "whose sender it is");
    let exports: Vec<&[usize]> = config.services.iter().map(|s| &s.settings.export[..]).collect();
    assert_eq!(exports, [&[0][..], &[1], &[0]]);
}

#[test]
fn r_log_spans_adds_a_backend_that_writes_to_stderr() {
    let config = config(README);
    let [_, log] = &config.backends[..] else { panic!("jaeger and log") };
    assert_eq!((log.name.as_str(), log.plugin.as_str()), ("log", "file"));
    assert_eq!(log.config, json!({ "path": "stderr" }));
    assert_eq!(*config.services[0].settings.export, [0, 1]);
    assert_eq!(*config.services[1].settings.export, [0]);
}

#[test]
fn r5_missing_log_spans_is_taken_from_the_environment_and_else_is_off() {
    let text = one(r#"{"reporter":{}}"#);
    assert_eq!(config(&text).backends.len(), 1);
    assert_eq!(config_in(&text, &[("JAEGER_REPORTER_LOG_SPANS", "true")]).backends.len(), 2);
    let off = one(r#"{"reporter":{"logSpans":false}}"#);
    assert_eq!(config_in(&off, &[("JAEGER_REPORTER_LOG_SPANS", "true")]).backends.len(), 1, "the file wins");
}

#[test]
fn r_flush_interval_is_the_delay_of_batches() {
    let text = r#"{"services":[
        {"service":"A","config":{"reporter":{"flushIntervalMs":700}},"topics":["a"]},
        {"service":"B","config":{"reporter":{"flushIntervalMs":300}},"topics":["b"]}]}"#;
    let loaded = load_in(text, &[("JAEGER_REPORTER_FLUSH_INTERVAL", "50")]);
    assert!(loaded.report.problems.iter().any(|p| p.code == "C505"));
    assert_eq!(loaded.config.unwrap().batch.delay, Duration::from_millis(300));
    assert_eq!(
        config_in(&one("{}"), &[("JAEGER_REPORTER_FLUSH_INTERVAL", "50")]).batch.delay,
        Duration::from_millis(50)
    );
    assert_eq!(config(&one("{}")).batch.delay, Duration::from_millis(200));
}

#[test]
fn r_propagation_is_that_of_the_environment_and_jaeger_by_default() {
    let formats = |variables: &[(&str, &str)]| {
        let settings = config_in(README, variables).services.remove(0).settings;
        (settings.inject.to_vec(), settings.extract.to_vec())
    };
    assert_eq!(formats(&[]), (vec![Propagator::Jaeger], vec![Propagator::Jaeger]));
    let b3 = (vec![Propagator::B3Multi], vec![Propagator::B3]);
    assert_eq!(formats(&[("JAEGER_PROPAGATION", "b3")]), b3);
    let all = (
        vec![Propagator::Jaeger, Propagator::B3Multi, Propagator::TraceContext],
        vec![Propagator::Jaeger, Propagator::B3, Propagator::TraceContext],
    );
    // D15: the list was not trimmed.
    assert_eq!(formats(&[("JAEGER_PROPAGATION", "JAEGER, b3 ,w3c,b3")]), all);
    assert_eq!(formats(&[("JAEGER_PROPAGATION", "jaeger,invalid")]).0, [Propagator::Jaeger]);
    assert_eq!(formats(&[("JAEGER_PROPAGATION", "invalid")]).0, [Propagator::Jaeger]);
}

#[test]
fn r5_tags_of_the_environment_count_although_the_file_has_a_config() {
    let tags = "a=1, b = 2 ,oops,eq=x=y,from=${SOURCE:d},default=${NONE:http://h:1},none=${NONE},service.name=x";
    let loaded = load_in(README, &[("JAEGER_TAGS", tags), ("SOURCE", "v")]);
    assert_eq!(loaded.report.problems.iter().filter(|p| p.code == "C402").count(), 2);
    let config = loaded.config.unwrap();
    let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [tag("a", "1"), tag("b", "2"), tag("eq", "x=y"), tag("from", "v"), tag("default", "http://h:1")];
    assert_eq!(config.services[0].resource, expected);
    assert_eq!(config.services[1].resource, expected);
}

#[test]
fn r_internal_ksql_topics_are_left_alone_unless_allowed() {
    let excluded = |value: &str| config_in(README, &[("ALLOW_KSQL_INTERNAL_TOPICS", value)]).services.remove(0).exclude;
    for value in ["", "false", "yes", "1"] {
        assert!(matches!(&excluded(value)[..], [Pattern::Glob(glob)] if glob == "*_confluent-ksql-*"), "{value}");
    }
    for value in ["true", "TRUE", "True"] {
        assert!(excluded(value).is_empty(), "{value}");
    }
}

#[test]
fn r_chain_is_kept_as_the_programs_of_that_time_expect() {
    let settings = config(README).services.remove(0).settings;
    assert_eq!(settings.trace, Trace::Spans);
    assert_eq!(settings.relation, Relation::Parent, "D6: links alone lost the edges of dependency graphs");
    assert!(settings.reinject, "programs read the consumer's context from the record");
}

#[test]
fn r_dollar_signs_are_not_references_in_this_format() {
    let config = config(r#"{"services":[{"service":"${env:HOME}","topics":["$$","${file:/etc/hostname}"]}]}"#);
    assert_eq!(config.services[0].name, "${env:HOME}");
    assert_eq!(topics(&config, 0), ["$$", "${file:/etc/hostname}"]);
}

#[test]
fn r_strings_are_decoded_as_json_says() {
    let config = config(r#"{"services":[{"service":"\u00e9\ud83d\ude00\n\"\\\/","topics":[]}]}"#);
    assert_eq!(config.services[0].name, "é😀\n\"\\/");
    for bad in [r#""\ud83d""#, r#""\x""#, r#""\u12g4""#, "\"\t\"", r#""\ud83dx""#, "01", "1.", "-", "1e", "+1"] {
        let text = format!(r#"{{"services":[{{"service":{bad}}}]}}"#);
        let loaded = load_in(&text, &[]);
        assert_eq!(loaded.report.problems[0].code, "C100", "{bad}");
    }
}

#[test]
fn r_a_file_is_told_apart_by_its_first_byte_and_not_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("tracing.toml");
    std::fs::write(&path, format!("\n \t{README}")).unwrap();
    let loaded = load_with(Source::File(path.clone()), &Variables::of::<&str, &str>([]));
    assert_eq!(loaded.config.unwrap().origin, Origin::LegacyFile(path));
}
