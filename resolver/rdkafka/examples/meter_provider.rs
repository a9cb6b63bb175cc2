//! The metrics of this program's Kafka clients, by the OpenTelemetry SDK that the program has anyway: no server is needed.
//!
//! ```sh
//! cargo run -p tracer-resolver-rdkafka --features application-metrics --example meter_provider
//! ```

use std::error::Error;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tracer_resolver_rdkafka::resolver::config::Source;
use tracer_resolver_rdkafka::{Instrumentation, Processing, Resolver};

/// As a file would say it. Without a backend and without spans: the metrics leave with the program's own.
const FILE: &str = r#"
version = 1

[defaults]
measure = "only"

[services.checkout]
produces = ["orders"]

[services.billing]
consumes = ["orders"]
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // What the program has for its own metrics; its exporter would be OTLP's.
    let provider = SdkMeterProvider::builder().with_periodic_exporter(Printed).build();

    let text = Source::Text { name: "tracing.toml".to_owned(), text: FILE.to_owned() };
    let resolver = Resolver::load(text)?;
    resolver.export_metrics_to(&provider);

    buy_and_bill(&resolver)?;
    provider.shutdown()?;
    Ok(())
}

/// Three orders are sent and billed, by a cluster within this process.
fn buy_and_bill(resolver: &Resolver) -> Result<(), Box<dyn Error>> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic("orders", 1, 1)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config.set("group.id", "billing").set("auto.offset.reset", "earliest");
    Instrumentation::new(resolver).apply(&mut config)?;

    let producer: BaseProducer = config.create()?;
    for order in 0..3 {
        producer
            .send(BaseRecord::to("orders").key("a customer").payload(&format!("order {order}")))
            .map_err(|(e, _)| e)?;
    }
    producer.flush(Duration::from_secs(60))?;

    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&["orders"])?;
    let mut billed = 0;
    while billed < 3 {
        let Some(message) = consumer.poll(Duration::from_secs(60)) else { continue };
        let _processing = Processing::start_for(resolver, None, &message?);
        billed += 1;
    }
    Ok(())
}

/// An exporter that shows what it gets.
struct Printed;

impl PushMetricExporter for Printed {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        use std::io::Write as _;
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            for line in lines(metric) {
                // A closed stdout leaves nobody to show it to.
                let _ = writeln!(std::io::stdout(), "{line}");
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
        Temporality::Cumulative
    }
}

/// One line for each point: what was counted, of which service and topic.
fn lines(metric: &Metric) -> Vec<String> {
    let line = |attributes: &mut dyn Iterator<Item = &KeyValue>, count: u64| {
        let mut of: Vec<_> = attributes
            .filter(|pair| ["service.name", "messaging.destination.name"].contains(&pair.key.as_str()))
            .map(|pair| pair.value.to_string())
            .collect();
        of.sort();
        format!("{} {}: {count} {}", metric.name(), of.join(" "), metric.unit())
    };
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            sum.data_points().map(|point| line(&mut point.attributes(), point.value())).collect()
        }
        AggregatedMetrics::F64(MetricData::Histogram(durations)) => {
            durations.data_points().map(|point| line(&mut point.attributes(), point.count())).collect()
        }
        _ => Vec::new(),
    }
}
