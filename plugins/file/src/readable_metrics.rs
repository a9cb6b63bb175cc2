//! Metrics to be read: one line per data point.

use std::fmt::Write as _;

use tracer_plugin_kit::spans::otlp::KeyValue;
use tracer_plugin_kit::spans::{service_name, value_text};

use crate::metrics::{Data, ExportMetricsServiceRequest, HistogramDataPoint, Number};
use crate::readable::plain;

/// A batch as lines, each of which ends in a newline.
pub(crate) fn lines(request: &ExportMetricsServiceRequest) -> Vec<u8> {
    let mut text = String::new();
    for of_resource in &request.resource_metrics {
        let service = service_name(of_resource.resource.as_ref());
        for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let mut line = |value: &str, attributes: &[KeyValue]| {
                let unit = if metric.unit.is_empty() { String::new() } else { format!(" {}", metric.unit) };
                // Writing to a string does not fail.
                let _ = write!(text, "metric {service:<14} {:<44} {value}{unit}", plain(&metric.name));
                for attribute in attributes {
                    let value = value_text(attribute.value.as_ref());
                    let _ = write!(text, " {}={}", plain(&attribute.key), plain(&value));
                }
                text.push('\n');
            };
            let number = |value: Option<Number>| match value {
                Some(Number::AsInt(value)) => value.to_string(),
                Some(Number::AsDouble(value)) => value.to_string(),
                None => "?".to_owned(),
            };
            match &metric.data {
                None => {}
                Some(Data::Gauge(gauge)) => {
                    gauge.data_points.iter().for_each(|point| line(&number(point.value), &point.attributes));
                }
                Some(Data::Sum(sum)) => {
                    sum.data_points.iter().for_each(|point| line(&number(point.value), &point.attributes));
                }
                Some(Data::Histogram(histogram)) => {
                    histogram.data_points.iter().for_each(|point| line(&summary(point), &point.attributes));
                }
            }
        }
    }
    text.into_bytes()
}

fn summary(point: &HistogramDataPoint) -> String {
    let sum = point.sum.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a mean for people to read")]
    let mean = if point.count == 0 { 0.0 } else { sum / point.count as f64 };
    format!("{} times, in all {sum:.6}, on average {mean:.6}", point.count)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::metrics::{decode, tests::of_the_reference};

    #[test]
    fn each_data_point_is_a_line_with_its_value_its_unit_and_its_attributes() {
        let text = String::from_utf8(lines(&decode(&of_the_reference().encode_to_vec()).unwrap())).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "metric unknown_service gauge -9223372036854775808 {message} key 5=5",
                "metric unknown_service gauge 0.5 {message} key 5=5",
                "metric unknown_service sum -9223372036854775808 {message} key 5=5",
                "metric unknown_service sum 0.5 {message} key 5=5",
                "metric unknown_service histogram 12 times, in all 13.500000, on average 1.125000 {message} key 9=9",
            ]
        );
    }
}
