//! What is common to the records of rdkafka's producers.

#![forbid(unsafe_code)]

use rdkafka::message::ToBytes;
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

/// A record that a producer of rdkafka gives back when it refuses to send it: see [`tell_if_refused`](crate::tell_if_refused).
///
/// It is for rdkafka's own two, and implemented for no others.
pub trait Record: sealed::Sealed {
    /// The topic that it was to go to.
    fn topic(&self) -> &str;
    /// The partition; -1: that is for the partitioner to say.
    fn partition(&self) -> i32;
    /// The key, if it has one.
    fn key(&self) -> Option<&[u8]>;
    /// Whether it has a key, and no value.
    fn is_tombstone(&self) -> bool;
}

mod sealed {
    /// Nobody else's type is one.
    pub trait Sealed {}
}

macro_rules! of_rdkafka {
    ([$($more:tt)*] $record:ty) => {
        impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, $($more)*> sealed::Sealed for $record {}

        impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, $($more)*> Record for $record {
            fn topic(&self) -> &str {
                self.topic
            }

            fn partition(&self) -> i32 {
                self.partition.unwrap_or(-1)
            }

            fn key(&self) -> Option<&[u8]> {
                self.key.map(ToBytes::to_bytes)
            }

            fn is_tombstone(&self) -> bool {
                self.key.is_some() && self.payload.is_none()
            }
        }
    };
}

of_rdkafka!([D: IntoOpaque] BaseRecord<'_, K, P, D>);
of_rdkafka!([] FutureRecord<'_, K, P>);
