//! A Kafka cluster, a configuration file, and the collector that the file's spans go to: what a test starts with, whatever its
//! clients are.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{OwnedMessage, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::NamedTempFile;
use tracer_resolver::{Resolver, ServiceStats};
use tracer_resolver_rdkafka::Instrumentation;

use crate::child::{child_of, without_tracing};
use crate::configuration::{completed, load};
use crate::kafka::{Kafka, assign, next_message, with_headers};
use crate::receivers::{OtlpReceiver, ReceivedSpan};
use crate::{LIMIT, WayIn, draw_traces, draw_traces_with};

/// See the module. The clients are those of this test ([`producer`](Self::producer), [`consumer`](Self::consumer)), of any
/// program ([`command`](Self::command)), or of this test in a process of its own ([`again`](Self::again)).
pub struct Traced {
    /// The cluster.
    pub kafka: Rc<Kafka>,
    /// What the backend `otlp` sends to.
    pub collector: OtlpReceiver,
    file: NamedTempFile,
    /// Loaded when the first client of this process is made.
    resolver: OnceLock<Resolver>,
}

impl Traced {
    /// A cluster with these topics, of one partition each, and a file of this TOML, to which `version`, plugin and endpoint of
    /// `[backends.otlp]`, and `export = ["otlp"]` in `[defaults]` are added.
    pub fn start(topics: &[&str], configuration: &str) -> Self {
        Self::on(Kafka::start(topics), configuration)
    }

    /// The same on this cluster, which may be that of another one.
    pub fn on(kafka: impl Into<Rc<Kafka>>, configuration: &str) -> Self {
        let collector = OtlpReceiver::start().unwrap();
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(completed(configuration, &collector.endpoint()).as_bytes()).unwrap();
        Self { kafka: kafka.into(), collector, file, resolver: OnceLock::new() }
    }

    /// The file that `INTERCEPTORS_CONFIG_FILE` names.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// The resolver of this process's own clients. Panics when the file is not without error.
    pub fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| {
            self.kafka.take_turn();
            load(std::fs::read_to_string(self.file()).unwrap())
        })
    }

    /// A configuration of traced clients: `group` makes it one for consumers from the oldest message on.
    pub fn config(&self, group: Option<&str>) -> ClientConfig {
        self.apply(self.untraced(group))
    }

    /// A configuration of clients bound to `service` in code.
    pub fn bound_config(&self, service: &str, group: Option<&str>) -> ClientConfig {
        let mut config = self.untraced(group);
        Instrumentation::new(self.resolver()).service(service).apply(&mut config).unwrap();
        config
    }

    /// `config`, traced.
    pub fn apply(&self, config: ClientConfig) -> ClientConfig {
        traced_by(self.resolver(), config)
    }

    /// A traced producer.
    pub fn producer(&self) -> BaseProducer {
        self.config(None).create().unwrap()
    }

    /// A traced consumer of the first partition of `topic`.
    pub fn consumer(&self, topic: &str) -> BaseConsumer {
        assign(&self.config(Some("test-group")), topic)
    }

    /// A program with the cluster's address in `KAFKA`, traced this way, and with nothing else of this process that could
    /// configure tracing. It runs in the workspace's folder.
    pub fn command(&self, way: WayIn, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        without_tracing(&mut command).env_remove("PLUGIN").env_remove("LD_PRELOAD");
        // Python leaves nothing among the sources, and what it wrote is there when it crashes.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("KAFKA", self.kafka.servers());
        way.open(&mut command, self.file());
        command
    }

    /// This test program, running only the test called `test`, which finds there what `child::resolver` and `child::kafka` give.
    pub fn again(&self, test: &str) -> Command {
        self.again_as(&std::env::current_exe().unwrap(), test)
    }

    /// The same in another executable with the same tests.
    pub fn again_as(&self, executable: &Path, test: &str) -> Command {
        let mut command = child_of(executable, test);
        command.env("INTERCEPTORS_CONFIG_FILE", self.file()).env("KAFKA", self.kafka.servers());
        command
    }

    /// An untraced producer's message, with these headers.
    pub fn send_untraced(&self, topic: &str, headers: &[(&str, &str)]) {
        let producer: BaseProducer = self.kafka.config().create().unwrap();
        send(&producer, BaseRecord::to(topic).key("key").payload("payload").headers(with_headers(headers)));
    }

    /// Sends so many messages, untraced: `TOPIC 0` and so on, with the keys `key 0` and so on, to the first partition.
    pub fn send_numbered(&self, topic: &str, count: usize) {
        let producer: BaseProducer = self.kafka.config().create().unwrap();
        for number in 0..count {
            let payload = format!("{topic} {number}");
            let key = format!("key {number}");
            producer.send(BaseRecord::<str, str>::to(topic).partition(0).payload(&payload).key(&key)).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    }

    /// What an untraced consumer reads: the oldest message of `topic`.
    pub fn read_untraced(&self, topic: &str) -> OwnedMessage {
        next_message(&assign(&self.kafka.consumer_config("untraced"), topic))
    }

    /// Every span so far: of this process, once everything that is finished has arrived; of a program all, once it has ended.
    /// Panics when not all was exported, or one broke OTLP's rules.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.settle();
        self.collector.spans()
    }

    /// The same, which are then forgotten.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        self.settle();
        self.collector.take_spans()
    }

    /// Every trace so far, drawn.
    pub fn traces(&self) -> String {
        draw_traces(&self.spans())
    }

    /// The same, drawn with these attributes.
    pub fn traces_with(&self, attributes: &[&str]) -> String {
        draw_traces_with(&self.spans(), attributes)
    }

    /// Every trace so far, drawn, and then forgotten: for one program after the other.
    pub fn take_traces(&self) -> String {
        draw_traces(&self.take_spans())
    }

    /// What this process has counted for the first service.
    pub fn counters(&self) -> ServiceStats {
        counters(self.resolver())
    }

    fn untraced(&self, group: Option<&str>) -> ClientConfig {
        group.map_or_else(|| self.kafka.config(), |group| self.kafka.consumer_config(group))
    }

    fn settle(&self) {
        if let Some(resolver) = self.resolver.get() {
            assert!(resolver.flush(LIMIT), "not everything was exported: {:?}", resolver.stats());
        }
        assert_eq!(self.collector.faults(), Vec::<String>::new());
    }
}

impl Drop for Traced {
    /// While the collector is still there: what is left of this resolver would go on to look for it.
    fn drop(&mut self) {
        if let Some(resolver) = self.resolver.get() {
            resolver.shutdown(Duration::from_secs(2));
        }
    }
}

/// `config`, of clients that this resolver traces.
pub fn traced_by(resolver: &Resolver, mut config: ClientConfig) -> ClientConfig {
    Instrumentation::new(resolver).apply(&mut config).unwrap();
    config
}

/// Sends one record and waits for its acknowledgement.
pub fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(producer: &BaseProducer, record: BaseRecord<'_, K, P>) {
    assert!(producer.send(record).is_ok(), "the record was not taken");
    producer.flush(LIMIT).unwrap();
}

/// What was counted for the first service.
pub fn counters(resolver: &Resolver) -> ServiceStats {
    resolver.stats().services.into_iter().next().unwrap()
}
