//! What the spans of a message say of it beyond the conventions' own: chosen headers, and its key.
//!
//! Only where a file asks for it: all others have no `Captured`, and pay one look for that.

#![forbid(unsafe_code)]

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::batch::SpanFields;
use crate::config::{MessageKey, SpanAttributes};
use crate::services::matches_in_any_case;

/// What is told of the messages of one route.
#[derive(Debug)]
pub(crate) struct Captured {
    headers: Box<[CapturedHeader]>,
    redact_values: Arc<[String]>,
    key: MessageKey,
}

#[derive(Debug)]
struct CapturedHeader {
    name: Box<[u8]>,
    /// `messaging.header.NAME`.
    attribute: Box<str>,
    /// Only that it is there is told.
    is_redacted: bool,
}

/// Headers of one message that are told.
pub(super) const MAX_CAPTURED: usize = 32;
/// Values of one name; after these stands an ellipsis.
const MAX_VALUES: usize = 8;
/// Bytes of a value that can be looked through for what is not to be told. A longer one is not told.
const MAX_SEARCHED: usize = 4096;
/// Bytes of a key that is told as it is: a part of it would be another key.
const MAX_PLAIN_KEY: usize = 256;
/// Bytes of a key that is hashed: about 20 µs.
const MAX_HASHED_KEY: usize = 4096;
const REDACTED: &[u8] = b"REDACTED";

impl Captured {
    /// `None` if nothing is to be told. Allocates; once for each route.
    pub(super) fn of(attributes: &SpanAttributes) -> Option<Box<Self>> {
        if attributes.capture_headers.is_empty() && attributes.message_key == MessageKey::Off {
            return None;
        }
        let header = |name: &String| CapturedHeader {
            name: name.as_bytes().into(),
            attribute: format!("messaging.header.{name}").into(),
            is_redacted: attributes.redact_headers.iter().any(|glob| matches_in_any_case(glob, name.as_bytes())),
        };
        Some(Box::new(Self {
            headers: attributes.capture_headers.iter().map(header).collect(),
            redact_values: attributes.redact_values.clone(),
            key: attributes.message_key,
        }))
    }

    /// Whether headers of this name are told.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|header| *header.name == *name)
    }

    /// Lends `then` the fields of a span: its trace state, and what is told of the message with `headers` and `key`.
    ///
    /// Allocates nothing, and needs about 4 KiB of stack.
    #[inline(never)]
    pub(super) fn with_fields<'h, T>(
        &self,
        trace_state: Option<&[u8]>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)>,
        key: Option<&[u8]>,
        then: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let mut fields = SpanFields::new(trace_state);
        match (self.key, key) {
            (MessageKey::Off, _) | (_, None) => {}
            (MessageKey::Hash, Some(key)) if key.len() <= MAX_HASHED_KEY => fields.text(KEY, &hashed(key)),
            (MessageKey::Plain, Some(key)) if key.len() <= MAX_PLAIN_KEY => {
                // What is no text has no spelling of its own, and then the conventions want none.
                if std::str::from_utf8(key).is_ok() {
                    fields.text(KEY, key);
                }
            }
            (MessageKey::Hash | MessageKey::Plain, Some(_)) => fields.leave_out(),
        }
        let mut found: [Option<(usize, &[u8])>; MAX_CAPTURED] = [None; MAX_CAPTURED];
        let told = headers.filter_map(|(name, value)| {
            let index = self.headers.iter().position(|header| *header.name == *name)?;
            Some((index, self.told(self.headers.get(index)?, value?)))
        });
        found.iter_mut().zip(told).for_each(|(place, told)| *place = Some(told));
        for (index, header) in self.headers.iter().enumerate() {
            let values = found.iter().flatten().filter(|(of, _)| *of == index).map(|(_, value)| *value);
            let more = values.clone().nth(MAX_VALUES).map(|_| "…".as_bytes());
            fields.texts(&header.attribute, values.take(MAX_VALUES).chain(more));
        }
        then(fields.finish())
    }

    fn told<'h>(&self, header: &CapturedHeader, value: &'h [u8]) -> &'h [u8] {
        let hides = |glob: &String| matches_in_any_case(glob, value);
        let is_hidden = || {
            let cannot_be_searched = value.len() > MAX_SEARCHED && !self.redact_values.is_empty();
            cannot_be_searched || self.redact_values.iter().any(hides)
        };
        if header.is_redacted || is_hidden() { REDACTED } else { value }
    }
}

/// The first half of the key's SHA-256, in hexadecimal digits.
fn hashed(key: &[u8]) -> [u8; 32] {
    let mut digits = [0; 32];
    let hash = Sha256::digest(key);
    // Of that length it cannot fail.
    let _ = hex::encode_to_slice(hash.get(..16).unwrap_or_default(), &mut digits);
    digits
}

const KEY: &str = "messaging.kafka.message.key";

#[cfg(test)]
mod tests;
