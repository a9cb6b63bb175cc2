//! The messages of an OTLP metrics request, as far as the host makes them.
//!
//! As `opentelemetry/proto/{collector/metrics,metrics}/v1` of opentelemetry-proto say them. No host of this contract makes
//! exponential histograms or summaries: metrics that are such have no data here.

use prost::{Message, Oneof};
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::spans::otlp::{InstrumentationScope, KeyValue, Resource};

/// The body of a batch of metrics.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportMetricsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub description: String,
    #[prost(string, tag = "3")]
    pub unit: String,
    #[prost(oneof = "Data", tags = "5, 7, 9")]
    pub data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Data {
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    #[prost(message, tag = "7")]
    Sum(Sum),
    #[prost(message, tag = "9")]
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Gauge {
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sum {
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<HistogramDataPoint>,
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NumberDataPoint {
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    #[prost(oneof = "Number", tags = "4, 6")]
    pub value: Option<Number>,
    #[prost(message, repeated, tag = "5")]
    pub exemplars: Vec<Exemplar>,
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistogramDataPoint {
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    pub bucket_counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    pub explicit_bounds: Vec<f64>,
    #[prost(message, repeated, tag = "8")]
    pub exemplars: Vec<Exemplar>,
    #[prost(uint32, tag = "10")]
    pub flags: u32,
    #[prost(double, optional, tag = "11")]
    pub min: Option<f64>,
    #[prost(double, optional, tag = "12")]
    pub max: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "7")]
    pub filtered_attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "2")]
    pub time_unix_nano: u64,
    #[prost(oneof = "ExemplarValue", tags = "3, 6")]
    pub value: Option<ExemplarValue>,
    #[prost(bytes = "vec", tag = "4")]
    pub span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub trace_id: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum Number {
    #[prost(double, tag = "4")]
    AsDouble(f64),
    #[prost(sfixed64, tag = "6")]
    AsInt(i64),
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum ExemplarValue {
    #[prost(double, tag = "3")]
    AsDouble(f64),
    #[prost(sfixed64, tag = "6")]
    AsInt(i64),
}

/// Decodes the body of a batch.
///
/// # Errors
///
/// A permanent error: bytes that are no OTLP request today are none at the next try either.
pub(crate) fn decode(body: &[u8]) -> Result<ExportMetricsServiceRequest, BackendError> {
    ExportMetricsServiceRequest::decode(body)
        .map_err(|error| BackendError::permanent(format!("the batch is not an OTLP request for metrics: {error}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use opentelemetry_proto::tonic as reference;
    use reference::metrics::v1 as theirs;

    use super::*;

    /// Every field that there is here, each with a value of its own, as OpenTelemetry's own crate has it.
    pub(crate) fn of_the_reference() -> reference::collector::metrics::v1::ExportMetricsServiceRequest {
        let attributes = |number: i64| {
            vec![reference::common::v1::KeyValue {
                key: format!("key {number}"),
                value: Some(reference::common::v1::AnyValue {
                    value: Some(reference::common::v1::any_value::Value::IntValue(number)),
                }),
                ..Default::default()
            }]
        };
        let exemplar = |value| theirs::Exemplar {
            filtered_attributes: attributes(1),
            time_unix_nano: 2,
            span_id: vec![0xa3; 8],
            trace_id: vec![0xb4; 16],
            value: Some(value),
        };
        let number = |value| theirs::NumberDataPoint {
            attributes: attributes(5),
            start_time_unix_nano: 6,
            time_unix_nano: u64::MAX,
            exemplars: vec![exemplar(theirs::exemplar::Value::AsInt(-7))],
            flags: 8,
            value: Some(value),
        };
        let metric = |name: &str, data| theirs::Metric {
            name: name.into(),
            description: "What it is.".into(),
            unit: "{message}".into(),
            metadata: Vec::new(),
            data: Some(data),
        };
        let points = vec![
            number(theirs::number_data_point::Value::AsInt(i64::MIN)),
            number(theirs::number_data_point::Value::AsDouble(0.5)),
        ];
        let histogram = theirs::HistogramDataPoint {
            attributes: attributes(9),
            start_time_unix_nano: 10,
            time_unix_nano: 11,
            count: 12,
            sum: Some(13.5),
            bucket_counts: vec![4, 0, 8],
            explicit_bounds: vec![0.005, 10.0],
            exemplars: vec![exemplar(theirs::exemplar::Value::AsDouble(0.25))],
            flags: 14,
            min: Some(0.0),
            max: Some(15.5),
        };
        let metrics = vec![
            metric("gauge", theirs::metric::Data::Gauge(theirs::Gauge { data_points: points.clone() })),
            metric(
                "sum",
                theirs::metric::Data::Sum(theirs::Sum {
                    data_points: points,
                    aggregation_temporality: 2,
                    is_monotonic: true,
                }),
            ),
            metric(
                "histogram",
                theirs::metric::Data::Histogram(theirs::Histogram {
                    data_points: vec![histogram],
                    aggregation_temporality: 2,
                }),
            ),
        ];
        let scope = reference::common::v1::InstrumentationScope { name: "scope".into(), ..Default::default() };
        let scope_metrics = theirs::ScopeMetrics { scope: Some(scope), metrics, schema_url: "schema one".into() };
        let resource_metrics = theirs::ResourceMetrics {
            resource: Some(reference::resource::v1::Resource { attributes: attributes(16), ..Default::default() }),
            scope_metrics: vec![scope_metrics],
            schema_url: "schema two".into(),
        };
        reference::collector::metrics::v1::ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
    }

    #[test]
    fn every_field_is_where_opentelemetry_s_own_messages_have_it() {
        let bytes = of_the_reference().encode_to_vec();
        let ours = decode(&bytes).unwrap();
        assert_eq!(ours.encode_to_vec().len(), bytes.len(), "nothing is lost");
        let again =
            reference::collector::metrics::v1::ExportMetricsServiceRequest::decode(ours.encode_to_vec().as_slice());
        assert_eq!(again.unwrap(), of_the_reference(), "nothing is moved");
    }
}
