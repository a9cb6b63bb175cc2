//! Prometheus's text, compared as a whole, and read by Prometheus's own Python library where that is installed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::metrics::{Distribution, Number};

fn number(attributes: Attributes, value: i64) -> Number {
    Number { attributes, value }
}

fn resource(name: &str) -> Vec<(String, String)> {
    vec![("service.name".to_owned(), name.to_owned()), ("host.name".to_owned(), "h\"1\\\n".to_owned())]
}

fn sample_metrics() -> Vec<Metric> {
    let topic = |name: &'static str| vec![("messaging.destination.name", Value::Text(name.into()))];
    vec![
        Metric {
            name: "messaging.client.sent.messages",
            description: "Messages\nthat a producer \\ sent.",
            unit: "{message}",
            points: Points::Sum(vec![number(topic("orders"), 3), number(topic("q\"uo\\te\n"), 0)]),
        },
        Metric {
            name: "messaging.client.operation.duration",
            description: "How long.",
            unit: "s",
            points: Points::Histogram {
                bounds: &[0.005, 1.0, 2.5],
                points: vec![Distribution {
                    attributes: topic("orders"),
                    counts: vec![1, 0, 2, 4],
                    sum: 12.25,
                    exemplars: Vec::new(),
                }],
            },
        },
        Metric {
            name: "tracer_resolver.queue.usage",
            description: "",
            unit: "By",
            points: Points::UpDown(vec![number(Vec::new(), -1)]),
        },
        Metric {
            name: "messaging.kafka.consumer.lag",
            description: "Lag.",
            unit: "1",
            points: Points::Gauge(vec![number(vec![("partition", Value::Int(7))], 12)]),
        },
    ]
}

fn sample_text() -> String {
    let (shop, billing) = (resource("shop"), resource("billing"));
    let metrics = sample_metrics();
    text(&[
        Target { resource: &shop, process: None, metrics: metrics.iter().collect() },
        Target { resource: &billing, process: None, metrics: metrics.iter().take(1).collect() },
    ])
}

#[test]
fn a_collection_is_written_family_by_family_with_the_names_that_prometheus_expects() {
    let version = env!("CARGO_PKG_VERSION");
    let expected = r#"# HELP target_info Target metadata
# TYPE target_info gauge
target_info{host_name="h\"1\\\n",service_name="shop"} 1
target_info{host_name="h\"1\\\n",service_name="billing"} 1
# HELP messaging_client_sent_messages_total Messages\nthat a producer \\ sent.
# TYPE messaging_client_sent_messages_total counter
messaging_client_sent_messages_total{messaging_destination_name="orders",SCOPE,service_name="shop"} 3
messaging_client_sent_messages_total{messaging_destination_name="q\"uo\\te\n",SCOPE,service_name="shop"} 0
messaging_client_sent_messages_total{messaging_destination_name="orders",SCOPE,service_name="billing"} 3
messaging_client_sent_messages_total{messaging_destination_name="q\"uo\\te\n",SCOPE,service_name="billing"} 0
# HELP messaging_client_operation_duration_seconds How long.
# TYPE messaging_client_operation_duration_seconds histogram
messaging_client_operation_duration_seconds_bucket{messaging_destination_name="orders",SCOPE,service_name="shop",le="0.005"} 1
messaging_client_operation_duration_seconds_bucket{messaging_destination_name="orders",SCOPE,service_name="shop",le="1"} 1
messaging_client_operation_duration_seconds_bucket{messaging_destination_name="orders",SCOPE,service_name="shop",le="2.5"} 3
messaging_client_operation_duration_seconds_bucket{messaging_destination_name="orders",SCOPE,service_name="shop",le="+Inf"} 7
messaging_client_operation_duration_seconds_sum{messaging_destination_name="orders",SCOPE,service_name="shop"} 12.25
messaging_client_operation_duration_seconds_count{messaging_destination_name="orders",SCOPE,service_name="shop"} 7
# HELP tracer_resolver_queue_usage_bytes 
# TYPE tracer_resolver_queue_usage_bytes gauge
tracer_resolver_queue_usage_bytes{SCOPE,service_name="shop"} -1
# HELP messaging_kafka_consumer_lag_ratio Lag.
# TYPE messaging_kafka_consumer_lag_ratio gauge
messaging_kafka_consumer_lag_ratio{SCOPE,partition="7",service_name="shop"} 12
"#;
    let scope = format!("otel_scope_name=\"tracer-resolver\",otel_scope_version=\"{version}\"");
    assert_eq!(sample_text(), expected.replace("SCOPE", &scope));
}

#[test]
fn names_and_units_follow_opentelemetry_s_rules() {
    let named = |name: &'static str, unit: &'static str, points: fn(Vec<Number>) -> Points| {
        name_of(&Metric { name, description: "", unit, points: points(Vec::new()) })
    };
    for (name, unit, counter, gauge) in [
        ("a.b", "", "a_b_total", "a_b"),
        ("a.b", "1", "a_b_total", "a_b_ratio"),
        ("a..b--c", "{span}", "a_b_c_total", "a_b_c"),
        ("a.total", "By", "a_bytes_total", "a_total_bytes"),
        ("a.seconds", "s", "a_seconds_total", "a_seconds"),
        ("a", "By/s", "a_bytes_per_second_total", "a_bytes_per_second"),
        ("a", "{fault}/s", "a_per_second_total", "a_per_second"),
        ("a", "{message}/{partition}", "a_total", "a"),
        ("1a", "furlong", "_1a_furlong_total", "_1a_furlong"),
    ] {
        assert_eq!(named(name, unit, Points::Sum), counter, "{name} {unit}");
        assert_eq!(named(name, unit, Points::Gauge), gauge, "{name} {unit}");
    }
}

#[test]
fn keys_that_become_one_label_are_joined_and_none_begins_with_a_digit() {
    let labels = labels_of([("b", "1".to_owned()), ("a_b", "2".to_owned()), ("a.b", "3".to_owned())].into_iter());
    let pairs: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("a_b", "3;2"), ("b", "1")]);
    assert_eq!(label_name("1.x"), "key_1_x");
}

/// `pip install prometheus_client`; `PYTHON` names another interpreter.
#[test]
fn prometheus_s_own_parser_reads_it() {
    const READ: &str = "
import sys
try:
    from prometheus_client.parser import text_string_to_metric_families as read
except ImportError:
    sys.exit(77)
for family in read(sys.stdin.read()):
    for sample in family.samples:
        labels = {key: value for key, value in sample.labels.items() if not key.startswith('otel_')}
        print(family.type, sample.name, sorted(labels.items()), float(sample.value))
";
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let child = Command::new(&python)
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let Ok(mut child) = child else { return eprintln!("SKIPPED: there is no {python}") };
    child.stdin.take().unwrap().write_all(sample_text().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        return eprintln!("SKIPPED: {python} has no prometheus_client");
    }
    assert!(output.status.success());
    let read = String::from_utf8(output.stdout).unwrap();
    for line in [
        "counter messaging_client_sent_messages_total [('messaging_destination_name', 'orders'), ('service_name', 'shop')] 3.0",
        "counter messaging_client_sent_messages_total [('messaging_destination_name', 'q\"uo\\\\te\\n'), ('service_name', 'billing')] 0.0",
        "histogram messaging_client_operation_duration_seconds_bucket [('le', '+Inf'), ('messaging_destination_name', 'orders'), ('service_name', 'shop')] 7.0",
        "gauge tracer_resolver_queue_usage_bytes [('service_name', 'shop')] -1.0",
        "gauge target_info [('host_name', 'h\"1\\\\\\n'), ('service_name', 'shop')] 1.0",
    ] {
        assert!(read.lines().any(|known| known == line), "{line}\nis not in\n{read}");
    }
}
