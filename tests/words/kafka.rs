//! librdkafka's embedded mock cluster, and clients of it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::LIMIT;
use crate::turn::Turn;

/// A cluster of one broker on loopback; ends when dropped.
pub struct Kafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
    turn: OnceLock<Turn>,
}

impl Kafka {
    /// A cluster with these topics, one partition each.
    pub fn start(topics: &[&str]) -> Self {
        Self::start_with(topics, 1)
    }

    /// A cluster with one topic of several partitions.
    pub fn start_partitioned(topic: &str, partitions: i32) -> Self {
        Self::start_with(&[topic], partitions)
    }

    /// A cluster with these topics, so many partitions each. A partition keeps its last 5 MiB.
    pub fn start_with(topics: &[&str], partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in topics {
            cluster.create_topic(topic, partitions, 1).unwrap();
        }
        Self { cluster, turn: OnceLock::new() }
    }

    /// The cluster itself, to provoke errors.
    pub fn cluster(&self) -> &MockCluster<'static, DefaultProducerContext> {
        &self.cluster
    }

    /// Its address.
    pub fn servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// A configuration for any client, not traced.
    pub fn config(&self) -> ClientConfig {
        config_of(self.servers())
    }

    /// A configuration for a consumer of `group` that begins at the oldest message, not traced.
    pub fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.partition.eof", "false");
        config
    }

    /// Clients of this cluster are traced in this process from now on, and those of no other one until it ends.
    pub(crate) fn take_turn(&self) {
        self.turn.get_or_init(Turn::take);
    }
}

/// A configuration for any client of the cluster at this address.
pub(crate) fn config_of(servers: String) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("client.id", "test-client");
    config
}

/// Polls until a message comes; panics when none does.
pub fn next_message(consumer: &BaseConsumer) -> OwnedMessage {
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            return message.unwrap().detach();
        }
    }
    panic!("no message came");
}

/// A consumer of partition 0 of one topic from its beginning, without its group's ceremony.
pub fn assign(config: &ClientConfig, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    consumer
}

/// A consumer of one topic.
pub fn subscribe(config: &ClientConfig, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

/// The headers of a message: names, and values as text, `NULL` without one.
pub fn headers_of(message: &impl Message) -> Vec<(String, String)> {
    let text =
        |value: Option<&[u8]>| value.map_or("NULL".to_owned(), |value| String::from_utf8_lossy(value).into_owned());
    let headers = message.headers();
    headers
        .map(|headers| headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect())
        .unwrap_or_default()
}

/// The one header of this name; panics when it repeats.
pub fn header_of(message: &impl Message, name: &str) -> Option<String> {
    let mut values: Vec<_> = headers_of(message)
        .into_iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect();
    assert!(values.len() < 2, "{name} repeats: {values:?}");
    values.pop()
}

/// Headers of these names and values.
pub fn with_headers(headers: &[(&str, &str)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }))
}
