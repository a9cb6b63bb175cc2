//! What a service consumes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList};

use crate::board::Board;
use crate::order::Failure;

/// The messages for a service.
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

impl Feed {
    /// The messages whose keys begin with `run`, until the board says that all is done.
    pub(super) fn new(config: &ClientConfig, topics: &[&str], run: &str, board: &Arc<Board>) -> Result<Self, Failure> {
        let consumer: BaseConsumer<Membership> = config.create_with_context(Membership::default())?;
        consumer.subscribe(topics)?;
        Ok(Feed { consumer, run: run.to_owned(), board: Arc::clone(board) })
    }

    /// Waits for the next message of this run; `None` when the shop has nothing left to do.
    pub(crate) fn next(&self) -> Option<BorrowedMessage<'_>> {
        while !self.board.is_done() {
            let message = self.poll().filter(|message| self.is_of_this_run(message));
            if message.is_some() {
                return message;
            }
        }
        None
    }

    /// Waits until the group has taken this member in, and begins where the topics end now: the orders of this run come
    /// when every consumer has done so.
    pub(crate) fn join(&self) -> Result<(), Failure> {
        while !self.consumer.context().joined.load(Ordering::Relaxed) {
            if self.board.is_done() {
                return Ok(());
            }
            // The topics hold nothing of this run yet.
            drop(self.poll());
        }
        let mut ends = TopicPartitionList::new();
        for partition in self.consumer.assignment()?.elements() {
            let (topic, number) = (partition.topic(), partition.partition());
            ends.add_partition_offset(topic, number, Offset::Offset(self.end_of(topic, number)?))?;
        }
        self.consumer.assign(&ends)?;
        self.board.ready.add_one();
        Ok(())
    }

    /// Where a partition ends. One that was just made may have no leader yet.
    fn end_of(&self, topic: &str, number: i32) -> Result<i64, Failure> {
        let limit = Duration::from_secs(10);
        let deadline = Instant::now() + limit;
        loop {
            match self.consumer.fetch_watermarks(topic, number, limit) {
                Ok((_, end)) => return Ok(end),
                Err(KafkaError::MetadataFetch(
                    RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable,
                )) if Instant::now() < deadline => drop(self.poll()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn poll(&self) -> Option<BorrowedMessage<'_>> {
        let polled = self.consumer.poll(Duration::from_millis(20))?;
        // librdkafka goes on by itself; the progress ends a shop where nothing moves.
        polled.inspect_err(|error| log::warn!("a consumer: {error}")).ok()
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
