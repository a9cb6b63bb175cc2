//! What a foreign program runs in: a cluster, a collector, and a file that sends its spans there.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tempfile::NamedTempFile;

use super::library;
use crate::child::{Ended, finish, without_tracing};
use crate::draw_traces;
use crate::kafka::Kafka;
use crate::receivers::{OtlpReceiver, ReceivedSpan};
use crate::traced_cluster::configuration_to;

/// How a program's clients are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// Not at all: neither library nor file.
    Untraced,
    /// By `plugin.library.paths`: the program sets it to what `PLUGIN` says.
    Property,
    /// By `LD_PRELOAD`: the program knows nothing of it.
    Preload,
    /// By both at once.
    Both,
    /// By `LD_PRELOAD`, and in Python by the layer that `tracer-interceptors run` brings in from a wheel.
    Layer,
}

impl WayIn {
    /// Each way on its own that a program can be traced.
    pub const TRACED: [WayIn; 2] = [WayIn::Property, WayIn::Preload];
}

/// See the module. The cluster and the collector are in the test's own process, out of reach of what a program does to
/// its own.
pub struct Surroundings {
    /// The cluster.
    pub kafka: Kafka,
    /// What the backend `otlp` sends to.
    pub collector: OtlpReceiver,
    file: NamedTempFile,
}

impl Surroundings {
    /// A cluster with these topics of so many partitions, and a file of this TOML, to which `version`, plugin and endpoint
    /// of `[backends.otlp]`, and `export = ["otlp"]` in `[defaults]` are added.
    pub fn start(topics: &[&str], partitions: i32, configuration: &str) -> Self {
        let kafka = Kafka::start_with(topics, partitions);
        let collector = OtlpReceiver::start_reading_later().unwrap();
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(configuration_to(&collector.endpoint(), configuration).as_bytes()).unwrap();
        Self { kafka, collector, file }
    }

    /// The file that `INTERCEPTORS_CONFIG_FILE` names.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// A program with the cluster's address in `KAFKA`, traced by `way_in`, and with nothing else of this process that
    /// could configure tracing. It runs in the workspace's folder.
    pub fn command(&self, way_in: WayIn, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        without_tracing(&mut command).env_remove("PLUGIN").env_remove("LD_PRELOAD");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("KAFKA", self.kafka.cluster().bootstrap_servers());
        // Python leaves nothing among the sources, and what it wrote is there when it crashes.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        if way_in != WayIn::Untraced {
            command.env("INTERCEPTORS_CONFIG_FILE", self.file());
        }
        if matches!(way_in, WayIn::Property | WayIn::Both) {
            command.env("PLUGIN", library());
        }
        if matches!(way_in, WayIn::Preload | WayIn::Both | WayIn::Layer) {
            command.env("LD_PRELOAD", library());
        }
        if way_in == WayIn::Layer {
            command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join(LAYER));
        }
        command
    }

    /// Sends so many messages, untraced: `TOPIC 0` and so on, with the keys `key 0` and so on, to the first partition.
    pub fn send_untraced(&self, topic: &str, count: usize) {
        let producer: BaseProducer = self.kafka.config().create().unwrap();
        for number in 0..count {
            let payload = format!("{topic} {number}");
            let key = format!("key {number}");
            producer.send(BaseRecord::<str, str>::to(topic).partition(0).payload(&payload).key(&key)).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// Every span so far: all, once the program has ended. Panics when one broke OTLP's rules.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        assert_eq!(self.collector.faults(), Vec::<String>::new());
        self.collector.spans()
    }

    /// The same, which are then forgotten.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        assert_eq!(self.collector.faults(), Vec::<String>::new());
        self.collector.take_spans()
    }

    /// Every trace so far, drawn; then forgotten.
    pub fn traces(&self) -> String {
        draw_traces(&self.take_spans())
    }
}

/// Runs the program to its end, and that of all it started. Panics with what they wrote when they need longer than two
/// minutes.
pub fn run(command: &mut Command) -> Ended {
    finish(command, LIMIT)
}

/// The folder that a wheel's `run` puts into `PYTHONPATH`.
const LAYER: &str = "resolver/librdkafka/python/tracer_interceptors/start";

const LIMIT: Duration = Duration::from_secs(120);
