//! One series as a program reads it: see `Resolver::measurements`.

#![forbid(unsafe_code)]

use crate::metrics::model::{Attributes, Collected, Distribution, Exemplar, Metric, Number, Points, Value};

/// What was measured by one instrument under one set of attributes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// The service's name.
    pub service: String,
    /// The instrument's name, as the semantic conventions have it.
    pub instrument: &'static str,
    /// The unit, as UCUM has it.
    pub unit: &'static str,
    /// Names and values.
    pub attributes: Vec<(&'static str, String)>,
    /// A counter's value, or how often a histogram measured.
    pub count: u64,
    /// The sum of what a histogram measured, in its unit.
    pub sum: f64,
    /// A histogram's upper bounds; each is part of its bucket.
    pub bounds: &'static [f64],
    /// What a histogram counted in each bucket; one more than there are bounds.
    pub buckets: Vec<u64>,
    /// One at most for each bucket.
    pub exemplars: Vec<MeasuredIn>,
}

/// One of the values that were measured, and the sampled span in which it was.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MeasuredIn {
    /// In the instrument's unit.
    pub value: f64,
    /// As 32 hexadecimal digits.
    pub trace_id: String,
    /// As 16 hexadecimal digits.
    pub span_id: String,
}

impl Measurement {
    /// The value of the attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Everything that was collected; `name` names the services.
    pub(crate) fn all<'n>(collected: Vec<Collected>, name: impl Fn(usize) -> &'n str) -> Vec<Self> {
        let mut all = Vec::new();
        for (service, metrics) in collected.into_iter().filter_map(|found| Some((found.service?, found.metrics))) {
            let measured = metrics.into_iter().flat_map(of);
            all.extend(measured.map(|one| Self { service: name(service).to_owned(), ..one }));
        }
        all
    }
}

/// The series of one metric, of no service yet.
fn of(metric: Metric) -> Vec<Measurement> {
    let (instrument, unit) = (metric.name, metric.unit);
    let plain = |attributes: Attributes, count: u64| Measurement {
        service: String::new(),
        instrument,
        unit,
        attributes: attributes.into_iter().map(|(name, value)| (name, text(value))).collect(),
        count,
        sum: 0.0,
        bounds: &[],
        buckets: Vec::new(),
        exemplars: Vec::new(),
    };
    match metric.points {
        Points::Sum(points) | Points::UpDown(points) | Points::Gauge(points) => {
            let counted = |point: Number| plain(point.attributes, u64::try_from(point.value).unwrap_or(0));
            points.into_iter().map(counted).collect()
        }
        Points::Histogram { bounds, points } => {
            let distributed = |point: Distribution| Measurement {
                sum: point.sum,
                bounds,
                exemplars: point.exemplars.iter().map(MeasuredIn::of).collect(),
                buckets: point.counts.clone(),
                ..plain(point.attributes, point.counts.iter().sum())
            };
            points.into_iter().map(distributed).collect()
        }
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Text(text) => text.into_owned(),
        Value::Int(number) => number.to_string(),
        Value::Bool(is_so) => is_so.to_string(),
    }
}

impl MeasuredIn {
    fn of(exemplar: &Exemplar) -> Self {
        let (trace_id, span_id) = (hex::encode(exemplar.trace_id), hex::encode(exemplar.span_id));
        Self { value: exemplar.value, trace_id, span_id }
    }
}
