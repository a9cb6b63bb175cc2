//! Does what its standard input says, line by line, and answers each line with a line: the outcomes that a program sees. The same
//! words as `client.c` takes, for clients of the crate `rdkafka`; with UNTRACED in the environment they are not instrumented.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "it fails loudly; it answers there"
)]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

/// Errors by name, with how many there were.
type Errors = BTreeMap<String, u64>;

/// What became of the messages since the last flush.
#[derive(Default)]
struct Outcomes(Mutex<(u64, Errors)>);

impl ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut outcomes = self.0.lock().expect("no panic under this lock");
        match result {
            Ok(_) => outcomes.0 += 1,
            Err((error, _)) => *outcomes.1.entry(name(error)).or_default() += 1,
        }
    }
}

#[derive(Default)]
struct Received {
    messages: u64,
    tombstones: u64,
    bytes: usize,
    digest: u64,
}

enum Client {
    Producer(BaseProducer<Outcomes>),
    Consumer(BaseConsumer, Received),
}

#[derive(Default)]
struct Clients(BTreeMap<String, Client>);

fn name(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => {
            let said = [
                (error.is_fatal(), " fatal"),
                (error.is_retriable(), " retriable"),
                (error.txn_requires_abort(), " abort"),
            ];
            let said: String = said.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
            format!("{:?}{said}", error.code())
        }
        error => error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| format!("{code:?}")),
    }
}

fn answer(result: Result<(), KafkaError>) -> String {
    result.map_or_else(|error| name(&error), |()| "ok".to_owned())
}

fn listed(errors: &Errors) -> String {
    errors.iter().map(|(error, count)| format!(" {error} {count}")).collect()
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn wait(word: &str) -> Duration {
    Duration::from_millis(number(word))
}

fn config(settings: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", std::env::var("KAFKA").expect("KAFKA is set"));
    for setting in settings {
        let (key, value) = setting.split_once('=').expect("a key and a value");
        config.set(key, value);
    }
    if std::env::var_os("UNTRACED").is_none() {
        tracer_resolver_rdkafka::instrument(&mut config).expect("it is instrumented");
    }
    config
}

impl Clients {
    fn producer(&self, name: &str) -> &BaseProducer<Outcomes> {
        match &self.0[name] {
            Client::Producer(producer) => producer,
            Client::Consumer(..) => panic!("{name} is a consumer"),
        }
    }

    fn consumer(&mut self, name: &str) -> (&BaseConsumer, &mut Received) {
        match self.0.get_mut(name) {
            Some(Client::Consumer(consumer, received)) => (consumer, received),
            _ => panic!("{name} is no consumer"),
        }
    }

    fn add(&mut self, name: &str, client: Result<Client, KafkaError>) -> String {
        answer(client.map(|client| drop(self.0.insert(name.to_owned(), client))))
    }

    /// SIZE is `null` for a tombstone, KEY `-` for none.
    fn send(&self, by: &str, topic: &str, count: u64, size: &str, rest: &[&str]) -> String {
        let by = self.producer(by);
        let mut refused = Errors::new();
        let mut queued = 0;
        for at in 0..count {
            let letter = |at: u64| b'a' + u8::try_from(at % 26).expect("below 26");
            let value = (size != "null").then(|| {
                let mut value: Vec<u8> = (0..number(size)).map(|at| letter(at * at)).collect();
                value.iter_mut().take(1).for_each(|first| *first = letter(at));
                value
            });
            let mut record = BaseRecord::<[u8], [u8]>::to(topic);
            record.payload = value.as_deref();
            record.key = rest.first().filter(|key| **key != "-").map(|key| key.as_bytes());
            record.partition = rest.get(1).map(|partition| partition.parse().expect("a partition"));
            match by.send(record) {
                Ok(()) => queued += 1,
                Err((error, _)) => *refused.entry(name(&error)).or_default() += 1,
            }
            by.poll(Duration::ZERO);
        }
        format!("queued {queued}{}", listed(&refused))
    }

    fn flush(&self, name_of: &str, wait: Duration) -> String {
        let producer = self.producer(name_of);
        let flushed = answer(producer.flush(wait));
        let (delivered, failed) = std::mem::take(&mut *producer.context().0.lock().expect("no panic under this lock"));
        format!("{flushed} delivered {delivered}{}", listed(&failed))
    }

    fn take(&mut self, name: &str) {
        let (consumer, received) = self.consumer(name);
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) else { return };
        received.messages += 1;
        received.tombstones += u64::from(message.payload().is_none());
        received.bytes += message.payload_len();
        let bytes = message.key().unwrap_or_default().iter().chain(message.payload().unwrap_or_default());
        let digest = bytes.fold(14_695_981_039_346_656_037, |digest: u64, byte| {
            (digest ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
        });
        received.digest = received.digest.wrapping_add(digest);
    }

    fn receive(&mut self, wanted: u64, wait: Duration, names: &[&str]) -> String {
        let end = Instant::now() + wait;
        loop {
            let mut all = Received::default();
            for name in names {
                self.take(name);
                let received = self.consumer(name).1;
                all.messages += received.messages;
                all.tombstones += received.tombstones;
                all.bytes += received.bytes;
                all.digest = all.digest.wrapping_add(received.digest);
            }
            if all.messages >= wanted || Instant::now() > end {
                names.iter().for_each(|name| *self.consumer(name).1 = Received::default());
                let Received { messages, tombstones, bytes, digest } = all;
                return format!("received {messages} tombstones {tombstones} bytes {bytes} digest {digest:x}");
            }
        }
    }

    fn balanced(&mut self, wanted: u64, wait: Duration, names: &[&str]) -> String {
        let end = Instant::now() + wait;
        let mut since = Instant::now();
        loop {
            names.iter().for_each(|name| self.take(name));
            let counts: Vec<usize> =
                names.iter().map(|name| self.consumer(name).0.assignment().map_or(0, |list| list.count())).collect();
            let all: usize = counts.iter().sum();
            if all as u64 != wanted || counts.contains(&0) {
                since = Instant::now();
            }
            if since.elapsed() > Duration::from_secs(2) || Instant::now() > end {
                return format!(
                    "{all} partitions, {}",
                    if counts.contains(&0) { "one has none" } else { "each has some" }
                );
            }
        }
    }

    fn committed(&mut self, name: &str, topic: &str, partitions: i32) -> String {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let found = self.consumer(name).0.committed_offsets(list, Duration::from_secs(30));
        let sum = |list: TopicPartitionList| {
            list.elements().iter().filter_map(|one| one.offset().to_raw()).filter(|at| *at > 0).sum::<i64>()
        };
        found.map_or_else(|error| self::name(&error), |list| format!("committed {}", sum(list)))
    }

    fn offsets(&self, producer: &str, consumer: &str) -> String {
        let Client::Consumer(consumer, _) = &self.0[consumer] else { panic!("{consumer} is no consumer") };
        let group = consumer.group_metadata().expect("it has a group");
        let position = consumer.position().expect("it has a position");
        answer(self.producer(producer).send_offsets_to_transaction(&position, &group, Duration::from_secs(30)))
    }
}

/// A topic of so many partitions and replicas, by a client that has to know no password.
fn make_topic(topic: &str, partitions: &str, replicas: &str) -> String {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", std::env::var("KAFKA_PLAIN").expect("KAFKA_PLAIN is set"));
    let admin: AdminClient<_> = settings.create().expect("an admin client");
    let replication = TopicReplication::Fixed(replicas.parse().expect("a number"));
    let topic = NewTopic::new(topic, partitions.parse().expect("a number"), replication);
    let made = futures_executor::block_on(admin.create_topics([&topic], &AdminOptions::new()));
    if made.is_ok_and(|made| made.iter().all(Result::is_ok)) { "ok".to_owned() } else { "topic not made".to_owned() }
}

fn main() {
    let mut clients = Clients::default();
    let minute = Duration::from_secs(60);
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words[..] {
            ["producer", name, ref settings @ ..] => {
                let made = config(settings).create_with_context(Outcomes::default());
                clients.add(name, made.map(Client::Producer))
            }
            ["consumer", name, ref settings @ ..] => {
                let made = config(settings).create();
                clients.add(name, made.map(|made| Client::Consumer(made, Received::default())))
            }
            ["topic", _, topic, partitions, replicas] => make_topic(topic, partitions, replicas),
            ["send", by, topic, count, size, ref rest @ ..] => clients.send(by, topic, number(count), size, rest),
            ["flush", name, ms] => clients.flush(name, wait(ms)),
            ["receive", count, ms, ref names @ ..] => clients.receive(number(count), wait(ms), names),
            ["balanced", count, ms, ref names @ ..] => clients.balanced(number(count), wait(ms), names),
            ["committed", name, topic, partitions] => {
                clients.committed(name, topic, partitions.parse().expect("a number"))
            }
            ["subscribe", name, topic] => answer(clients.consumer(name).0.subscribe(&[topic])),
            ["assign", name, topic, partition] => {
                let mut list = TopicPartitionList::new();
                let partition = partition.parse().expect("a number");
                list.add_partition_offset(topic, partition, Offset::Beginning).expect("it is new");
                answer(clients.consumer(name).0.assign(&list))
            }
            ["commit", name] => answer(clients.consumer(name).0.commit_consumer_state(CommitMode::Sync)),
            ["init", name] => answer(clients.producer(name).init_transactions(minute)),
            ["begin", name] => answer(clients.producer(name).begin_transaction()),
            ["end", name] => answer(clients.producer(name).commit_transaction(minute)),
            ["abort", name] => answer(clients.producer(name).abort_transaction(minute)),
            ["offsets", producer, consumer] => clients.offsets(producer, consumer),
            ["close", name] => {
                // The crate's consumer takes what waits while it is dropped, throws it away, and commits it if it commits by itself.
                let closed = match clients.0.remove(name) {
                    Some(Client::Consumer(consumer, _)) => consumer.unassign(),
                    _ => Ok(()),
                };
                answer(closed)
            }
            _ => panic!("what is {line}?"),
        };
        println!("{said}");
    }
}
