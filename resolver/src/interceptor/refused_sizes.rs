//! What a client learns from a message that was refused for its size: see [`SizeLimit`](super::size_limit::SizeLimit).

#![forbid(unsafe_code)]

use super::client::Client;
use super::headers::Headers;
use super::message::Message;
use super::route::Traced;
use super::size_limit::{Refused, last_answer};
use crate::batch::Pipeline;

/// `RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE` (the topic's `max.message.bytes`) and `…_RECORD_LIST_TOO_LARGE` (its
/// `segment.bytes`): from a broker, for librdkafka's own check comes before `on_send`.
const TOO_LARGE: [i32; 2] = [10, 18];

impl Client {
    /// Learns from the message if it was refused for its size. To be called before anything of it is forgotten.
    #[inline]
    pub(super) fn learn_size(&self, traced: &Traced, message: &Message<'_>) {
        if TOO_LARGE.contains(&message.error()) {
            self.learn_from_refused(traced, message);
        }
    }

    #[cold]
    fn learn_from_refused(&self, traced: &Traced, message: &Message<'_>) {
        let headers = message.headers();
        let has_ours = |headers: &Headers<'_>| {
            !self.unmarked.has(message.address()) && traced.injection.own_context(|name| headers.last(name)).is_some()
        };
        let is_ours = |name: &[u8]| traced.injection.replaces(name);
        // At the most where it is compared with others of its batch, at the least where others are compared with it.
        let size = message.size() + headers.as_ref().and_then(|all| all.size_without(|_| false)).unwrap_or(0);
        let others = |headers: &Headers<'_>| message.size() + headers.least_size_without(is_ours);
        let without_ours = headers.as_ref().filter(|headers| has_ours(headers)).map(others);
        if traced.size_limit.refused(message.partition(), last_answer(), Refused { size, without_ours }) {
            let what = format!(
                "topic {:?} refused, for its size, a message to which our context headers had been added: messages that \
                 come near that size are sent there without them from now on, and counted. To have them traced through, \
                 set this producer's message.max.bytes and batch.size to the topic's max.message.bytes, and leave 200 \
                 bytes below it for headers",
                message.topic().to_string_lossy()
            );
            // Said by the batch thread: this is a callback.
            Pipeline::current().tell(log::Level::Warn, what);
        }
    }
}
