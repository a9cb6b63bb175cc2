//! Promise: what is measured comes through the application's own OpenTelemetry `MeterProvider` as it was counted: to every
//! reader, with the buckets of the conventions, and nothing twice.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use tracer_resolver_rdkafka::resolver::config::Source;
use tracer_resolver_rdkafka::{Instrumentation, Resolver};

/// Keeps the latest collection, as lines.
#[derive(Clone)]
struct Kept {
    temporality: Temporality,
    latest: Arc<Mutex<BTreeMap<String, Seen>>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Counter(u64),
    UpDown(i64),
    Gauge(i64),
    Histogram { bounds: Vec<f64>, counts: Vec<u64>, sum: f64 },
}

impl Kept {
    fn new(temporality: Temporality) -> Self {
        Self { temporality, latest: Arc::default() }
    }

    fn all(&self) -> BTreeMap<String, Seen> {
        self.latest.lock().unwrap().clone()
    }

    fn of(&self, beginning: &str) -> Vec<Seen> {
        let all = self.all();
        all.iter().filter(|(name, _)| name.starts_with(beginning)).map(|(_, seen)| seen.clone()).collect()
    }
}

fn named(name: &str, attributes: &mut dyn Iterator<Item = &KeyValue>) -> String {
    let mut pairs: Vec<_> = attributes.map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    pairs.sort();
    format!("{name} {}", pairs.join(" "))
}

impl PushMetricExporter for Kept {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut latest = self.latest.lock().unwrap();
        latest.clear();
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            let name = format!("{} [{}]", metric.name(), metric.unit());
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    assert!(sum.is_monotonic());
                    let points = sum.data_points();
                    latest.extend(points.map(|of| (named(&name, &mut of.attributes()), Seen::Counter(of.value()))));
                }
                AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                    assert!(!sum.is_monotonic());
                    let points = sum.data_points();
                    latest.extend(points.map(|of| (named(&name, &mut of.attributes()), Seen::UpDown(of.value()))));
                }
                AggregatedMetrics::I64(MetricData::Gauge(gauge)) => {
                    let points = gauge.data_points();
                    latest.extend(points.map(|of| (named(&name, &mut of.attributes()), Seen::Gauge(of.value()))));
                }
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    latest.extend(histogram.data_points().map(|of| {
                        let (bounds, counts) = (of.bounds().collect(), of.bucket_counts().collect());
                        (named(&name, &mut of.attributes()), Seen::Histogram { bounds, counts, sum: of.sum() })
                    }));
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

fn loaded(text: &str) -> Resolver {
    let text = format!("version = 1\n{text}");
    let resolver = Resolver::load(Source::Text { name: "tracing.toml".to_owned(), text }).unwrap();
    assert!(resolver.is_on() && !resolver.report().has_errors(), "{}", resolver.report().render(false));
    resolver
}

const MEASURED: &str =
    "[metrics]\nself = \"on\"\n[services.checkout]\ntopics = [\"*\"]\nmeasure = \"on\"\nexport = []\n";

fn send(cluster: &MockCluster<'_, DefaultProducerContext>, resolver: &Resolver, topic: &str, count: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    Instrumentation::new(resolver).apply(&mut config).unwrap();
    let producer: BaseProducer = config.create().unwrap();
    for _ in 0..count {
        producer.send(BaseRecord::<str, str>::to(topic).payload("an order")).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// What the resolver counted of the sends, as the histogram of a provider shows it.
fn counted(resolver: &Resolver) -> Vec<Seen> {
    let measured = resolver.measurements();
    let sends = measured.into_iter().filter(|of| of.instrument == "messaging.client.operation.duration");
    sends.map(|of| Seen::Histogram { bounds: of.bounds.to_vec(), counts: of.buckets, sum: of.sum }).collect()
}

fn are_alike(theirs: &[Seen], ours: &[Seen]) {
    assert_eq!(theirs.len(), ours.len(), "{theirs:?} {ours:?}");
    for pair in theirs.iter().zip(ours) {
        let (
            Seen::Histogram { bounds, counts, sum },
            Seen::Histogram { bounds: our_bounds, counts: our_counts, sum: our_sum },
        ) = pair
        else {
            panic!("{pair:?}")
        };
        assert_eq!((bounds, counts), (our_bounds, our_counts));
        assert!((sum - our_sum).abs() < 1e-9, "{sum} {our_sum}");
    }
}

const SENDS: &str = "messaging.client.operation.duration [s] ";

#[test]
fn every_reader_has_what_was_counted_and_nothing_twice() {
    let (one, other) = (Kept::new(Temporality::Cumulative), Kept::new(Temporality::Cumulative));
    let provider =
        SdkMeterProvider::builder().with_periodic_exporter(one.clone()).with_periodic_exporter(other.clone()).build();
    let cluster = MockCluster::new(1).unwrap();
    let resolver = loaded(MEASURED);
    resolver.export_metrics_to(&provider);
    for (round, topic) in [(1, "orders"), (2, "orders"), (3, "bills")] {
        send(&cluster, &resolver, topic, 10);
        assert!(resolver.flush(Duration::from_secs(60)));
        // What is asked for twice is the same twice.
        for _ in 0..2 {
            provider.force_flush().unwrap();
            for reader in [&one, &other] {
                let sent = reader.of("messaging.client.sent.messages [{message}] ");
                let expected = if round == 3 { vec![10, 20] } else { vec![10 * round] };
                let mut sent: Vec<_> = sent.iter().map(|of| if let Seen::Counter(of) = of { *of } else { 0 }).collect();
                sent.sort();
                assert_eq!(sent, expected);
            }
        }
        // The second reader collects after the first: what one collection recorded, both have at the next one.
        let mut ours = counted(&resolver);
        ours.reverse();
        for reader in [&one, &other] {
            let mut theirs = reader.of(SENDS);
            theirs.sort_by(|a, b| format!("{b:?}").cmp(&format!("{a:?}")));
            ours.sort_by(|a, b| format!("{b:?}").cmp(&format!("{a:?}")));
            are_alike(&theirs, &ours);
        }
    }
    let all = one.all();
    let name = all.keys().find(|name| name.starts_with(SENDS) && name.contains("orders")).unwrap();
    for part in ["service.name=checkout", "messaging.destination.name=orders", "messaging.operation.type=send"] {
        assert!(name.contains(part), "{name}");
    }
    // How the library is: each kind of instrument, by the names of the other ways.
    let of_self = "otel.sdk.span.started [{span}] otel.span.sampling_result=RECORD_AND_SAMPLE service.name=checkout";
    assert_eq!(all.get(of_self), Some(&Seen::Counter(30)), "{all:#?}");
    let live = "otel.sdk.span.live [{span}] otel.span.sampling_result=RECORD_AND_SAMPLE service.name=checkout";
    assert_eq!(all.get(live), Some(&Seen::UpDown(0)), "{all:#?}");
    assert!(!all.keys().any(|name| name.starts_with("messaging.client.consumed.messages")), "{all:#?}");
}

#[test]
fn a_reader_of_differences_has_each_value_once() {
    let kept = Kept::new(Temporality::Delta);
    let provider = SdkMeterProvider::builder().with_periodic_exporter(kept.clone()).build();
    let cluster = MockCluster::new(1).unwrap();
    let resolver = loaded(MEASURED);
    resolver.export_metrics_to(&provider);
    for count in [5, 7] {
        send(&cluster, &resolver, "orders", count);
        provider.force_flush().unwrap();
        let [Seen::Histogram { counts, .. }] = &kept.of(SENDS)[..] else { panic!("{:?}", kept.all()) };
        assert_eq!(counts.iter().sum::<u64>(), count as u64);
        assert_eq!(kept.of("messaging.client.sent.messages"), [Seen::Counter(count as u64)]);
    }
    provider.force_flush().unwrap();
    assert_eq!(kept.of(SENDS), []);
}

#[test]
fn where_nothing_is_measured_and_of_a_resolver_that_is_gone_nothing_is_told() {
    let kept = Kept::new(Temporality::Cumulative);
    let provider = SdkMeterProvider::builder().with_periodic_exporter(kept.clone()).build();
    loaded("[services.checkout]\ntopics = [\"*\"]\nexport = []\n").export_metrics_to(&provider);
    loaded(MEASURED).export_metrics_to(&provider);
    provider.force_flush().unwrap();
    assert_eq!(kept.all(), BTreeMap::new());
}

/// What the page shows under the mark.
fn shown() -> &'static str {
    let page = include_str!("../../../docs/metrics.md");
    let block = page.split("<!-- meter_provider -->\n```text\n").nth(1).unwrap();
    block.split("```").next().unwrap()
}

#[test]
fn the_example_prints_what_the_page_shows_and_nothing_is_warned_of() {
    // cargo builds the examples beside the tests, unless it was asked for single ones.
    let example = std::env::current_exe().unwrap();
    let example = example.parent().unwrap().parent().unwrap().join("examples/meter_provider");
    if !example.exists() {
        eprintln!("SKIPPED: {} was not built", example.display());
        return;
    }
    let ended = std::process::Command::new(example).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!((text(&ended.stdout).as_str(), text(&ended.stderr).as_str()), (shown(), ""));
    assert!(ended.status.success());
}
