//! What a service consumes.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
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
    joined: OnceLock<KafkaResult<()>>,
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

    /// Waits until the group has taken this member in, which begins where the topics end then: the orders of this run come
    /// when every consumer has done so.
    pub(crate) fn join(&self) -> Result<(), Failure> {
        loop {
            match self.consumer.context().joined.get() {
                None if self.board.is_done() => return Ok(()),
                // The topics hold nothing of this run yet.
                None => drop(self.poll()),
                Some(Ok(())) => break,
                Some(Err(error)) => return Err(error.clone().into()),
            }
        }
        self.board.ready.add_one();
        Ok(())
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
    /// Says at once where to begin. librdkafka loses messages where that is said in a second assignment: the answer to the
    /// first one's question for the end may come after it, and then the end is asked for once more, later.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            ends_of(consumer, partitions).and_then(|ends| consumer.assign(&ends))
        } else {
            consumer.unassign()
        };
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS || done.is_err() {
            // What comes later changes nothing.
            drop(self.joined.set(done));
        }
    }
}

/// The same partitions, with where they end.
fn ends_of(consumer: &BaseConsumer<Membership>, partitions: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let mut ends = TopicPartitionList::new();
    for partition in partitions.elements() {
        let (topic, number) = (partition.topic(), partition.partition());
        ends.add_partition_offset(topic, number, Offset::Offset(end_of(consumer, topic, number)?))?;
    }
    Ok(ends)
}

/// Where a partition ends. One that was just made may have no leader yet.
fn end_of(consumer: &BaseConsumer<Membership>, topic: &str, number: i32) -> KafkaResult<i64> {
    let limit = Duration::from_secs(10);
    let deadline = Instant::now() + limit;
    loop {
        match consumer.fetch_watermarks(topic, number, limit) {
            Ok((_, end)) => return Ok(end),
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable,
            )) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error),
        }
    }
}
