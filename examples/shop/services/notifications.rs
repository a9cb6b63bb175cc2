//! `notifications`: tells the customers, of what was shipped and of what was declined.

use std::sync::Arc;

use rdkafka::Message as _;
use tracer_resolver_rdkafka::Processing;

use crate::board::Board;
use crate::kafka::{Feed, Kafka};
use crate::order::{Failure, Payment, Shipment};

pub(crate) struct Notifications {
    news: Feed,
    board: Arc<Board>,
}

impl Notifications {
    pub(crate) fn new(kafka: &Kafka, board: &Arc<Board>) -> Result<Self, Failure> {
        let news = kafka.feed("notifications", &["shipments", "payments.declined"], board)?;
        Ok(Notifications { news, board: Arc::clone(board) })
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        self.news.join()?;
        while let Some(message) = self.news.next() {
            let _processing = Processing::start(&message);
            let letter = match message.topic() {
                "shipments" => shipped(&super::read(&message)?),
                _ => declined(&super::read(&message)?),
            };
            log::debug!("{letter}");
            self.board.notified.add_one();
        }
        Ok(())
    }
}

fn shipped(shipment: &Shipment) -> String {
    format!("To {}: order {} is on its way as {}", shipment.customer, shipment.order, shipment.tracking_number)
}

fn declined(payment: &Payment) -> String {
    let reason = payment.declined.as_deref().unwrap_or("no reason given");
    format!("To {}: order {} was declined: {reason}", payment.customer, payment.order)
}
