//! Batches as the host makes them, of spans and of metrics: OTLP protobuf, one `Export…ServiceRequest`.

#![forbid(unsafe_code)]

use tracer_plugin_api::abi::TRACER_SIGNAL_METRICS;

/// So many items of so many services, and the number of the first of them, by which no two batches have the same ids.
pub(crate) fn items(signal: u32, count: u32, services: u32, first: u64) -> Vec<u8> {
    let item = if signal == TRACER_SIGNAL_METRICS { metric } else { span };
    let services = services.clamp(1, count.max(1));
    let mut request = Vec::new();
    for service in 0..services {
        // The first services have one more, where it does not come out even.
        let of_this = count / services + u32::from(service < count % services);
        let mut of_scope = field(1, &[field(1, b"tracer-plugin-check"), field(2, b"1")].concat());
        for at in 0..of_this {
            let number = first + u64::from(at) * u64::from(services) + u64::from(service);
            of_scope.extend(field(2, &item(number)));
        }
        let resource = field(1, &attribute("service.name", &format!("service-{}", service + 1)));
        request.extend(field(1, &[field(1, &resource), field(2, &of_scope)].concat()));
    }
    request
}

fn span(number: u64) -> Vec<u8> {
    let start = START + number * 1_000_000;
    let mut span = Vec::new();
    span.extend(field(1, &[1u64.to_be_bytes(), (number + 1).to_be_bytes()].concat()));
    span.extend(field(2, &(number + 1).to_be_bytes()));
    span.extend(field(5, b"send orders"));
    // SPAN_KIND_PRODUCER.
    span.extend([tag(6, VARINT), 4]);
    span.extend([fixed(7, start), fixed(8, start + 1_500_000)].concat());
    span.extend(field(9, &attribute("messaging.system", "kafka")));
    span.extend(field(9, &attribute("messaging.destination.name", "orders")));
    span
}

/// A sum with one data point.
fn metric(number: u64) -> Vec<u8> {
    let point = [
        fixed(2, START),
        fixed(3, START + 1_000_000_000),
        // As an integer.
        fixed(6, number + 1),
        field(7, &attribute("messaging.destination.name", "orders")),
    ];
    // Cumulative and monotonic.
    let sum = [field(1, &point.concat()), vec![tag(2, VARINT), 2, tag(3, VARINT), 1]];
    [field(1, b"messaging.client.sent.messages"), field(3, b"{message}"), field(7, &sum.concat())].concat()
}

fn fixed(number: u8, value: u64) -> Vec<u8> {
    let mut field = vec![tag(number, FIXED64)];
    field.extend(value.to_le_bytes());
    field
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
}

/// A field of bytes: its tag, their length, the bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![tag(number, LENGTH)];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

const fn tag(number: u8, kind: u8) -> u8 {
    number << 3 | kind
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
/// The start of the first span: nanoseconds since 1970.
const START: u64 = 1_700_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use tracer_plugin_api::abi::TRACER_SIGNAL_TRACES;

    use super::*;

    #[test]
    fn a_batch_has_as_many_services_as_it_can_and_no_id_twice() {
        let services = |bytes: &[u8]| bytes.windows(8).filter(|bytes| *bytes == b"service-").count();
        let names = |bytes: &[u8]| bytes.windows(11).filter(|bytes| *bytes == b"send orders").count();
        for (count, of, shown) in [(1, 3, 1), (7, 3, 3), (300, 1, 1)] {
            let bytes = items(TRACER_SIGNAL_TRACES, count, of, 100);
            assert_eq!((services(&bytes), names(&bytes)), (shown, count as usize));
        }
        assert_ne!(items(TRACER_SIGNAL_TRACES, 1, 1, 0), items(TRACER_SIGNAL_TRACES, 1, 1, 1));
    }
}
