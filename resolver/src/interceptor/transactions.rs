//! Offsets that a transaction takes along (`rd_kafka_send_offsets_to_transaction`): a request of the producer, for which
//! librdkafka calls no interceptor of the consumer whose messages they settle. An integration that sees the application's
//! call tells of it.

use std::cell::Cell;

use super::client::Client;
use super::client_handles::ClientHandle;
use super::commit_spans::consumers;
use super::commits::{Committed, committed};
use super::contain_panic::contain_panic;
use super::kafka_api::{RdKafkaError, RdKafkaTopicPartitionList};
use super::route::topic_hash;
use crate::clock::Moment;
use crate::stack_room::{Lent, with_room};

/// The calling thread sends `offsets` with a transaction, for the consumers of this group, by `send`; `error` is what came of
/// it. Each topic's is a commit, with a span where `commit_spans` asks for it.
///
/// The group is `None` where the integration cannot know it: then an offset is of the consumer that was handed the messages
/// before it, if all that were are of one group.
///
/// # Safety
///
/// `offsets` is null, or a list of librdkafka that lives, unchanged, until this returns.
pub unsafe fn sending_offsets<T>(
    offsets: *const RdKafkaTopicPartitionList,
    group: impl FnOnce() -> Option<Vec<u8>>,
    send: impl FnOnce() -> T,
    error: impl FnOnce(&T) -> RdKafkaError,
) -> T {
    let begun = Moment::now();
    let call = Call::begin();
    let result = send();
    if call.is_outermost() {
        contain_panic(|| {
            if consumers().is_empty() {
                return;
            }
            let (group, err) = (group(), error(&result));
            // SAFETY: as the caller says; this thread waits.
            let lent = unsafe { Lent::new(offsets) };
            with_room(|| {
                // SAFETY: as above.
                settle(group.as_deref(), err, &begun, unsafe { committed(lent.get()) });
            });
        });
    }
    result
}

/// Lets each consumer tell of its part.
fn settle<'a>(group: Option<&[u8]>, err: RdKafkaError, begun: &Moment, offsets: impl Iterator<Item = Committed<'a>>) {
    let consumers = consumers().clone();
    let mut parts: Vec<(ClientHandle, Committed<'a>)> =
        offsets.filter_map(|one| Some((consumer_of(&consumers, group, &one)?, one))).collect();
    parts.sort_unstable_by_key(|(consumer, _)| consumer.number());
    for of_one in parts.chunk_by(|(one, _), (other, _)| one == other) {
        let mut committed: Vec<_> = of_one.iter().map(|(_, committed)| *committed).collect();
        if let Some((consumer, _)) = of_one.first() {
            consumer.with_client(|client| client.make_commit_spans(err, Some(begun.elapsed()), &mut committed));
        }
    }
}

/// Whose messages lie before this offset: of several, which had the partition one after the other, the one that got furthest.
fn consumer_of(consumers: &[ClientHandle], group: Option<&[u8]>, committed: &Committed<'_>) -> Option<ClientHandle> {
    let mut found: Vec<_> =
        consumers.iter().filter_map(|consumer| Some((has_read(*consumer, committed)?, *consumer))).collect();
    match group {
        Some(group) => found.retain(|((_, of), _)| of.as_deref().is_some_and(|of| of.as_bytes() == group)),
        None => {
            let mut groups = found.iter().map(|((_, of), _)| of);
            let first = groups.next();
            if groups.any(|of| Some(of) != first) {
                return None;
            }
        }
    }
    found.into_iter().max_by_key(|((read, _), _)| *read).map(|(_, consumer)| consumer)
}

/// The last unsettled message before this offset that the consumer was handed, and its group. `None`: it never had the
/// partition.
fn has_read(consumer: ClientHandle, committed: &Committed<'_>) -> Option<(Option<i64>, Option<String>)> {
    let read = |client: &Client| {
        let topic = committed.topic.to_str().ok()?;
        let read =
            client.settled.as_ref()?.last_before((topic, topic_hash(topic)), committed.partition, committed.offset)?;
        Some((read, client.routes.group_id().map(str::to_owned)))
    };
    consumer.with_client(read).flatten()
}

/// A call on this thread, until it is dropped: two integrations may see the same one.
struct Call {
    is_outermost: bool,
}

impl Call {
    fn begin() -> Self {
        Self { is_outermost: !UNDER_WAY.replace(true) }
    }

    fn is_outermost(&self) -> bool {
        self.is_outermost
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_outermost {
            UNDER_WAY.set(false);
        }
    }
}

thread_local! {
    static UNDER_WAY: Cell<bool> = const { Cell::new(false) };
}
