//! Sends that librdkafka refuses at once.

#![forbid(unsafe_code)]

use std::ffi::CString;

use rdkafka::error::KafkaError;
use rdkafka::producer::{Partitioner, Producer, ProducerContext};
use tracer_resolver::interceptor::{RefusedSend, has_producers, refused, sends_seen};

use crate::Record;

/// Makes a send, and has it seen where it is refused at once: because the queue is full, the message too large, or the producer in no
/// state to send. Such a send has a failed span, as `docs/attributes.md` says, in the OpenTelemetry context that is current.
///
/// ```no_run
/// # use rdkafka::error::KafkaError;
/// # use rdkafka::producer::{BaseProducer, BaseRecord};
/// # fn send(producer: &BaseProducer, record: BaseRecord<'_, str, str>) -> Result<(), KafkaError> {
/// use tracer_resolver_rdkafka::tell_if_refused;
///
/// tell_if_refused(producer, BaseProducer::send, record).map_err(|(error, _record)| error)
/// # }
/// ```
///
/// `send` is rdkafka's `BaseProducer::send`, `ThreadedProducer::send` or `FutureProducer::send_result`, and is called at once, on this
/// thread; what it gives is given back. librdkafka calls no interceptor for what it refuses, so a program that is compiled with it says
/// itself where it sends. A message that librdkafka takes, and gives up later, has its failed span in any case, and none is added to it.
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
    let seen = sends_seen();
    let result = send(producer, record);
    if let Err((KafkaError::MessageProduction(code), record)) = &result
        && seen == sends_seen()
        && has_producers()
        // librdkafka would have refused another name than it was given.
        && let Ok(topic) = CString::new(record.topic())
    {
        let (key, is_tombstone) = (record.key(), record.is_tombstone());
        let send = RefusedSend { error: *code as i32, partition: record.partition(), key, is_tombstone };
        refused(producer.client().native_ptr().addr(), &topic, [send].into_iter());
    }
    result
}
