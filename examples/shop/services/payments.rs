//! `payments`: consumes orders, authorizes them, and produces what became of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use tracer_resolver::Resolver;
use tracer_resolver_rdkafka::Processing;

use crate::board::Board;
use crate::kafka::{Feed, Kafka, Producer};
use crate::order::{Failure, Method, Order, Payment};

pub(crate) struct Payments {
    orders: Feed,
    producer: Producer,
    /// For spans of its own, on the way of the messages' spans.
    tracer: opentelemetry_sdk::trace::SdkTracer,
    board: Arc<Board>,
}

/// The payment is refused for good.
#[derive(Debug)]
struct PaymentDeclined(&'static str);

/// The issuer of the card gave no answer: worth another try.
#[derive(Debug)]
struct IssuerTimeout;

impl Payments {
    pub(crate) fn new(kafka: &Kafka, board: &Arc<Board>) -> Result<Self, Failure> {
        Ok(Payments {
            orders: kafka.feed("payments", &["orders"], board)?,
            producer: kafka.producer("payments", board)?,
            tracer: Resolver::global()?.tracer_provider("payments")?.tracer("shop.payments"),
            board: Arc::clone(board),
        })
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        self.orders.join()?;
        while let Some(message) = self.orders.next() {
            // From here to the end of the block is the message's span, and the parent of all that is sent.
            let mut processing = Processing::start(&message);
            let order: Order = super::read(&message)?;
            let declined = self.authorize(&order).err();
            if let Some(declined) = &declined {
                processing.fail(declined);
            }
            let (topic, counter) = match declined {
                None => ("payments.accepted", &self.board.accepted),
                Some(_) => ("payments.declined", &self.board.declined),
            };
            let declined = declined.map(|declined| declined.to_string());
            let payment = Payment { order: order.id, customer: order.customer, country: order.country, declined };
            self.producer.send(topic, order.id, &payment)?;
            counter.add_one();
        }
        self.producer.flush()
    }

    /// Asks the issuer, twice if need be; every time is a span of our own.
    fn authorize(&self, order: &Order) -> Result<(), PaymentDeclined> {
        for attempt in 1..=2_u32 {
            let name = format!("authorize {}", order.method.name());
            let mut span = self.tracer.span_builder(name).with_kind(SpanKind::Client).start(&self.tracer);
            span.set_attribute(KeyValue::new("payment.attempt", i64::from(attempt)));
            span.set_attribute(KeyValue::new("payment.currency", order.currency.clone()));
            match ask_issuer(order, attempt) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(declined)) => {
                    span.set_attribute(KeyValue::new("error.type", "PaymentDeclined"));
                    span.set_status(Status::error(declined.to_string()));
                    return Err(declined);
                }
                Err(timeout) => {
                    span.set_attribute(KeyValue::new("error.type", "IssuerTimeout"));
                    span.set_status(Status::error(timeout.to_string()));
                    self.board.retried.add_one();
                }
            }
        }
        Err(PaymentDeclined("no answer from the issuer"))
    }
}

/// Stands for a call over the network: takes its time, and does not always go well. The same order fares the same.
fn ask_issuer(order: &Order, attempt: u32) -> Result<Result<(), PaymentDeclined>, IssuerTimeout> {
    if attempt == 1 && order.id % 61 == 0 {
        std::thread::sleep(Duration::from_millis(4));
        return Err(IssuerTimeout);
    }
    std::thread::sleep(Duration::from_micros(150 + order.id % 7 * 60));
    Ok(match order.method {
        Method::Card if order.total > 400_000 => Err(PaymentDeclined("above the limit of the card")),
        Method::Invoice if order.total > 200_000 => Err(PaymentDeclined("too much to buy on invoice")),
        _ if order.id % 211 == 0 => Err(PaymentDeclined("the issuer suspects fraud")),
        _ => Ok(()),
    })
}

impl fmt::Display for PaymentDeclined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for IssuerTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the issuer did not answer in time")
    }
}
