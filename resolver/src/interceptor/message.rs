//! A message in a callback: a safe value over librdkafka's pointer.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use super::headers::Headers;
use super::kafka_api::{KafkaApi, RdKafkaMessage};

/// A message that librdkafka lends to a callback.
pub(super) struct Message<'a> {
    api: &'a KafkaApi,
    raw: *mut RdKafkaMessage,
}

// The address of the message that this thread sent last; 0 on threads that are not sending, such as librdkafka's own.
// Const, and without a destructor: it can be used for as long as its thread runs any code at all.
thread_local!(static LAST_SENT: Cell<usize> = const { Cell::new(0) });
// Messages that were sent on this thread, or refused, as far as anybody told of it; and the number of the client that has sent
// the latest one. As above.
thread_local!(static SENDS: Cell<(usize, u64)> = const { Cell::new((0, 0)) });

/// What a partitioner never says of a message: `_DESTROY`, `_MSG_TIMED_OUT`, `_PURGE_QUEUE` and `_PURGE_INFLIGHT`, and of
/// a broker's errors those that only the answer to a `Produce` request has: `INVALID_MSG`, `REQUEST_TIMED_OUT`,
/// `MSG_SIZE_TOO_LARGE`, `RECORD_LIST_TOO_LARGE`, `NOT_ENOUGH_REPLICAS`, `NOT_ENOUGH_REPLICAS_AFTER_APPEND`,
/// `INVALID_TIMESTAMP`, `INVALID_RECORD`.
const NO_PARTITIONERS: [i32; 12] = [-197, -192, -152, -151, 2, 7, 10, 18, 19, 20, 32, 87];

/// librdkafka is at work on the calling thread, not the application: no message is being sent there, even if one was,
/// by the application's log callback, which librdkafka calls on its threads too.
pub(super) fn nothing_is_being_sent() {
    LAST_SENT.set(0);
}

/// How many messages were sent on the calling thread by traced clients, or refused and told of: the same before and after a call
/// that failed, librdkafka has called no interceptor for its message.
#[inline]
pub fn sends_seen() -> usize {
    SENDS.get().0
}

/// The producer that the calling thread sent its latest message by, as [`refused_by`](super::refused_by) takes it: a number that no other
/// client has or will have; 0: there was none.
pub fn latest_sender() -> u64 {
    SENDS.get().1
}

pub(super) fn one_more_send(sender: u64) {
    SENDS.set((SENDS.get().0.wrapping_add(1), sender));
}

impl<'a> Message<'a> {
    /// A message that is being sent on the calling thread, by the client with the number `sender`.
    ///
    /// # Safety
    ///
    /// `raw` is valid for `'a`, and was given to `on_send` by the librdkafka of `api`.
    pub(super) unsafe fn sent(api: &'a KafkaApi, sender: u64, raw: *mut RdKafkaMessage) -> Option<Self> {
        LAST_SENT.set(raw.addr());
        one_more_send(sender);
        // SAFETY: as the caller says.
        unsafe { Self::from_raw(api, raw) }
    }

    /// A message that is acknowledged; `None` for one that librdkafka did not make.
    ///
    /// `produce_batch`, when the partitioner fails, acknowledges the application's own struct, behind which there are no
    /// headers and no latency (rdkafka_msg.c, `rd_kafka_produce_batch`). It has no topic, unless the application wrote
    /// one there. But it comes on the very thread that sent the message, right after that, with what the partitioner said,
    /// and has not the message's address.
    ///
    /// # Safety
    ///
    /// `raw` is valid for `'a`, and was given to `on_acknowledgement` by the librdkafka of `api`.
    pub(super) unsafe fn acknowledged(api: &'a KafkaApi, raw: *mut RdKafkaMessage) -> Option<Self> {
        // SAFETY: as the caller says.
        let message = unsafe { Self::from_raw(api, raw) }?;
        if message.error() == 0 || NO_PARTITIONERS.contains(&message.error()) {
            return Some(message);
        }
        let last_sent = LAST_SENT.get();
        (last_sent == 0 || last_sent == message.address()).then_some(message)
    }

    /// `None` for a message without a topic.
    ///
    /// # Safety
    ///
    /// `raw` is valid for `'a`, and was given to a callback by the librdkafka of `api`.
    pub(super) unsafe fn from_raw(api: &'a KafkaApi, raw: *mut RdKafkaMessage) -> Option<Self> {
        // SAFETY: valid, as the caller says.
        let fields = unsafe { raw.as_ref() }?;
        (!fields.rkt.is_null()).then_some(Self { api, raw })
    }

    /// An address that no other message in flight has.
    pub(super) fn address(&self) -> usize {
        self.raw.addr()
    }

    pub(super) fn topic_handle(&self) -> Option<usize> {
        Some(self.fields().rkt.addr())
    }

    pub(super) fn topic(&self) -> &'a CStr {
        // SAFETY: `from_raw` checked that there is a topic; its name lives as long as the topic, and that as the message.
        unsafe { CStr::from_ptr((self.api.topic_name)(self.fields().rkt)) }
    }

    /// Whether it is of the topic of this name. Cheaper than to compare [`Self::topic`], whose length is to be found first.
    #[inline]
    pub(super) fn is_of(&self, topic: &CStr) -> bool {
        // SAFETY: both end with a NUL: the name as in `topic`.
        unsafe { libc::strcmp((self.api.topic_name)(self.fields().rkt), topic.as_ptr()) == 0 }
    }

    pub(super) fn error(&self) -> i32 {
        self.fields().err
    }

    pub(super) fn partition(&self) -> i32 {
        self.fields().partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.fields().offset
    }

    /// Bytes of key and value.
    pub(super) fn size(&self) -> usize {
        let fields = self.fields();
        fields.len.saturating_add(fields.key_len)
    }

    /// Its key; `None` without one.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        let fields = self.fields();
        // SAFETY: librdkafka keeps a message's key, of `key_len` bytes, for as long as the message.
        (!fields.key.is_null()).then(|| unsafe { std::slice::from_raw_parts(fields.key.cast::<u8>(), fields.key_len) })
    }

    pub(super) fn has_key(&self) -> bool {
        !self.fields().key.is_null()
    }

    /// A key without a value.
    pub(super) fn is_tombstone(&self) -> bool {
        let fields = self.fields();
        fields.payload.is_null() && self.has_key()
    }

    /// Nanoseconds since the message was given to `produce()`; 0 when not known.
    pub(super) fn latency_nanos(&self) -> u64 {
        // SAFETY: a message that librdkafka made (`from_raw`), in a callback.
        let micros = unsafe { (self.api.message_latency)(self.raw) };
        u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
    }

    /// Milliseconds since the epoch that the record carries.
    pub(super) fn timestamp_millis(&self) -> Option<i64> {
        let mut kind: c_int = 0;
        // SAFETY: as above; `kind` is written.
        let millis = unsafe { (self.api.message_timestamp)(self.raw, &raw mut kind) };
        (kind != 0 && millis > 0).then_some(millis)
    }

    /// The message's headers; `None` when it has none.
    pub(super) fn headers(&self) -> Option<Headers<'a>> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: a message that librdkafka made (`from_raw`); the list it gives stays the message's.
        let found = unsafe { (self.api.message_headers)(self.raw, &raw mut raw) };
        // SAFETY: the message's own list, for as long as the message is ours.
        (found == 0 && !raw.is_null()).then(|| unsafe { Headers::from_raw(self.api, raw) })
    }

    /// Gives a message that has no headers a list with room for `count`.
    ///
    /// Only for a message whose `headers()` are `None`: replacing a list would free one that the application still
    /// owns when `produce()` fails afterwards.
    pub(super) fn add_headers(&self, count: usize) -> Option<Headers<'a>> {
        // SAFETY: makes a new list; the message takes it over.
        let raw = unsafe {
            let raw = (self.api.headers_new)(count);
            if raw.is_null() {
                return None;
            }
            (self.api.message_set_headers)(self.raw, raw);
            raw
        };
        // SAFETY: as in `headers`.
        Some(unsafe { Headers::from_raw(self.api, raw) })
    }

    fn fields(&self) -> &RdKafkaMessage {
        // SAFETY: valid for `'a`, which outlives `self`.
        unsafe { &*self.raw }
    }
}
