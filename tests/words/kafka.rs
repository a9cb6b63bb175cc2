//! librdkafka's embedded mock cluster, and clients of it.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// A cluster of one broker on loopback; ends when dropped.
pub struct Kafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Kafka {
    /// A cluster with these topics, one partition each.
    pub fn start(topics: &[&str]) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in topics {
            cluster.create_topic(topic, 1, 1).unwrap();
        }
        Self { cluster }
    }

    /// The cluster itself, to provoke errors.
    pub fn cluster(&self) -> &MockCluster<'static, DefaultProducerContext> {
        &self.cluster
    }

    /// A configuration for any client, not traced.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers()).set("client.id", "test-client");
        config
    }

    /// A configuration for a consumer of `group` that begins at the oldest message, not traced.
    pub fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.partition.eof", "false");
        config
    }
}

/// Polls until a message comes; panics when none does within 20 seconds.
pub fn next_message(consumer: &BaseConsumer) -> OwnedMessage {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            return message.unwrap().detach();
        }
    }
    panic!("no message came");
}

/// A consumer of one topic.
pub fn subscribe(config: &ClientConfig, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}
