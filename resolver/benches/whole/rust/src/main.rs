//! A program on rdkafka that sends messages and consumes each one: `whole-program WAY MESSAGES BYTES PARTITIONS`. A producer
//! and a consumer, each on a thread of its own.
//!
//! | WAY | |
//! |---|---|
//! | `untraced` | nothing |
//! | `header` | it sets a `traceparent` on what it sends, and reads it off what it consumes |
//! | `ours` | `instrument()` and `Processing`, by the file of `INTERCEPTORS_CONFIG_FILE` |
//! | `sdk` | spans by hand with OpenTelemetry's SDK, its batch processor and its OTLP exporter |
//! | `fastrace` | spans by hand with fastrace, by the same exporter |
//!
//! KAFKA and TOPIC say where, FIGURES names the file for what it measured: `seconds S` of the loop.

mod by_hand;
mod header;

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::util::IntoOpaque;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tracer_resolver_rdkafka::{Processing, Resolver, instrument};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where it sends.
pub(crate) fn topic() -> &'static str {
    static TOPIC: OnceLock<String> = OnceLock::new();
    TOPIC.get_or_init(|| std::env::var("TOPIC").unwrap_or_else(|_| "bench".to_owned()))
}

/// How a program traces.
pub(crate) trait Way: Send + Sync + 'static {
    /// What it keeps of a message until it is delivered.
    type Sent: IntoOpaque + Send + Sync;
    fn sending(&self, partition: i32) -> (Option<OwnedHeaders>, Self::Sent);
    fn delivered(&self, sent: Self::Sent, offset: i64);
    fn consumed(&self, message: &BorrowedMessage<'_>) -> Result<(), Failure>;
    fn end(&self) {}
}

struct Untraced;

impl Way for Untraced {
    type Sent = ();
    fn sending(&self, _: i32) -> (Option<OwnedHeaders>, ()) {
        (None, ())
    }
    fn delivered(&self, (): (), _: i64) {}
    fn consumed(&self, _: &BorrowedMessage<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Its clients are instrumented, so what is sent needs no word.
struct Ours;

impl Way for Ours {
    type Sent = ();
    fn sending(&self, _: i32) -> (Option<OwnedHeaders>, ()) {
        (None, ())
    }
    fn delivered(&self, (): (), _: i64) {}
    fn consumed(&self, message: &BorrowedMessage<'_>) -> Result<(), Failure> {
        let _processing = Processing::start(message);
        Ok(())
    }
    fn end(&self) {
        if let Ok(resolver) = Resolver::global() {
            resolver.flush(Duration::from_secs(30));
        }
    }
}

/// What a producer calls back.
struct Deliveries<W>(std::sync::Arc<W>);

impl<W: Way> ClientContext for Deliveries<W> {}

impl<W: Way> ProducerContext for Deliveries<W> {
    type DeliveryOpaque = W::Sent;
    fn delivery(&self, result: &DeliveryResult<'_>, sent: W::Sent) {
        match result {
            Ok(message) => self.0.delivered(sent, message.offset()),
            Err((error, _)) => panic!("a message was not delivered: {error}"),
        }
    }
}

struct Load {
    messages: usize,
    bytes: usize,
    partitions: i32,
}

impl Load {
    /// As in program.c.
    fn chunk(&self) -> usize {
        let partitions = usize::try_from(self.partitions).unwrap_or(1);
        (partitions * (2 << 20) / (self.bytes + 200)).min(50_000)
    }
}

fn main() -> Result<(), Failure> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [way, messages, bytes, partitions] = &*words else {
        return Err("whole-program WAY MESSAGES BYTES PARTITIONS".into());
    };
    let load = Load { messages: messages.parse()?, bytes: bytes.parse()?, partitions: partitions.parse()? };
    match way.as_str() {
        "untraced" => run(Untraced, &load, false),
        "header" => run(header::Header::default(), &load, false),
        "ours" => run(Ours, &load, true),
        "sdk" => run(by_hand::Sdk::new()?, &load, false),
        "fastrace" => run(by_hand::Fastrace::new()?, &load, false),
        other => Err(format!("there is no way {other:?}").into()),
    }
}

fn run<W: Way>(way: W, load: &Load, instruments: bool) -> Result<(), Failure> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", std::env::var("KAFKA")?).set("group.id", "bench");
    config.set("enable.auto.commit", "false");
    if instruments {
        instrument(&mut config)?;
    }
    let way = std::sync::Arc::new(way);
    let started = Instant::now();
    let (consumed, chunks) = channel();
    let (traced, config) = (&way, &config);
    let ended = std::thread::scope(|scope| {
        let producing = scope.spawn(move || produce(traced, load, config, &chunks));
        let consuming = scope.spawn(move || consume(&**traced, load, config, &consumed));
        [producing.join(), consuming.join()]
    });
    let took = started.elapsed().as_secs_f64();
    for ended in ended {
        ended.map_err(|_| "a thread panicked")??;
    }
    way.end();
    std::fs::write(std::env::var("FIGURES")?, format!("seconds {took}\n"))?;
    Ok(())
}

fn produce<W: Way>(
    way: &std::sync::Arc<W>,
    load: &Load,
    config: &ClientConfig,
    chunks: &Receiver<()>,
) -> Result<(), Failure> {
    let mut config = config.clone();
    config.set("linger.ms", "5").set("queue.buffering.max.messages", "1000000");
    let deliveries = Deliveries(std::sync::Arc::clone(way));
    let producer: BaseProducer<_> = BaseProducer::from_config_and_context(&config, deliveries)?;
    let (payload, chunk) = (vec![0_u8; load.bytes], load.chunk());
    for number in 0..load.messages {
        if number % chunk == 0 {
            producer.flush(Duration::from_secs(60))?;
            // No more than one chunk is on its way: the cluster of librdkafka keeps 5 MiB of a partition.
            if number >= 2 * chunk {
                chunks.recv()?;
            }
        }
        let partition = i32::try_from(number % usize::try_from(load.partitions)?)?;
        let (headers, sent) = way.sending(partition);
        let mut record = BaseRecord::<(), [u8], _>::with_opaque_to(topic(), sent);
        record = record.payload(&payload).partition(partition);
        record.headers = headers;
        producer.send(record).map_err(|(error, _)| error)?;
        if number % 100 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(())
}

fn consume<W: Way>(way: &W, load: &Load, config: &ClientConfig, consumed: &Sender<()>) -> Result<(), Failure> {
    let mut config = config.clone();
    // A consumer waits half a second for a chunk that is not there yet, unless it is told to ask again sooner.
    let consumer: BaseConsumer = config.set("fetch.wait.max.ms", "10").create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..load.partitions {
        all.add_partition_offset(topic(), partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let chunk = load.chunk();
    for number in 1..=load.messages {
        let message = consumer.poll(Duration::from_secs(60)).ok_or("no message came")??;
        way.consumed(&message)?;
        if number % chunk == 0 {
            // The producer may have sent its last.
            let _ = consumed.send(());
        }
    }
    Ok(())
}
