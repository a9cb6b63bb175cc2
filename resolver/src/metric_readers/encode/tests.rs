//! What OpenTelemetry's own messages read in what was encoded.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Of;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar as TheirExemplar, HistogramDataPoint, Metric as Theirs, NumberDataPoint, ScopeMetrics, exemplar,
};
use prost::Message as _;

use super::*;

const TIME: Span = Span { began: 5, read: u64::MAX };

fn decoded(metrics: &[Metric]) -> Vec<Theirs> {
    ScopeMetrics::decode(metric_fields(metrics, TIME).as_slice()).unwrap().metrics
}

fn metric(points: Points) -> Metric {
    Metric { name: "messaging.client.sent.messages", description: "How many.", unit: "{message}", points }
}

fn points(values: &[i64]) -> Vec<Number> {
    let attributes = |value: i64| {
        vec![("text", Value::Text(Cow::Owned(format!("ü{value}")))), ("number", Value::Int(value.wrapping_neg()))]
    };
    values.iter().map(|value| Number { attributes: attributes(*value), value: *value }).collect()
}

fn expected(values: &[i64]) -> Vec<NumberDataPoint> {
    let pair = |key: &str, value: Any| opentelemetry_proto::tonic::common::v1::KeyValue {
        key: key.to_owned(),
        value: Some(opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) }),
        ..Default::default()
    };
    let point = |value: i64| NumberDataPoint {
        attributes: vec![
            pair("text", Any::StringValue(format!("ü{value}"))),
            pair("number", Any::IntValue(value.wrapping_neg())),
        ],
        start_time_unix_nano: 5,
        time_unix_nano: u64::MAX,
        value: Some(Of::AsInt(value)),
        ..Default::default()
    };
    values.iter().map(|value| point(*value)).collect()
}

#[test]
fn numbers_are_sums_that_grow_sums_that_do_not_only_grow_and_gauges() {
    let values = [0, 1, -1, i64::MAX, i64::MIN];
    let read = decoded(&[
        metric(Points::Sum(points(&values))),
        metric(Points::UpDown(points(&values))),
        metric(Points::Gauge(points(&values))),
    ]);
    assert_eq!(
        (read[0].name.as_str(), read[0].description.as_str(), read[0].unit.as_str()),
        ("messaging.client.sent.messages", "How many.", "{message}")
    );
    let Some(Data::Sum(sum)) = &read[0].data else { panic!("{read:?}") };
    assert_eq!((sum.is_monotonic, sum.aggregation_temporality, &sum.data_points), (true, 2, &expected(&values)));
    let Some(Data::Sum(sum)) = &read[1].data else { panic!("{read:?}") };
    assert_eq!((sum.is_monotonic, sum.aggregation_temporality, &sum.data_points), (false, 2, &expected(&values)));
    let Some(Data::Gauge(gauge)) = &read[2].data else { panic!("{read:?}") };
    assert_eq!(gauge.data_points, expected(&values));
}

#[test]
fn a_histogram_has_its_buckets_its_count_and_sum_and_the_spans_of_its_examples() {
    const BOUNDS: &[f64] = &[0.005, 1.0, 10.0];
    let exemplar = Exemplar { value: 0.25, time: 9, trace_id: [0xa1; 16], span_id: [0xb2; 8] };
    let point = |attributes, counts, exemplars| Distribution { attributes, counts, sum: 1.5, exemplars };
    let histogram = Points::Histogram {
        bounds: BOUNDS,
        points: vec![
            point(vec![("topic", Value::Text("orders".into()))], vec![1, 0, u64::MAX / 2, 3], vec![exemplar]),
            point(Vec::new(), vec![0; 4], Vec::new()),
        ],
    };
    let read = decoded(&[metric(histogram)]);
    let Some(Data::Histogram(histogram)) = &read[0].data else { panic!("{read:?}") };
    assert_eq!(histogram.aggregation_temporality, 2);
    let [first, second] = histogram.data_points.as_slice() else { panic!("{read:?}") };
    assert_eq!(first.attributes[0].key, "topic");
    assert_eq!((first.start_time_unix_nano, first.time_unix_nano), (5, u64::MAX));
    assert_eq!((first.count, first.sum), (u64::MAX / 2 + 4, Some(1.5)));
    assert_eq!(
        (first.bucket_counts.as_slice(), first.explicit_bounds.as_slice()),
        (&[1, 0, u64::MAX / 2, 3][..], BOUNDS)
    );
    assert_eq!(
        first.exemplars,
        [TheirExemplar {
            filtered_attributes: Vec::new(),
            time_unix_nano: 9,
            span_id: vec![0xb2; 8],
            trace_id: vec![0xa1; 16],
            value: Some(exemplar::Value::AsDouble(0.25)),
        }]
    );
    assert_eq!(
        *second,
        HistogramDataPoint {
            start_time_unix_nano: 5,
            time_unix_nano: u64::MAX,
            sum: Some(1.5),
            bucket_counts: vec![0; 4],
            explicit_bounds: BOUNDS.to_vec(),
            ..Default::default()
        }
    );
}

#[test]
fn a_metric_without_points_is_left_out() {
    assert_eq!(decoded(&[metric(Points::Sum(Vec::new())), metric(Points::Gauge(points(&[1])))]).len(), 1);
}
