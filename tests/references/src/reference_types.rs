//! Parts of a sample in OpenTelemetry's types, of whichever version.

/// Defines what makes of a [`Sample`](crate::Sample) the parts of a reference's `SpanData` that are alike in every version of
/// OpenTelemetry, in the types of this `$api` and this `$sdk` crate.
#[macro_export]
macro_rules! reference_types {
    ($api:ident, $sdk:ident) => {
        use $api::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
        use $sdk::trace::SpanEvents;

        fn context(trace: u128, span: u64) -> SpanContext {
            SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::SAMPLED, false, TraceState::NONE)
        }

        fn kind(sample: &$crate::Sample) -> SpanKind {
            match sample.kind {
                2 => SpanKind::Server,
                3 => SpanKind::Client,
                4 => SpanKind::Producer,
                5 => SpanKind::Consumer,
                _ => SpanKind::Internal,
            }
        }

        fn status(sample: &$crate::Sample) -> Status {
            match sample.status {
                (1, _) => Status::Ok,
                (2, description) => Status::error(description),
                _ => Status::Unset,
            }
        }

        fn events(sample: &$crate::Sample) -> SpanEvents {
            let mut events = SpanEvents::default();
            let event = |(name, at): &(&'static str, u64)| Event::new(*name, time(*at), Vec::new(), 0);
            events.events = sample.events.iter().map(event).collect();
            events
        }

        fn attributes(sample: &$crate::Sample) -> Vec<$api::KeyValue> {
            sample.attributes.iter().map(|(key, value)| $api::KeyValue::new(*key, attribute(value))).collect()
        }

        fn attribute(value: &$crate::SampleValue) -> $api::Value {
            match value {
                $crate::SampleValue::Text(text) => (*text).into(),
                $crate::SampleValue::Int(number) => (*number).into(),
                $crate::SampleValue::Double(number) => (*number).into(),
                $crate::SampleValue::Bool(truth) => (*truth).into(),
                $crate::SampleValue::Ints(numbers) => $api::Value::Array($api::Array::I64(numbers.clone())),
                $crate::SampleValue::Texts(texts) => {
                    let texts = texts.iter().map(|text| $api::StringValue::from(*text)).collect();
                    $api::Value::Array($api::Array::String(texts))
                }
            }
        }

        fn time(nanos: u64) -> std::time::SystemTime {
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(nanos)
        }
    };
}
