//! The application's own header: what any way of propagating a context costs.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header as KafkaHeader, Headers as _, OwnedHeaders};

use crate::{Failure, Way};

/// A `traceparent` with ids as random as a tracer's.
#[derive(Default)]
pub(crate) struct Header {
    state: AtomicU64,
}

impl Header {
    /// SplitMix64.
    fn random(&self) -> u64 {
        let state = self.state.load(Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.store(state, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Way for Header {
    type Sent = ();

    fn sending(&self, _: i32) -> (Option<OwnedHeaders>, ()) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        for at in [3, 19, 36] {
            let part = self.random();
            for (digit, shift) in text[at..at + 16].iter_mut().zip((0..64).step_by(4)) {
                *digit = DIGITS[(part >> shift & 15) as usize];
            }
        }
        (
            Some(OwnedHeaders::new_with_capacity(1).insert(KafkaHeader { key: "traceparent", value: Some(&text[..]) })),
            (),
        )
    }

    fn delivered(&self, (): (), _: i64) {}

    fn consumed(&self, message: &BorrowedMessage<'_>) -> Result<(), Failure> {
        let headers = message.headers().ok_or("a message has no headers")?;
        let parent = headers.iter().find(|header| header.key == "traceparent").and_then(|header| header.value);
        let text = std::str::from_utf8(parent.ok_or("a message has no traceparent")?)?;
        let (trace, span) = (text.get(3..35).ok_or("too short")?, text.get(36..52).ok_or("too short")?);
        black_box((u128::from_str_radix(trace, 16)?, u64::from_str_radix(span, 16)?));
        Ok(())
    }
}
