//! Writing a context into a message: older headers of the same names go, ours come, in place.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ffi::CStr;

use opentelemetry::baggage::BaggageExt as _;

use super::application_context;
use super::headers::{HEADER_OVERHEAD, Headers};
use super::message::Message;
use crate::propagation::{BAGGAGE_MAX_BYTES, InjectedHeaders, write_baggage};

thread_local!(static BAGGAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });

/// Bytes of a record that are neither key, value nor headers, at the most (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD` in
/// rdkafka_proto.h), and of a record batch around it.
const RECORD_OVERHEAD: usize = 36;
/// Spellings of our names that are cleared from one message: each costs librdkafka a walk through all headers.
const MAX_SPELLINGS: usize = 24;
/// Bytes of the longest name that a propagator uses, and its NUL, at the most.
const MAX_NAME: usize = 32;

/// The names that go before ours come, each in a spelling that the message has, NUL-terminated. They are copies:
/// librdkafka frees a name while it compares.
struct Spellings {
    names: [[u8; MAX_NAME]; MAX_SPELLINGS],
    count: usize,
}

/// Writes `injected` into `message`, if the message then still fits into `max_bytes` for certain.
///
/// librdkafka checks a message's size before `on_send` and asserts it again when it writes the batch
/// (rdkafka_msgset_writer.c): a message that has outgrown `message.max.bytes` in between ends the process. `false`:
/// it might have, or has more headers than are looked at, and nothing was changed.
pub(super) fn inject(
    message: &Message<'_>,
    headers: Option<&Headers<'_>>,
    injected: &InjectedHeaders<'_>,
    max_bytes: usize,
) -> bool {
    let (count, bytes) = injected.size();
    if count == 0 {
        return false;
    }
    let others = match headers {
        // Where nobody measures the message any more, nothing need be certain.
        Some(headers) if max_bytes == usize::MAX => headers.are_few().then_some(0),
        Some(headers) => headers.size_without(|name| injected.replaces(name)),
        None => Some(0),
    };
    let Some(others) = others else { return false };
    let ours = bytes + count * HEADER_OVERHEAD;
    let size = message.size().saturating_add(others).saturating_add(ours).saturating_add(RECORD_OVERHEAD);
    if size > max_bytes {
        return false;
    }
    match headers {
        Some(headers) => {
            if headers.iter().any(|(name, _)| injected.replaces(name)) && !clear(headers, injected) {
                return false;
            }
            injected.for_each(|name, value| headers.add(name, value));
        }
        None => {
            let Some(fresh) = message.add_headers(count) else { return false };
            injected.for_each(|name, value| fresh.add(name, value));
        }
    }
    true
}

/// Whether the calling thread's context has baggage.
#[inline]
pub(super) fn has_current_baggage() -> bool {
    application_context::look(|current| !current.baggage().is_empty()).unwrap_or(false)
}

/// Calls `with` with the baggage of the calling thread's context, as a header value; `None` without any.
#[cold]
pub(super) fn with_current_baggage<T>(with: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let mut value = BAGGAGE.try_with(RefCell::take).unwrap_or_default();
    let length = application_context::look(|current| {
        let baggage = current.baggage();
        if baggage.is_empty() {
            return 0;
        }
        value.resize(BAGGAGE_MAX_BYTES, 0);
        let entries = baggage.iter().map(|(key, (value, metadata))| (key.as_str(), value.as_str(), metadata.as_str()));
        write_baggage(entries, &mut value).length
    })
    .unwrap_or(0);
    let result = with(value.get(..length).filter(|written| !written.is_empty()));
    // Kept for the thread's next message; a thread that is ending has none.
    let _ = BAGGAGE.try_with(|kept| kept.replace(value));
    result
}

/// Removes what ours replace; `false`, and nothing was removed, if that is spelt in too many ways.
#[cold]
fn clear(headers: &Headers<'_>, injected: &InjectedHeaders<'_>) -> bool {
    let mut spellings = Spellings { names: [[0; MAX_NAME]; MAX_SPELLINGS], count: 0 };
    let mut stale = headers.iter().map(|(name, _)| name).filter(|name| injected.replaces(name));
    if !stale.all(|name| spellings.take(name)) {
        return false;
    }
    for name in spellings.all() {
        headers.remove(name);
    }
    true
}

impl Spellings {
    /// `false`: there is no room.
    fn take(&mut self, name: &[u8]) -> bool {
        if self.all().any(|known| known.to_bytes() == name) {
            return true;
        }
        let Some(place) = self.names.get_mut(self.count).and_then(|place| place.get_mut(..=name.len())) else {
            return false;
        };
        // Its last byte is the NUL already.
        place.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        self.count += 1;
        true
    }

    fn all(&self) -> impl Iterator<Item = &CStr> {
        self.names.iter().take(self.count).filter_map(|name| CStr::from_bytes_until_nul(name).ok())
    }
}
