//! One collection: metrics with the values that they have at one moment, in OpenTelemetry's data model.

#![forbid(unsafe_code)]

use std::borrow::Cow;

/// What one service, or the process itself, has measured until now: it becomes one `ResourceMetrics`.
pub(crate) struct Collected {
    /// The service by its place in the file; `None`: what the library tells of itself.
    pub service: Option<usize>,
    pub metrics: Vec<Metric>,
}

/// One instrument. All sums and histograms are cumulative and begin when the process, or the fork, does.
pub(crate) struct Metric {
    /// As the semantic conventions have it.
    pub name: &'static str,
    pub description: &'static str,
    /// UCUM: `s`, `{message}`.
    pub unit: &'static str,
    pub points: Points,
}

pub(crate) enum Points {
    /// Only grows.
    Sum(Vec<Number>),
    /// May grow and shrink.
    UpDown(Vec<Number>),
    Gauge(Vec<Number>),
    Histogram {
        /// The upper bounds, ascending; each is part of its bucket.
        bounds: &'static [f64],
        points: Vec<Distribution>,
    },
}

impl Points {
    /// How many data points there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Sum(points) | Self::UpDown(points) | Self::Gauge(points) => points.len(),
            Self::Histogram { points, .. } => points.len(),
        }
    }
}

pub(crate) type Attributes = Vec<(&'static str, Value)>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Text(Cow<'static, str>),
    Int(i64),
    Bool(bool),
}

pub(crate) struct Number {
    pub attributes: Attributes,
    pub value: i64,
}

pub(crate) struct Distribution {
    pub attributes: Attributes,
    /// One more than there are bounds.
    pub counts: Vec<u64>,
    pub sum: f64,
    pub exemplars: Vec<Exemplar>,
}

/// One measurement of those that were counted, with the sampled span in which it was made.
pub(crate) struct Exemplar {
    pub value: f64,
    /// Nanoseconds since 1970.
    pub time: u64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}
