//! A consumer's offsets that go along with a producer's transaction.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{Partitioner, Producer, ProducerContext};
use rdkafka::util::Timeout;
use tracer_resolver::interceptor::sending_offsets;

/// Does what [`Producer::send_offsets_to_transaction`] does, and has it seen: where `commit_spans` asks for it, each topic's
/// offsets have a span `commit TOPIC`, with links to the messages that they settle.
///
/// librdkafka calls nobody for these offsets, so a program that is compiled with it says itself where it sends them.
///
/// # Errors
///
/// Those of the method.
pub fn send_offsets_to_transaction<C, Part>(
    producer: &impl Producer<C, Part>,
    offsets: &TopicPartitionList,
    group: &ConsumerGroupMetadata,
    timeout: impl Into<Timeout>,
) -> KafkaResult<()>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    let send = || producer.send_offsets_to_transaction(offsets, group, timeout);
    // SAFETY: rdkafka's list is librdkafka's, and is borrowed until this returns. Which group it is, rdkafka does not tell.
    unsafe { sending_offsets(offsets.ptr().cast_const().cast(), || None, send, code_of) }
}

/// `RD_KAFKA_RESP_ERR__FAIL`.
const FAIL: i32 = -196;

fn code_of(result: &KafkaResult<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(KafkaError::Transaction(error)) => error.code() as i32,
        Err(other) => other.rdkafka_error_code().map_or(FAIL, |code| code as i32),
    }
}
