//! `shipping`: consumes accepted payments and produces shipments, as asynchronous code does.

use std::sync::Arc;

use tracer_resolver_rdkafka::process;

use crate::board::Board;
use crate::kafka::{Feed, Kafka, Producer};
use crate::order::{Failure, Payment, Shipment};

pub(crate) struct Shipping {
    payments: Feed,
    producer: Producer,
    board: Arc<Board>,
}

impl Shipping {
    pub(crate) fn new(kafka: &Kafka, board: &Arc<Board>) -> Result<Self, Failure> {
        Ok(Shipping {
            payments: kafka.feed("shipping", &["payments.accepted"], board)?,
            producer: kafka.producer("shipping", board)?,
            board: Arc::clone(board),
        })
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        self.payments.join()?;
        while let Some(message) = self.payments.next() {
            let payment: Payment = super::read(&message)?;
            // The message's span lasts as long as the future, and what the future sends continues the trace, on
            // whatever thread an executor polls it.
            futures_executor::block_on(process(&message, self.ship(payment)))?;
            self.board.shipped.add_one();
        }
        self.producer.flush()
    }

    async fn ship(&self, payment: Payment) -> Result<(), Failure> {
        let tracking_number = tracking_number(&payment).await;
        let shipment = Shipment { order: payment.order, customer: payment.customer, tracking_number };
        self.producer.send("shipments", shipment.order, &shipment)
    }
}

/// The carrier's number, as a carrier's service would give it.
async fn tracking_number(payment: &Payment) -> String {
    let check = payment.order.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    format!("{}-{:08}-{check:04X}", payment.country, payment.order)
}
