//! From a collection to OTLP protobuf, field by field.
//!
//! What stands around the metrics, resource and scope, has the same numbers as around spans: `ServiceResource` writes it.

#![forbid(unsafe_code)]

use crate::batch::{Field, SpanWriter};
use crate::metrics::{Attributes, Distribution, Exemplar, Metric, Number, Points, Value};

/// When the values began, and when they were read: nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub began: u64,
    pub read: u64,
}

/// The encoded `metrics` fields of a `ScopeMetrics`.
pub(crate) fn metric_fields(metrics: &[Metric], time: Span) -> Vec<u8> {
    let mut out = Vec::new();
    let mut scope = SpanWriter::new(&mut out);
    for metric in metrics.iter().filter(|metric| metric.points.count() > 0) {
        scope.message(METRICS, |writer| {
            writer.bytes(NAME, metric.name.as_bytes());
            writer.bytes(DESCRIPTION, metric.description.as_bytes());
            writer.bytes(UNIT, metric.unit.as_bytes());
            data(writer, &metric.points, time);
        });
    }
    out
}

fn data(metric: &mut SpanWriter<'_>, points: &Points, time: Span) {
    match points {
        Points::Sum(points) => metric.message(SUM, |sum| {
            points.iter().for_each(|point| number(sum, point, time));
            sum.varint(AGGREGATION_TEMPORALITY, CUMULATIVE);
            sum.varint(IS_MONOTONIC, 1);
        }),
        Points::UpDown(points) => metric.message(SUM, |sum| {
            points.iter().for_each(|point| number(sum, point, time));
            sum.varint(AGGREGATION_TEMPORALITY, CUMULATIVE);
        }),
        Points::Gauge(points) => metric.message(GAUGE, |gauge| {
            points.iter().for_each(|point| number(gauge, point, time));
        }),
        Points::Histogram { bounds, points } => metric.message(HISTOGRAM, |histogram| {
            points.iter().for_each(|point| distribution(histogram, bounds, point, time));
            histogram.varint(AGGREGATION_TEMPORALITY, CUMULATIVE);
        }),
    }
}

fn number(data: &mut SpanWriter<'_>, point: &Number, time: Span) {
    data.message(DATA_POINTS, |writer| {
        times(writer, time);
        writer.fixed64(AS_INT, point.value.cast_unsigned());
        attributes(writer, NUMBER_ATTRIBUTES, &point.attributes);
    });
}

fn distribution(data: &mut SpanWriter<'_>, bounds: &[f64], point: &Distribution, time: Span) {
    data.message(DATA_POINTS, |writer| {
        times(writer, time);
        writer.fixed64(COUNT, point.counts.iter().sum());
        writer.fixed64(SUM_OF_VALUES, point.sum.to_bits());
        let counts: Vec<u8> = point.counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        writer.bytes(BUCKET_COUNTS, &counts);
        let bounds: Vec<u8> = bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect();
        writer.bytes(EXPLICIT_BOUNDS, &bounds);
        for one in &point.exemplars {
            writer.message(EXEMPLARS, |writer| exemplar(writer, one));
        }
        attributes(writer, HISTOGRAM_ATTRIBUTES, &point.attributes);
    });
}

fn exemplar(writer: &mut SpanWriter<'_>, one: &Exemplar) {
    writer.fixed64(EXEMPLAR_TIME, one.time);
    writer.fixed64(EXEMPLAR_AS_DOUBLE, one.value.to_bits());
    writer.bytes(EXEMPLAR_SPAN_ID, &one.span_id);
    writer.bytes(EXEMPLAR_TRACE_ID, &one.trace_id);
}

fn times(point: &mut SpanWriter<'_>, time: Span) {
    point.fixed64(BEGAN, time.began);
    point.fixed64(READ, time.read);
}

fn attributes(point: &mut SpanWriter<'_>, field: Field, attributes: &Attributes) {
    for (key, value) in attributes {
        match value {
            Value::Text(text) => point.string_attribute(field, key, text),
            Value::Int(number) => point.int_attribute(field, key, *number),
            Value::Bool(is) => point.attribute(field, key, |any| any.varint(Field::BOOL_VALUE, u64::from(*is))),
        }
    }
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

// ScopeMetrics.
const METRICS: Field = Field::bytes(2);
// Metric.
const NAME: Field = Field::bytes(1);
const DESCRIPTION: Field = Field::bytes(2);
const UNIT: Field = Field::bytes(3);
const GAUGE: Field = Field::bytes(5);
const SUM: Field = Field::bytes(7);
const HISTOGRAM: Field = Field::bytes(9);
// Gauge, Sum, Histogram.
const DATA_POINTS: Field = Field::bytes(1);
const AGGREGATION_TEMPORALITY: Field = Field::varint(2);
const IS_MONOTONIC: Field = Field::varint(3);
// NumberDataPoint, HistogramDataPoint.
const BEGAN: Field = Field::fixed64(2);
const READ: Field = Field::fixed64(3);
const AS_INT: Field = Field::fixed64(6);
const NUMBER_ATTRIBUTES: Field = Field::bytes(7);
const COUNT: Field = Field::fixed64(4);
const SUM_OF_VALUES: Field = Field::fixed64(5);
const BUCKET_COUNTS: Field = Field::bytes(6);
const EXPLICIT_BOUNDS: Field = Field::bytes(7);
const EXEMPLARS: Field = Field::bytes(8);
const HISTOGRAM_ATTRIBUTES: Field = Field::bytes(9);
// Exemplar.
const EXEMPLAR_TIME: Field = Field::fixed64(2);
const EXEMPLAR_AS_DOUBLE: Field = Field::fixed64(3);
const EXEMPLAR_SPAN_ID: Field = Field::bytes(4);
const EXEMPLAR_TRACE_ID: Field = Field::bytes(5);

#[cfg(test)]
mod tests;
