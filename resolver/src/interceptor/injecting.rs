//! Writing a context into a message: older headers of the same names go, ours come, in place.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ffi::CStr;

use opentelemetry::baggage::BaggageExt as _;

use super::application_context;
use super::message::{Headers, Message};
use crate::propagation::{BAGGAGE_MAX_BYTES, InjectedHeaders, write_baggage};

thread_local!(static BAGGAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });

/// Bytes of a record that are neither key, value nor headers, at the most (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD` in
/// rdkafka_proto.h), and of a record batch around it.
const RECORD_OVERHEAD: usize = 36;
/// Bytes that a header takes beside its name and value, at the most: two varints.
const HEADER_OVERHEAD: usize = 10;

/// Writes `injected` into `message`, if the message then still fits into `max_bytes`.
///
/// librdkafka checks a message's size before `on_send` and asserts it again when it writes the batch
/// (rdkafka_msgset_writer.c): a message that has outgrown `message.max.bytes` in between ends the process. `false`:
/// it would have, and nothing was changed.
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
    let ours = bytes + count * HEADER_OVERHEAD;
    let mut others = 0_usize;
    let mut stale = false;
    if let Some(headers) = headers {
        for (name, value) in headers.iter() {
            if injected.replaces(name) {
                stale = true;
            } else {
                others = others.saturating_add(name.len() + value.map_or(0, <[u8]>::len) + HEADER_OVERHEAD);
            }
        }
    }
    let size = message.size().saturating_add(others).saturating_add(ours).saturating_add(RECORD_OVERHEAD);
    if size > max_bytes {
        return false;
    }
    let fresh;
    let headers = match headers {
        Some(headers) => headers,
        None => {
            fresh = message.add_headers(count);
            match &fresh {
                Some(headers) => headers,
                None => return false,
            }
        }
    };
    if stale {
        clear(headers, injected);
    }
    injected.for_each(|name, value| headers.add(name, value));
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

#[cold]
fn clear(headers: &Headers<'_>, injected: &InjectedHeaders<'_>) {
    for name in injected.names_to_clear() {
        headers.remove(name);
    }
    // What is left is spelt in another case. Its name is copied: librdkafka frees it while it compares.
    let mut spelling = [0; 64];
    while let Some((name, _)) = headers.iter().find(|(name, _)| injected.replaces(name)) {
        let Some(copy) = spelling.get_mut(..=name.len()) else { return };
        let (text, end) = copy.split_at_mut(name.len());
        text.copy_from_slice(name);
        end.fill(0);
        let Ok(name) = CStr::from_bytes_with_nul(copy) else { return };
        headers.remove(name);
    }
}
