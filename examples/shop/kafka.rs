//! The Kafka cluster, and clients of it: rdkafka's own, traced by one line.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message as _};
use serde::Serialize;

use crate::board::Board;
use crate::order::Failure;

/// The embedded cluster, which ends with this, or a real one.
pub(crate) struct Kafka {
    bootstrap: String,
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
    /// Begins every key, so that messages of earlier runs on a real cluster are told apart.
    run: String,
}

/// Sends messages of one service.
pub(crate) struct Producer {
    inner: ThreadedProducer<Deliveries>,
    run: String,
}

/// The messages for one thread of a service.
pub(crate) struct Feed {
    consumer: BaseConsumer<Membership>,
    run: String,
    board: Arc<Board>,
}

/// Knows when the group has a place for a consumer; it may be one without partitions.
#[derive(Default)]
struct Membership {
    joined: AtomicBool,
}

/// Counts the messages that Kafka did not take.
struct Deliveries(Arc<Board>);

impl Kafka {
    /// The cluster at `bootstrap`, or without one librdkafka's mock cluster, in this process and on loopback.
    pub(crate) fn start(bootstrap: Option<&str>) -> Result<Self, Failure> {
        let run = format!("{:x}-{:x}", std::process::id(), started_nanos());
        if let Some(bootstrap) = bootstrap {
            return Ok(Kafka { bootstrap: bootstrap.to_owned(), mock: None, run });
        }
        let mock = MockCluster::new(1)?;
        for topic in ["orders", "payments.accepted", "payments.declined", "shipments"] {
            mock.create_topic(topic, 2, 1)?;
        }
        Ok(Kafka { bootstrap: mock.bootstrap_servers(), mock: Some(mock), run })
    }

    /// A producer of one service.
    pub(crate) fn producer(&self, client_id: &str, board: &Arc<Board>) -> Result<Producer, Failure> {
        let mut config = self.config(client_id);
        config.set("linger.ms", "1");
        tracer_resolver_rdkafka::instrument(&mut config)?; // This line is all there is to tracing it.
        let inner = config.create_with_context(Deliveries(Arc::clone(board)))?;
        Ok(Producer { inner, run: self.run.clone() })
    }

    /// One member of a service's consumer group.
    pub(crate) fn feed(&self, group: &str, topics: &[&str], board: &Arc<Board>) -> Result<Feed, Failure> {
        let mut config = self.config(group);
        config.set("group.id", group).set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "5");
        tracer_resolver_rdkafka::instrument(&mut config)?; // And this one.
        let consumer: BaseConsumer<Membership> = config.create_with_context(Membership::default())?;
        consumer.subscribe(topics)?;
        Ok(Feed { consumer, run: self.run.clone(), board: Arc::clone(board) })
    }

    fn config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", client_id);
        config
    }
}

impl Producer {
    /// Sends a message about an order; waits where librdkafka's queue is full.
    pub(crate) fn send(&self, topic: &str, order: u64, message: &impl Serialize) -> Result<(), Failure> {
        let (key, payload) = (format!("{}:{order}", self.run), serde_json::to_vec(message)?);
        let mut record = BaseRecord::to(topic).key(&key).payload(&payload);
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
                Err((error, _)) => return Err(Failure::new(format!("cannot send to {topic}: {error}"))),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until Kafka has everything.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        Ok(self.inner.flush(Duration::from_secs(30))?)
    }
}

impl Feed {
    /// Waits for the next message of this run; `None` when the shop has nothing left to do.
    pub(crate) fn next(&self) -> Option<BorrowedMessage<'_>> {
        while !self.board.is_done() {
            match self.consumer.poll(Duration::from_millis(20)) {
                Some(Ok(message)) if self.is_of_this_run(&message) => return Some(message),
                Some(Ok(_)) | None => {}
                // librdkafka goes on by itself; the progress ends a shop where nothing moves.
                Some(Err(error)) => log::warn!("a consumer: {error}"),
            }
        }
        None
    }

    /// Waits until the group has taken this member in.
    pub(crate) fn join(&self) {
        while !self.board.is_done() && !self.consumer.context().joined.load(Ordering::Relaxed) {
            // The topics hold nothing of this run yet.
            drop(self.consumer.poll(Duration::from_millis(20)));
        }
        self.board.ready.add_one();
    }

    fn is_of_this_run(&self, message: &BorrowedMessage<'_>) -> bool {
        message.key().and_then(|key| key.strip_prefix(self.run.as_bytes())).is_some_and(|rest| rest.starts_with(b":"))
    }
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.joined.store(true, Ordering::Relaxed);
        }
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, message)) = result {
            log::error!("a message for {} was not delivered: {error}", message.topic());
            self.0.undelivered.add_one();
        }
    }
}

impl fmt::Display for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.mock.is_some() { "librdkafka's embedded mock cluster, " } else { "" };
        write!(f, "{kind}{}", self.bootstrap)
    }
}

fn started_nanos() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos())
}
