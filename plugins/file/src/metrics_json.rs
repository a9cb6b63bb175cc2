//! Metrics as OTLP/JSON: the same rules as for spans, see `otlp_json`.

use serde::ser::{Serialize, Serializer};
use tracer_plugin_api::BackendError;

use crate::metrics::{
    Data, Exemplar, ExemplarValue, ExportMetricsServiceRequest, Gauge, Histogram, HistogramDataPoint, Metric, Number,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use crate::otlp_json::{Json, Object, line_of};

/// A batch as one line, which ends in a newline.
pub(crate) fn line(request: &ExportMetricsServiceRequest) -> Result<Vec<u8>, BackendError> {
    line_of(&Json(request))
}

impl Serialize for Json<'_, ExportMetricsServiceRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("resourceMetrics", &self.0.resource_metrics)?;
        object.end()
    }
}

impl Serialize for Json<'_, ResourceMetrics> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.message("resource", self.0.resource.as_ref())?;
        object.list("scopeMetrics", &self.0.scope_metrics)?;
        object.text("schemaUrl", &self.0.schema_url)?;
        object.end()
    }
}

impl Serialize for Json<'_, ScopeMetrics> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.message("scope", self.0.scope.as_ref())?;
        object.list("metrics", &self.0.metrics)?;
        object.text("schemaUrl", &self.0.schema_url)?;
        object.end()
    }
}

impl Serialize for Json<'_, Metric> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.text("name", &self.0.name)?;
        object.text("description", &self.0.description)?;
        object.text("unit", &self.0.unit)?;
        match &self.0.data {
            None => {}
            Some(Data::Gauge(gauge)) => object.message("gauge", Some(gauge))?,
            Some(Data::Sum(sum)) => object.message("sum", Some(sum))?,
            Some(Data::Histogram(histogram)) => object.message("histogram", Some(histogram))?,
        }
        object.end()
    }
}

impl Serialize for Json<'_, Gauge> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("dataPoints", &self.0.data_points)?;
        object.end()
    }
}

impl Serialize for Json<'_, Sum> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("dataPoints", &self.0.data_points)?;
        object.number("aggregationTemporality", self.0.aggregation_temporality)?;
        object.truth("isMonotonic", self.0.is_monotonic)?;
        object.end()
    }
}

impl Serialize for Json<'_, Histogram> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("dataPoints", &self.0.data_points)?;
        object.number("aggregationTemporality", self.0.aggregation_temporality)?;
        object.end()
    }
}

impl Serialize for Json<'_, NumberDataPoint> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("attributes", &self.0.attributes)?;
        object.nanos("startTimeUnixNano", self.0.start_time_unix_nano)?;
        object.nanos("timeUnixNano", self.0.time_unix_nano)?;
        match self.0.value {
            None => {}
            Some(Number::AsInt(value)) => object.integer("asInt", value)?,
            Some(Number::AsDouble(value)) => object.double("asDouble", value)?,
        }
        object.list("exemplars", &self.0.exemplars)?;
        object.count("flags", self.0.flags)?;
        object.end()
    }
}

impl Serialize for Json<'_, HistogramDataPoint> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let point = self.0;
        let mut object = Object::new(serializer)?;
        object.list("attributes", &point.attributes)?;
        object.nanos("startTimeUnixNano", point.start_time_unix_nano)?;
        object.nanos("timeUnixNano", point.time_unix_nano)?;
        object.nanos("count", point.count)?;
        for (key, value) in [("sum", point.sum), ("min", point.min), ("max", point.max)] {
            value.map_or(Ok(()), |value| object.double(key, value))?;
        }
        object.integers("bucketCounts", &point.bucket_counts)?;
        object.doubles("explicitBounds", &point.explicit_bounds)?;
        object.list("exemplars", &point.exemplars)?;
        object.count("flags", point.flags)?;
        object.end()
    }
}

impl Serialize for Json<'_, Exemplar> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object::new(serializer)?;
        object.list("filteredAttributes", &self.0.filtered_attributes)?;
        object.nanos("timeUnixNano", self.0.time_unix_nano)?;
        match self.0.value {
            None => {}
            Some(ExemplarValue::AsInt(value)) => object.integer("asInt", value)?,
            Some(ExemplarValue::AsDouble(value)) => object.double("asDouble", value)?,
        }
        object.id("spanId", &self.0.span_id)?;
        object.id("traceId", &self.0.trace_id)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::metrics::{decode, tests::of_the_reference};

    #[test]
    fn a_reader_that_is_not_ours_reads_back_what_went_in() {
        let theirs = of_the_reference();
        let line = line(&decode(&theirs.encode_to_vec()).unwrap()).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest =
            serde_json::from_slice(&line).unwrap();
        assert_eq!(read, theirs);
    }

    #[test]
    fn long_integers_are_text_and_ids_are_hex() {
        let request = decode(&of_the_reference().encode_to_vec()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&line(&request).unwrap()).unwrap();
        let metrics = json.pointer("/resourceMetrics/0/scopeMetrics/0/metrics").unwrap();
        assert_eq!(metrics[1]["sum"]["dataPoints"][0]["asInt"], "-9223372036854775808");
        assert_eq!(metrics[1]["sum"]["isMonotonic"], true);
        assert_eq!(metrics[1]["sum"]["dataPoints"][0]["timeUnixNano"], "18446744073709551615");
        let point = &metrics[2]["histogram"]["dataPoints"][0];
        assert_eq!((&point["count"], &point["sum"]), (&"12".into(), &13.5.into()));
        assert_eq!(point["bucketCounts"], serde_json::json!(["4", "0", "8"]));
        assert_eq!(point["explicitBounds"], serde_json::json!([0.005, 10.0]));
        assert_eq!(point["exemplars"][0]["traceId"], "b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4");
    }
}
