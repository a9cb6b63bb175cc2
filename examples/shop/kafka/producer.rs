//! A service's producer.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message as _};
use serde::Serialize;

use crate::board::Board;
use crate::order::Failure;

/// Sends messages of one service.
pub(crate) struct Producer {
    inner: ThreadedProducer<Deliveries>,
    run: String,
    board: Arc<Board>,
}

/// Counts the messages that Kafka did not take.
struct Deliveries(Arc<Board>);

impl Producer {
    /// Keys of messages begin with `run`.
    pub(super) fn new(config: &ClientConfig, run: &str, board: &Arc<Board>) -> Result<Self, Failure> {
        let inner = config.create_with_context(Deliveries(Arc::clone(board)))?;
        Ok(Producer { inner, run: run.to_owned(), board: Arc::clone(board) })
    }

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
            if self.board.is_done() {
                return Err(Failure::new(format!("cannot send to {topic}: Kafka takes nothing any more")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until Kafka has everything.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        Ok(self.inner.flush(Duration::from_secs(30))?)
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, message)) = result {
            if self.0.undelivered.get() == 0 {
                log::error!("a message for {} was not delivered: {error}", message.topic());
            }
            self.0.undelivered.add_one();
        }
    }
}
