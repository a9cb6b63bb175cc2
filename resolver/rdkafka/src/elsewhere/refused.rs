//! Sends that librdkafka refuses at once: nobody looks at them here.

use rdkafka::error::KafkaError;
use rdkafka::producer::{Partitioner, Producer, ProducerContext};

use crate::Record;

/// Makes a send.
///
/// # Errors
///
/// Those of `send`.
pub fn tell_if_refused<By, C, Part, R, T>(
    producer: &By,
    send: impl FnOnce(&By, R) -> Result<T, (KafkaError, R)>,
    record: R,
) -> Result<T, (KafkaError, R)>
where
    By: Producer<C, Part>,
    C: ProducerContext<Part>,
    Part: Partitioner,
    R: Record,
{
    send(producer, record)
}
