//! A message as gRPC frames it: one byte that says whether it is compressed, four of its length, and itself.

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{Compression, gzip};

/// One to be sent. Its bytes stay the batch's, unless they are compressed.
pub(crate) struct Message<'a> {
    prefix: [u8; PREFIX],
    payload: Cow<'a, [u8]>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(body: &'a [u8], compression: Compression) -> Result<Self, BackendError> {
        let (flag, payload) = match compression {
            Compression::None => (0, Cow::Borrowed(body)),
            Compression::Gzip => (1, Cow::Owned(gzip(body)?)),
        };
        let length = u32::try_from(payload.len());
        let [a, b, c, d] = length.map_err(|_| BackendError::permanent("a batch of 4 GiB and more"))?.to_be_bytes();
        Ok(Message { prefix: [flag, a, b, c, d], payload })
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.prefix.first() == Some(&1)
    }

    /// With what frames it; never 0.
    pub(crate) fn len(&self) -> usize {
        PREFIX + self.payload.len()
    }

    /// A copy of some of it, from `start` on: never more than a window of HTTP/2 is copied at once.
    pub(crate) fn piece(&self, start: usize, length: usize) -> Bytes {
        let prefix = self.prefix.iter().skip(start);
        let payload = self.payload.get(start.saturating_sub(PREFIX)..).unwrap_or_default();
        let from_prefix = PREFIX.saturating_sub(start).min(length);
        let payload = payload.get(..length - from_prefix).unwrap_or(payload);
        if from_prefix == 0 {
            return Bytes::copy_from_slice(payload);
        }
        prefix.take(from_prefix).chain(payload).copied().collect()
    }
}

/// What a server answered, out of its frame; empty if that is broken off, or too long: the status alone says whether the
/// batch was taken.
pub(crate) fn payload(received: &[u8]) -> Vec<u8> {
    let Some(([flag, length @ ..], rest)) = received.split_first_chunk::<PREFIX>() else { return Vec::new() };
    let Some(payload) = usize::try_from(u32::from_be_bytes(*length)).ok().and_then(|length| rest.get(..length)) else {
        return Vec::new();
    };
    match flag {
        0 => payload.to_vec(),
        // Servers answer as they were asked, gzip with gzip.
        _ => {
            let mut decoded = Vec::new();
            let read = GzDecoder::new(payload).take(LONGEST_ANSWER as u64 + 1).read_to_end(&mut decoded);
            if read.is_ok_and(|read| read <= LONGEST_ANSWER) { decoded } else { Vec::new() }
        }
    }
}

/// No answer to a batch is longer.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024;
const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(message: &Message<'_>, size: usize) -> Vec<u8> {
        (0..message.len()).step_by(size).flat_map(|start| message.piece(start, size)).collect()
    }

    #[test]
    fn a_message_in_pieces_of_any_size_is_the_message() {
        let body: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let message = Message::new(&body, Compression::None).unwrap();
        let whole = [&[0, 0, 0, 3, 232][..], &body].concat();
        for size in [1, 2, 3, 4, 5, 6, 7, 100, 1004, 1005, 5000] {
            assert_eq!(pieces(&message, size), whole, "{size}");
        }
        assert_eq!(payload(&whole), body);
    }

    #[test]
    fn a_compressed_message_says_so_and_is_read_again() {
        let body = vec![b'x'; 5000];
        let message = Message::new(&body, Compression::Gzip).unwrap();
        assert!(message.is_compressed() && message.len() < 500);
        assert_eq!(payload(&pieces(&message, 7)), body);
    }

    #[test]
    fn an_answer_that_is_cut_or_too_long_or_no_gzip_says_nothing() {
        let bomb = Message::new(&vec![0; LONGEST_ANSWER + 1], Compression::Gzip).map(|it| pieces(&it, 99)).unwrap();
        for answer in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x03ab", b"\x01\0\0\0\x02ab", b"\0\xff\xff\xff\xffab", &bomb] {
            assert!(payload(answer).is_empty(), "{answer:?}");
        }
    }
}
