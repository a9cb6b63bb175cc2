//! A consumer's offsets that go along with a producer's transaction: nobody looks at them here.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{Partitioner, Producer, ProducerContext};
use rdkafka::util::Timeout;

/// Does what [`Producer::send_offsets_to_transaction`] does.
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
    producer.send_offsets_to_transaction(offsets, group, timeout)
}
