//! A cluster, a collector, and a resolver whose spans go there: what most contracts start with.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{OwnedMessage, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver_rdkafka::Instrumentation;

use crate::kafka::{Kafka, assign, next_message};
use crate::receivers::{OtlpReceiver, ReceivedSpan};
use crate::{draw_traces, draw_traces_with};

/// See the module. One at a time in a process: clusters have the same topics and offsets, so their messages would take each
/// other's place among the deliveries that wait for a processing guard. A test that wants two drops the first.
pub struct TracedCluster {
    /// The cluster.
    pub kafka: Kafka,
    /// What the backend `otlp` sends to.
    pub collector: OtlpReceiver,
    /// Of the configuration, completed by the backend.
    pub resolver: Resolver,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl TracedCluster {
    /// A cluster with these topics, and a resolver of this TOML, to which `version`, plugin and endpoint of
    /// `[backends.otlp]`, and `export = ["otlp"]` in `[defaults]` are added. Panics when that is not without error.
    pub fn start(topics: &[&str], configuration: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self::on(Kafka::start(topics), configuration, alone)
    }

    /// The same on this cluster.
    pub fn of(kafka: Kafka, configuration: &str) -> Self {
        Self::on(kafka, configuration, ALONE.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn on(kafka: Kafka, configuration: &str, _alone: MutexGuard<'static, ()>) -> Self {
        let collector = OtlpReceiver::start().unwrap();
        let resolver = resolver(&collector, configuration);
        Self { kafka, collector, resolver, _alone }
    }

    /// A configuration of traced clients: `group` makes it one for consumers from the oldest message on.
    pub fn config(&self, group: Option<&str>) -> ClientConfig {
        let mut config = group.map_or_else(|| self.kafka.config(), |group| self.kafka.consumer_config(group));
        Instrumentation::new(&self.resolver).apply(&mut config).unwrap();
        config
    }

    /// A configuration of clients bound to `service` in code.
    pub fn bound_config(&self, service: &str, group: Option<&str>) -> ClientConfig {
        let mut config = group.map_or_else(|| self.kafka.config(), |group| self.kafka.consumer_config(group));
        Instrumentation::new(&self.resolver).service(service).apply(&mut config).unwrap();
        config
    }

    /// A traced producer.
    pub fn producer(&self) -> BaseProducer {
        self.config(None).create().unwrap()
    }

    /// A traced consumer of the first partition of `topic`.
    pub fn consumer(&self, topic: &str) -> BaseConsumer {
        assign(&self.config(Some("test-group")), topic)
    }

    /// An untraced producer's message, with these headers.
    pub fn send_untraced(&self, topic: &str, headers: &[(&str, &str)]) {
        let producer: BaseProducer = self.kafka.config().create().unwrap();
        let headers = crate::kafka::with_headers(headers);
        send(&producer, BaseRecord::to(topic).key("key").payload("payload").headers(headers));
    }

    /// What an untraced consumer reads: the oldest message of `topic`.
    pub fn read_untraced(&self, topic: &str) -> OwnedMessage {
        next_message(&assign(&self.kafka.consumer_config("untraced"), topic))
    }

    /// Every span so far, once everything that is finished has arrived. Panics when it did not, or broke OTLP's rules.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        assert!(self.resolver.flush(Duration::from_secs(20)), "not everything was exported");
        assert_eq!(self.collector.faults(), Vec::<String>::new());
        self.collector.spans()
    }

    /// The same, drawn.
    pub fn traces(&self) -> String {
        draw_traces(&self.spans())
    }

    /// The same, drawn with these attributes.
    pub fn traces_with(&self, attributes: &[&str]) -> String {
        draw_traces_with(&self.spans(), attributes)
    }
}

impl Drop for TracedCluster {
    /// While the collector is still there: what is left of this resolver would go on to look for it.
    fn drop(&mut self) {
        self.resolver.shutdown(Duration::from_secs(2));
    }
}

/// Sends one record and waits for its acknowledgement.
pub fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(producer: &BaseProducer, record: BaseRecord<'_, K, P>) {
    assert!(producer.send(record).is_ok(), "the record was not taken");
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn resolver(collector: &OtlpReceiver, configuration: &str) -> Resolver {
    let text = configuration_to(&collector.endpoint(), configuration);
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
    assert!(!resolver.report().has_errors(), "{}", resolver.report().render(false));
    resolver
}

/// This TOML, to which `version`, plugin and endpoint of `[backends.otlp]`, and `export = ["otlp"]` in `[defaults]` are
/// added.
pub(crate) fn configuration_to(endpoint: &str, configuration: &str) -> String {
    let (head, tables) = match configuration.find('[') {
        Some(first) => configuration.split_at(first),
        None => (configuration, ""),
    };
    let tables = completed(tables, "[defaults]", "export = [\"otlp\"]");
    let backend = format!("plugin = \"otlp\"\nconfig = {{ endpoint = \"{endpoint}\" }}");
    format!("version = 1\n{head}\n{}", completed(&tables, "[backends.otlp]", &backend))
}

/// The table with these lines more, wherever it stands; at the end if it does not.
fn completed(tables: &str, header: &str, lines: &str) -> String {
    if tables.contains(header) {
        tables.replacen(header, &format!("{header}\n{lines}"), 1)
    } else {
        format!("{tables}\n{header}\n{lines}\n")
    }
}
