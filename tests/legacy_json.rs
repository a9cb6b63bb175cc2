//! Promise: the JSON file of 2019 still works, with its documented meaning, down to the agent's UDP port.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord};
use tracer_resolver_rdkafka::instrument;
use words::kafka::{Kafka, assign, header_of, headers_of, next_message};
use words::receivers::{JaegerReceiver, ReceivedSpan};
use words::{LIMIT, child, draw_traces, is_child, send};

const TOPICS: [&str; 4] = ["Topic-1", "Topic-4", "unmapped", "_confluent-ksql-default_query"];

/// What the child does: consume, transform, produce over each topic, passing the record's headers on as programs of that
/// time did.
#[test]
fn program() {
    if !is_child() {
        return;
    }
    let kafka = Kafka::start(&TOPICS);
    let (mut out, mut back) = (kafka.config(), kafka.consumer_config("g"));
    instrument(&mut out).unwrap();
    instrument(&mut back).unwrap();
    let producer: BaseProducer = out.create().unwrap();
    for topic in TOPICS {
        send(&producer, BaseRecord::to(topic).key("k").payload("p"));
        let first = next_message(&assign(&back, topic));
        let again = BaseRecord::to(topic).key("k").payload("p");
        match first.headers() {
            Some(headers) => send(&producer, again.headers(headers.clone())),
            None => send(&producer, again),
        }
        let untraced = assign(&kafka.consumer_config("untraced"), topic);
        next_message(&untraced);
        let last = next_message(&untraced);
        println!("{topic}: {:?}", headers_of(&last).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        println!("{topic} carries {}", header_of(&last, "uber-trace-id").unwrap_or_default());
    }
}

/// Runs the program with this file; what it printed.
fn run(json: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interceptorsConfig.json");
    std::fs::write(&path, json).unwrap();
    let ended = words::run(child("program").env("INTERCEPTORS_CONFIG_FILE", &path).envs(variables.iter().copied()));
    ended.expect_success();
    assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
    ended.stdout + &ended.stderr
}

fn agent_of(jaeger: &JaegerReceiver) -> (String, String) {
    let endpoint = jaeger.agent_endpoint();
    let (host, port) = endpoint.split_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

fn of_topic(spans: &[ReceivedSpan], topic: &str) -> Vec<ReceivedSpan> {
    spans.iter().filter(|span| span.name.ends_with(topic)).cloned().collect()
}

/// The sample of the original's own README, with the agent of the test in it.
fn readme_sample(jaeger: &JaegerReceiver) -> String {
    let (host, port) = agent_of(jaeger);
    format!(
        r#"{{ "services":[
          {{ "service":"CustomerService",
            "config":{{ "sampler":{{"type":"const","param":1}},
                       "reporter":{{"logSpans":false,"flushIntervalMs":100,"maxQueueSize":10,
                                   "sender":{{"agentHost":"{host}","agentPort":{port}}}}} }},
            "topics":["Topic-1","Topic-2","Topic-3"] }},
          {{ "service":"ProductService",
            "config":{{ "reporter":{{"logSpans":false,"maxQueueSize":100,
                                   "sender":{{"agentHost":"{host}","agentPort":{port}}}}} }},
            "topics":["Topic-4","Topic-5"] }} ] }}"#
    )
}

#[test]
fn the_original_s_own_sample_traces_each_topic_by_its_service_through_the_agent() {
    let jaeger = JaegerReceiver::start().unwrap();
    let printed = run(&readme_sample(&jaeger), &[]);
    let spans = jaeger.wait_for(6, LIMIT);
    for (topic, service) in [("Topic-1", "CustomerService"), ("Topic-4", "ProductService")] {
        assert_eq!(
            draw_traces(&of_topic(&spans, topic)),
            format!("{service}: send {topic}\n  {service}: receive {topic}\n    {service}: send {topic}\n"),
            "every trace is kept, the chain goes on through the record's headers"
        );
        assert!(printed.contains(&format!("{topic}: [\"uber-trace-id\"]")), "{printed}");
    }
    assert_eq!(spans.len(), 6, "an unmapped topic and KSQL's own make no span");
    assert!(printed.contains("unmapped: []"), "and are not touched: {printed}");
    assert!(printed.contains("_confluent-ksql-default_query: []"), "{printed}");
    assert!(jaeger.packets() > 0, "by UDP");
}

#[test]
fn the_agent_of_the_environment_is_used_where_the_file_names_none_and_tags_come_along() {
    let jaeger = JaegerReceiver::start().unwrap();
    let (host, port) = agent_of(&jaeger);
    let json = r#"{"services":[{"service":"REST Proxy","config":{"sampler":{"type":"const","param":1}},"topics":["Topic-1"]}]}"#;
    run(
        json,
        &[
            ("JAEGER_AGENT_HOST", &host),
            ("JAEGER_AGENT_PORT", &port),
            ("JAEGER_TAGS", "team = payments, region=${REGION:eu}, zone=${ZONE:z1}"),
            ("REGION", "us"),
        ],
    );
    let spans = jaeger.wait_for(3, LIMIT);
    assert_eq!(draw_traces(&spans).lines().next(), Some("REST Proxy: send Topic-1"));
    let tag = |key: &str| spans[0].resource.get(key).and_then(|value| value.as_str().map(str::to_owned));
    assert_eq!(
        (tag("team"), tag("region"), tag("zone")),
        (Some("payments".into()), Some("us".into()), Some("z1".into()))
    );
}

#[test]
fn ksql_s_own_topics_are_traced_when_that_is_asked_for_in_any_case() {
    for value in ["true", "TRUE", "True"] {
        let jaeger = JaegerReceiver::start().unwrap();
        let json = readme_sample(&jaeger).replace("\"Topic-5\"", "\"_confluent-ksql-default_query\"");
        run(&json, &[("ALLOW_KSQL_INTERNAL_TOPICS", value)]);
        let spans = jaeger.wait_for(9, LIMIT);
        assert_eq!(of_topic(&spans, "_confluent-ksql-default_query").len(), 3, "{value}");
    }
    let jaeger = JaegerReceiver::start().unwrap();
    let json = readme_sample(&jaeger).replace("\"Topic-5\"", "\"_confluent-ksql-default_query\"");
    run(&json, &[("ALLOW_KSQL_INTERNAL_TOPICS", "yes")]);
    assert_eq!(jaeger.wait_for(6, LIMIT).len(), 6, "and nothing else but true is true");
}

#[test]
fn the_collector_is_used_by_http_when_the_sender_names_it_where_the_documentation_said() {
    // R3: the original looked for it in the wrong place.
    let jaeger = JaegerReceiver::start().unwrap();
    let json = format!(
        r#"{{"services":[{{"service":"S","config":{{"sampler":{{"type":"const","param":1}},
            "reporter":{{"sender":{{"endpoint":"{}","authUsername":"jdoe","authPassword":"password"}}}}}},"topics":["Topic-1"]}}]}}"#,
        jaeger.collector_endpoint()
    );
    run(&json, &[]);
    assert_eq!(jaeger.wait_for(3, LIMIT).len(), 3);
    let requests = jaeger.server().requests();
    assert_eq!(requests[0].header("authorization"), Some("Basic amRvZTpwYXNzd29yZA=="));
    assert_eq!(jaeger.packets(), 0);
}

#[test]
fn the_form_of_the_very_first_version_is_read_too() {
    let jaeger = JaegerReceiver::start().unwrap();
    let (host, port) = agent_of(&jaeger);
    let json = r#"{"services":[{"service":"Old","traceConfig":{"samplerType":"const","samplerParam":1,"logSpans":false},"topics":["Topic-1"]}]}"#;
    run(json, &[("JAEGER_AGENT_HOST", &host), ("JAEGER_AGENT_PORT", &port)]);
    assert_eq!(jaeger.wait_for(3, LIMIT).len(), 3);
}

#[test]
fn propagation_is_jaeger_s_unless_the_variable_says_otherwise_blanks_and_all() {
    let jaeger = JaegerReceiver::start().unwrap();
    // D15: with a blank after the comma the original lost the second format.
    let printed = run(&readme_sample(&jaeger), &[("JAEGER_PROPAGATION", "jaeger, b3 ,W3C")]);
    assert!(
        printed.contains(
            "Topic-1: [\"uber-trace-id\", \"X-B3-TraceId\", \"X-B3-SpanId\", \"X-B3-Sampled\", \"traceparent\"]"
        ),
        "{printed}"
    );
}

#[test]
fn const_zero_keeps_nothing_and_passes_the_context_on() {
    let jaeger = JaegerReceiver::start().unwrap();
    let json = readme_sample(&jaeger).replace("\"param\":1", "\"param\":0");
    let printed = run(&json, &[]);
    let spans = jaeger.wait_for(3, LIMIT);
    assert!(of_topic(&spans, "Topic-1").is_empty(), "{spans:#?}");
    let carried = printed.lines().find_map(|line| line.strip_prefix("Topic-1 carries ")).unwrap();
    assert!(carried.ends_with(":0"), "{carried}");
}

#[test]
fn log_spans_writes_them_to_stderr_as_well() {
    let jaeger = JaegerReceiver::start().unwrap();
    let printed = run(&readme_sample(&jaeger).replacen("\"logSpans\":false", "\"logSpans\":true", 1), &[]);
    assert!(printed.contains("\"send Topic-1\"") && !printed.contains("\"send Topic-4\""), "{printed}");
    assert_eq!(jaeger.wait_for(6, LIMIT).len(), 6);
}
