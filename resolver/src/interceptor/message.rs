//! A message in a callback, and its headers: safe values over librdkafka's pointers.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use super::kafka_api::{KafkaApi, RdKafkaHeaders, RdKafkaMessage};

/// A message that librdkafka lends to a callback.
pub(super) struct Message<'a> {
    api: &'a KafkaApi,
    raw: *mut RdKafkaMessage,
}

/// The header list of a message: the message's own, changed in place, never replaced.
pub(super) struct Headers<'a> {
    api: &'a KafkaApi,
    raw: *mut RdKafkaHeaders,
    message: PhantomData<&'a RdKafkaMessage>,
}

// The address of the message that this thread sent last; 0 on threads that never send, such as librdkafka's own.
thread_local!(static LAST_SENT: Cell<usize> = const { Cell::new(0) });

/// `RD_KAFKA_RESP_ERR__PURGE_QUEUE`
const PURGE_QUEUE: i32 = -152;
/// `RD_KAFKA_RESP_ERR__PURGE_INFLIGHT`
const PURGE_INFLIGHT: i32 = -151;

impl<'a> Message<'a> {
    /// A message that is being sent on the calling thread.
    ///
    /// # Safety
    ///
    /// `raw` is valid for `'a`, and was given to `on_send` by the librdkafka of `api`.
    pub(super) unsafe fn sent(api: &'a KafkaApi, raw: *mut RdKafkaMessage) -> Option<Self> {
        LAST_SENT.set(raw.addr());
        // SAFETY: as the caller says.
        unsafe { Self::from_raw(api, raw) }
    }

    /// A message that is acknowledged; `None` for one that librdkafka did not make.
    ///
    /// `produce_batch`, when the partitioner fails, acknowledges the application's own struct, behind which there are no
    /// headers and no latency (rdkafka_msg.c, `rd_kafka_produce_batch`). It has no topic, unless the application wrote
    /// one there. But it comes on the very thread that sent the message, right after that, and has not the message's
    /// address; all else that fails on a sending thread was purged.
    ///
    /// # Safety
    ///
    /// `raw` is valid for `'a`, and was given to `on_acknowledgement` by the librdkafka of `api`.
    pub(super) unsafe fn acknowledged(api: &'a KafkaApi, raw: *mut RdKafkaMessage) -> Option<Self> {
        // SAFETY: as the caller says.
        let message = unsafe { Self::from_raw(api, raw) }?;
        if matches!(message.error(), 0 | PURGE_QUEUE | PURGE_INFLIGHT) {
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

    /// A key without a value.
    pub(super) fn is_tombstone(&self) -> bool {
        let fields = self.fields();
        fields.payload.is_null() && !fields.key.is_null()
    }

    /// Microseconds since the message was given to `produce()`; negative when not known.
    pub(super) fn latency_micros(&self) -> i64 {
        // SAFETY: a message that librdkafka made (`from_raw`), in a callback.
        unsafe { (self.api.message_latency)(self.raw) }
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
        (found == 0 && !raw.is_null()).then_some(Headers { api: self.api, raw, message: PhantomData })
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
        Some(Headers { api: self.api, raw, message: PhantomData })
    }

    fn fields(&self) -> &RdKafkaMessage {
        // SAFETY: valid for `'a`, which outlives `self`.
        unsafe { &*self.raw }
    }
}

impl<'a> Headers<'a> {
    /// Header number `index`, in the order of the record: its name, and its value if it has one.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the list is valid for `'a`; the three outputs are written when 0 is returned.
        let found = unsafe { (self.api.header_get_all)(self.raw, index, &raw mut name, &raw mut value, &raw mut size) };
        if found != 0 || name.is_null() {
            return None;
        }
        // SAFETY: librdkafka keeps name and value, NUL-terminated and of `size` bytes, until the list changes; callers
        // do not hold on to them over a change.
        unsafe {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
            Some((CStr::from_ptr(name).to_bytes(), value))
        }
    }

    /// All of them, in the order of the record.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + '_ {
        (0..).map_while(|index| self.get(index))
    }

    /// The last header of this name that has a value.
    #[inline]
    pub(super) fn last(&self, name: &CStr) -> Option<&'a [u8]> {
        let (mut value, mut size) = (std::ptr::null(), 0);
        // SAFETY: as in `get`.
        unsafe {
            let found = (self.api.header_get_last)(self.raw, name.as_ptr(), &raw mut value, &raw mut size);
            (found == 0 && !value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size))
        }
    }

    /// The values of its `baggage` headers, in the order of the record.
    pub(super) fn baggage(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"baggage")).filter_map(|(_, value)| value)
    }

    /// Whether there is a `baggage` header.
    pub(super) fn have_baggage(&self) -> bool {
        self.baggage().next().is_some()
    }

    /// Removes every header of this name, in this very spelling.
    pub(super) fn remove(&self, name: &CStr) {
        // SAFETY: the list is the message's own and not read-only in a callback. `__NOENT` says there was none.
        unsafe { (self.api.header_remove)(self.raw, name.as_ptr()) };
    }

    /// Appends a header; librdkafka copies name and value.
    pub(super) fn add(&self, name: &CStr, value: &[u8]) {
        // SAFETY: as above; the lengths are those of the slices.
        unsafe {
            (self.api.header_add)(
                self.raw,
                name.as_ptr(),
                name.count_bytes() as isize,
                value.as_ptr().cast(),
                value.len() as isize,
            )
        };
    }
}
