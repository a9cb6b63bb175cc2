//! What a client learns from a message that was refused: that it was too large with our headers, or that brokers take none.
//!
//! See [`SizeLimit`](super::size_limit::SizeLimit) and [`HeaderRefusals`](super::header_refusals::HeaderRefusals).

#![forbid(unsafe_code)]

use super::client::Client;
use super::header_refusals::{Had, Learnt, RefusedMessage};
use super::headers::Headers;
use super::message::Message;
use super::route::{Traced, error_name};
use super::size_limit::{Refused, last_answer};
use crate::batch::Pipeline;
use crate::clock;

/// `RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE` (the topic's `max.message.bytes`) and `…_RECORD_LIST_TOO_LARGE` (its
/// `segment.bytes`): from a broker, for librdkafka's own check comes before `on_send`.
const TOO_LARGE: [i32; 2] = [10, 18];
/// How brokers, and proxies before them, refuse a record with headers: `UNKNOWN_SERVER_ERROR`, which is what Kafka 0.11 to 2.8
/// answer for a topic of an older message format, `UNSUPPORTED_VERSION`, `INVALID_REQUEST` and
/// `UNSUPPORTED_FOR_MESSAGE_FORMAT`.
const TAKES_NO_HEADERS: [i32; 4] = [-1, 35, 42, 43];
/// `CORRUPT_MESSAGE` and `INVALID_RECORD`: the same, but also what a compacted topic answers to a message without a key.
const INVALID_RECORD: [i32; 2] = [2, 87];

impl Client {
    /// Learns from the message what became of it. To be called before anything of it is forgotten.
    #[inline]
    pub(super) fn learn(&self, traced: &Traced, message: &Message<'_>) {
        if message.error() != 0 {
            self.learn_from_failure(traced, message);
        } else if traced.header_refusals.is_in_doubt() {
            learn_from_delivery(traced, message);
        }
    }

    #[cold]
    fn learn_from_failure(&self, traced: &Traced, message: &Message<'_>) {
        let error = message.error();
        if TOO_LARGE.contains(&error) {
            self.learn_from_too_large(traced, message);
        } else if TAKES_NO_HEADERS.contains(&error) || (INVALID_RECORD.contains(&error) && message.has_key()) {
            self.learn_from_refused(traced, message);
        }
    }

    fn learn_from_too_large(&self, traced: &Traced, message: &Message<'_>) {
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

    fn learn_from_refused(&self, traced: &Traced, message: &Message<'_>) {
        let is_ours = |name: &[u8]| traced.injection.replaces(name);
        let had = match message.headers() {
            None => Had::None,
            // Nothing was added to it.
            Some(_) if self.unmarked.has(message.address()) => Had::ItsOwn,
            Some(headers) if headers.least_size_without(is_ours) == 0 => Had::OnlyOurs,
            Some(_) => Had::ItsOwn,
        };
        let now = clock::monotonic_nanos();
        let latency = message.latency_nanos();
        let refused = RefusedMessage {
            error: message.error(),
            answer: (last_answer(), message.partition()),
            had,
            produced: now.saturating_sub(latency),
        };
        let name = || error_name(self.api.err2name, message.error());
        tell(traced.header_refusals.refused(refused, now), message, name);
    }
}

#[cold]
fn learn_from_delivery(traced: &Traced, message: &Message<'_>) {
    // Without an offset no broker has answered: `acks = 0`.
    if message.offset() >= 0 && message.headers().is_some() {
        tell(traced.header_refusals.delivered(), message, String::new);
    }
}

/// Said by the batch thread: this is a callback.
fn tell(learnt: Learnt, message: &Message<'_>, error: impl FnOnce() -> String) {
    let topic = message.topic().to_string_lossy();
    let whose = match learnt {
        Learnt::Nothing => return,
        Learnt::GoesOn => {
            let what = format!(
                "topic {topic:?}: context headers are added to messages again: what was refused was not refused for them, \
                 or a message with headers was taken"
            );
            return Pipeline::current().tell(log::Level::Warn, what);
        }
        Learnt::StopsForCluster => "its cluster, which has taken no message with headers yet",
        Learnt::StopsForTopic => "this topic, while others have taken some",
    };
    let what = format!(
        "topic {topic:?}: a message that had no headers but our context was refused with {}, as brokers, and proxies, do \
         that take no headers: messages go without our headers to {whose}, from now on, so traces end there; they are \
         counted as not injected. That changes when a message with headers is taken, or one without is refused alike. \
         If the brokers are known to take none, write `propagators = {{ inject = [] }}`",
        error()
    );
    Pipeline::current().tell(log::Level::Warn, what);
}
