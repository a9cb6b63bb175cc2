//! The services: each on a thread of its own, meeting the others only in Kafka's topics.

mod notifications;
mod orders;
mod payments;
mod shipping;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use serde::de::DeserializeOwned;

use crate::board::Board;
use crate::kafka::Kafka;
use crate::options::Options;
use crate::order::Failure;

/// The open shop.
pub(crate) struct Shop {
    threads: Vec<(&'static str, JoinHandle<Result<(), Failure>>)>,
}

/// Starts every service; the orders begin when all consumers have their partitions.
pub(crate) fn open(kafka: &Kafka, board: &Arc<Board>, options: &Options) -> Result<Shop, Failure> {
    let mut shop = Shop { threads: Vec::new() };
    let payments = payments::Payments::new(kafka, board)?;
    shop.start("payments", board, move || payments.run())?;
    let shipping = shipping::Shipping::new(kafka, board)?;
    shop.start("shipping", board, move || shipping.run())?;
    let notifications = notifications::Notifications::new(kafka, board)?;
    shop.start("notifications", board, move || notifications.run())?;

    let consumers = shop.threads.len() as u64;
    let orders = orders::Orders::new(kafka, board, options)?;
    let waiting = Arc::clone(board);
    shop.start("orders", board, move || {
        let opened = Instant::now();
        while waiting.ready.get() < consumers && !waiting.is_done() {
            if opened.elapsed() > JOIN_LIMIT {
                return Err(Failure::new("the consumers could not join their groups: is Kafka there?"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        orders.run()
    })?;
    Ok(shop)
}

impl Shop {
    /// Waits for every service, or for the first that fails: what reads stdin may not end before stdin does.
    pub(crate) fn close(self) -> Result<(), Failure> {
        for (name, thread) in self.threads {
            let ended = thread.join().unwrap_or_else(|_| Err(Failure::new("a thread has panicked")));
            ended.map_err(|failure| Failure::new(format!("{name}: {failure}")))?;
        }
        Ok(())
    }

    /// A thread of a service. Its failure ends the whole shop.
    fn start(
        &mut self,
        name: &'static str,
        board: &Arc<Board>,
        work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let board = Arc::clone(board);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = work();
            if outcome.is_err() {
                board.stop();
            }
            outcome
        })?;
        self.threads.push((name, thread));
        Ok(())
    }
}

/// The content of a message.
fn read<T: DeserializeOwned>(message: &BorrowedMessage<'_>) -> Result<T, Failure> {
    let payload = message.payload().unwrap_or_default();
    serde_json::from_slice(payload).map_err(|error| {
        Failure::new(format!("{}/{}/{}: {error}", message.topic(), message.partition(), message.offset()))
    })
}

const JOIN_LIMIT: Duration = Duration::from_secs(30);
