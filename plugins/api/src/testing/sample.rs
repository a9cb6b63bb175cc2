//! Batches as the host encodes them.

#![forbid(unsafe_code)]

use std::time::{Duration, UNIX_EPOCH};

use crate::{Batch, ServiceNames, Signal};

/// A batch with the bytes that it lends.
#[derive(Clone, Debug)]
pub struct SampleBatch {
    signal: Signal,
    body: Vec<u8>,
    item_count: u32,
    services: Vec<&'static str>,
}

/// `count` spans, shared out among `services` in turn: an `ExportTraceServiceRequest` with a resource for each service that
/// has any. Span n has n+1 as its span id, begins n milliseconds after [`SampleBatch::OLDEST_START`], and lasts one.
pub fn spans(count: u32, services: &[&'static str]) -> SampleBatch {
    SampleBatch::of(Signal::Traces, count, services, |scope, n| {
        let start = SampleBatch::OLDEST_START_NS + u64::from(n) * 1_000_000;
        message(scope, 2, |span| {
            bytes(span, 1, &[7; 16]);
            bytes(span, 2, &u64::from(n + 1).to_be_bytes());
            bytes(span, 5, format!("send sample-{n}").as_bytes());
            varint_field(span, 6, 4);
            fixed64(span, 7, start);
            fixed64(span, 8, start + 1_000_000);
            message(span, 9, |attribute| {
                bytes(attribute, 1, b"messaging.system");
                message(attribute, 2, |value| bytes(value, 1, b"kafka"));
            });
        });
    })
}

/// `count` data points, each of a sum of its own, shared out as [`spans`]: an `ExportMetricsServiceRequest`.
pub fn metrics(count: u32, services: &[&'static str]) -> SampleBatch {
    SampleBatch::of(Signal::Metrics, count, services, |scope, n| {
        message(scope, 2, |metric| {
            bytes(metric, 1, format!("sample.{n}").as_bytes());
            bytes(metric, 3, b"1");
            message(metric, 7, |sum| {
                message(sum, 1, |point| {
                    fixed64(point, 2, SampleBatch::OLDEST_START_NS);
                    fixed64(point, 3, SampleBatch::OLDEST_START_NS + 60_000_000_000);
                    fixed64(point, 6, u64::from(n));
                });
                varint_field(sum, 2, 2);
                varint_field(sum, 3, 1);
            });
        });
    })
}

impl SampleBatch {
    const OLDEST_START_NS: u64 = 1_700_000_000_000_000_000;
    /// Since 1970.
    pub const OLDEST_START: Duration = Duration::from_nanos(Self::OLDEST_START_NS);

    /// A first try of it, with all that a host says of a batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            oldest_start: UNIX_EPOCH.checked_add(Self::OLDEST_START),
            first_attempt: UNIX_EPOCH.checked_add(Self::OLDEST_START + Duration::from_secs(1)),
            resource_count: u32::try_from(self.services.len()).unwrap_or(u32::MAX),
            service_names: ServiceNames::given(&self.services),
            ..Batch::first_try(self.signal, &self.body, self.item_count, 1)
        }
    }

    /// The request's bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn of(signal: Signal, count: u32, services: &[&'static str], mut item: impl FnMut(&mut Vec<u8>, u32)) -> Self {
        let services: Vec<_> = if services.is_empty() { vec!["sample"] } else { services.to_vec() };
        let services: Vec<_> = services.into_iter().take(count as usize).collect();
        let mut body = Vec::new();
        for (place, service) in services.iter().enumerate() {
            message(&mut body, 1, |of_resource| {
                message(of_resource, 1, |resource| {
                    message(resource, 1, |attribute| {
                        bytes(attribute, 1, b"service.name");
                        message(attribute, 2, |value| bytes(value, 1, service.as_bytes()));
                    });
                });
                message(of_resource, 2, |scope| {
                    message(scope, 1, |name| bytes(name, 1, b"tracer-plugin-api"));
                    (0..count).skip(place).step_by(services.len()).for_each(|n| item(scope, n));
                });
            });
        }
        Self { signal, body, item_count: count, services }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn message(out: &mut Vec<u8>, number: u64, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    bytes(out, number, &inner);
}
