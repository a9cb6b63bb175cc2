//! Batches of spans as the host makes them: OTLP protobuf, one `ExportTraceServiceRequest`.

#![forbid(unsafe_code)]

/// So many spans of so many services, and the number of the first of them, by which no two batches have the same ids.
pub(crate) fn spans(count: u32, services: u32, first: u64) -> Vec<u8> {
    let services = services.clamp(1, count.max(1));
    let mut request = Vec::new();
    for service in 0..services {
        // The first services have one more, where it does not come out even.
        let of_this = count / services + u32::from(service < count % services);
        let mut scope_spans = field(1, &[field(1, b"tracer-plugin-check"), field(2, b"1")].concat());
        for span in 0..of_this {
            let number = first + u64::from(span) * u64::from(services) + u64::from(service);
            scope_spans.extend(field(2, &span_of(number)));
        }
        let resource = field(1, &attribute("service.name", &format!("service-{}", service + 1)));
        request.extend(field(1, &[field(1, &resource), field(2, &scope_spans)].concat()));
    }
    request
}

fn span_of(number: u64) -> Vec<u8> {
    let start = START + number * 1_000_000;
    let mut span = Vec::new();
    span.extend(field(1, &[1u64.to_be_bytes(), (number + 1).to_be_bytes()].concat()));
    span.extend(field(2, &(number + 1).to_be_bytes()));
    span.extend(field(5, b"send orders"));
    // SPAN_KIND_PRODUCER.
    span.extend([tag(6, VARINT), 4]);
    for (number, time) in [(7, start), (8, start + 1_500_000)] {
        span.push(tag(number, FIXED64));
        span.extend(time.to_le_bytes());
    }
    span.extend(field(9, &attribute("messaging.system", "kafka")));
    span.extend(field(9, &attribute("messaging.destination.name", "orders")));
    span
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
    use super::*;

    #[test]
    fn a_batch_has_as_many_services_as_it_can_and_no_id_twice() {
        let services = |bytes: &[u8]| bytes.windows(8).filter(|bytes| *bytes == b"service-").count();
        let names = |bytes: &[u8]| bytes.windows(11).filter(|bytes| *bytes == b"send orders").count();
        for (count, of, shown) in [(1, 3, 1), (7, 3, 3), (300, 1, 1)] {
            let bytes = spans(count, of, 100);
            assert_eq!((services(&bytes), names(&bytes)), (shown, count as usize));
        }
        assert_ne!(spans(1, 1, 0), spans(1, 1, 1));
    }
}
